/** Planted bugs of `userspace daemonset` (docs/adr/0015). */
import { type Bug, unit } from './planted-bug.ts';

export const ofDaemonset: readonly Bug[] = [
  {
    letter: 'ka',
    title: 'daemonset: a token is replaced when it has expired',
    patches: [
      {
        file: 'src/daemonset/renewal.ts',
        search: '(seconds * 1000) / 2',
        replace: 'seconds * 1000',
      },
    ],
    suites: [unit('test/daemonset/renewal.test.ts', 'at half the life')],
  },
  {
    letter: 'kb',
    title: 'daemonset: the pod is ready although there is no kubeconfig yet',
    patches: [
      {
        file: 'src/daemonset/renewal.ts',
        search: '      const authority = readAuthority();\n',
        replace: '      const authority = readAuthority();\n      ready();\n',
      },
    ],
    suites: [unit('test/daemonset/renewal.test.ts', 'nothing is ready before the first success')],
  },
  {
    letter: 'kc',
    title: 'daemonset: the kubeconfig’s directory stays open to others',
    patches: [{ file: 'src/daemonset/plugin-kubeconfig.ts', search: '  chmodSync(directory, 0o700);\n', replace: '' }],
    suites: [unit('test/daemonset/plugin-kubeconfig.test.ts', 'are for root alone')],
  },
  {
    letter: 'kd',
    title: 'daemonset: an answer that holds a token is quoted in the log',
    patches: [
      {
        file: 'src/effects/kubernetes/token-request.ts',
        search: 'const isQuotable = answer.status > 299 && refusalOf(answer) !== undefined;',
        replace: 'const isQuotable = answer.status > 0;',
      },
    ],
    suites: [unit('test/daemonset/token-request.test.ts', 'is not in the error')],
  },
  {
    letter: 'ke',
    title: 'daemonset: the agent is left behind by a pod that ends',
    patches: [
      {
        file: 'src/daemonset/agent-keeper.ts',
        search: "    child.kill('SIGTERM');\n",
        replace: '',
      },
    ],
    suites: [unit('test/daemonset/agent-keeper.test.ts', 'is waited for')],
  },
  {
    letter: 'kf',
    title: 'daemonset: an agent is started although calls have no kubeconfig',
    patches: [
      { file: 'src/daemonset/daemonset.ts', search: '    await begun.promise;\n', replace: '    begun.resolve();\n' },
    ],
    suites: [unit('test/daemonset/daemonset.test.ts', 'starts no agent before there is a kubeconfig')],
  },
  {
    letter: 'kg',
    title: 'daemonset: without hostPID the executable is installed into the pod’s own container',
    patches: [
      {
        file: 'src/daemonset/daemonset.ts',
        search: '    if (trouble !== undefined) throw new Error(trouble);\n',
        replace: '',
      },
    ],
    suites: [unit('test/daemonset/daemonset.test.ts', 'its own container')],
  },
];
