/** The executable's words about itself, and its answers to unknown arguments. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Chapters } from './ground.ts';

const wrong: readonly (readonly string[])[] = [
  ['dance'],
  ['networks'],
  ['list', 'extra'],
  ['show'],
  ['show', 'a', 'b', 'c'],
  ['recover', 'extra'],
  ['install', 'a', 'b'],
  ['--nonsense'],
  ['list', '--nonsense'],
  ['list', '--dry-run'],
  ['list', '--ovsdb', 'unix:/a'],
  ['show', 'a', '--no-live'],
  ['show', 'a', '-o', 'nam'],
  ['list', '--state', 'owned'],
  ['list', '-o', 'name', '--json'],
  ['status', '--forget', 'x'],
  ['recover', '--config', 'x'],
  ['install', '--data-dir', '/a'],
  ['recover', '--forget', 'x', '--boot'],
  ['list', '--data-dir'],
  ['list', '--data-dir', ''],
  ['status', '--config', ''],
  ['recover', '--ovsdb', ''],
  ['recover', '--kubeconfig', ''],
  ['list', '--json=yes'],
];

const helps: readonly (readonly string[])[] = [
  [],
  ['help'],
  ['--help'],
  ['-h'],
  ['list', '--help'],
  ['show', '--help'],
  ['recover', '--help'],
  ['status', '--help'],
  ['install', '--help'],
  ['dance', '--help'],
  ['help', 'list'],
];

export const words: Chapters = {
  version: async (ground) => {
    for (const cniVersion of ['1.1.0', '1.0.0', '0.4.0', '0.1.0', '4.0.0', undefined]) {
      await ground.cni('VERSION', undefined, { config: { cniVersion }, note: `cniVersion ${cniVersion}` });
    }
    const config = { cniVersion: '1.0.0' };
    await ground.cni('VERSION', undefined, { config, env: { CNI_PATH: undefined }, note: 'without CNI_PATH' });
    for (const text of ['', '{"cniVersion":', '[]']) {
      await ground.cni('VERSION', undefined, { config: text, note: `stdin is ${JSON.stringify(text)}` });
    }
    const red = await ground.sandbox('red');
    for (const verb of ['JUMP', 'gc', 'add']) await ground.cni(verb, red);
  },

  help: async (ground) => {
    for (const args of helps) await ground.people(args);
    for (const args of [['--version'], ['--version', '--json'], ['list', '--version']]) await ground.people(args);
  },

  misuse: async (ground) => {
    for (const args of wrong) await ground.people(args);
  },

  'no-attachments': async (ground) => {
    const network = join(ground.directory, 'config', 'network.json');
    await ground.write(network, JSON.stringify(ground.config()));
    for (const more of [[], ['--json']]) {
      for (const command of ['list', 'recover']) await ground.here(command, ...more);
      await ground.here('status', '--config', network, ...more);
    }
    await ground.here('list', '--no-live', '--json');
    await ground.here('recover', '--dry-run');
    await ground.here('show', 'red');
    await ground.here('recover', '--forget', 'red');
    await ground.act('the data directory is there, and empty', () => mkdir(ground.dataDir, { mode: 0o700 }));
    for (const command of ['list', 'recover']) await ground.here(command);
    await ground.here('status', '--config', network);
    await ground.act('the data directory is a file', () => ground.write(join(ground.directory, 'more', 'plain'), ''));
    const plain = join(ground.directory, 'more', 'plain');
    for (const command of ['list', 'show x', 'recover']) {
      const ovsdb = command === 'recover' ? ['--ovsdb', ground.theSwitch.ovsdb] : [];
      await ground.people([...command.split(' '), '--data-dir', plain, ...ovsdb]);
    }
  },

  install: async (ground) => {
    const plugins = join(ground.directory, 'plugins');
    await ground.people(['install', plugins]);
    await mkdir(plugins);
    await ground.people(['install', plugins], {}, 'the directory is there');
    await ground.people(['install', plugins, '--json'], {}, 'once more');
    await ground.write(join(plugins, 'userspace'), 'older');
    await ground.people(['install', plugins, '--json'], {}, 'over another one');
  },
};
