/**
 * The directory in which the attachment's socket lies, and the hold file that keeps it there while we need it.
 *
 * Nothing is ever mounted. A directory that the user named is created when missing and never removed; the one below it is ours
 * by name, shared by all interfaces of one sandbox, and goes with the last of them.
 */
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { code, type Trouble } from '../attachment.ts';
import type { Moment } from '../deadlines.ts';
import type { Outcome, SocketDirPlan } from '../machines/protocol.ts';
import { codeOf, Directory, inTime, Mismatch, make, removeEmpty } from './directory.ts';

/** The predecessor's: root and the group, nobody else. */
const modePrivate = 0o750;
/** A group that is named must be able to create sockets (B33). */
const modeShared = 0o770;
const modeBase = 0o755;
const modeHold = 0o600;

/** A sibling's DEL may remove the directory between our mkdir and our hold file; each round is another sibling. */
const roundsMax = 50;

export async function ensureSocketDir(plan: SocketDirPlan, end: Moment): Promise<Outcome> {
  await inTime(mkdir(plan.base, { recursive: true, mode: modeBase }), end, `"${plan.base}"`);
  for (let round = 0; round < roundsMax; round++) {
    await make(plan.own, modePrivate, end);
    const directory = await Directory.find(plan.own, end);
    if (!directory) continue;
    try {
      if (await hold(directory, plan.hold)) {
        if (plan.group) await directory.share(groupId(plan.group), modeShared);
        return { kind: 'ok' };
      }
    } finally {
      await directory.close();
    }
  }
  const message = `cannot keep "${plan.own}": it is no directory, or is removed again and again`;
  return { kind: 'failed', trouble: { code: code.tryAgainLater, message } };
}

/** @returns false if the directory was removed under us. @throws if something else bears the hold file's name. */
async function hold(directory: Directory, name: string): Promise<boolean> {
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
  const directory = await Directory.find(plan.own, end);
  if (!directory) return { kind: 'ok' };
  try {
    await directory.remove(plan.hold, 'file');
  } finally {
    await directory.close();
  }
  await removeEmpty(plan.own, end);
  return { kind: 'ok' };
}

export async function findSocketDir(plan: SocketDirPlan, end: Moment): Promise<Outcome> {
  const drift = (message: string): Outcome => ({ kind: 'failed', trouble: { code: code.drift, message } });
  const directory = await Directory.find(plan.own, end);
  if (!directory) return drift(`socket directory "${plan.own}" is gone`);
  try {
    const held = (await directory.stat(plan.hold))?.isFile();
    return held
      ? { kind: 'ok' }
      : drift(`"${plan.own}/${plan.hold}" is gone: a sibling's DEL could remove the directory`);
  } finally {
    await directory.close();
  }
}

/** Of the host's /etc/group; a number is taken as it is. @throws if there is no such group. */
export function groupId(group: string): number {
  if (/^\d+$/.test(group)) return Number(group);
  for (const line of readFileSync('/etc/group', 'utf8').split('\n')) {
    const [name, , gid] = line.split(':');
    if (name === group && gid) return Number(gid);
  }
  throw new Mismatch(`there is no group "${group}" in /etc/group`);
}

export function groupTroubles(plan: SocketDirPlan): Trouble[] {
  try {
    if (plan.group) groupId(plan.group);
    return [];
  } catch (error) {
    const message = `"host.vhost.group": ${error instanceof Error ? error.message : error}`;
    return [{ code: code.invalidConfig, message }];
  }
}
