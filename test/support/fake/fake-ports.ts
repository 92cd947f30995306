/**
 * The port of an attachment on a FakeWorld: the part of FakeEngine (fake-engine.ts) that makes, seeks and removes it. It has no database,
 * and no row beside the port's.
 */
import { basename, dirname } from 'node:path';
import { code, configDataName, holdFileName, keyText, owner, shortId, type Trouble } from '../../../src/attachment.ts';
import type { LivePort, RecalledPort, Recorded } from '../../../src/effects/engine.ts';
import {
  type Call,
  type Facts,
  isAnnotation,
  isGonePort,
  isMadePort,
  type Outcome,
  type Plan,
  type PortPlan,
} from '../../../src/machines/protocol.ts';
import { type FakeFile, type FakePort, type FakeWorld, switchDir } from './fake-world.ts';

/** Called at the point between two changes of the real effect, with the facts of the changes so far. */
export type Half = (made?: Facts[keyof Facts]) => Promise<void>;

export type Refusal = Extract<Outcome, { kind: 'failed' }>;

export const ok: Outcome = { kind: 'ok' };
export const failed = (number: number, message: string): Refusal => ({
  kind: 'failed',
  trouble: { code: number, message },
});
export const drift = (message: string): Outcome => failed(code.drift, message);

type Marks = FakePort['marks'];
type Row = readonly [name: string, port: FakePort];

interface Sighting {
  readonly own: readonly Row[];
  /** Marks of ports of this key that were made through another data directory. */
  readonly elsewhere: readonly Marks[];
  /** A port without marks that may be ours or not. */
  readonly unsettled: Trouble | undefined;
}

const socketOf = ({ directory, file }: PortPlan): string => `${directory}/${file}`;
const switchPathOf = ({ link, directory, file }: PortPlan): string => `${link ?? directory}/${file}`;

/** The words for a daemon that applies nothing. */
export const daemonIsBehind = 'ovs-vswitchd is behind, or not running';

const later = (message: string): Trouble => ({ code: code.tryAgainLater, message });
const invalid = (message: string): Trouble => ({ code: code.invalidConfig, message });

/** By the id of its data directory, or by that directory's path where the id was lost with it. */
export const isOwn = (marks: Marks, { instance, dataDir }: Pick<Call, 'instance' | 'dataDir'>): boolean =>
  marks.instance === instance || (dataDir !== undefined && marks['data-dir'] === dataDir);

const isOfKey = (marks: Marks, { key }: Plan): boolean => marks.owner === owner && marks.key === keyText(key);

export class FakePorts {
  readonly #world: FakeWorld;

  constructor(world: FakeWorld) {
    this.#world = world;
  }

  /** Finds the port by its marks, by the journal's row, or, if the marks were cleared, by its name and socket. */
  #seek({ plan, facts }: Recorded, call: LivePort['call'] & Pick<Call, 'isAnothersSocket'>): Sighting {
    const { port } = plan;
    const all = [...this.#world.ports];
    const keyed = all.filter(([, { marks }]) => isOfKey(marks, plan));
    const id = isMadePort(facts.port) ? facts.port.uuid : undefined;
    const recorded = all.find(([, { uuid }]) => uuid === id);
    // Of a recorded row the key can only be one that was lost or spoilt.
    const isFree = ({ marks }: FakePort) => marks.owner === undefined || marks.owner === owner;
    const bare = all.find(([name, { marks }]) => !recorded && name === port?.name && marks.owner === undefined);
    const settled = port && bare ? this.#settle(port, bare[1], id, call) : 'anothers';
    const own = new Map([
      ...keyed.filter(([, { marks }]) => isOwn(marks, call)),
      ...(recorded && isFree(recorded[1]) ? [recorded] : []),
      ...(bare && settled === 'own' ? [bare] : []),
    ]);
    return {
      own: [...own],
      elsewhere: keyed.map(([, { marks }]) => marks).filter((marks) => !isOwn(marks, call)),
      unsettled:
        settled === 'unsettled' && own.size === 0 ? later(`whose "${port?.name}" is cannot be told`) : undefined,
    };
  }

  #settle(port: PortPlan, { path, mode }: FakePort, id: string | undefined, call: Pick<Call, 'isAnothersSocket'>) {
    if (port.mode === 'client')
      return path === switchPathOf(port) && !call.isAnothersSocket?.(socketOf(port)) ? 'own' : 'anothers';
    return mode === 'server' && id === undefined ? 'unsettled' : 'anothers';
  }

  /** The troubles if another attachment holds the name or the socket, or another data directory made the port. */
  troubles(plan: Plan, port: PortPlan, call: Call): Trouble[] {
    const socket = socketOf(port);
    const all = [...this.#world.ports];
    const foreign = all.find(([, { marks }]) => isOfKey(marks, plan) && !isOwn(marks, call));
    if (foreign) return [madeElsewhere(foreign[1].marks)];
    const holders = all.filter(
      ([name, { marks }]) => name === port.name || (marks.owner === owner && marks.socket === socket),
    );
    const taken = holders.find(([, { marks }]) => !isOfKey(marks, plan));
    const holder = taken?.[1].marks.owner === owner ? `"${taken[1].marks.key}"` : 'a port that is not ours';
    if (taken) return [invalid(`"${port.name}" is held by ${holder}`)];
    const isStranger = holders.length === 0 && all.some(([, { path }]) => path === switchPathOf(port));
    return isStranger ? [invalid(`"${socket}" is held by a port that is not ours`)] : [];
  }

  isThere(port: LivePort): boolean {
    return this.#seek(port, port.call).own.length > 0;
  }

  isLost({ plan, facts }: Recorded, call: Call): boolean {
    const { port } = plan;
    if (!port) return false;
    const { own } = this.#seek({ plan, facts }, call);
    if (own.length === 0) return true;
    return port.mode === 'server' && this.#socketDrift(port) !== undefined;
  }

  #socketDrift(port: PortPlan): string | undefined {
    const { files } = this.#world;
    if (files.get(`${switchDir}/${port.name}`)?.kind === 'socket') return 'the socket was made again';
    return files.get(socketOf(port))?.kind === 'socket' ? undefined : 'the socket is gone';
  }

  /** The marks of our port. */
  recall(known: Plan, call: Call): RecalledPort {
    const { own, elsewhere } = this.#seek({ plan: known, facts: {} }, call);
    const [found] = own;
    const [foreign] = elsewhere;
    if (!found) return foreign ? { kind: 'elsewhere', trouble: madeElsewhere(foreign) } : { kind: 'none' };
    const { marks } = found[1];
    return { kind: 'own', instance: marks.instance ?? call.instance, plan: planOfMarks(known, marks) };
  }

  async ensure(plan: Plan, port: PortPlan, call: Call, half: Half): Promise<Outcome> {
    const { ports, bridges, files } = this.#world;
    const socket = socketOf(port);
    const path = port.mode === 'client' ? { path: switchPathOf(port) } : {};
    const isTaken = ([name, other]: Row) =>
      name === port.name || other.path === switchPathOf(port) || other.marks.socket === socket;
    // The transaction as a whole is refused.
    if ([...ports].some(isTaken))
      return { ...failed(code.invalidConfig, `"${port.name}" belongs to another port`), made: 'nothing' };
    const bridge = bridges.get(port.bridge);
    if (!bridge) return { kind: 'displaced', trouble: later(`bridge "${port.bridge}" went away`) };
    const uuid = this.#world.newUuid();
    const by = keyText(plan.key);
    const { name, mode, directory, vlan } = port;
    const { database } = this.#world;
    const made = { uuid, ofport: -1, database };
    ports.set(name, { uuid, by, mode, tag: vlan.tag, marks: marksOf(plan, port, call), ...path });
    bridges.set(port.bridge, { ...bridge, ports: [...bridge.ports, name] });
    if (this.#world.daemon === 'away')
      return { ...failed(code.tryAgainLater, 'ovs-vswitchd did not take the port in time'), facts: made };
    if (mode === 'client') {
      await half(made);
      return { kind: 'ok', facts: { ...made, ofport: 1 } };
    }
    const file: FakeFile = { kind: 'socket', by, text: uuid };
    files.set(`${switchDir}/${name}`, file);
    await half(made);
    if (!files.has(directory)) return { ...failed(code.io, `ENOENT: "${directory}"`), facts: made };
    files.delete(`${switchDir}/${name}`);
    files.set(socket, file);
    return { kind: 'ok', facts: { ...made, ofport: 1, switchSocket: `${switchDir}/${name}` } };
  }

  async restore(plan: Plan, port: PortPlan, call: Call, half: Half): Promise<Outcome> {
    const { files, ports } = this.#world;
    const isThere = [...ports.values()].some(({ marks }) => isOfKey(marks, plan) && marks.instance === call.instance);
    if (!isThere) return await this.ensure(plan, port, call, half);
    if (port.mode === 'client') return ok;
    const made = files.get(`${switchDir}/${port.name}`);
    if (!made) return failed(code.io, 'ENOENT: the switch made no socket');
    await half();
    files.delete(`${switchDir}/${port.name}`);
    files.set(socketOf(port), made);
    return ok;
  }

  /** Removes only the row that a failed put-back made. */
  withdraw({ port }: Facts): Outcome {
    for (const [name, { uuid }] of this.#world.ports) if (isMadePort(port) && uuid === port.uuid) this.#drop(name);
    return ok;
  }

  /** @returns the next_cfg that ovs-vswitchd has to reach before the port's address may be given to another port */
  #drop(name: string): number {
    const { ports, files, daemon } = this.#world;
    const made = `${switchDir}/${name}`;
    // The datapath unlinks a socket only at the path where it made it.
    if (daemon === 'running' && files.get(made)?.text === ports.get(name)?.uuid) files.delete(made);
    ports.delete(name);
    for (const [bridge, found] of this.#world.bridges) {
      if (!found.ports.includes(name)) continue;
      this.#world.bridges.set(bridge, { ...found, ports: found.ports.filter((other) => other !== name) });
    }
    return this.#world.raiseCfg();
  }

  /** Removes sockets before rows. A socket that another row or a living attachment's journal names is no longer ours. */
  async remove(sought: Recorded, call: Call, half: Half): Promise<Outcome> {
    const { plan, facts } = sought;
    if (isGonePort(facts.port)) return this.#removeAgain(plan, facts.port, call);
    const { own, unsettled } = this.#seek(sought, call);
    if (unsettled) return { kind: 'failed', trouble: unsettled };
    for (const socket of this.#socketsToRemove(plan, own, call)) this.#unlinkSocket(socket);
    await half();
    let goneAt = plan.port && own.length === 0 ? this.#world.nextCfg : undefined;
    for (const [name, { marks }] of own) {
      if ((marks.mode ?? plan.port?.mode) === 'server') this.#unlinkSocket(`${switchDir}/${name}`);
      goneAt = this.#drop(name);
    }
    return { kind: 'ok', ...(goneAt !== undefined && { facts: { goneAt } }) };
  }

  /** Removes the rows with our marks that a restored database brought back, and no socket. */
  #removeAgain({ port: _, ...plan }: Plan, gone: { readonly goneAt: number }, call: Call): Outcome {
    let { goneAt } = gone;
    for (const [name] of this.#seek({ plan, facts: {} }, call).own) goneAt = this.#drop(name);
    return { kind: 'ok', facts: { goneAt } };
  }

  #socketsToRemove({ port }: Plan, own: readonly Row[], call: Call): string[] {
    if (port?.socketStays) return [];
    const names = new Set(own.map(([name]) => name));
    const others = [...this.#world.ports].filter(([name]) => !names.has(name)).map(([, other]) => other);
    const aliases = new Map<string, string[]>();
    for (const [, { marks, path }] of own) if (marks.socket) aliases.set(marks.socket, path ? [path] : []);
    if (port) aliases.set(socketOf(port), [switchPathOf(port)]);
    const isNamed = (socket: string, paths: readonly string[]) =>
      others.some(({ marks, path }) => marks.socket === socket || (path && [socket, ...paths].includes(path)));
    return [...aliases]
      .filter(([socket, paths]) => !isNamed(socket, paths) && !call.isAnothersSocket?.(socket))
      .map(([socket]) => socket);
  }

  find(sought: Recorded, port: PortPlan, call: Call): Outcome {
    const [own] = this.#seek(sought, call).own;
    if (!own) return drift(`port "${port.name}" is gone`);
    if (own[1].marks.owner === undefined) return drift('its marks are gone');
    if (own[1].tag !== port.vlan.tag) return drift(`tag is ${own[1].tag} instead of ${port.vlan.tag}`);
    if (!this.#world.bridges.get(port.bridge)?.ports.includes(own[0])) return drift(`it is not on "${port.bridge}"`);
    if (port.mode === 'client' && own[1].path !== switchPathOf(port)) return drift(`it leads to "${own[1].path}"`);
    const drifted = port.mode === 'server' && this.#socketDrift(port);
    if (drifted) return drift(drifted);
    return this.#world.daemon === 'away' ? { kind: 'failed', trouble: later(daemonIsBehind), unjudged: true } : ok;
  }

  /** Removes a socket of ours; a file of another kind at its name is not ours. */
  #unlinkSocket(path: string): void {
    if (this.#world.files.get(path)?.kind === 'socket') this.#world.files.delete(path);
  }
}

const madeElsewhere = (marks: Marks): Trouble =>
  invalid(`it was made through "${marks['data-dir']}", ${marks.instance}`);

const marksOf = (plan: Plan, port: PortPlan, call: Call): Marks => ({
  ...port.marks,
  owner,
  instance: call.instance,
  key: keyText(plan.key),
  bridge: port.bridge,
  mode: port.mode,
  directory: port.directory,
  socket: socketOf(port),
  ...(port.link && { link: port.link }),
  ...(call.dataDir && { 'data-dir': call.dataDir }),
  ...(call.begun && { begun: call.begun }),
  ...(call.netns && { 'netns-file': call.netns.file, 'netns-directory': call.netns.directory }),
});

function planOfMarks({ key, socketDir, publication }: Plan, marks: Marks): Partial<Plan> {
  const { directory, bridge, link = socketDir?.link, kubeconfig } = marks;
  const [namespace, name] = marks.pod?.split('/') ?? [];
  const uid = marks['pod-uid'];
  const rest = { hold: holdFileName(key), ...(link && { link }) };
  const pod = kubeconfig && namespace && name ? { namespace, name, ...(uid && { uid }) } : undefined;
  if (!directory) return bridge ? { bridge: { name: bridge } } : {};
  const isShared = basename(directory) !== shortId(key);
  const annotation = pod ? { kubeconfig: kubeconfig ?? '', pod, mappedDir: '', data: {} } : publication;
  return {
    ...(bridge && { bridge: { name: bridge } }),
    socketDir: isShared ? { base: directory, ...rest } : { base: dirname(directory), own: directory, ...rest },
    publication: isAnnotation(annotation) ? annotation : { directory, file: configDataName(key), data: {} },
  };
}
