/**
 * Network namespaces of our own, as a runtime makes them: a file that keeps the namespace alive.
 *
 * Not `ip netns add`: that turns /run/netns into a mount point which stays behind.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';

const timeout = 10_000;

/** Creates one in `directory` and returns the path for CNI_NETNS. */
export async function createNetns(directory: string, name: string): Promise<string> {
  await mkdir(directory, { recursive: true });
  const path = join(directory, name);
  await writeFile(path, '');
  await execa('unshare', [`--net=${path}`, 'true'], { timeout });
  return path;
}

/** As a runtime does: unmounted, then the file is removed. Repeatable. */
export async function removeNetns(path: string): Promise<void> {
  await execa('umount', ['--quiet', path], { reject: false, timeout });
  await rm(path, { force: true });
}

/** Runs a program inside. */
export async function inNetns(path: string, ...command: string[]): Promise<string> {
  return (await execa('nsenter', [`--net=${path}`, ...command], { timeout })).stdout;
}
