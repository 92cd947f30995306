/** Planted bugs of install and uninstall: one for each rule about what lives, and what a person has changed. */
import { type Bug, unit } from './planted-bug.ts';

export const ofSetup: readonly Bug[] = [
  {
    letter: 'sa',
    title: 'uninstall: what lives is not looked for once more when the name is gone',
    patches: [
      {
        file: 'src/cli/uninstall.ts',
        search: 'if (last.living.length > 0 && !force) {',
        replace: 'if (last === first) {',
      },
    ],
    suites: [unit('test/cli/uninstall.test.ts', 'a call that began')],
  },
  {
    letter: 'sb',
    title: 'uninstall: the name of one that was killed does not come back while something lives',
    patches: [{ file: 'src/cli/uninstall.ts', search: '      executable?.putBack();\n', replace: '' }],
    suites: [unit('test/cli/uninstall.test.ts', 'ends what an uninstall')],
  },
  {
    letter: 'sc',
    title: 'uninstall: a file that a person changed is removed',
    patches: [
      {
        file: 'src/cli/setup/parts.ts',
        search: 'isAsWritten(text, sums)',
        replace: 'sums !== undefined',
      },
    ],
    suites: [unit('test/cli/uninstall.test.ts', 'what a person has changed')],
  },
  {
    letter: 'sd',
    title: 'install: a network that a person changed is overwritten',
    patches: [
      {
        file: 'src/cli/setup/extras.ts',
        search: 'for (const file of files) expectOurs(file, written[file.path] ?? []);',
        replace: 'expectOurs({ path: "", contents: "", mode: 0 }, []);',
      },
    ],
    suites: [unit('test/cli/extras.test.ts', 'never overwritten')],
  },
  {
    letter: 'se',
    title: 'install: an upgrade forgets the sum of the file that it is about to replace',
    patches: [
      {
        file: 'src/cli/setup/extras.ts',
        search: '[...new Set([fresh, ...old])]',
        replace: '[fresh, ...old.slice(1)]',
      },
    ],
    suites: [unit('test/cli/extras.test.ts', 'of an earlier release')],
  },
  {
    letter: 'sf',
    title: 'uninstall: the record goes although a file of it could not be removed',
    patches: [{ file: 'src/cli/uninstall.ts', search: 'part.isRecord && isNeeded()', replace: 'false' }],
    suites: [unit('test/cli/uninstall.test.ts', 'the record stays')],
  },
];
