/**
 * The directory of the attachment's socket, and the hold file that keeps it while we need it.
 *
 * Nothing is ever mounted. A directory that the user or the pod named is created when missing; a kubelet's directory is not.
 * Neither is ever removed. A directory below it is ours by name. All interfaces of one sandbox share it, and the last one's removal
 * removes it. If a path is too long for a socket, the switch comes in by a symlink, one for each attachment.
 */
import { mkdir, readlink, symlink, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { code, type Trouble } from '../../attachment.ts';
import type { Moment } from '../../deadlines.ts';
import type { Outcome, SocketDirPlan } from '../../machines/protocol.ts';
import { codeOf, failed, inTime, markNothingMade, NothingMade, ok } from '../outcome.ts';
import { Directory, makeDirectory, removeEmpty } from './directory.ts';
import { groupId } from './group.ts';

/** The predecessor's mode: for root and the group alone. */
const modePrivate = 0o750;
const modeBase = 0o755;
const modeHold = 0o600;

/** A sibling's DEL may remove the directory between our mkdir and our hold file. Each round needs another sibling. */
const roundsMax = 50;

export async function ensureSocketDir(plan: SocketDirPlan, end: Moment): Promise<Outcome> {
  const { base, own, kubelet, link } = plan;
  // A part that was made stays, as it would after a success.
  const making = () => mkdir(base, { recursive: true, mode: modeBase });
  if (!kubelet) await markNothingMade(inTime(making, end, `"${base}"`));
  const refusal = own === undefined ? await admitToBase(plan, end) : await ensureOwn(own, plan, end);
  if (refusal) return refusal;
  if (link) await ensureLink(link, own ?? base, end);
  return ok;
}

/** Admits the group to a directory that is not ours. It stays open to the group after the removal. */
async function admitToBase({ base, group }: SocketDirPlan, end: Moment): Promise<Outcome | undefined> {
  const directory = await markNothingMade(Directory.open(base, end));
  try {
    const trouble = await admitToDirectory(directory, group);
    return trouble && { kind: 'failed', trouble, made: 'nothing' };
  } finally {
    await directory.close();
  }
}

/** The configured group must be able to create sockets (bug B33). Two interfaces that share a directory need the same group. */
async function admitToDirectory(directory: Directory, group: string | undefined): Promise<Trouble | undefined> {
  const other = group && (await directory.admitGroup(groupId(group)));
  if (typeof other !== 'number') return undefined;
  const message = `"host.vhost.group": "${directory.path}" is shared with group ${other} already, and "${group}" would shut it out: use one group for all that share a directory`;
  return { code: code.invalidConfig, message };
}

async function ensureOwn(own: string, plan: SocketDirPlan, end: Moment): Promise<Outcome | undefined> {
  for (let round = 0; round < roundsMax; round++) {
    await makeDirectory(own, modePrivate, end).catch((error) => {
      // A mkdir that did not answer in time may still succeed.
      throw codeOf(error) ? new NothingMade(error) : error;
    });
    const directory = await Directory.find(own, end);
    if (!directory) continue;
    try {
      if (await createHold(directory, plan.hold)) {
        const trouble = await admitToDirectory(directory, plan.group);
        return trouble && { kind: 'failed', trouble };
      }
    } finally {
      await directory.close();
    }
  }
  const message = `cannot keep "${own}": it is no directory, or is removed again and again`;
  return { ...failed(code.tryAgainLater, message), made: 'nothing' };
}

/** The symlink's directory is root's alone, so a symlink at our name is ours, whatever it leads to. */
async function ensureLink(link: string, target: string, end: Moment): Promise<void> {
  await inTime(() => mkdir(dirname(link), { recursive: true, mode: modeBase }), end, `"${link}"`);
  if ((await readLink(link, end)) === target) return;
  await removeLink(link, end);
  await inTime(() => symlink(target, link), end, `"${link}"`);
}

async function removeLink(link: string, end: Moment): Promise<void> {
  if ((await readLink(link, end)) === undefined) return;
  await inTime(() => unlink(link), end, `"${link}"`).catch((error) => {
    if (codeOf(error) !== 'ENOENT') throw error;
  });
}

/** Whether the symlink, if there is to be one, leads to the socket's directory. */
export const hasLink = async ({ link, own, base }: SocketDirPlan, end: Moment): Promise<boolean> =>
  link === undefined || (await readLink(link, end)) === (own ?? base);

/** @returns undefined if there is no symlink. */
async function readLink(link: string, end: Moment): Promise<string | undefined> {
  return await inTime(() => readlink(link), end, `"${link}"`).catch((error) => {
    if (['ENOENT', 'ENOTDIR', 'EINVAL'].includes(codeOf(error))) return undefined;
    throw error;
  });
}

/** @returns false if the directory was removed meanwhile. @throws if something else has the hold file's name. */
async function createHold(directory: Directory, name: string): Promise<boolean> {
  try {
    await directory.create(name, modeHold);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    if (codeOf(error) === 'EEXIST' && (await directory.stat(name))?.isFile()) return true;
    throw error;
  }
}

export async function removeSocketDir(plan: SocketDirPlan, end: Moment): Promise<Outcome> {
  const { own, link } = plan;
  if (link) await removeLink(link, end);
  if (own === undefined) return ok;
  const directory = await Directory.find(own, end);
  if (!directory) return ok;
  try {
    await directory.remove(plan.hold, 'file');
  } finally {
    await directory.close();
  }
  await removeEmpty(own, end);
  return ok;
}

export async function findSocketDir(plan: SocketDirPlan, end: Moment): Promise<Outcome> {
  const drift = (message: string): Outcome => failed(code.drift, message);
  const { base, own, link, hold: name } = plan;
  if (!(await hasLink(plan, end))) return drift(`symlink "${link}" is gone, or leads elsewhere`);
  const directory = await Directory.find(own ?? base, end);
  if (!directory) return drift(`socket directory "${own ?? base}" is gone`);
  try {
    const held = own === undefined || (await directory.stat(name))?.isFile();
    return held ? ok : drift(`"${own}/${name}" is gone: a sibling's DEL could remove the directory`);
  } finally {
    await directory.close();
  }
}
