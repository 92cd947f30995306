/**
 * A second switch behind the face of src/effects/engine.ts: in memory, on a FakeWorld. It carries every suite that runs in this process,
 * by way of FakeHost, and answers the same cases as Open vSwitch (../engine-cases.ts).
 *
 * `half` is called where the real engine stands between two of its own changes.
 */
import { bytesOf, code, keyText, owner, socketPathBytesMax, type Trouble } from '../../../src/attachment.ts';
import type { Moment } from '../../../src/deadlines.ts';
import type {
  Engine,
  EnginePreflight,
  EngineRequest,
  EngineRows,
  LivePort,
  OtherSandbox,
  RecalledPort,
  Recorded,
} from '../../../src/effects/engine.ts';
import type { FindHolder } from '../../../src/effects/files/holder.ts';
import {
  type BridgePlan,
  type Call,
  type Database,
  type Facts,
  type IdleBridges,
  isGonePort,
  type KnownPort,
  type Outcome,
  type Plan,
  type PortPlan,
  type PredecessorPlan,
  type Verb,
} from '../../../src/machines/protocol.ts';
import { daemonIsBehind, drift, FakePorts, failed, type Half, isOwn, ok } from './fake-ports.ts';
import { type FakeBridge, type FakeWorld, switchDir } from './fake-world.ts';

const noHalf: Half = () => Promise.resolve();

/** Of the port; a removal needs no plan of it. */
interface PortStep {
  readonly verb: Exclude<Verb, 'remove'>;
  readonly plan: Plan;
  readonly facts: Facts;
  readonly call: Call;
  readonly half: Half;
}

const invalid = (message: string): Trouble => ({ code: code.invalidConfig, message });

export class FakeEngine implements Engine {
  readonly #world: FakeWorld;
  readonly #ports: FakePorts;
  /** The databases that a pre-flight looked at, by the place of each. */
  readonly #databases = new Map<string, string>();

  constructor(world: FakeWorld) {
    this.#world = world;
    this.#ports = new FakePorts(world);
  }

  /** Every process of this world sees the same files. */
  readonly preflight: EnginePreflight = {
    pathTroubles: ({ port }) => {
      const path = port?.mode === 'client' ? `${port.link ?? port.directory}/${port.file}` : '';
      return bytesOf(path) > socketPathBytesMax ? [invalid(`socket path "${path}" is too long`)] : [];
    },
    viewTroubles: async () => [],
    stateTroubles: async (plan, call) => this.#stateTroubles(plan, call),
    wayTroubles: async () => [],
  };

  readonly way = {
    open: async (plan: Plan, _end: Moment, half: Half = noHalf): Promise<Outcome> => {
      const closed = this.#closed(plan);
      if (closed.length === 0) return ok;
      for (const path of closed) {
        this.#world.entries.add(path);
        await half();
      }
      const granted = closed.map((path) => ({ path, right: 'search' as const }));
      return { kind: 'ok', facts: { uid: this.#world.switchUser ?? 0, granted } };
    },
    find: async (plan: Plan, _end: Moment): Promise<Outcome> =>
      this.#closed(plan).length > 0 ? drift('the switch may not search its way') : ok,
    isLost: async (plan: Plan, _end: Moment): Promise<boolean> => this.#closed(plan).length > 0,
  };

  async perform({ step, verb, plan, facts }: EngineRequest, call: Call, half: Half = noHalf): Promise<Outcome> {
    if (step === 'bridge') return plan.bridge ? this.#performBridge(plan.bridge, { verb, facts, call }) : ok;
    // Marks say which port is to be removed: no plan is needed.
    if (verb === 'remove') return await this.#ports.remove({ plan, facts }, call, half);
    return plan.port ? await this.#performPort(plan.port, { verb, plan, facts, call, half }) : ok;
  }

  async #performPort(port: PortPlan, { verb, plan, facts, call, half }: PortStep): Promise<Outcome> {
    switch (verb) {
      case 'ensure':
        return await this.#ports.ensure(plan, port, call, half);
      case 'restore':
        return await this.#ports.restore(plan, port, call, half);
      case 'withdraw':
        return this.#ports.withdraw(facts);
      case 'find':
        return this.#ports.find({ plan, facts }, port, call);
    }
  }

  async released(_plan: Plan, port: Facts['port'], _end?: Moment): Promise<Outcome> {
    const goneAt = isGonePort(port) ? port.goneAt : 0;
    const { curCfg, nextCfg } = this.#world;
    // A database that has not come that far is another one.
    const isHeld = curCfg < goneAt && goneAt <= nextCfg;
    return isHeld ? failed(code.tryAgainLater, 'ovs-vswitchd has not let go of the port yet') : ok;
  }

  async recall(known: Plan, call: Call): Promise<RecalledPort> {
    return this.#ports.recall(known, call);
  }

  isPredecessors({ stateFile }: PredecessorPlan): boolean {
    return this.#world.files.has(stateFile);
  }

  async isPortLost(recorded: Recorded, call: Call): Promise<boolean> {
    return this.#ports.isLost(recorded, call);
  }

  async restoreTrouble({ plan, facts }: Recorded, call: Call): Promise<Trouble | undefined> {
    const { port, bridge } = plan;
    if (!port) return undefined;
    const later = (message: string): Trouble => ({ code: code.tryAgainLater, message });
    const isOurs = facts.bridge?.ours ?? facts.bridge?.created;
    if (!this.#world.bridges.has(port.bridge) && !(bridge && isOurs)) return later(`bridge "${port.bridge}" is gone`);
    const trouble = this.#bridgeTroubles(port.bridge)[0] ?? this.#ports.troubles(plan, port, call)[0];
    return trouble ?? (this.#world.daemon === 'away' ? later(daemonIsBehind) : undefined);
  }

  async listPorts(_database?: Database, _end?: Moment): Promise<KnownPort[]> {
    return [...this.#world.ports].flatMap(([name, { marks }]) => {
      const { key = '', instance = '', netns: path, begun } = marks;
      const netns = path && { path, file: marks['netns-file'], directory: marks['netns-directory'] };
      return marks.owner === owner ? [{ name, key, instance, ...(netns && { netns }), ...(begun && { begun }) }] : [];
    });
  }

  async portsThere(_database: Database, ports: readonly LivePort[], _end?: Moment): Promise<readonly boolean[]> {
    return ports.map((port) => this.#ports.isThere(port));
  }

  async ownRows(_database?: Database, _end?: Moment): Promise<EngineRows> {
    const ports = [...this.#world.ports].filter(([, { marks }]) => marks.owner === owner);
    const bridges = [...this.#world.bridges].filter(
      ([, bridge]) => bridge.instance !== undefined || ports.some(([name]) => bridge.ports.includes(name)),
    );
    return {
      Open_vSwitch: [{ next_cfg: this.#world.nextCfg, cur_cfg: this.#world.curCfg }],
      Bridge: bridges.map(([name]) => ({ name })),
      Port: ports.map(([name, { marks }]) => ({ name, external_ids: marks })),
      Interface: ports.map(([name]) => ({ name })),
    };
  }

  async removeIdleBridges({ ids, used, dryRun }: IdleBridges, call: Call): Promise<string[]> {
    const { bridges } = this.#world;
    const isOfOurs = (bridge: FakeBridge) =>
      bridge.instance !== undefined && (ids.has(bridge.instance) || isOwnBridge(bridge, undefined, call));
    const idle = [...bridges].filter(
      ([name, bridge]) => isOfOurs(bridge) && !used.has(name) && bridge.ports.length === 0,
    );
    for (const [name] of dryRun ? [] : idle) bridges.delete(name);
    return idle.map(([name]) => name);
  }

  otherHolder({ key }: Plan, _call?: Call): FindHolder {
    return async (name) => {
      const marks = this.#world.ports.get(name)?.marks;
      if (!marks) return undefined;
      if (marks.owner !== owner) return `port "${name}", which is not ours`;
      return marks.key === keyText(key) ? undefined : `attachment "${marks.key}"`;
    };
  }

  async isLaterSandbox({ key }: Plan, { containerId, moment }: OtherSandbox, _call?: Call): Promise<boolean> {
    const other = keyText({ ...key, containerId });
    const found = [...this.#world.ports.values()].find(({ marks }) => marks.owner === owner && marks.key === other);
    const { begun = '', netns = '' } = found?.marks ?? {};
    const [boot] = moment.split(' ');
    return begun.startsWith(`${boot} `) && begun > moment && this.#world.netns.has(netns);
  }

  databaseAt(ovsdb: string): string | undefined {
    return this.#databases.get(ovsdb);
  }

  close(): void {
    // It has no connection.
  }

  #performBridge({ name }: BridgePlan, { verb, facts, call }: Pick<EngineRequest, 'verb' | 'facts'> & { call: Call }) {
    const { bridges } = this.#world;
    switch (verb) {
      case 'ensure':
      case 'restore':
        return this.#ensureBridge(name, call);
      case 'remove':
      case 'withdraw': {
        const found = bridges.get(name);
        if (found && isOwnBridge(found, facts.bridge, call) && found.ports.length === 0) bridges.delete(name);
        return ok;
      }
      case 'find':
        if (this.#bridgeTroubles(name).length > 0) return drift('it is no "netdev"');
        return bridges.has(name) ? ok : drift('the bridge is gone');
    }
  }

  #ensureBridge(name: string, call: Call): Outcome {
    const { bridges } = this.#world;
    const there = bridges.get(name);
    if (there) {
      const uuid = isOwnBridge(there, undefined, call) ? there.uuid : undefined;
      return { kind: 'ok', facts: { created: false, ours: there.instance !== undefined, ...(uuid && { uuid }) } };
    }
    const uuid = this.#world.newBridgeUuid();
    const { instance, dataDir } = call;
    bridges.set(name, { instance, uuid, ports: [], ...(dataDir && { dataDir }) });
    return { kind: 'ok', facts: { created: true, ours: true, uuid } };
  }

  /** Of a bridge that is there. */
  #bridgeTroubles(name: string): Trouble[] {
    const isUsable = this.#world.bridges.get(name)?.datapath !== 'system';
    return isUsable ? [] : [invalid(`bridge "${name}" has datapath_type "system"`)];
  }

  #stateTroubles(plan: Plan, call: Call): Trouble[] {
    const { port, bridge, socketDir, ovsdb } = plan;
    const { bridges, files, ports, database } = this.#world;
    const name = bridge?.name ?? port?.bridge ?? '';
    this.#databases.set(ovsdb, database);
    const isMadeAnew = socketDir && port?.mode === 'server' && files.has(`${switchDir}/${port.name}`);
    const isOurs = [...ports.values()].some(({ marks }) => marks.key === keyText(plan.key) && isOwn(marks, call));
    return [
      ...(bridge || bridges.has(name) ? [] : [invalid(`bridge "${name}" is not there`)]),
      ...this.#bridgeTroubles(name),
      ...(port ? this.#ports.troubles(plan, port, call) : []),
      ...(isMadeAnew && !isOurs ? [invalid(`"${switchDir}/${port.name}" exists already`)] : []),
    ];
  }

  /** The directories that ovs-vswitchd has to search and may not; no socket of another user's making is asked for in server mode. */
  #closed({ socketDir, port }: Plan): string[] {
    const { switchUser, entries } = this.#world;
    if (switchUser === undefined || port?.mode !== 'client' || !socketDir) return [];
    const { base, own, kubelet } = socketDir;
    const way = kubelet ? ['/var/lib/kubelet', '/var/lib/kubelet/pods', base] : own ? [own] : [];
    return way.filter((path) => !entries.has(path));
  }
}

/** By its marks, or where another tool has cleared them by the row that the journal has. */
function isOwnBridge({ instance, dataDir, uuid }: FakeBridge, known: Facts['bridge'], call: Call): boolean {
  if (instance === undefined) return known?.uuid !== undefined && known.uuid === uuid;
  return isOwn({ instance, ...(dataDir && { 'data-dir': dataDir }) }, call);
}
