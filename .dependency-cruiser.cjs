// The house rules (ARCHITECTURE.md, "Who may import whom"). Type-only imports count too, except where a rule says so.
const only = (name, from, allowed, comment) => ({
  name,
  comment,
  severity: 'error',
  from: { path: from },
  to: { pathNot: allowed },
});

const vocabulary = '^src/(attachment|deadlines)\\.ts$';

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'no-orphans',
      severity: 'error',
      from: { orphan: true, path: '^src/', pathNot: '^src/main\\.ts$' },
      to: {},
    },
    only(
      'vocabulary-imports-nothing',
      vocabulary,
      '^$',
      'The vocabulary is spoken by everyone and depends on nothing.',
    ),
    only(
      'machines-are-pure',
      '^src/machines/',
      `^src/machines/|${vocabulary}|node_modules/xstate`,
      'A machine decides; it never acts.',
    ),
    only(
      'journal-knows-bytes',
      '^src/journal/',
      `^src/journal/|^src/native\\.ts$|${vocabulary}|^(node:)?(fs|path|timers)`,
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
      `^src/effects/|^src/native\\.ts$|^src/machines/protocol\\.ts$|${vocabulary}|^(node:)?[a-z/_]+$|node_modules/(execa|write-file-atomic)`,
      'Effects hear requests and give outcomes.',
    ),
    only(
      'drive-receives-perform',
      '^src/drive\\.ts$',
      `^src/(machines|journal)/|${vocabulary}`,
      'The loop is handed its effects as an argument.',
    ),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
