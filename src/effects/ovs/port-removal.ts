/**
 * Removing an attachment's port: own-ports.ts finds it, and it is deleted by its row's _uuid. A socket file is removed only if this
 * key's journal or row names it. It stays if another row or a living attachment's journal names it too (bug B13, bug B14, case A22,
 * case A40).
 */
import type { Stats } from 'node:fs';
import { unlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type Moment, remainingMs } from '../../deadlines.ts';
import type { Facts, Outcome, Plan } from '../../machines/protocol.ts';
import { isGonePort, isMadePort } from '../../machines/protocol.ts';
import { codeOf, inTime, ok } from '../outcome.ts';
import { untilApplied } from './applied.ts';
import { socketOf, switchPathOf } from './columns.ts';
import { isGuardFailure, type Operation, readSet, readUuid, select, unless, uuid, withId } from './operations.ts';
import { type OwnPort, type Sighting, seekOwn, soughtPort } from './own-ports.ts';
import { raiseNextCfg, selectSwitch, switchSocketDirectory } from './root-row.ts';
import { isNamed, removeSocket, selectNamers, statSocket } from './socket.ts';
import type { AttachmentSwitch } from './switch.ts';

/** If a port's marks change between each look and deletion, another tool is changing them. */
const roundsMax = 3;

/** @param before the next_cfg to wait for already, because a port of the predecessor's was removed */
export async function removePort(ovs: AttachmentSwitch, facts: Facts, before?: number): Promise<Outcome> {
  const { plan } = ovs;
  if (isGonePort(facts.port)) return await removeAgain(ovs, facts.port);
  // With a plan there may have been a port: if it is missing, it may have been deleted a moment ago.
  let isKnown = plan.port !== undefined;
  const remove = async (): Promise<Outcome> => {
    const seen = await seekOwn(ovs, soughtPort(plan, facts));
    if (seen.unsettled) return { kind: 'failed', trouble: seen.unsettled };
    isKnown ||= seen.own.length > 0;
    const removed = await removeOwn(ovs, seen);
    const goneAt = removed ?? (isKnown && seen.own.length === 0 ? Number(seen.root?.next_cfg) : before);
    return { kind: 'ok', ...(goneAt !== undefined && { facts: { goneAt } }) };
  };
  for (let round = 1; ; round++) {
    try {
      return await ovs.patiently(remove);
    } catch (error) {
      if (!(error instanceof Changed) || round === roundsMax) throw error;
    }
  }
}

/**
 * An earlier try has removed the port. A row that now has only its name or its socket is another's. A row with our marks is still
 * ours, because a restored database can bring it back.
 */
async function removeAgain(ovs: AttachmentSwitch, gone: { readonly goneAt: number }): Promise<Outcome> {
  return await ovs.patiently(async () => {
    const { own } = await seekOwn(ovs, { key: ovs.plan.key });
    let { goneAt } = gone;
    for (const port of own) goneAt = await deletePort(ovs, port);
    return { kind: 'ok', facts: { goneAt } };
  });
}

/**
 * Sockets go before rows, because no other port can take the socket's name while our row exists.
 * @returns the next_cfg to wait for before the port's address may be another's; undefined if ovs-vswitchd never had the port
 */
async function removeOwn(ovs: AttachmentSwitch, { own, root }: Sighting): Promise<number | undefined> {
  const { sockets, applied } = await examine(ovs, own);
  for (const [socket, seenSocket] of sockets) await removeSocket(socket, ovs.end, seenSocket);
  let goneAt: number | undefined;
  for (const { id, device, name, marks, external } of own) {
    const isApplied = applied.has(device) || (await isBeingApplied(ovs, device));
    const mode = marks.mode ?? ovs.plan.port?.mode;
    if (mode === 'server') await unlinkSocket(join(switchSocketDirectory(ovs.ovsdb, root), name), ovs.end);
    const at = await deletePort(ovs, { id, external });
    if (isApplied) goneAt = at;
  }
  return goneAt;
}

/** ovs-vswitchd takes a dead ADD's port in some milliseconds. If it does not in this time, it is not running. */
const applyingMs = 500;

/**
 * Whether ovs-vswitchd is applying the port just now. If it were deleted meanwhile, the port and its socket could exist for a
 * moment after we reported them gone.
 */
async function isBeingApplied(ovs: AttachmentSwitch, device: string): Promise<boolean> {
  try {
    await ovs.read([untilApplied(device, Math.min(applyingMs, remainingMs(ovs.end) / 2))]);
    return true;
  } catch (error) {
    if (!isGuardFailure(error)) throw error;
    return false;
  }
}

/** A socket's own path, and those through symlinks. */
type Paths = readonly [socket: string, ...aliases: string[]];

/** The paths that the rows and the plan name. */
function pathsOf(plan: Plan, own: readonly OwnPort[]): Paths[] {
  const { port } = plan;
  if (port?.socketStays) return [];
  const paths = new Map<string, Paths>();
  for (const { marks } of own) {
    const { socket, link } = marks;
    if (socket) paths.set(socket, link ? [socket, join(link, basename(socket))] : [socket]);
  }
  if (port) paths.set(socketOf(port), [socketOf(port), ...(port.link ? [switchPathOf(port)] : [])]);
  return [...paths.values()];
}

/**
 * Finds the ports that ovs-vswitchd has, and the sockets that may be removed: without a row of ours, only files that exist already.
 */
async function examine(ovs: AttachmentSwitch, own: readonly OwnPort[]) {
  const candidates: { readonly paths: Paths; readonly seenSocket: Stats | undefined }[] = [];
  for (const paths of pathsOf(ovs.plan, own)) {
    const seenSocket = own.length === 0 ? await statSocket(paths[0], ovs.end) : undefined;
    if (own.length > 0 || seenSocket) candidates.push({ paths, seenSocket });
  }
  const mine = new Set(own.flatMap(({ id, device }) => [id, device]));
  const ofPorts = own.map(({ device }) => select('Interface', [withId(device)], ['_uuid', 'ofport']));
  const ofSockets = candidates.map(({ paths }) => selectNamers(...paths));
  const asked = [...ofPorts, ...ofSockets.flat()];
  const answers = [...(asked.length > 0 ? await ovs.read(asked) : [])];
  const devices = answers.splice(0, ofPorts.length).flatMap(({ rows }) => rows ?? []);
  const sockets = new Map<string, Stats | undefined>();
  for (const [index, { paths, seenSocket }] of candidates.entries()) {
    const namers = answers.splice(0, ofSockets[index]?.length);
    if (!isNamed(namers, mine) && !ovs.call.isAnothersSocket?.(paths[0])) sockets.set(paths[0], seenSocket);
  }
  const applied = devices.filter(({ ofport }) => readSet(ofport).length > 0).map(({ _uuid }) => readUuid(_uuid));
  return { sockets, applied: new Set(applied) };
}

/** The row has other marks than when it was looked at. */
class Changed extends Error {
  override readonly name = 'Changed';
}

/**
 * Deletes by _uuid, which no other row ever has, and only if the row is as it was seen (case A40). It raises next_cfg because
 * ovs-vswitchd may have seen even a port that it reported nothing about. The next port of this name has to wait for that.
 * @returns next_cfg: when ovs-vswitchd has reached it, it has let go of the port.
 * @throws Changed
 */
export async function deletePort(
  ovs: AttachmentSwitch,
  { id, external }: Pick<OwnPort, 'id'> & Partial<OwnPort>,
): Promise<number> {
  const byId = withId(id);
  const asSeen = external === undefined ? [] : [['external_ids', '==', external]];
  const operations: Operation[] = [
    unless('Port', [byId, ...asSeen], [{ _uuid: uuid(id) }]),
    {
      op: 'mutate',
      table: 'Bridge',
      where: [['ports', 'includes', uuid(id)]],
      mutations: [['ports', 'delete', uuid(id)]],
    },
    raiseNextCfg,
    selectSwitch,
  ];
  const results = await ovs.fenced(operations).catch(async (error) => {
    if (!isGuardFailure(error)) throw error;
    const [ports, root] = await ovs.read([select('Port', [byId], ['_uuid']), selectSwitch]);
    if (ports?.rows?.length) throw new Changed(`the marks of port ${id} change again and again`);
    return [root];
  });
  return Number(results.at(-1)?.rows?.[0]?.next_cfg);
}

/** Removes the row of an unfinished put-back and nothing else: the socket is the application's, and the rest is a living pod's. */
export async function withdrawPort(ovs: AttachmentSwitch, { port }: Facts): Promise<Outcome> {
  if (isMadePort(port)) await deletePort(ovs, { id: port.uuid });
  return ok;
}

/** Removes a socket from the switch's directory: an ADD that ended before it moved the socket, or a dead switch, left it there. */
async function unlinkSocket(path: string, end: Moment): Promise<void> {
  await inTime(unlink(path), end, `"${path}"`).catch((error) => {
    if (codeOf(error) !== 'ENOENT') throw error;
  });
}
