/**
 * The device information file that Multus asks for (Device Information Specification 1.1.0), in a directory that is root's alone.
 *
 * write-file-atomic writes it; what that leaves to its caller is done here: the size is looked at, the directory is fsynced, and
 * the temporary file of a killed call is found again.
 */

import { lstat, mkdir, open, readdir, readFile, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { code } from '../attachment.ts';
import type { Moment } from '../deadlines.ts';
import type { DeviceInfoPlan, Outcome } from '../machines/protocol.ts';
import { codeOf, inTime, Mismatch } from './directory.ts';

const contents = ({ mode, socket }: DeviceInfoPlan): string =>
  JSON.stringify({ type: 'vhost-user', version: '1.1.0', 'vhost-user': { mode, path: socket } });

export async function ensureDeviceInfo(plan: DeviceInfoPlan, end: Moment): Promise<Outcome> {
  const text = contents(plan);
  const { default: writeFileAtomic } = await import('write-file-atomic');
  const directory = dirname(plan.path);
  await inTime(mkdir(directory, { recursive: true, mode: 0o755 }), end, `"${directory}"`);
  await inTime(writeFileAtomic(plan.path, text, { mode: 0o444 }), end, `"${plan.path}"`);
  const { size } = await inTime(stat(plan.path), end, `"${plan.path}"`);
  if (size !== Buffer.byteLength(text)) throw new Mismatch(`"${plan.path}" was cut short: is the disk full?`);
  await fsyncDirectory(directory, end);
  return { kind: 'ok' };
}

export async function removeDeviceInfo(plan: DeviceInfoPlan, end: Moment): Promise<Outcome> {
  for (const path of [plan.path, ...(await temporaries(plan, end))]) {
    await inTime(removeFile(path), end, `"${path}"`).catch((error) => {
      if (!['ENOENT', 'ENOTDIR'].includes(codeOf(error))) throw error;
    });
  }
  return { kind: 'ok' };
}

/** Anything but a file at its name is not ours. */
async function removeFile(path: string): Promise<void> {
  if ((await lstat(path)).isFile()) await unlink(path);
}

/**
 * write-file-atomic's `NAME.NUMBER`. A finished file of another interface can bear such a name too ("net1" and "net1.100"): only
 * what is the beginning of our own text is ours.
 */
async function temporaries(plan: DeviceInfoPlan, end: Moment): Promise<string[]> {
  const directory = dirname(plan.path);
  const prefix = `${basename(plan.path)}.`;
  const found: string[] = [];
  for (const name of await inTime(readdir(directory), end, `"${directory}"`).catch(() => [] as string[])) {
    if (!name.startsWith(prefix) || !/^\d+$/.test(name.slice(prefix.length))) continue;
    const text = await inTime(readFile(join(directory, name), 'utf8'), end, `"${directory}"`).catch(() => undefined);
    if (text !== undefined && contents(plan).startsWith(text)) found.push(join(directory, name));
  }
  return found;
}

export async function findDeviceInfo(plan: DeviceInfoPlan, end: Moment): Promise<Outcome> {
  const text = await inTime(readFile(plan.path, 'utf8'), end, `"${plan.path}"`).catch(() => undefined);
  if (text === contents(plan)) return { kind: 'ok' };
  const message = `device info "${plan.path}" ${text === undefined ? 'is gone' : 'is not as it was written'}`;
  return { kind: 'failed', trouble: { code: code.drift, message } };
}

async function fsyncDirectory(directory: string, end: Moment): Promise<void> {
  const handle = await inTime(open(directory, 'r'), end, `"${directory}"`);
  try {
    await inTime(handle.sync(), end, `"${directory}"`);
  } finally {
    await handle.close();
  }
}
