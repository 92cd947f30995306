/**
 * A hostile pod, as a process: puts links, FIFOs, sockets, directories and files at the plugin's names in its directory, takes them
 * away and swaps the directory itself, in bursts: `bun planter.ts SEED STOCK CANARY SANDBOX NAME…`. Says `planting`, and at
 * the end of its stdin how often it did something.
 */
import {
  closeSync,
  constants,
  linkSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { diceFrom } from '../dice.ts';

export const kinds = [
  'a link to a file',
  'a link to a directory',
  'a dangling link',
  'a FIFO',
  'a socket',
  'a directory',
  'a file',
] as const;
/** About as long as an ADD. */
const pauseMsMax = 100;

export type Kind = (typeof kinds)[number];

/** Puts one thing at a path, instead of what is there. FIFO and socket are links to those in `stock`. */
export function plant(path: string, kind: Kind, name: string, stock: string, canary: string): void {
  rmSync(path, { recursive: true, force: true });
  const ways: Record<Kind, () => void> = {
    'a link to a file': () => symlinkSync(join(canary, name), path),
    'a link to a directory': () => symlinkSync(canary, path),
    'a dangling link': () => symlinkSync(join(canary, 'not-there'), path),
    'a FIFO': () => linkSync(join(stock, 'fifo'), path),
    'a socket': () => linkSync(join(stock, 'socket'), path),
    'a directory': () => {
      mkdirSync(path);
      writeFileSync(join(path, 'content'), 'planted');
    },
    'a file': () => writeFileSync(path, 'planted'),
  };
  ways[kind]();
}

/** The plugin works in the same places: what fails here fails. */
function tolerating(action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
  }
}

/** In the directory itself, never through a link that was put at its place: the canary is for the plugin to touch. */
function inside(path: string, action: (directory: string) => void): void {
  const directory = openSync(path, constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    action(`/proc/self/fd/${directory}`);
  } finally {
    closeSync(directory);
  }
}

function work([seed = '', stock = '', canary = '', sandbox = '', ...names]: readonly string[]): void {
  const roll = diceFrom(Number(seed));
  const away = `${sandbox}.away`;
  const actions: readonly (() => void)[] = [
    ...names.flatMap((name) => [
      () => inside(sandbox, (directory) => plant(join(directory, name), roll.pick(kinds), name, stock, canary)),
      () => inside(sandbox, (directory) => rmSync(join(directory, name), { recursive: true, force: true })),
    ]),
    () => {
      renameSync(sandbox, away);
      plant(sandbox, roll.pick(kinds), names[0] ?? '', stock, canary);
    },
    () => {
      rmSync(sandbox, { recursive: true, force: true });
      renameSync(away, sandbox);
    },
    () => rmSync(sandbox, { recursive: true, force: true }),
  ];
  let planted = 0;
  const once = (): void => {
    tolerating(roll.pick(actions));
    planted++;
    // Bursts and pauses: a call that meets a change at every step never comes to its later ones.
    if (roll.next() < 0.5) setImmediate(once);
    else setTimeout(once, roll.next() ** 2 * pauseMsMax);
  };
  process.stdin.on('end', () => {
    console.log(planted);
    process.exit(0);
  });
  process.stdin.resume();
  console.log('planting');
  once();
}

if (import.meta.main) work(process.argv.slice(2));
