// The house rules (ARCHITECTURE.md, "The rooms"). Type-only imports count too, except where a rule says so.
const only = (name, from, allowed, comment) => ({
  name,
  comment,
  severity: 'error',
  from: { path: from },
  to: { pathNot: allowed },
});

const vocabulary = '^src/(attachment|deadlines)\\.ts$';
/** The files that every trade of effects may use. */
const general = '^src/effects/(outcome|remote-files|attempt|away|program)\\.ts$';

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'no-orphans',
      severity: 'error',
      from: { orphan: true, path: '^src/', pathNot: '^src/main\\.ts$|\\.d\\.ts$' },
      to: {},
    },
    only(
      'vocabulary-imports-nothing',
      vocabulary,
      '^$',
      'The vocabulary is spoken by everyone and depends on nothing.',
    ),
    only('machines-are-pure', '^src/machines/', `^src/machines/|${vocabulary}`, 'A machine decides; it never acts.'),
    only(
      'journal-knows-bytes',
      '^src/journal/',
      `^src/(journal|os)/|${vocabulary}|^(node:)?(fs|path|timers)`,
      'The journal does not know CNI.',
    ),
    only(
      'cni-is-protocol',
      '^src/cni/',
      `^src/cni/|${vocabulary}|node_modules/valibot`,
      'Protocol only: nothing sideways.',
    ),
    only(
      'effects-speak-protocol',
      '^src/effects/',
      `^src/(effects|os)/|^src/machines/protocol\\.ts$|^src/cni/result\\.ts$|^src/json-text\\.ts$|${vocabulary}|^(node:)?[a-z/_]+$|node_modules/(@types/)?write-file-atomic|node_modules/@kubernetes/client-node`,
      'Effects hear requests and give outcomes; results are the language of IPAM plugins and of the publication.',
    ),
    only(
      'drive-receives-perform',
      '^src/drive/',
      `^src/(drive|machines|journal)/|${vocabulary}|^(node:)?(fs|path)$`,
      'The loop is handed its effects as an argument.',
    ),
    only(
      'recovery-drives',
      '^src/recovery/',
      `^src/(recovery|drive|machines|journal)/|${vocabulary}|^(node:)?(fs|path)$|node_modules/(@types/)?proper-lockfile`,
      'Recovery is handed its effects, like the loop.',
    ),
    {
      name: 'kubernetes-comes-late',
      severity: 'error',
      comment: 'Code that speaks to an API server is loaded only by calls that have a kubeconfig (ADR 0007).',
      from: {
        path: '^src/',
        pathNot:
          '^src/(daemonset/|effects/kubernetes/(annotation|pod|pod-write|api-server|event|kubeconfig|token-request)\\.ts$)',
      },
      to: {
        path: '^src/effects/kubernetes/(annotation|pod|pod-write|api-server|event|kubeconfig|token-request)\\.ts$',
        dependencyTypesNot: ['dynamic-import', 'type-only'],
      },
    },
    only(
      'plan-is-pure',
      '^src/plan/',
      `^src/(plan|cni)/|^src/json-text\\.ts$|^src/machines/protocol\\.ts$|${vocabulary}|^(node:)?path$`,
      'Names and places only.',
    ),
    {
      name: 'chunks-stay-whole',
      severity: 'error',
      comment:
        'ADD and CHECK, and the two plans, are one chunk each: imported separately, each call would have to read more files.',
      from: { path: '^src/', pathNot: '^src/(plan/plans|verbs/add-check)\\.ts$' },
      to: { path: '^src/(plan/(attach|removal)|verbs/(add|check))\\.ts$', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'library-is-for-others',
      severity: 'error',
      comment: 'It is a list of names for other plugins; what the product needs it imports from where it is.',
      from: { path: '^src/' },
      to: { path: '^src/library\\.ts$' },
    },
    {
      name: 'library-knows-no-attachment',
      severity: 'error',
      comment: 'Journal, loop and interpreter serve machines of any family (ADR 0017).',
      from: { path: '^src/library\\.ts$' },
      to: {
        path: '^(src|node_modules)/',
        pathNot:
          '^src/(os|journal)/|^src/drive/(loop|entry|trouble)\\.ts$|^src/machines/(notation|run|protocol)\\.ts$|^src/(attachment|deadlines)\\.ts$',
        reachable: true,
      },
    },
    only(
      'loop-knows-no-attachment',
      '^src/(drive/loop|machines/(run|notation))\\.ts$',
      `^src/(drive/(loop|entry|trouble)|machines/(run|notation|protocol)|journal/journal)\\.ts$|${vocabulary}`,
      'The steps, their recipes and their memory are handed in by the machine.',
    ),
    {
      name: 'main-alone-is-the-root',
      severity: 'error',
      comment: 'Nothing of ours may need the executable.',
      from: {},
      to: { path: '^src/main\\.ts$' },
    },
    only(
      'effects-kubernetes-alone',
      '^src/effects/kubernetes/',
      `^src/effects/(kubernetes|files)/|${general}|^src/(os|machines)/|^src/json-text\\.ts$|${vocabulary}|^(node:)?[a-z/_]+$|node_modules/@kubernetes/client-node`,
      'Whether another sandbox is the later one is asked by a function that the host hands in.',
    ),
    only(
      'effects-ipam-alone',
      '^src/effects/ipam/',
      `^src/effects/ipam/|${general}|^src/cni/result\\.ts$|^src/(os|machines)/|${vocabulary}|^(node:)?[a-z/_]+$`,
      'An IPAM plugin knows nothing of the switch.',
    ),
    only(
      'effects-files-alone',
      '^src/effects/files/',
      `^src/effects/files/|${general}|^src/cni/result\\.ts$|^src/(os|machines)/|${vocabulary}|^(node:)?[a-z/_]+$|node_modules/(@types/)?write-file-atomic`,
      'Whose port a file names is asked by a function that the host hands in.',
    ),
    only(
      'effects-general-words',
      '^src/effects/(outcome|remote-files|attempt|away|program)\\.ts$',
      `${general}|^src/(os/|machines/protocol\\.ts$)|${vocabulary}|^(node:)?[a-z/_]+$`,
      'All trades share these: they know none of them.',
    ),
    {
      name: 'kubernetes-alone-knows-client-node',
      severity: 'error',
      from: { pathNot: '^src/effects/kubernetes/' },
      to: { path: 'node_modules/@kubernetes/client-node' },
    },
    only(
      'effects-ovs-alone',
      '^src/effects/ovs/',
      `^src/effects/(ovs|files)/|^src/effects/(engine|netns)\\.ts$|${general}|^src/(os|machines)/|${vocabulary}|^(node:)?[a-z/_]+$`,
      'Open vSwitch knows files, and neither Kubernetes nor IPAM plugins.',
    ),
    {
      name: 'engine-has-one-face',
      severity: 'error',
      comment:
        'All code that speaks OVSDB is in effects/ovs/. The rest calls effects/engine.ts; these two rooms put the parts together.',
      from: { path: '^src/', pathNot: '^src/effects/(ovs/|host\\.ts$|readiness\\.ts$)' },
      to: { path: '^src/effects/ovs/' },
    },
    {
      name: 'host-knows-the-engine-alone',
      severity: 'error',
      from: { path: '^src/effects/host\\.ts$' },
      to: { path: '^src/effects/ovs/', pathNot: '^src/effects/ovs/engine\\.ts$' },
    },
    only(
      'verbs-put-together',
      '^src/verbs/',
      `^src/(verbs|cni|plan|drive|journal|machines|recovery)/|^src/effects/(host|readiness)\\.ts$|^src/os/processes\\.ts$|^src/log\\.ts$|${vocabulary}|^(node:)?path$`,
      'A verb is handed its effects; only their types, and STATUS, come from effects/.',
    ),
    only(
      'agent-knows-no-verb',
      '^src/agent/',
      `^src/(agent|figures|os)/|^src/cni/(request\\.ts|leniency\\.ts|config/(config|defaults)\\.ts)$|${vocabulary}|^(node:)?(fs|path|os|util)$`,
      'The agent carries calls; what they do is handed to it. Of a call it knows the environment and the input.',
    ),
    {
      name: 'agent-is-handed-the-figures-of-the-node',
      severity: 'error',
      comment: 'They need the commands for people, and so nearly everything.',
      from: { path: '^src/agent/' },
      to: { path: '^src/figures/node\\.ts$', dependencyTypesNot: ['type-only'] },
    },
    only(
      'figures-are-counted',
      '^src/figures/(counts|histogram|report|text)\\.ts$',
      `^src/figures/(counts|histogram|report|text)\\.ts$|^src/machines/protocol\\.ts$|${vocabulary}`,
      'Counting is pure; only the looks at the node (node.ts) touch anything.',
    ),
    {
      name: 'agent-is-never-needed',
      severity: 'error',
      comment: 'Only the executable asks an agent or is one.',
      from: { path: '^src/', pathNot: '^src/(agent/|main\\.ts$)' },
      to: { path: '^src/agent/' },
    },
    only(
      'daemonset-starts-programs',
      '^src/daemonset/',
      `^src/daemonset/|^src/effects/kubernetes/(token-request|kubeconfig)\\.ts$|^src/cli/setup/place\\.ts$|${vocabulary}|^(node:)?[a-z/_]+$`,
      'It installs, renews and starts: whatever is done on the node is done by a program there, which may be of another release.',
    ),
    {
      name: 'daemonset-is-a-command',
      severity: 'error',
      comment: 'Only the executable is one.',
      from: { path: '^src/', pathNot: '^src/(daemonset/|main\\.ts$)' },
      to: { path: '^src/daemonset/' },
    },
    only(
      'os-is-the-ground',
      '^src/os/',
      `^src/os/|^src/deadlines\\.ts$|^(node:|bun:)?[a-z/_]+$`,
      'It knows nothing of the product.',
    ),
    {
      name: 'effects-do-not-need-the-host',
      severity: 'error',
      from: { path: '^src/effects/' },
      to: { path: '^src/effects/host\\.ts$' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
