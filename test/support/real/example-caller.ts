/** A process that does nothing but make and remove what the example of docs/library.md makes, until it is killed. */
import * as fs from 'node:fs';
import { realDisk } from 'userspace-cni/library';
import { bring, type Call } from '../../../docs/examples/directory-with-file.ts';

/** The call of a name below a place: its journal, and its directory with a text that is long enough to be cut. */
export const callOf = (place: string, name: string): Call => ({
  disk: realDisk,
  files: fs,
  journal: `${place}/journals/${name}.journal`,
  plan: { directory: `${place}/made/${name}`, text: name.repeat(100_000) },
});

export const names = ['a', 'b', 'c'] as const;

if (import.meta.main) {
  const [, , place = ''] = process.argv;
  fs.writeSync(1, 'go\n');
  for (;;) {
    for (const goal of ['make', 'remove'] as const) {
      for (const name of names) await bring(goal, callOf(place, name));
    }
  }
}
