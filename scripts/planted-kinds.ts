/** One planted bug or more for each of the seven kinds of faults (docs/adr/0011-seven-kinds.md). */
import { type Bug, fault, property, unit } from './planted-bug.ts';

export const kinds: readonly Bug[] = [
  {
    letter: 'ai',
    title: 'kind 1: a put-back that failed runs the whole removal of the port',
    patches: [
      {
        file: 'src/machines/steps.ts',
        search: "entry: ask(step, 'withdraw'),",
        replace: "entry: ask(step, 'remove'),",
      },
    ],
    suites: [fault('test/fault/put-back.test.ts', 'changes nothing that lives')],
  },
  {
    letter: 'aj',
    title: 'kind 1: the journals are not asked before a socket goes',
    patches: [
      {
        file: 'src/drive/removal.ts',
        search: 'isAnothersSocket: (socket) => isAnothers(removal, socket) };',
        replace: 'isAnothersSocket: (socket) => isAnothers(removal, socket) && false };',
      },
    ],
    suites: [property('test/property/exact-removal.test.ts')],
  },
  {
    letter: 'ak',
    title: 'kind 2: a DEL through another data directory goes on',
    patches: [
      {
        file: 'src/drive/removal.ts',
        search: "  if (found.kind === 'elsewhere') return { owed: [], warnings: [], elsewhere: found.trouble };\n",
        replace: '',
      },
    ],
    suites: [fault('test/fault/another-directory.test.ts', 'is not touched by a DEL')],
  },
  {
    letter: 'al',
    title: 'kind 2: a journal that was cut off is believed',
    patches: [
      {
        file: 'src/journal/journal.ts',
        search: 'return this.#disk.hasAttribute(this.fd) && this.#options.tells(this.#records) === undefined;',
        replace: 'return false;',
      },
    ],
    suites: [property('test/property/damaged-journals.test.ts')],
  },
  {
    letter: 'am',
    title: 'kind 4: the mark is the owner’s x bit',
    patches: [
      {
        file: 'src/journal/marks.ts',
        search: 'boolean => modeOf(stat) === modeGoing;',
        replace: 'boolean => (modeOf(stat) & 0o100) !== 0;',
      },
    ],
    suites: [property('test/property/damaged-journals.test.ts')],
  },
  {
    letter: 'an',
    title: 'kind 4: an ADD cannot be seen while it waits for its pod',
    patches: [
      {
        file: 'src/verbs/add.ts',
        search: '  const journal = openOwn(request, node);\n  try {\n    await hold(journal, request, end);',
        replace:
          '  await podLookup;\n  const journal = openOwn(request, node);\n  try {\n    await hold(journal, request, end);',
      },
    ],
    suites: [fault('test/fault/preflight.test.ts', 'kind 4')],
  },
  {
    letter: 'w',
    title: 'kind 1: the living attachment’s address is released after a refused ADD',
    patches: [
      {
        file: 'src/effects/ipam/answer.ts',
        search: "  return { made: isSaid('heldAlready', refusal) ? 'nothing' : 'doubtful' };\n",
        replace: "  return { made: 'doubtful' };\n",
      },
    ],
    suites: [unit('test/effects/ipam/programs.test.ts', 'if this id may hold one')],
  },
  {
    letter: 'x',
    title: 'kind 2: any 404 proves that the pod is gone',
    patches: [
      {
        file: 'src/effects/kubernetes/api-answer.ts',
        search: "return refusal?.reason === 'NotFound' && refusal.kind === 'pods' && refusal.name === name;",
        replace: "return answer.status === 404 || (refusal?.kind === 'pods' && refusal.name === name);",
      },
    ],
    suites: [unit('test/effects/kubernetes/annotation-refusals.test.ts', 'kind 2: a 404 of a proxy')],
  },
  {
    letter: 'y',
    title: 'kind 2: what the predecessor left and could not be settled is answered with success',
    patches: [
      {
        file: 'src/effects/ovs/predecessor.ts',
        search: '  if (troubles.length > 0) throw troubles[0];\n',
        replace: '',
      },
    ],
    suites: [unit('test/effects/ovs/predecessor.test.ts', 'state file stays as long')],
  },
  {
    letter: 'z',
    title: 'kind 1: the predecessor’s old sandbox takes the port of its later one',
    patches: [
      {
        file: 'src/effects/ovs/predecessor.ts',
        search:
          '  if (others.some((other) => other.isTold && other.names.includes(name) && isLater(other, state))) return false;\n',
        replace: '',
      },
    ],
    suites: [unit('test/effects/ovs/predecessor.test.ts', 'made again under the same name')],
  },
  {
    letter: 'aa',
    title: 'kind 3: a holder whose deadline is over is not ended',
    patches: [{ file: 'src/os/processes.ts', search: '    await endOverdue(lockOf());\n', replace: '' }],
    suites: [unit('test/os/processes.test.ts', 'whose deadline is over is taken')],
  },
  {
    letter: 'ab',
    title: 'kind 3: a lock is unlocked while a program of the operation may still be at work',
    patches: [
      {
        file: 'src/journal/journal.ts',
        search: 'if (this.#isHeld && !isLent(this.fd)) quietly',
        replace: 'if (this.#isHeld) quietly',
      },
    ],
    suites: [unit('test/journal/lock.test.ts')],
  },
  {
    letter: 'ac',
    title: 'kind 5: an IPAM program that refused is owed',
    patches: [
      {
        file: 'src/effects/ipam/answer.ts',
        search: "  return { made: isSaid('heldAlready', refusal) ? 'nothing' : 'doubtful' };\n",
        replace: "  return isSaid('heldAlready', refusal) ? { made: 'nothing' } : {};\n",
      },
    ],
    suites: [unit('test/effects/ipam/programs.test.ts', 'by the program’s own answer is doubtful')],
  },
  {
    letter: 'ad',
    title: 'kind 5: the caller’s kubeconfig is not looked at',
    patches: [
      {
        file: 'src/effects/kubernetes/api-servers.ts',
        search: "const elsewhere = request.verb === 'ensure' ? [] : this.#elsewhere;",
        replace: 'const elsewhere: string[] = [];',
      },
    ],
    suites: [unit('test/effects/kubernetes/api-servers.test.ts', 'is paid where the pod')],
  },
  {
    letter: 'ae',
    title: 'kind 6: the chain of calls through a copy of the executable has no end',
    patches: [
      {
        file: 'src/cni/command.ts',
        search: '  if (env[leaseVariable] !== undefined) throw new CniError(code.invalidConfig, startedByUs);\n',
        replace: '',
      },
    ],
    suites: [unit('test/cni/command.test.ts', 'is refused with code 7 at once')],
  },
  {
    letter: 'ah',
    title: 'kind 6: a pipe is written to by a description that waits',
    patches: [{ file: 'src/os/streams.ts', search: 'access | O_NONBLOCK | O_NOCTTY', replace: 'access | O_NOCTTY' }],
    suites: [unit('test/os/streams.test.ts', 'does not read delays no writer')],
  },
  {
    letter: 'af',
    title: 'kind 7: a write that an admission changes is fought on',
    patches: [
      {
        file: 'src/effects/kubernetes/pod-write.ts',
        search: '    if (tries >= alterationsMax) throw trouble;\n',
        replace: '',
      },
    ],
    suites: [unit('test/effects/kubernetes/annotation-refusals.test.ts', 'kind 7: in its addresses')],
  },
  {
    letter: 'ag',
    title: 'kind 7: a silence is not remembered',
    patches: [
      {
        file: 'src/effects/away.ts',
        search: 'const found = verdict(error);',
        replace: 'const found = undefined as Verdict; verdict(error);',
      },
    ],
    suites: [unit('test/effects/kubernetes/api-servers.test.ts', 'kind 7: being silent')],
  },
];
