/**
 * The device information file that Multus asks for (Device Information Specification 1.1.0), in a directory that is root's alone.
 *
 * write-file-atomic writes it. This module does the rest: it checks the size, fsyncs the directory, and finds the temporary file of
 * a killed call again.
 *
 * The caller chooses the name, so another attachment may have the same. The socket in the file tells its owner (holder.ts). A
 * living attachment's file is neither replaced nor removed; a dead one's is replaced.
 */
import type { Stats } from 'node:fs';
import { lstat, mkdir, open, readdir, readFile, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type AttachmentKey, code, portName } from '../../attachment.ts';
import type { Moment } from '../../deadlines.ts';
import type { DeviceInfoPlan, Outcome } from '../../machines/protocol.ts';
import { codeOf, failed, inTime, Mismatch, markNothingMade, ok } from '../outcome.ts';
import type { FindHolder } from './holder.ts';

const type = 'vhost-user';

const formatContents = ({ mode, socket }: DeviceInfoPlan): string =>
  JSON.stringify({ type, version: '1.1.0', 'vhost-user': { mode, path: socket } });

export async function ensureDeviceInfo(plan: DeviceInfoPlan, findHolder: FindHolder, end: Moment): Promise<Outcome> {
  const refusal = await markNothingMade(findRefusal(plan, findHolder, end));
  if (refusal) return { ...failed(code.invalidConfig, refusal), made: 'nothing' };
  const text = formatContents(plan);
  const { default: writeFileAtomic } = await import('write-file-atomic');
  const directory = dirname(plan.path);
  const making = () => mkdir(directory, { recursive: true, mode: 0o755 });
  await markNothingMade(inTime(making, end, `"${directory}"`));
  await inTime(() => writeFileAtomic(plan.path, text, { mode: 0o444 }), end, `"${plan.path}"`);
  const { size } = await inTime(() => stat(plan.path), end, `"${plan.path}"`);
  if (size !== Buffer.byteLength(text)) throw new Mismatch(`"${plan.path}" was cut short: is the disk full?`);
  await fsyncDirectory(directory, end);
  return ok;
}

/** The beginnings of device information by any program. A write that was cut off may have left less, or nothing. */
const beginnings = ['{"type":', '{"version":'];

function mayBeDeviceInfo(text: string): boolean {
  const dense = text.replace(/\s/g, '');
  return beginnings.some((one) => one.startsWith(dense) || dense.startsWith(one));
}

/** @returns why the existing file must not be replaced */
async function findRefusal({ path, socket }: DeviceInfoPlan, findHolder: FindHolder, end: Moment) {
  // The path may be any one that a network's author has named, and we are root.
  const isLink = (await look(path, end))?.isSymbolicLink() === true;
  const text = await readFileText(path, end);
  if (isLink || !mayBeDeviceInfo(text ?? ''))
    return `"${path}" is ${isLink ? 'a symlink' : 'a file of something else'}, and no device information: name another CNIDeviceInfoFile`;
  const there = parseContents(text);
  // We now hold the port of that name, so an earlier sandbox left the file.
  if (there.socket !== undefined && basename(there.socket) === basename(socket)) return undefined;
  const whose =
    there.type === undefined || there.type === type
      ? there.socket && (await findHolder(basename(there.socket)))
      : `a device of type "${there.type}"`;
  const what = there.socket === undefined ? '' : ` (socket "${there.socket}")`;
  const remedy = 'give each attachment a CNIDeviceInfoFile of its own, or remove the file if its pod is gone';
  return whose && `device info "${path}" belongs to ${whose}${what}: ${remedy}`;
}

interface Contents {
  readonly type?: string;
  readonly socket?: string;
}

/** Text that is not JSON is taken for empty, because no reader could use it. */
function parseContents(text: string | undefined): Contents {
  try {
    const parsed = JSON.parse(text ?? '{}');
    const socket = parsed['vhost-user']?.path;
    return {
      ...(typeof parsed.type === 'string' && { type: parsed.type }),
      ...(typeof socket === 'string' && { socket }),
    };
  } catch {
    return {};
  }
}

const look = (path: string, end: Moment): Promise<Stats | undefined> =>
  inTime(() => lstat(path), end, `"${path}"`).catch((error) => {
    if (!codeOf(error)) throw error;
    return undefined;
  });

/** Reads only a file, because anything else at its name tells nothing and may never end. */
const readFileText = (path: string, end: Moment): Promise<string | undefined> =>
  inTime(async () => ((await lstat(path)).isFile() ? await readFile(path, 'utf8') : undefined), end, `"${path}"`).catch(
    (error) => {
      if (!codeOf(error)) throw error;
      return undefined;
    },
  );

/** The attachment that a file should belong to, and the means to judge that. */
interface Owner {
  readonly key: AttachmentKey;
  readonly findHolder: FindHolder;
  readonly end: Moment;
}

export async function removeDeviceInfo(plan: DeviceInfoPlan, owner: Owner): Promise<Outcome> {
  const { end } = owner;
  const isOwn = async (text: string) => isBeginning(plan, text) || (await isOurs(text, plan, owner));
  const paths = [plan.path, ...(await findTemporaries(plan.path, end))];
  for (const path of paths) {
    const text = await readFileText(path, end);
    if (text === undefined || !(await isOwn(text))) continue;
    await inTime(() => removeFile(path), end, `"${path}"`).catch((error) => {
      if (!['ENOENT', 'ENOTDIR'].includes(codeOf(error))) throw error;
    });
  }
  return ok;
}

/** Whether the text is from a write of ours that was cut off. */
const isBeginning = (plan: DeviceInfoPlan, text: string): boolean =>
  text.length < formatContents(plan).length && formatContents(plan).startsWith(text);

/** A port name that follows from the key is only ours. One from the configuration may now be a later attachment's. */
async function isOurs(text: string, plan: DeviceInfoPlan, { key, findHolder }: Owner): Promise<boolean> {
  const { socket } = parseContents(text);
  if (socket === undefined) return false;
  const name = basename(socket);
  // Without a journal only the socket's file name is known. From an older version's journal not even that is known.
  const own = plan.socket || portName(key);
  const isSame = own.includes('/') ? socket === own : name === own;
  if (!isSame || name === portName(key)) return isSame;
  return (await findHolder(name)) === undefined;
}

/** Removes only a file, because anything else at its name is not ours. */
async function removeFile(path: string): Promise<void> {
  if ((await lstat(path)).isFile()) await unlink(path);
}

/**
 * Finds write-file-atomic's `NAME.NUMBER`. A finished file of another interface may have such a name too ("net1" and "net1.100"),
 * so the content decides.
 */
async function findTemporaries(path: string, end: Moment): Promise<string[]> {
  const directory = dirname(path);
  const prefix = `${basename(path)}.`;
  const names = await inTime(() => readdir(directory), end, `"${directory}"`).catch((error) => {
    if (!codeOf(error)) throw error;
    return [];
  });
  return names
    .filter((name) => name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)))
    .map((name) => join(directory, name));
}

export async function findDeviceInfo(plan: DeviceInfoPlan, end: Moment): Promise<Outcome> {
  const text = await readFileText(plan.path, end);
  if (text === formatContents(plan)) return ok;
  const message = `device info "${plan.path}" ${text === undefined ? 'is gone' : 'is not as it was written'}`;
  return failed(code.drift, message);
}

async function fsyncDirectory(directory: string, end: Moment): Promise<void> {
  const handle = await inTime(() => open(directory, 'r'), end, `"${directory}"`);
  try {
    await inTime(() => handle.sync(), end, `"${directory}"`);
  } finally {
    await inTime(handle.close(), end, `"${directory}"`);
  }
}
