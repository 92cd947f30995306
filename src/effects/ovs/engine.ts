/**
 * Open vSwitch, as the rest of the program knows it (../engine.ts). Nothing outside of this folder imports another of its files.
 */
import { type Deadlines, type Moment, within } from '../../deadlines.ts';
import {
  type BridgePlan,
  type Call,
  type Database,
  type Facts,
  type IdleBridges,
  isGonePort,
  type Outcome,
  type Plan,
  type PortPlan,
  type Request,
} from '../../machines/protocol.ts';
import type { Away } from '../away.ts';
import type { Engine, EngineRequest, LivePort, OtherSandbox, Recorded } from '../engine.ts';
import { ok } from '../outcome.ts';
import { Access } from './access.ts';
import { waitUntilReleased } from './applied.ts';
import { ensureBridge, findBridge, removeBridge, removeIdleBridges } from './bridge.ts';
import { ensurePort, restorePort } from './port.ts';
import { otherHolder } from './port-holder.ts';
import { removePort, withdrawPort } from './port-removal.ts';
import { findPort, isPortLost, listPorts } from './port-view.ts';
import { isPredecessors, removePredecessors } from './predecessor.ts';
import { pathTroubles, stateTroubles, viewTroubles } from './preflight.ts';
import { isLaterSandbox, recallPort } from './recall.ts';
import { restoreTrouble } from './restorable.ts';
import { AttachmentSwitch, BoundSwitch, Switch } from './switch.ts';

interface EngineOptions {
  readonly deadlines: Deadlines;
  readonly away?: Away;
  /** The database's address, as the caller gives it. */
  readonly elsewhere?: string | undefined;
  /** Receives warnings about facts that cannot be found out and are not needed. */
  readonly warn?: ((message: string) => void) | undefined;
}

export function openVswitch({ deadlines, away, elsewhere, warn }: EngineOptions): Engine {
  const whole = new Switch(deadlines, away, elsewhere);
  const access = new Access(whole, warn);
  const at = (plan: Plan, call: Call) => new AttachmentSwitch(whole, plan, call);
  return {
    preflight: {
      pathTroubles: ({ port }) => (port ? pathTroubles(port) : []),
      viewTroubles: async ({ ovsdb, socketDir, port }, soon) =>
        socketDir && port?.mode === 'client' ? await viewTroubles(access.pidBeside(ovsdb), port, soon) : [],
      stateTroubles: (plan, call, soon) => stateTroubles(at(plan, call).soon(), soon),
      wayTroubles: (plan, end) => access.troubles(plan, end),
    },
    way: access,
    perform: (request, call) => perform(at(request.plan, call), request),
    released: (plan: Plan, port: Facts['port'], end: Moment) =>
      waitUntilReleased(
        new BoundSwitch(whole, plan, within(end, deadlines.switchMs)),
        isGonePort(port) ? port.goneAt : 0,
      ),
    recall: (known, call) => {
      const ovs = at(known, call).soon();
      return ovs.patiently(() => recallPort(ovs));
    },
    isPredecessors,
    isPortLost: async ({ plan, facts }: Recorded, call: Call) =>
      plan.port !== undefined && (await isPortLost(at(plan, call), plan.port, facts)),
    restoreTrouble: ({ plan, facts }, call) => restoreTrouble(at(plan, call), facts),
    listPorts: (database, end) => listPorts(new BoundSwitch(whole, database, end)),
    portsThere: async (database: Database, ports: readonly LivePort[], end: Moment) =>
      await (await import('./live-ports.ts')).portsThere(new BoundSwitch(whole, database, end), ports),
    ownRows: async (database: Database, end: Moment) =>
      await (await import('./own-rows.ts')).ownRows(new BoundSwitch(whole, database, end)),
    removeIdleBridges: (sought: IdleBridges, call: Call) => removeIdleBridges(whole, sought, call),
    otherHolder: (plan, call) => otherHolder(at(plan, call)),
    isLaterSandbox: (plan, { containerId, moment }: OtherSandbox, call) =>
      isLaterSandbox(at(plan, call), containerId, moment),
    databaseAt: whole.databaseAt,
    close: () => whole.close(),
  };
}

/** The steps bridge and port. A step that is not in the plan is done. */
async function perform(ovs: AttachmentSwitch, request: EngineRequest): Promise<Outcome> {
  const { plan, facts } = request;
  if (request.step === 'bridge') return plan.bridge ? await performBridge(ovs, plan.bridge, request) : ok;
  // The marks tell which port to remove, so no plan is needed.
  if (request.verb === 'remove') {
    return await removePort(ovs, facts, plan.predecessor && (await removePredecessors(ovs, plan.predecessor)));
  }
  return plan.port ? await performPort(ovs, plan.port, request) : ok;
}

async function performBridge(ovs: AttachmentSwitch, bridge: BridgePlan, { verb, facts }: Request): Promise<Outcome> {
  switch (verb) {
    case 'ensure':
    case 'restore':
      return await ensureBridge(ovs, bridge);
    case 'remove':
    case 'withdraw':
      return await removeBridge(ovs, bridge, facts.bridge);
    case 'find':
      return await findBridge(ovs, bridge);
  }
}

async function performPort(ovs: AttachmentSwitch, port: PortPlan, { verb, facts }: Request): Promise<Outcome> {
  switch (verb) {
    case 'ensure':
      return await ensurePort(ovs, port);
    case 'restore':
      return await restorePort(ovs, port);
    case 'remove':
      return await removePort(ovs, facts);
    case 'withdraw':
      return await withdrawPort(ovs, facts);
    case 'find':
      return await findPort(ovs, port, facts);
  }
}
