/**
 * Taking an attachment's port away: found by its marks and by nothing else, removed by its row's _uuid; a socket file goes only if
 * this key's journal or row named it and no other row does (B13, B14, A22, A40).
 */
import type { Stats } from 'node:fs';
import { unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type Moment, remainingMs } from '../deadlines.ts';
import type { Call, Outcome, Plan } from '../machines/protocol.ts';
import { codeOf, inTime } from './directory.ts';
import { type Operation, type Row, readMap, readSet, readUuid, uuid } from './ovsdb.ts';
import { isNamed, lyingAt, namersOf, removeSocket } from './socket.ts';
import {
  guarded,
  keyMarks,
  marked,
  raiseNextCfg,
  type Switch,
  select,
  selectSwitch,
  socketOf,
  switchSocketDirectory,
  unless,
  untilApplied,
} from './switch.ts';

interface Found {
  readonly id: string;
  /** _uuid of its Interface. */
  readonly device: string;
  readonly marks: { readonly [key: string]: string };
  readonly name: string;
  /** ovs-vswitchd has taken it: it must be seen letting go. */
  readonly applied: boolean;
}

/** @param before what to wait for already: a port of the predecessor's */
export async function removePort(ovs: Switch, plan: Plan, call: Call, before?: number): Promise<Outcome> {
  let isKnown = plan.port !== undefined;
  const goneAt = await ovs.patiently(async () => {
    const seen = await look(ovs, plan, call);
    isKnown ||= seen.ports.length > 0;
    return (await takeAway(ovs, plan, seen, call, isKnown)) ?? before;
  }, call.end);
  return { kind: 'ok', ...(goneAt !== undefined && { facts: { goneAt } }) };
}

/**
 * Sockets before rows: while our row stands, nobody else can have the socket's name.
 * @param isKnown there was a port: what is not there was deleted, perhaps a moment ago
 * @returns what to wait for before the port's address may be another's; undefined if ovs-vswitchd never had the port
 */
async function takeAway(
  ovs: Switch,
  plan: Plan,
  { ports, root, sockets }: Seen,
  call: Call,
  isKnown: boolean,
): Promise<number | undefined> {
  for (const [socket, lying] of sockets) await removeSocket(socket, call.end, lying);
  let goneAt = ports.length === 0 && isKnown ? Number(root?.next_cfg) : undefined;
  for (const { id, device, name, marks, applied: known } of ports) {
    const applied = known || (await isBeingApplied(ovs, plan, device, call));
    if (marks.mode === 'server') await unlinkSocket(join(switchSocketDirectory(plan.ovsdb, root), name), call.end);
    const at = await deletePort(ovs, plan, id, [marked(keyMarks(plan, call))], call);
    if (applied) goneAt = at;
  }
  return goneAt;
}

/** A dead ADD's port that ovs-vswitchd has seen takes it some milliseconds; one that it does not take in this time, it does not run. */
const applyingMs = 500;

/**
 * Whether ovs-vswitchd is at it just now: deleted in the middle, the port and its socket would be there for a moment after we had
 * said that they are not.
 */
async function isBeingApplied(ovs: Switch, plan: Plan, device: string, call: Call): Promise<boolean> {
  try {
    await ovs.read(plan, [untilApplied(device, Math.min(applyingMs, remainingMs(call.end) / 2))], call.end);
    return true;
  } catch (error) {
    if (!guarded(error)) throw error;
    return false;
  }
}

interface Seen {
  readonly ports: readonly Found[];
  readonly root: Row | undefined;
  /** Of ours, those that no row of another names. Without a row of ours only what lay there before the rows were asked for. */
  readonly sockets: ReadonlyMap<string, Stats | undefined>;
}

async function look(ovs: Switch, plan: Plan, call: Call): Promise<Seen> {
  const columns = ['_uuid', 'name', 'interfaces', 'external_ids'];
  const socket = plan.port && socketOf(plan.port);
  const operations = [selectSwitch, select('Port', [marked(keyMarks(plan, call))], columns)];
  const [root, own] = await ovs.fenced(plan, operations, call);
  const rows = own?.rows ?? [];
  const paths = [
    ...new Set([...rows.flatMap((row) => readMap(row.external_ids).socket ?? []), ...(socket ? [socket] : [])]),
  ];
  const sockets = new Map<string, Stats | undefined>();
  for (const path of paths) {
    const lying = rows.length === 0 ? await lyingAt(path, call.end) : undefined;
    if (rows.length > 0 || lying) sockets.set(path, lying);
  }
  const devices = rows.map((row) => select('Interface', [['_uuid', '==', row.interfaces]], ['ofport']));
  const details = await ovs.read(plan, [...devices, ...[...sockets.keys()].flatMap(namersOf)], call.end);
  const mine = new Set(rows.flatMap((row) => [readUuid(row._uuid), readUuid(row.interfaces)]));
  for (const [index, path] of [...sockets.keys()].entries()) {
    const namers = details.slice(rows.length + 2 * index, rows.length + 2 * index + 2);
    if (isNamed(namers, mine)) sockets.delete(path);
  }
  const ports = rows.map((row, index): Found => {
    const ofport = readSet(details[index]?.rows?.[0]?.ofport);
    return {
      id: readUuid(row._uuid),
      device: readUuid(row.interfaces),
      marks: readMap(row.external_ids),
      name: String(row.name),
      applied: ofport.length > 0,
    };
  });
  return { ports, root: root?.rows?.[0], sockets };
}

/**
 * By _uuid, and only while it still bears our mark (A40). ovs-vswitchd may have seen even a port that it said nothing of: the next
 * port of this name has to know that there was one.
 * @returns next_cfg: when ovs-vswitchd has come to it, it has let go of the port.
 */
export async function deletePort(
  ovs: Switch,
  plan: Plan,
  id: string,
  conditions: readonly unknown[],
  call: Call,
): Promise<number> {
  const operations: Operation[] = [
    unless('Port', [['_uuid', '==', uuid(id)], ...conditions], [{ _uuid: uuid(id) }]),
    {
      op: 'mutate',
      table: 'Bridge',
      where: [['ports', 'includes', uuid(id)]],
      mutations: [['ports', 'delete', uuid(id)]],
    },
    raiseNextCfg,
    selectSwitch,
  ];
  const results = await ovs.fenced(plan, operations, call).catch(async (error) => {
    if (!guarded(error)) throw error;
    return await ovs.read(plan, [selectSwitch], call.end);
  });
  return Number(results.at(-1)?.rows?.[0]?.next_cfg);
}

/** In the switch's own directory: left there only by an ADD that ended before it moved it, or by a switch that died. */
async function unlinkSocket(path: string, end: Moment): Promise<void> {
  await inTime(unlink(path), end, `"${path}"`).catch((error) => {
    if (codeOf(error) !== 'ENOENT') throw error;
  });
}
