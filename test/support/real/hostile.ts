/** The things that a container plants at names of ours, and the canary that it hopes we touch. */
import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

const canaryText = 'untouched';

/** A file outside of the hostile directory, and how to see that nothing happened to it. */
export function plantCanary(directory: string): { readonly path: string; readonly state: () => object } {
  const path = join(directory, 'canary');
  writeFileSync(path, canaryText, { mode: 0o600 });
  const state = () => {
    const { ino, mode, uid, gid, nlink, mtimeMs } = lstatSync(path);
    return { ino, mode, uid, gid, nlink, mtimeMs, text: readFileSync(path, 'utf8') };
  };
  return { path, state };
}

/** Things other than regular files, by name; each is planted at a path. */
export const plants: { readonly [kind: string]: (path: string, canary: string) => Promise<void> | void } = {
  symlink: (path, canary) => symlinkSync(canary, path),
  'dangling symlink': (path, canary) => symlinkSync(`${canary}-not-there`, path),
  'symlink to itself': (path) => symlinkSync(path, path),
  FIFO: (path) => void execFileSync('mkfifo', [path]),
  directory: (path) => void mkdirSync(join(path, 'full'), { recursive: true }),
  socket: (path) => listenAt(path),
};

async function listenAt(path: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  onTestFinished(() => void server.close());
}

/** Looks at a path without following it. */
export function kindAt(path: string): string {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (!stats) return 'nothing';
  if (stats.isSymbolicLink()) return 'symlink';
  if (stats.isFIFO()) return 'FIFO';
  if (stats.isSocket()) return 'socket';
  return stats.isDirectory() ? 'directory' : 'file';
}
