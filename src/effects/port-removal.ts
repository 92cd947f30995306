/**
 * Taking an attachment's port away: found by its marks and by nothing else, removed by its row's _uuid; a socket file goes only if
 * this key's journal or row named it and no other row does (B13, B14, A22, A40).
 */

import { unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { code } from '../attachment.ts';
import { type Moment, remainingMs } from '../deadlines.ts';
import type { Call, Outcome, Plan } from '../machines/protocol.ts';
import { codeOf, Directory, inTime } from './directory.ts';
import { map, type Operation, type Row, readMap, readSet, readUuid, uuid } from './ovsdb.ts';
import {
  failed,
  guarded,
  keyMarks,
  marked,
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

export async function removePort(ovs: Switch, plan: Plan, call: Call): Promise<Outcome> {
  await ovs.patiently(async () => takeAway(ovs, plan, await look(ovs, plan, call), call), call.end);
  return { kind: 'ok' };
}

/** Sockets before rows: while our row stands, nobody else can have the socket's name. */
async function takeAway(ovs: Switch, plan: Plan, { ports, root, claims }: Seen, call: Call): Promise<void> {
  const sockets = new Set(ports.flatMap(({ marks }) => marks.socket ?? []));
  if (plan.port) sockets.add(socketOf(plan.port));
  for (const socket of sockets) if (!claims.has(socket)) await removeSocket(socket, call.end);
  for (const { id, device, name, marks, applied: known } of ports) {
    const applied = known || (await isBeingApplied(ovs, plan, device, call));
    if (marks.mode === 'server') await unlinkSocket(join(switchSocketDirectory(plan.ovsdb, root), name), call.end);
    await deletePort(ovs, plan, id, [marked(keyMarks(plan, call))], applied, call);
  }
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
  /** Sockets that rows of others name. */
  readonly claims: ReadonlySet<string>;
}

async function look(ovs: Switch, plan: Plan, call: Call): Promise<Seen> {
  const columns = ['_uuid', 'name', 'interfaces', 'external_ids'];
  const socket = plan.port && socketOf(plan.port);
  const operations = [selectSwitch, select('Port', [marked(keyMarks(plan, call))], columns)];
  const [root, own] = await ovs.read(plan, operations, call.end);
  const rows = own?.rows ?? [];
  const sockets = [
    ...new Set([...rows.flatMap((row) => readMap(row.external_ids).socket ?? []), ...(socket ? [socket] : [])]),
  ];
  const details = await ovs.read(
    plan,
    [
      ...rows.map((row) => select('Interface', [['_uuid', '==', row.interfaces]], ['ofport'])),
      ...sockets.flatMap((path) => [
        select('Interface', [['options', 'includes', map({ 'vhost-server-path': path })]], ['_uuid']),
        select('Port', [marked({ socket: path })], ['_uuid', 'interfaces']),
      ]),
    ],
    call.end,
  );
  const mine = new Set(rows.flatMap((row) => [readUuid(row._uuid), readUuid(row.interfaces)]));
  const claims = new Set(
    sockets.filter((_, index) => {
      const claimants = details.slice(rows.length + 2 * index, rows.length + 2 * index + 2);
      return claimants.some(({ rows: others }) => others?.some((row) => !mine.has(readUuid(row._uuid))));
    }),
  );
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
  return { ports, root: root?.rows?.[0], claims };
}

/** By _uuid, and only while it still bears our mark (A40). next_cfg is for `letGo`: what was never applied need not be let go. */
export async function deletePort(
  ovs: Switch,
  plan: Plan,
  id: string,
  conditions: readonly unknown[],
  applied: boolean,
  call: Call,
): Promise<void> {
  const operations: Operation[] = [
    unless('Port', [['_uuid', '==', uuid(id)], ...conditions], [{ _uuid: uuid(id) }]),
    {
      op: 'mutate',
      table: 'Bridge',
      where: [['ports', 'includes', uuid(id)]],
      mutations: [['ports', 'delete', uuid(id)]],
    },
    ...(applied ? [{ op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['next_cfg', '+=', 1]] }] : []),
  ];
  await ovs.mutate(plan, operations, call).catch((error) => {
    if (!guarded(error)) throw error;
  });
}

/**
 * Waits until ovs-vswitchd has caught up with the database: a port that was deleted then forwards no packet any more, and its
 * address may be another's (A32).
 */
export async function letGo(ovs: Switch, plan: Plan, end: Moment): Promise<Outcome> {
  let wait: readonly Operation[] = [];
  // What was asked of it by now: others ask for more all the time.
  let target: number | undefined;
  for (;;) {
    const results = await ovs.read(plan, [...wait, selectSwitch], end).catch((error) => {
      if (!guarded(error)) throw error;
      return undefined;
    });
    const root = results?.at(-1)?.rows?.[0];
    if (!root) return failed(code.tryAgainLater, 'ovs-vswitchd has not let go of the port yet: is it running?');
    target ??= Number(root.next_cfg);
    if (Number(root.cur_cfg) >= target) return { kind: 'ok' };
    wait = [untilChanged({ cur_cfg: root.cur_cfg }, end)];
  }
}

/** The server's own timeout ends before ours: its answer says which of the two is stuck. */
const untilChanged = (row: Row, end: Moment): Operation => ({
  op: 'wait',
  table: 'Open_vSwitch',
  where: [],
  columns: Object.keys(row),
  until: '!=',
  rows: [row],
  timeout: Math.floor(remainingMs(end) * 0.9),
});

export async function removeSocket(socket: string, end: Moment): Promise<void> {
  const directory = await Directory.find(dirname(socket), end);
  if (!directory) return;
  try {
    await directory.remove(basename(socket), 'socket');
  } finally {
    await directory.close();
  }
}

/** In the switch's own directory: left there only by an ADD that ended before it moved it, or by a switch that died. */
async function unlinkSocket(path: string, end: Moment): Promise<void> {
  await inTime(unlink(path), end, `"${path}"`).catch((error) => {
    if (codeOf(error) !== 'ENOENT') throw error;
  });
}
