/**
 * A node in memory: a simulated disk, a fake world, and the product's handlers called on both as a runtime calls the executable:
 * environment and standard input in, an answer out, every call a process of its own.
 */
import { toCniError } from '../../../src/cni/error.ts';
import { type Environment, parseAdd, parseCheck, parseDel } from '../../../src/cni/request.ts';
import { formatResult, type Result } from '../../../src/cni/result.ts';
import { parseGc } from '../../../src/cni/upkeep.ts';
import { now } from '../../../src/deadlines.ts';
import type { Disk } from '../../../src/journal/disk.ts';
import { asChecked } from '../../../src/plan/result.ts';
import type { Recovered } from '../../../src/recovery/options.ts';
import { recover } from '../../../src/recovery/recover.ts';
import * as addCheck from '../../../src/verbs/add-check.ts';
import * as del from '../../../src/verbs/del.ts';
import * as gc from '../../../src/verbs/gc.ts';
import { handlers } from '../../../src/verbs/handlers.ts';
import { instance } from '../instance.ts';
import { FakeHost, type HostFault, type Instant } from './fake-host.ts';
import { emptyDir, FakeWorld, infoDir, podUid, sharedDir } from './fake-world.ts';
import { shuffled } from './shuffled.ts';
import { type Fault, ProcessKilled, SimulatedDisk } from './simulated-disk.ts';

export const dataDir = '/var/lib/cni/userspace';
/** Another data directory, and its id. */
export const otherDataDir = '/var/lib/cni/elsewhere';
const otherInstance = 'eeeeeeeeeeeeeeee';
const ovsdb = 'unix:/run/openvswitch/db.sock';

/** One network interface of one pod, by its network configuration. */
export interface Attachment {
  readonly containerId: string;
  readonly ifName: string;
  readonly mode: 'client' | 'server';
  readonly ipam: boolean;
  readonly deviceInfo: boolean;
  /** The pod's name at the API server. Its sockets are in its emptyDir, and an annotation tells it about them. */
  readonly pod?: string;
  readonly vlan?: number;
  readonly socketfile?: string;
  readonly netns?: string;
}

const network = 'net-a';
export const bridge = 'br-pods';

/** The namespace of every pod that the API server knows. */
const podNamespace = 'pods';

export const podA = 'c0ffee00c0ffee00';

/** Each kind of socket: the switch's, the application's, and one in a directory of the pod with a user's name. */
const base = { containerId: podA, ifName: 'net1', ipam: true, deviceInfo: false } as const;
export const attachmentShapes: readonly Attachment[] = [
  { ...base, mode: 'server', deviceInfo: true },
  { ...base, mode: 'client' },
  { ...base, mode: 'client', pod: 'app', socketfile: 'vhost.sock' },
];

export const keyOf = ({ containerId, ifName }: Attachment): string => `${network}:${containerId}:${ifName}`;
const shortOf = ({ containerId }: Attachment): string => containerId.slice(0, 12);
export const directoryOf = (one: Attachment): string => (one.pod ? emptyDir : `${sharedDir}/${shortOf(one)}`);
export const portOf = (one: Attachment): string => one.socketfile ?? `${shortOf(one)}-${one.ifName}`;
export const socketOf = (one: Attachment): string => `${directoryOf(one)}/${portOf(one)}`;
export const infoFileOf = (one: Attachment): string => `${infoDir}/${shortOf(one)}-${one.ifName}`;
export const journalOf = (one: Attachment): string => `${dataDir}/${keyOf(one)}.journal`;
export const netnsOf = (one: Attachment): string => one.netns ?? `/run/netns/${one.containerId}`;

function configOf(one: Attachment, changes: object): object {
  return {
    cniVersion: '1.0.0',
    name: network,
    type: 'userspace',
    dataDir,
    ovsdb,
    sharedDir,
    host: {
      engine: 'ovs-dpdk',
      iftype: 'vhostuser',
      vhost: { mode: one.mode, ...(one.socketfile && { socketfile: one.socketfile }) },
      bridge: { bridgeName: bridge, ...(one.vlan && { vlanId: one.vlan }) },
    },
    container: {
      engine: 'ovs-dpdk',
      iftype: 'vhostuser',
      vhost: { mode: one.mode === 'client' ? 'server' : 'client' },
    },
    ...(one.pod && { kubeconfig: '/etc/kubeconfig' }),
    ...(one.ipam && { ipam: { type: 'host-local' } }),
    ...(one.deviceInfo && { runtimeConfig: { CNIDeviceInfoFile: infoFileOf(one) } }),
    ...changes,
  };
}

export type Verb = 'ADD' | 'CHECK' | 'DEL' | 'GC' | 'recover';

export type Answer =
  | { readonly kind: 'ok'; readonly result?: Result; readonly recovered?: readonly Recovered[] }
  | { readonly kind: 'error'; readonly code: number; readonly message: string }
  | { readonly kind: 'crashed' };

/** The conditions of one call. */
export interface Fate {
  /** Added to the network configuration. */
  readonly changes?: object;
  /** Another data directory than the node's own. */
  readonly elsewhere?: true;
  /** For GC: the runtime's attachments; by default the sibling net2. */
  readonly valid?: readonly Attachment[];
  readonly disk?: readonly Fault[];
  readonly host?: readonly HostFault[];
  /** Whether nothing waits for the answer any more, as the product asks. */
  readonly isCallerGone?: () => boolean;
  readonly watch?: (instant: Instant, world: FakeWorld) => void | Promise<void>;
  /** For recover. */
  readonly dryRun?: boolean;
  /** Stands between the product and the process's disk. */
  readonly through?: (disk: SimulatedDisk) => Disk;
}

export class FakeNode {
  disk: SimulatedDisk;
  readonly world: FakeWorld;
  /** The log, for the reader of a failure. */
  readonly log: string[] = [];
  /** The count of descriptors that calls left open: 0, unless they died. */
  leaked = 0;
  /** The node's wall clock, which may go back. */
  now = new Date('2025-01-17T12:00:00.000Z');

  constructor(disk = new SimulatedDisk(['/var/lib']), world = new FakeWorld()) {
    this.disk = disk;
    this.world = world;
  }

  add = (one: Attachment, fate: Fate = {}): Promise<Answer> => this.call('ADD', one, fate);
  del = (one: Attachment, fate: Fate = {}): Promise<Answer> => this.call('DEL', one, fate);
  recover = (fate: Fate = {}): Promise<Answer> => this.call('recover', undefined, fate);

  /** Calls CHECK with ADD's result as the runtime hands it back. */
  check(one: Attachment, added: Answer, fate: Fate = {}): Promise<Answer> {
    const result = added.kind === 'ok' ? added.result : undefined;
    const prevResult = result && formatResult(result, '1.0.0');
    return this.call('CHECK', one, { ...fate, changes: { ...fate.changes, prevResult } });
  }

  /** Makes a call as a process of its own, which leaves its traces only on the disk and in the world. */
  async call(verb: Verb, one: Attachment | undefined, fate: Fate = {}): Promise<Answer> {
    const process = this.disk.spawn();
    process.inject(...(fate.disk ?? []));
    const died = (): void => void process.processDeath();
    const host = new FakeHost(this.world, {
      faults: fate.host ?? [],
      died,
      ...(fate.watch && { watch: fate.watch }),
    }).asHost;
    const parts = {
      disk: fate.through?.(process) ?? process,
      host,
      log: {
        error: this.#say('error'),
        warning: this.#say('warning'),
        info: this.#say('info'),
        close: () => Promise.resolve(),
      },
      clock: () => this.now,
      began: now(),
      isCallerGone: fate.isCallerGone ?? (() => false),
      called: () => this.now,
      random: () => (fate.elsewhere ? otherInstance : instance),
    };
    try {
      const answer = await run(verb, one, fate, parts);
      this.leaked += process.openFiles;
      return answer;
    } catch (error) {
      if (error instanceof ProcessKilled) return { kind: 'crashed' };
      this.leaked += process.openFiles;
      const { code, message } = toCniError(error);
      return { kind: 'error', code, message };
    } finally {
      process.processDeath();
    }
  }

  /** Gives every sandbox its namespace. */
  withNetns(...all: readonly Attachment[]): this {
    for (const one of all) this.world.netns.set(netnsOf(one), `4:${4026531840 + this.world.netns.size}`);
    for (const { pod } of all) {
      if (pod)
        this.world.pods.set(`${podNamespace}/${pod}`, { uid: podUid, version: 1, annotations: { theirs: 'stays' } });
    }
    return this;
  }

  #say = (level: string) => (message: string) => void this.log.push(`${level}: ${message}`);
}

const argsOf = (pod: string): string =>
  `IgnoreUnknown=true;K8S_POD_NAMESPACE=${podNamespace};K8S_POD_NAME=${pod};K8S_POD_UID=${podUid}`;

type Parts = Parameters<typeof handlers>[0] extends (...args: never[]) => infer N ? N : never;

async function run(
  verb: Verb,
  one: Attachment | undefined,
  { changes: more = {}, dryRun = false, elsewhere, valid }: Fate,
  parts: Parts,
): Promise<Answer> {
  const directory = elsewhere ? otherDataDir : dataDir;
  const changes = { ...more, dataDir: directory };
  if (verb === 'recover') {
    const { disk, host, clock } = parts;
    const options = {
      disk,
      host,
      clock,
      dataDir: directory,
      ovsdb,
      removeMs: 30_000,
      asChecked,
      dryRun,
      progress: () => undefined,
    };
    return { kind: 'ok', recovered: await recover(options) };
  }
  if (!one) throw new Error(`${verb} of what?`);
  const given: Environment = {
    CNI_CONTAINERID: one.containerId,
    CNI_IFNAME: one.ifName,
    CNI_NETNS: netnsOf(one),
    CNI_PATH: '/opt/cni/bin',
    ...(one.pod && { CNI_ARGS: argsOf(one.pod) }),
  };
  const { env, stdin } = shuffled({ env: given, config: configOf(one, changes) });
  // Imported statically: loading code is a system call, which virtual time would overtake.
  const verbs = handlers(() => parts, { addCheck: async () => addCheck, del: async () => del, gc: async () => gc });
  if (verb === 'GC') {
    // The runtime has forgotten this attachment, and by default knows its sibling.
    const listed = (valid ?? [{ ...one, ifName: 'net2' }]).map(({ containerId, ifName }) => ({
      containerID: containerId,
      ifname: ifName,
    }));
    const ofRuntime = { 'cni.dev/valid-attachments': listed, cniVersion: '1.1.0' };
    await verbs.gc(parseGc(env, JSON.stringify(configOf(one, { ...changes, ...ofRuntime }))));
    return { kind: 'ok' };
  }
  if (verb === 'ADD') return { kind: 'ok', result: await verbs.add(parseAdd(env, stdin)) };
  if (verb === 'CHECK') await verbs.check(parseCheck(env, stdin));
  else await verbs.del(parseDel(env, stdin));
  return { kind: 'ok' };
}
