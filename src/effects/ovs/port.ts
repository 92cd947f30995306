/**
 * Making the vhost-user port of an attachment. (Removing it: port-removal.ts; looking at it: port-view.ts.)
 *
 * Owns: the rows Port and Interface with their marks, and moving the socket into the shared directory in server mode.
 */
import { chmod, chown, lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { code, owner, type Trouble } from '../../attachment.ts';
import { type Moment, remainingMs } from '../../deadlines.ts';
import type { Outcome, PortPlan } from '../../machines/protocol.ts';
import { attempting } from '../attempt.ts';
import { Directory } from '../files/directory.ts';
import { groupId } from '../files/group.ts';
import { type Failed, failed, inTime, Mismatch, ok } from '../outcome.ts';
import { untilApplied, waitUntilReleased } from './applied.ts';
import { emptyType, plannedRow, socketOf, switchPathOf, typeOf } from './columns.ts';
import { dataDirMark, keyMarks, netnsMarks } from './marks.ts';
import {
  isGuardFailure,
  map,
  named,
  type Operation,
  type OperationResult,
  type Row,
  readSet,
  readUuid,
  select,
  TransactionError,
  unless,
  withId,
  withMarks,
  withName,
} from './operations.ts';
import { heldTroubles, selectHolders } from './port-holder.ts';
import { deletePort } from './port-removal.ts';
import { isBehind, raiseNextCfg, selectSwitch, switchSocketDirectory } from './root-row.ts';
import type { AttachmentSwitch } from './switch.ts';

/** The marks from which a removal works without a journal. */
const marksOf = ({ plan, call }: AttachmentSwitch, port: PortPlan) => ({
  ...port.marks,
  ...keyMarks({ plan, call }),
  bridge: port.bridge,
  mode: port.mode,
  directory: port.directory,
  ...(port.link && { link: port.link }),
  ...(call.begun && { begun: call.begun }),
  ...(call.netns && { [netnsMarks.file]: call.netns.file, [netnsMarks.directory]: call.netns.directory }),
  ...(call.dataDir && { [dataDirMark]: call.dataDir }),
  socket: socketOf(port),
});

/** Makes the port as planned. If the switch gives it another MTU, the step fails. */
export async function ensurePort(ovs: AttachmentSwitch, port: PortPlan): Promise<Outcome> {
  const make = () => makePort(ovs, port);
  if (!port.mtu) return await make();
  const { honouringMtu } = await import('./mtu.ts');
  return await honouringMtu(ovs, port, make);
}

async function makePort(ovs: AttachmentSwitch, port: PortPlan): Promise<Outcome> {
  let results: readonly OperationResult[];
  try {
    results = await ovs.fenced(insertion(ovs, port));
  } catch (error) {
    return await refusal(ovs, port, error);
  }
  const [, , device, row, joined, root] = results;
  if (joined?.count !== 1) {
    const message = `bridge "${port.bridge}" went away`;
    return { kind: 'displaced', trouble: { code: code.tryAgainLater, message } };
  }
  const state = root?.rows?.[0];
  const made = { uuid: readUuid(row?.uuid), ofport: -1, database: readUuid(state?._uuid) };
  const soon = ovs.soon();
  return await attempting(made, async (): Promise<Outcome> => {
    const inserted = isBehind(state) ? await replaceOnceReleased(soon, port, made.uuid) : insertedAs(device);
    if (inserted.kind === 'failed') return { ...inserted, facts: made };
    const applied = await whenApplied(soon, port, inserted.id);
    if (applied.kind === 'failed') return { ...applied, facts: made };
    const { ofport, directory } = applied;
    if (port.mode === 'client') return { kind: 'ok', facts: { ...made, ofport } };
    const switchSocket = join(directory, port.name);
    await moveSocket(port, switchSocket, ovs.end);
    return { kind: 'ok', facts: { ...made, ofport, switchSocket } };
  });
}

/**
 * Inserts the port again if the database lost it. Moves the socket again if a restarted switch has made a new one. The MTU is not
 * proved: the pod has lived with the one that the switch gives, and CHECK reports it.
 */
export async function restorePort(ovs: AttachmentSwitch, port: PortPlan): Promise<Outcome> {
  const asked = [select('Port', [withMarks(keyMarks(ovs))], ['_uuid']), typeOf(port), selectSwitch];
  const [ports, devices, root] = await ovs.read(asked);
  const row = ports?.rows?.[0];
  // An earlier put-back did not finish: the port's interface still has the empty type (replaceOnceReleased).
  const isEmpty = devices?.rows?.[0]?.type === emptyType;
  if (row && isEmpty) await deletePort(ovs, { id: readUuid(row._uuid) });
  if (!row || isEmpty) return await makePort(ovs, port);
  const switchSocket = join(switchSocketDirectory(ovs.ovsdb, root?.rows?.[0]), port.name);
  if (port.mode === 'server') await moveSocket(port, switchSocket, ovs.end);
  return ok;
}

/** Two guards come first, because the switch itself accepts two ports on one socket. The rows and the bridge follow. */
function insertion(ovs: AttachmentSwitch, port: PortPlan): Operation[] {
  const socket = socketOf(port);
  return [
    unless('Interface', [['options', 'includes', map({ 'vhost-server-path': switchPathOf(port) })]], []),
    unless('Port', [withMarks({ owner, socket })], []),
    insertInterface(interfaceOf(port)),
    {
      op: 'insert',
      table: 'Port',
      row: {
        name: port.name,
        interfaces: named('interface'),
        external_ids: map(marksOf(ovs, port)),
        ...plannedRow('Port', port),
      },
      'uuid-name': 'port',
    },
    {
      op: 'mutate',
      table: 'Bridge',
      where: [withName(port.bridge)],
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

const interfaceOf = (port: PortPlan): Row => ({ name: port.name, ...plannedRow('Interface', port) });

/**
 * ovs-vswitchd knows an interface by its name, and applies all outstanding changes in one step. If it is behind, a deleted
 * port of this name would live on in ours, with its socket. So the interface has the empty type until the deletion is applied.
 * @param row the Port's _uuid
 */
async function replaceOnceReleased(ovs: AttachmentSwitch, port: PortPlan, row: string): Promise<Inserted | Failed> {
  const exchange = (device: Row): Operation[] => [
    insertInterface(device),
    {
      op: 'update',
      table: 'Port',
      where: [withId(row)],
      row: { interfaces: named('interface') },
    },
  ];
  const emptied = [...exchange({ name: port.name, type: emptyType }), raiseNextCfg, selectSwitch];
  const [root] = (await ovs.fenced(emptied)).at(-1)?.rows ?? [];
  const gone = await waitUntilReleased(ovs, Number(root?.next_cfg));
  if (gone.kind === 'failed') return gone;
  const [device, exchanged] = await ovs.fenced(exchange(interfaceOf(port)));
  if (exchanged?.count === 1) return insertedAs(device);
  return failed(code.tryAgainLater, `port "${port.name}" went away`);
}

/** The _uuid of the inserted row of table Interface. */
interface Inserted {
  readonly kind: 'inserted';
  readonly id: string;
}

const insertedAs = (device: OperationResult | undefined): Inserted => ({
  kind: 'inserted',
  id: readUuid(device?.uuid),
});

async function refusal(ovs: AttachmentSwitch, port: PortPlan, error: unknown): Promise<Outcome> {
  if (!(error instanceof TransactionError)) throw error;
  // The whole transaction was refused, so nothing was made.
  const refused = (trouble: Trouble): Outcome => ({ kind: 'failed', trouble, made: 'nothing' });
  const message = `socket "${socketOf(port)}" belongs to another port`;
  if (isGuardFailure(error)) return refused({ code: code.invalidConfig, message });
  if (error.error !== 'constraint violation') throw error;
  const [holder] = heldTroubles(ovs, port, await ovs.read(selectHolders(ovs.plan, port)));
  return refused(holder ?? { code: code.tryAgainLater, message: `port "${port.name}": ${error}` });
}

interface Applied {
  readonly kind: 'applied';
  readonly ofport: number;
  /** The directory where the switch makes the sockets of server mode. */
  readonly directory: string;
}

/** Waits until ovs-vswitchd has taken the interface. It answers in the columns ofport and error, never in the transaction. */
async function whenApplied(ovs: AttachmentSwitch, port: PortPlan, id: string): Promise<Applied | Failed> {
  const where = [withId(id)];
  // The server's own timeout ends before ours: its answer says which of the two is stuck.
  const ms = remainingMs(ovs.end) * 0.9;
  const notTaken = async (what: string): Promise<Failed> => {
    const { whyNotTaken } = await import('./not-taken.ts');
    return failed(code.tryAgainLater, `${what}; ${await whyNotTaken(ovs, port.bridge)}`);
  };
  const thePort = `port "${port.name}" on bridge "${port.bridge}"`;
  try {
    const wait = untilApplied(id, ms);
    const results = await ovs.read([wait, select('Interface', where, ['ofport', 'error']), selectSwitch]);
    const row = results[1]?.rows?.[0];
    const ofport = Number(readSet(row?.ofport)[0] ?? -1);
    const [trouble] = readSet(row?.error);
    if (ofport >= 0 && !trouble) {
      return { kind: 'applied', ofport, directory: switchSocketDirectory(ovs.ovsdb, results[2]?.rows?.[0]) };
    }
    return await notTaken(`Open vSwitch could not open ${thePort}: ${trouble ?? 'it gave no ofport'}`);
  } catch (error) {
    if (!isGuardFailure(error)) throw error;
    return await notTaken(`ovs-vswitchd did not take ${thePort} in ${Math.ceil(ms / 100) / 10} s`);
  }
}

/** Moves the socket into the shared directory, and verifies it there: the pod must see it once the ADD answers success (bug B9). */
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
