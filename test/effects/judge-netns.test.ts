import { mkdirSync, rmdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { judgeNetns, readNetns } from '../../src/effects/netns.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const identity = (path: string): string => {
  const { dev, ino } = statSync(path, { bigint: true });
  return `${dev}:${ino}`;
};

/** A directory of namespaces, and what a journal remembers of one in it: here a link to a live one. */
function remembered(name = 'ns') {
  const directory = join(temporaryDirectory(), 'netns');
  mkdirSync(directory);
  const path = join(directory, name);
  symlinkSync('/proc/self/ns/net', path);
  return { path, file: identity(path), directory: identity(directory) };
}

describe('the namespace of a journal', () => {
  it('is alive if the same one is at its place', () => {
    const netns = remembered();
    expect(readNetns(netns.path)).toEqual(netns);
    expect(judgeNetns(netns)).toBe('alive');
  });

  it('is gone if nothing is at its place in the same directory (case A31)', () => {
    const netns = remembered();
    expect(judgeNetns({ ...netns, path: join(dirname(netns.path), 'other') })).toBe('gone');
  });

  it('kind 2: cannot be judged by a link that leads to nothing, or to another: another pid namespace may be looked at', () => {
    const netns = remembered();
    expect(judgeNetns({ ...netns, file: '4:1' })).toBe('unknown');
    const dangling = join(dirname(netns.path), 'dangling');
    symlinkSync('/proc/0/ns/net', dangling);
    expect(judgeNetns({ ...netns, path: dangling })).toBe('unknown');
  });

  it('cannot be judged if a plain file is at its place', () => {
    const netns = remembered();
    const plain = join(dirname(netns.path), 'plain');
    writeFileSync(plain, '');
    expect(judgeNetns({ ...netns, path: plain })).toBe('unknown');
  });

  it('cannot be judged if its directory is another one or missing: this process may see other files than the runtime', () => {
    const netns = remembered();
    expect(judgeNetns({ ...netns, directory: '1:1' })).toBe('unknown');
    const empty = join(dirname(netns.path), 'empty');
    mkdirSync(empty);
    const inside = { ...netns, path: join(empty, 'ns'), directory: identity(empty) };
    expect(judgeNetns(inside)).toBe('gone');
    rmdirSync(empty);
    expect(judgeNetns(inside)).toBe('unknown');
  });

  it('cannot be judged by a path of a process: another process may now have its number', () => {
    const path = '/proc/self/ns/net';
    expect(judgeNetns({ path, file: identity(path), directory: identity(dirname(path)) })).toBe('unknown');
  });
});
