import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Directory, makeDirectory, removeEmpty } from '../../../src/effects/files/directory.ts';
import { codeOf, DirectoryTimeout, inTime } from '../../../src/effects/outcome.ts';
import { kindAt, plantCanary, plants } from '../../support/real/hostile.ts';
import { soon } from '../../support/stand-in/scene.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const bytes = new TextEncoder().encode('new');

async function opened(path: string): Promise<Directory> {
  const directory = await Directory.open(path, soon());
  onTestFinished(() => directory.close());
  return directory;
}

/** A hostile directory, and files outside of it. */
async function hostile() {
  const outside = temporaryDirectory();
  const path = join(outside, 'pod');
  mkdirSync(path);
  return { outside, path, canary: plantCanary(outside), directory: await opened(path) };
}

const planted = Object.keys(plants);

describe.each(planted)('a %s at a name of ours', (kind) => {
  const plant = async (name = 'ours') => {
    const world = await hostile();
    const at = join(world.path, name);
    await plants[kind]?.(at, world.canary.path);
    return { ...world, at, was: kindAt(at), before: world.canary.state() };
  };

  it('is not created over, and nothing is written through it', async () => {
    const { directory, at, was, canary, before } = await plant();
    await expect(directory.create('ours', 0o600, bytes)).rejects.toMatchObject({ code: 'EEXIST' });
    expect(kindAt(at)).toBe(was);
    expect(canary.state()).toEqual(before);
  });

  it('is not read', async () => {
    const { directory, canary, before } = await plant();
    expect(await directory.read('ours')).toBeUndefined();
    expect(canary.state()).toEqual(before);
  });

  it('is not removed as a file, and neither is its target', async () => {
    const { directory, at, was, canary, before } = await plant();
    await directory.remove('ours', 'file');
    expect(kindAt(at)).toBe(was);
    expect(canary.state()).toEqual(before);
  });

  it('is removed as a socket only if it is one', async () => {
    const { directory, at, was, canary, before } = await plant();
    await directory.remove('ours', 'socket');
    expect(kindAt(at)).toBe(kind === 'socket' ? 'nothing' : was);
    expect(canary.state()).toEqual(before);
  });

  it('is seen as what it is', async () => {
    const { directory, at } = await plant();
    const stats = await directory.stat('ours');
    expect({ file: stats?.isFile(), link: stats?.isSymbolicLink() }).toEqual({
      file: false,
      link: kindAt(at) === 'symlink',
    });
  });

  it('as the temporary name stops a replacement: the old contents stay', async () => {
    const { directory, path, canary, before, at, was } = await plant('.tmp');
    writeFileSync(join(path, 'ours'), 'old');
    await expect(directory.replace('ours', { temporary: '.tmp', bytes, mode: 0o644 })).rejects.toMatchObject({
      code: 'EEXIST',
    });
    expect(readFileSync(join(path, 'ours'), 'utf8')).toBe('old');
    expect(kindAt(at)).toBe(was);
    expect(canary.state()).toEqual(before);
  });

  it('at the final name is replaced itself or stops the replacement, and nothing behind it is touched', async () => {
    const { directory, at, canary, before } = await plant();
    const result = await directory
      .replace('ours', { temporary: '.tmp', bytes, mode: 0o644 })
      .then(() => 'replaced', codeOf);
    expect(result).toBe(kind === 'directory' ? 'EISDIR' : 'replaced');
    expect(kindAt(at)).toBe(kind === 'directory' ? 'directory' : 'file');
    expect(canary.state()).toEqual(before);
  });
});

describe.each(planted.filter((kind) => kind !== 'directory'))('a %s at the directory’s own place', (kind) => {
  it('is not opened, and is not found as a directory', async () => {
    const outside = temporaryDirectory();
    const canary = plantCanary(outside);
    const path = join(outside, 'pod');
    await plants[kind]?.(path, canary.path);
    const error = await Directory.open(path, soon()).catch((thrown) => thrown);
    expect(codeOf(error)).toMatch(/^(ELOOP|ENOTDIR|ENXIO)$/);
    expect(await Directory.find(path, soon())).toBeUndefined();
    await removeEmpty(path, soon());
    expect(kindAt(path)).not.toBe('nothing');
  });
});

describe('a directory', () => {
  it('that a symlink leads to is not opened, though the way to it may lead through symlinks', async () => {
    const { outside, path } = await hostile();
    symlinkSync(path, join(outside, 'link'));
    expect(await Directory.find(join(outside, 'link'), soon())).toBeUndefined();
    symlinkSync(outside, join(outside, 'way'));
    const through = await opened(join(outside, 'way', 'pod'));
    await through.create('ours', 0o600);
    expect(readdirSync(path)).toEqual(['ours']);
  });

  it('that is swapped while we work is still the one that was opened', async () => {
    const { outside, path, directory } = await hostile();
    const elsewhere = join(outside, 'elsewhere');
    mkdirSync(elsewhere);
    writeFileSync(join(elsewhere, 'victim'), 'untouched');
    renameSync(path, `${path}.old`);
    symlinkSync(elsewhere, path);
    await directory.create('ours', 0o600, bytes);
    await directory.replace('other', { temporary: '.tmp', bytes, mode: 0o644 });
    writeFileSync(join(`${path}.old`, 'victim'), '');
    await directory.remove('victim', 'file');
    expect(readdirSync(elsewhere)).toEqual(['victim']);
    expect(readdirSync(`${path}.old`).sort()).toEqual(['other', 'ours']);
  });

  it('that does not exist is not found', async () => {
    expect(await Directory.find(join(temporaryDirectory(), 'none'), soon())).toBeUndefined();
    expect(await Directory.find(join(temporaryDirectory(), 'no', 'ne'), soon())).toBeUndefined();
  });

  it('that was removed under us takes no file', async () => {
    const { path, directory } = await hostile();
    rmdirSync(path);
    await expect(directory.create('ours', 0o600)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await directory.stat('ours')).toBeUndefined();
    await directory.remove('ours', 'file');
  });

  it('lets a group create sockets, and no other after it (bug B33)', async () => {
    const { path, directory } = await hostile();
    const gid = process.getgid?.() ?? 0;
    chmodSync(path, 0o750);
    expect(await directory.admitGroup(gid)).toBeUndefined();
    expect({ gid: statSync(path).gid, mode: statSync(path).mode & 0o777 }).toEqual({ gid, mode: 0o770 });
    expect(await directory.admitGroup(4242)).toBe(gid);
    expect({ gid: statSync(path).gid, mode: statSync(path).mode & 0o777 }).toEqual({ gid, mode: 0o770 });
  });
});

describe('a file of ours', () => {
  it('is created with its mode, read, replaced and removed; removing it twice is the same as once', async () => {
    const { path, directory } = await hostile();
    await directory.create('ours', 0o600, bytes);
    expect(statSync(join(path, 'ours')).mode & 0o777).toBe(0o600);
    expect(await directory.read('ours')).toBe('new');
    await directory.replace('ours', { temporary: '.tmp', bytes: new TextEncoder().encode('newer'), mode: 0o644 });
    expect(await directory.read('ours')).toBe('newer');
    expect(readdirSync(path)).toEqual(['ours']);
    for (let round = 0; round < 2; round++) await directory.remove('ours', 'file');
    expect(readdirSync(path)).toEqual([]);
    expect(await directory.read('ours')).toBeUndefined();
  });

  it('is replaced although a killed call left the temporary one', async () => {
    const { path, directory } = await hostile();
    writeFileSync(join(path, '.tmp'), 'half');
    await directory.replace('ours', { temporary: '.tmp', bytes, mode: 0o644 });
    expect(readdirSync(path)).toEqual(['ours']);
  });

  it('can be adopted from outside, over a symlink but not over a directory', async () => {
    const { outside, path, directory, canary } = await hostile();
    const before = canary.state();
    writeFileSync(join(outside, 'from'), 'adopted');
    symlinkSync(canary.path, join(path, 'ours'));
    await directory.adopt(join(outside, 'from'), 'ours');
    expect(readFileSync(join(path, 'ours'), 'utf8')).toBe('adopted');
    mkdirSync(join(path, 'other'));
    await expect(directory.adopt(join(path, 'ours'), 'other')).rejects.toMatchObject({ code: 'EISDIR' });
    expect(canary.state()).toEqual(before);
  });
});

describe('the names of our own directories', () => {
  it('are made once, and report if something is there', async () => {
    const path = join(temporaryDirectory(), 'own');
    expect(await makeDirectory(path, 0o750, soon())).toBe(true);
    expect(statSync(path).mode & 0o777).toBe(0o750);
    expect(await makeDirectory(path, 0o700, soon())).toBe(false);
    await expect(makeDirectory(join(path, 'no', 'ne'), 0o700, soon())).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('are removed if empty; a full, missing or other thing is not an error', async () => {
    const root = temporaryDirectory();
    for (const name of ['empty', 'full', 'full/more']) mkdirSync(join(root, name));
    writeFileSync(join(root, 'file'), '');
    for (const name of ['empty', 'full', 'file', 'missing', 'file/below']) await removeEmpty(join(root, name), soon());
    expect(readdirSync(root).sort()).toEqual(['file', 'full']);
  });
});

describe('time', () => {
  it('is up when the file system does not answer: the call goes on without it', async () => {
    const never = new Promise<never>(() => undefined);
    await expect(inTime(never, soon(10), '"/pods"')).rejects.toThrow(DirectoryTimeout);
    await expect(inTime(never, soon(0), '"/pods"')).rejects.toThrow('"/pods" did not answer in time (0 s)');
  });

  it('does not run out for a file system that answers', async () => {
    expect(await inTime(Promise.resolve(7), soon(), 'x')).toBe(7);
    await expect(inTime(Promise.reject(new Error('own')), soon(), 'x')).rejects.toThrow('own');
  });

  it('kind 6: and a thread are spent only once on a place that owes an answer; it is asked again once it has answered', async () => {
    let answer: (value: number) => void = () => undefined;
    const owed = new Promise<number>((resolve) => {
      answer = resolve;
    });
    let calls = 0;
    const ask = (path: string) => inTime(async () => ++calls, soon(), `"${path}"`);
    await expect(inTime(() => owed, soon(0), '"/silent/base"')).rejects.toThrow(DirectoryTimeout);
    for (const path of ['/silent/base', '/silent/base/own']) await expect(ask(path)).rejects.toThrow(DirectoryTimeout);
    expect(calls).toBe(0);
    expect(await ask('/silent/baseless')).toBe(1);
    answer(7);
    await owed;
    expect(await ask('/silent/base/own')).toBe(2);
  });

  it('is not spent on a FIFO without a writer', async () => {
    const { path, directory } = await hostile();
    execFileSync('mkfifo', [join(path, basename('ours'))]);
    expect(await directory.read('ours')).toBeUndefined();
    expect(existsSync(join(path, 'ours'))).toBe(true);
  });
});
