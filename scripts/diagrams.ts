/** `npm run diagrams`: draws the shipped machines into docs/machines. With --check it only says whether the pictures are those. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Graphviz } from '@hpcc-js/wasm-graphviz';
import { addMachine } from '../src/machines/add.ts';
import { delMachine } from '../src/machines/del.ts';
import { restoreMachine } from '../src/machines/restore.ts';
import type { Machine } from '../src/machines/steps.ts';
import { dotOf } from './diagrams/dot.ts';

const directory = join(import.meta.dirname, '../docs/machines');

/** Each picture, and the machine that it shows. */
const drawn: { readonly [name: string]: Machine } = {
  add: addMachine,
  del: delMachine,
  restore: restoreMachine,
};

export const pathOf = (name: string): string => join(directory, `${name}.svg`);

/** Graphviz comes as WebAssembly, with its own measures of letters: the picture is the same on every machine. */
export async function pictures(): Promise<{ readonly [name: string]: string }> {
  const graphviz = await Graphviz.load();
  const draw = (machine: Machine): string => titled(graphviz.dot(dotOf(machine), 'svg'), machine.id);
  return Object.fromEntries(Object.entries(drawn).map(([name, machine]) => [name, draw(machine)]));
}

/** Graphviz gives each part a title, but not the whole: readers of screens need one. */
const titled = (svg: string, id: string): string =>
  svg.replace(/<svg[^>]*>/, (opening) => `${opening}\n<title>The machine "${id}"</title>`);

if (import.meta.main) {
  const isCheck = process.argv.includes('--check');
  for (const [name, svg] of Object.entries(await pictures())) {
    const path = pathOf(name);
    const isThere = existsSync(path) && readFileSync(path, 'utf8') === svg;
    if (!isThere && isCheck) process.exitCode = 1;
    if (!isThere && !isCheck) writeFileSync(path, svg);
    console.log(`docs/machines/${name}.svg: ${isThere ? 'as the machine is' : isCheck ? 'stale' : 'drawn'}`);
  }
}
