/** `npm run diagrams`: draws the pictures of docs from the code that ships. With --check it only says whether they are up to date. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Graphviz } from '@hpcc-js/wasm-graphviz';
import { addMachine } from '../src/machines/add.ts';
import { delMachine } from '../src/machines/del.ts';
import { restoreMachine } from '../src/machines/restore.ts';
import { dotOf } from './diagrams/dot.ts';
import { withFamilies } from './diagrams/look.ts';
import { recoveryDot } from './diagrams/recovery-dot.ts';
import { recoveryWays } from './diagrams/recovery-ways.ts';
import { socketDot } from './diagrams/socket-dot.ts';
import { socketPlan } from './diagrams/socket-plans.ts';

interface Picture {
  /** For readers of screens. */
  readonly title: string;
  /** In Graphviz' language. */
  readonly graph: string;
}

/** The pictures by their paths below docs. */
async function graphs(): Promise<{ readonly [path: string]: Picture }> {
  return {
    'machines/add.svg': { title: 'The machine "add"', graph: dotOf(addMachine) },
    'machines/del.svg': { title: 'The machine "del"', graph: dotOf(delMachine) },
    'machines/restore.svg': { title: 'The machine "restore"', graph: dotOf(restoreMachine) },
    'pictures/recovery.svg': {
      title: 'From the states of list, over the findings of recover, to its results',
      graph: recoveryDot(await recoveryWays()),
    },
    'pictures/socket-client.svg': {
      title: 'The way of a socket in client mode: the application listens, the switch connects through a symlink',
      graph: socketDot(socketPlan('client')),
    },
    'pictures/socket-server.svg': {
      title: 'The way of a socket in server mode: the switch listens, ADD moves the socket, the application connects',
      graph: socketDot(socketPlan('server')),
    },
  };
}

export const pathOf = (name: string): string => join(import.meta.dirname, '../docs', name);

/** Graphviz comes as WebAssembly, with its own measures of letters: the picture is the same on every machine. */
export async function pictures(): Promise<{ readonly [path: string]: string }> {
  const graphviz = await Graphviz.load();
  const draw = ({ title, graph }: Picture): string => titled(withFamilies(graphviz.dot(graph, 'svg')), title);
  return Object.fromEntries(Object.entries(await graphs()).map(([path, picture]) => [path, draw(picture)]));
}

/** Graphviz gives each part a title, but not the whole. */
const titled = (svg: string, title: string): string =>
  svg.replace(/<svg[^>]*>/, (opening) => `${opening}\n<title>${title}</title>`);

if (import.meta.main) {
  const isCheck = process.argv.includes('--check');
  for (const [name, svg] of Object.entries(await pictures())) {
    const path = pathOf(name);
    const isThere = existsSync(path) && readFileSync(path, 'utf8') === svg;
    if (!isThere && isCheck) process.exitCode = 1;
    if (!isThere && !isCheck) {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, svg);
    }
    console.log(`docs/${name}: ${isThere ? 'as the code is' : isCheck ? 'stale' : 'drawn'}`);
  }
}
