/** Bugs in the example of docs/library.md, as another plugin would have them: the crash windows of a user's own steps must see them. */
import { type Bug, fault } from './planted-bug.ts';

const example = 'docs/examples/directory-with-file.ts';
const windows = fault('test/fault/library.test.ts', 'dead or without power at any call');

export const ofLibrary: readonly Bug[] = [
  {
    letter: 'la',
    title: 'library: the plan is written after the steps',
    patches: [
      {
        file: example,
        search: `        journal.append({ kind: 'begin', plan: call.plan });
        journal.fsyncName();
        return await run('make', journal, call);`,
        replace: `        await run('make', journal, call);
        return journal.append({ kind: 'begin', plan: call.plan });`,
      },
    ],
    suites: [windows],
  },
  {
    letter: 'lb',
    title: 'library: a removal is not durable when its journal goes',
    patches: [{ file: example, search: '      disk.fsyncDirectory(dirname(directory));\n', replace: '' }],
    suites: [windows],
  },
  {
    letter: 'lc',
    title: 'library: the intent is recorded with the outcome',
    patches: [
      {
        file: 'src/drive/loop.ts',
        search: "return reasonToStop() ?? journalTrouble(() => journal.append({ kind: 'intent', step: name }));",
        replace: "return reasonToStop() ?? journalTrouble(() => journal.stage({ kind: 'intent', step: name }));",
      },
    ],
    suites: [fault('test/fault/library.test.ts', 'has its intent on disk before each effect')],
  },
];
