/**
 * The vhost-user port of an attachment: making it. (Taking it away: port-removal.ts; looking at it: port-view.ts.)
 *
 * Owns: the rows Port and Interface with their marks, and the socket's way into the shared directory in server mode.
 */

import { chmod, chown, lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { code, owner, type Trouble } from '../../attachment.ts';
import { type Deadlines, type Moment, remainingMs, within } from '../../deadlines.ts';
import type { Call, Outcome, Plan, PortPlan } from '../../machines/protocol.ts';
import { attempting } from '../attempt.ts';
import { Directory } from '../files/directory.ts';
import { groupId } from '../files/group.ts';
import { type Failed, failed, inTime, Mismatch } from '../outcome.ts';
import { letGo, untilApplied } from './applied.ts';
import { interfaceType, noType, ovnPortId, socketOf, switchPathOf, typeOf } from './columns.ts';
import { dataDirMark, keyMarks, netnsMarks } from './marks.ts';
import {
  guarded,
  map,
  marked,
  named,
  type Operation,
  type OperationResult,
  type Row,
  readSet,
  readUuid,
  select,
  set,
  TransactionError,
  unless,
  uuid,
} from './operations.ts';
import { heldTroubles, holdersOf } from './port-holder.ts';
import { deletePort } from './port-removal.ts';
import { isBehind, raiseNextCfg, selectSwitch, switchSocketDirectory } from './root-row.ts';
import type { Switch } from './switch.ts';

/** The marks that let a removal do without a journal. */
const marksOf = (plan: Plan, port: PortPlan, call: Call) => ({
  ...port.marks,
  ...keyMarks(plan, call),
  bridge: port.bridge,
  mode: port.mode,
  directory: port.directory,
  ...(port.link && { link: port.link }),
  ...(call.begun && { begun: call.begun }),
  ...(call.netns && { [netnsMarks.file]: call.netns.file, [netnsMarks.directory]: call.netns.directory }),
  ...(call.dataDir && { [dataDirMark]: call.dataDir }),
  socket: socketOf(port),
});

/** A port as it was asked for: one that the switch takes with another MTU is a failed one. */
export async function ensurePort(
  ovs: Switch,
  plan: Plan,
  port: PortPlan,
  call: Call,
  deadlines: Deadlines,
): Promise<Outcome> {
  const making = { ovs, plan, port };
  const make = () => makePort(making, call, deadlines);
  if (!port.mtu) return await make();
  const { honouringMtu } = await import('./mtu.ts');
  return await honouringMtu(making, call, make);
}

/** Which port is made, and where. */
interface Making {
  readonly ovs: Switch;
  readonly plan: Plan;
  readonly port: PortPlan;
}

async function makePort(making: Making, call: Call, deadlines: Deadlines): Promise<Outcome> {
  const { ovs, plan, port } = making;
  let results: readonly OperationResult[];
  try {
    results = await ovs.fenced(plan, insertion(plan, port, call), call);
  } catch (error) {
    return await refusal(ovs, plan, port, call, error);
  }
  const [, , device, row, joined, root] = results;
  if (joined?.count !== 1) {
    const message = `bridge "${port.bridge}" went away`;
    return { kind: 'displaced', trouble: { code: code.tryAgainLater, message } };
  }
  const state = root?.rows?.[0];
  const made = { uuid: readUuid(row?.uuid), ofport: -1, database: readUuid(state?._uuid) };
  const end = within(call.end, deadlines.switchMs);
  return await attempting(made, async (): Promise<Outcome> => {
    const id = isBehind(state) ? await anew(ovs, plan, port, made.uuid, { ...call, end }) : readUuid(device?.uuid);
    if (typeof id !== 'string') return { ...id, facts: made };
    const applied = await whenApplied(making, id, end);
    if ('kind' in applied) return { ...applied, facts: made };
    const { ofport, directory } = applied;
    if (port.mode === 'client') return { kind: 'ok', facts: { ...made, ofport } };
    const switchSocket = join(directory, port.name);
    await moveSocket(port, switchSocket, call.end);
    return { kind: 'ok', facts: { ...made, ofport, switchSocket } };
  });
}

/**
 * A port that the switch's database lost is inserted again; a socket that a switch made again after its restart is moved again. A pod
 * that lives on an MTU that its switch never had (CHECK tells it) has it back as it was.
 */
export async function restorePort(
  ovs: Switch,
  plan: Plan,
  port: PortPlan,
  call: Call,
  deadlines: Deadlines,
): Promise<Outcome> {
  const asked = [select('Port', [marked(keyMarks(plan, call))], ['_uuid']), typeOf(port), selectSwitch];
  const [ports, devices, root] = await ovs.read(plan, asked, call.end);
  const row = ports?.rows?.[0];
  // Kept for a put-back that came to no end.
  const isEmpty = devices?.rows?.[0]?.type === noType;
  if (row && isEmpty) await deletePort(ovs, plan, { id: readUuid(row._uuid) }, call);
  if (!row || isEmpty) return await makePort({ ovs, plan, port }, call, deadlines);
  const made = join(switchSocketDirectory(plan.ovsdb, root?.rows?.[0]), port.name);
  if (port.mode === 'server') await moveSocket(port, made, call.end);
  return { kind: 'ok' };
}

/** Two guards, because the switch itself accepts two ports on one socket; then the rows, then the bridge. */
function insertion(plan: Plan, port: PortPlan, call: Call): Operation[] {
  const socket = socketOf(port);
  const { tag, trunks, mode } = port.vlan;
  return [
    unless('Interface', [['options', 'includes', map({ 'vhost-server-path': switchPathOf(port) })]], []),
    unless('Port', [marked({ owner, socket })], []),
    insertInterface(interfaceOf(port)),
    {
      op: 'insert',
      table: 'Port',
      row: {
        name: port.name,
        interfaces: named('interface'),
        external_ids: map(marksOf(plan, port, call)),
        ...(tag && { tag }),
        ...(trunks && { trunks: set(trunks) }),
        ...(mode && { vlan_mode: mode }),
      },
      'uuid-name': 'port',
    },
    {
      op: 'mutate',
      table: 'Bridge',
      where: [['name', '==', port.bridge]],
      mutations: [['ports', 'insert', named('port')]],
    },
    selectSwitch,
  ];
}

const insertInterface = (row: Row): Operation => ({
  op: 'insert',
  table: 'Interface',
  row,
  'uuid-name': 'interface',
});

const interfaceOf = (port: PortPlan): Row => ({
  name: port.name,
  type: interfaceType[port.mode],
  ...(port.mode === 'client' && { options: map({ 'vhost-server-path': switchPathOf(port) }) }),
  ...(port.ovnPort && { external_ids: map({ [ovnPortId]: port.ovnPort }) }),
  ...(port.mtu && { mtu_request: port.mtu }),
  ...(port.policingRate && { ingress_policing_rate: port.policingRate }),
  ...(port.policingBurst && { ingress_policing_burst: port.policingBurst }),
});

/**
 * ovs-vswitchd knows an interface by its name, and takes at once whatever it has not seen yet. Where it is behind, a port of this
 * name that was deleted would live on in ours, with its socket. So the name is kept, and empty, until it has come that far.
 * @returns _uuid of the Interface
 */
async function anew(ovs: Switch, plan: Plan, port: PortPlan, row: string, call: Call): Promise<string | Failed> {
  const exchange = (device: Row): Operation[] => [
    insertInterface(device),
    {
      op: 'update',
      table: 'Port',
      where: [['_uuid', '==', uuid(row)]],
      row: { interfaces: named('interface') },
    },
  ];
  const emptied = [...exchange({ name: port.name, type: noType }), raiseNextCfg, selectSwitch];
  const [root] = (await ovs.fenced(plan, emptied, call)).at(-1)?.rows ?? [];
  const gone = await letGo(ovs, plan, Number(root?.next_cfg), call.end);
  if (gone.kind === 'failed') return gone;
  const [device, exchanged] = await ovs.fenced(plan, exchange(interfaceOf(port)), call);
  if (exchanged?.count === 1) return readUuid(device?.uuid);
  return failed(code.tryAgainLater, `port "${port.name}" went away`);
}

async function refusal(ovs: Switch, plan: Plan, port: PortPlan, call: Call, error: unknown): Promise<Outcome> {
  if (!(error instanceof TransactionError)) throw error;
  // The transaction as a whole was refused: nothing was made.
  const refused = (trouble: Trouble): Outcome => ({ kind: 'failed', trouble, made: 'nothing' });
  const message = `socket "${socketOf(port)}" belongs to another port`;
  if (guarded(error)) return refused({ code: code.invalidConfig, message });
  if (error.error !== 'constraint violation') throw error;
  const [holder] = heldTroubles(plan, port, await ovs.read(plan, holdersOf(plan, port), call.end), call);
  return refused(holder ?? { code: code.tryAgainLater, message: `port "${port.name}": ${error}` });
}

/** Until ovs-vswitchd has taken the interface: it answers in the columns ofport and error, never in the transaction. */
async function whenApplied(
  { ovs, plan, port }: Making,
  id: string,
  end: Moment,
): Promise<{ ofport: number; directory: string } | Failed> {
  const where = [['_uuid', '==', uuid(id)]];
  // The server's own timeout ends before ours: its answer says which of the two is stuck.
  const ms = remainingMs(end) * 0.9;
  const notTaken = async (what: string): Promise<Failed> => {
    const { whyNotTaken } = await import('./not-taken.ts');
    return failed(code.tryAgainLater, `${what}; ${await whyNotTaken(ovs, plan, port.bridge, end)}`);
  };
  const named = `port "${port.name}" on bridge "${port.bridge}"`;
  try {
    const wait = untilApplied(id, ms);
    const results = await ovs.read(plan, [wait, select('Interface', where, ['ofport', 'error']), selectSwitch], end);
    const row = results[1]?.rows?.[0];
    const ofport = Number(readSet(row?.ofport)[0] ?? -1);
    const [trouble] = readSet(row?.error);
    if (ofport >= 0 && !trouble) return { ofport, directory: switchSocketDirectory(plan.ovsdb, results[2]?.rows?.[0]) };
    return await notTaken(`Open vSwitch could not open ${named}: ${trouble ?? 'it gave no ofport'}`);
  } catch (error) {
    if (!guarded(error)) throw error;
    return await notTaken(`ovs-vswitchd did not take ${named} in ${Math.ceil(ms / 100) / 10} s`);
  }
}

/** Verified at its new place: an ADD that answers success has a socket the pod can see (B9). */
async function moveSocket(port: PortPlan, from: string, end: Moment): Promise<void> {
  const directory = await Directory.open(port.directory, end);
  try {
    const made = await inTime(lstat(from), end, `"${from}"`);
    if (port.group) {
      await chown(from, made.uid, groupId(port.group));
      await chmod(from, 0o660);
    }
    const before = await directory.stat(port.file);
    if (before && !before.isSocket()) throw new Mismatch(`"${socketOf(port)}" is no socket: it is not replaced by one`);
    await directory.adopt(from, port.file);
    const moved = await directory.stat(port.file);
    if (!moved?.isSocket() || moved.ino !== made.ino)
      throw new Mismatch(`"${socketOf(port)}" is not the socket of the port`);
  } finally {
    await directory.close();
  }
}
