/** The agent's directory, and the name that says which processes may ask it. */
import { execFileSync } from 'node:child_process';
import { copyFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { agentDirectory, agentSocket } from '../../src/agent/place.ts';
import { skippedTitle } from '../support/skip-reporter.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const place = new URL('../../src/agent/place.ts', import.meta.url).pathname;
const script = `console.log(require(${JSON.stringify(place)}).agentSocket('/d'))`;

/** The socket's path as another process finds it. */
const socketFor = (words: readonly string[]): string => {
  const [program = '', ...args] = [...words, '-e', script];
  return execFileSync(program, args, { encoding: 'utf8', env: { PATH: process.env.PATH } }).trim();
};

describe('the directory', () => {
  it.each([
    [undefined, '/run/userspace-cni'],
    ['', '/run/userspace-cni'],
    ['relative', undefined],
    ['OFF', undefined],
    ['/some/where', '/some/where'],
    ['off', undefined],
  ])('for the variable %j is %j', (said, found) => {
    expect(agentDirectory(said)).toBe(found);
  });
});

describe('the socket’s name', () => {
  it('is the same for every process of one executable', () => {
    expect(socketFor([process.execPath])).toBe(agentSocket('/d'));
    expect(dirname(agentSocket('/d'))).toBe('/d');
  });

  it('is another one for a copy of the executable, and for one that was written over', () => {
    const copy = join(temporaryDirectory(), 'bun');
    copyFileSync(process.execPath, copy);
    const first = socketFor([copy]);
    expect(first).not.toBe(agentSocket('/d'));
    // Written over in place, the inode stays, and the moment of the change tells them apart.
    copyFileSync(process.execPath, copy);
    expect(socketFor([copy])).not.toBe(first);
  });

  it('leaves room for the longest number of a process behind it in the usual directory', () => {
    expect(`/run/userspace-cni/${basename(agentSocket('/d'))}.4194304`.length).toBeLessThan(108);
    // 64 bits by 36 signs.
    expect(basename(agentSocket('/d')).length).toBeLessThanOrEqual('agent-'.length + 13);
  });

  const isRoot = process.getuid?.() === 0;
  const chrooted =
    'is another one below the same directory mounted elsewhere, because other file systems may be below it';
  // never skipped in CI, which is root; the title says why elsewhere
  it.skipIf(!isRoot)(isRoot ? chrooted : skippedTitle(chrooted, 'mounts need root'), () => {
    const other = temporaryDirectory();
    /** The names by a process below / and by one below a directory, in one mount namespace. */
    const namesWith = (root: string, before = ':') => {
      const both = `${before} && "$0" -e "$1" && exec chroot ${root} "$0" -e "$1"`;
      const words = ['--mount', 'sh', '-c', both, process.execPath, script];
      return execFileSync('unshare', words, { encoding: 'utf8', env: { PATH: process.env.PATH } })
        .trim()
        .split('\n');
    };
    const [outside, inside] = namesWith(other, `mount --rbind / ${other}`);
    expect(inside).not.toBe(outside);
    const [one, same] = namesWith('/');
    expect(same).toBe(one);
  });

  const kinds = ['--net', '--mount', '--pid --fork --mount-proc', '--time --fork', '--user --map-root-user'];
  const title = 'is another one in another namespace: unshare %s';
  // never skipped in CI, which is root; the title says why elsewhere
  it.skipIf(!isRoot).each(kinds)(isRoot ? title : skippedTitle(title, 'namespaces need root'), (words) => {
    expect(socketFor(['unshare', ...words.split(' '), process.execPath])).not.toBe(agentSocket('/d'));
  });
});
