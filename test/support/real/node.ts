/**
 * One node of a test: its own directories, bridge name and address store on a switch that others may share, and the pods on it.
 */

import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeProgram } from '../programs.ts';
import { cniPath } from '../requirements.ts';
import { type Answer, type Call, type CallOptions, cni, type Json, run } from './cni.ts';
import { createNetns, removeNetns } from './netns.ts';
import type { Switch } from './switch.ts';
import { emptyWorld, look, type Places, type Port, readSwitch, tree, type View, type World } from './world.ts';

export type Mode = 'client' | 'server';

/** A test's changes of the configuration; objects are merged, undefined takes a key away. */
export type Changes = { readonly [key: string]: unknown };

export const newId = (): string => randomBytes(32).toString('hex');

export class TestNode<S extends View = Switch> implements Places {
  readonly sharedDir: string;
  readonly dataDir: string;
  readonly ipamDir: string;
  /** Programs of the test's own, found before Debian's. */
  readonly binDir: string;
  readonly bridge = `b${randomBytes(4).toString('hex')}`;
  #baseline: World = emptyWorld;
  #netnsCount = 0;

  private constructor(
    readonly theSwitch: S,
    readonly directory: string,
    readonly mode: Mode,
    elsewhere: Partial<Places>,
  ) {
    this.sharedDir = elsewhere.sharedDir ?? join(directory, 'pods');
    this.dataDir = elsewhere.dataDir ?? join(directory, 'data');
    this.ipamDir = elsewhere.ipamDir ?? join(directory, 'addresses');
    this.binDir = join(directory, 'bin');
  }

  /**
   * Beside the switch's directory: server-mode sockets are renamed, which needs one file system.
   * @param elsewhere directories on a disk of the test's own, or in the node's
   */
  static async create<S extends View>(
    theSwitch: S,
    mode: Mode = 'client',
    elsewhere: Partial<Places> | ((directory: string) => Partial<Places>) = {},
  ): Promise<TestNode<S>> {
    const directory = await mkdtemp(join(tmpdir(), 'usw-n-'));
    const places = typeof elsewhere === 'function' ? elsewhere(directory) : elsewhere;
    const node = new TestNode(theSwitch, directory, mode, places);
    await mkdir(node.binDir);
    await node.takeBaseline();
    return node;
  }

  /** Things that are there now are not leftovers later. */
  async takeBaseline(): Promise<void> {
    this.#baseline = await look(this.theSwitch, this);
  }

  config(changes: Changes = {}): Json {
    const base = {
      cniVersion: '1.0.0',
      name: 'net-a',
      type: 'userspace',
      sharedDir: this.sharedDir,
      dataDir: this.dataDir,
      ovsdb: this.theSwitch.ovsdb,
      logFile: join(this.directory, 'log'),
      logLevel: 'debug',
      host: {
        engine: 'ovs-dpdk',
        iftype: 'vhostuser',
        netType: 'bridge',
        vhost: { mode: this.mode },
        bridge: { bridgeName: this.bridge },
      },
      container: {
        engine: 'ovs-dpdk',
        iftype: 'vhostuser',
        netType: 'interface',
        vhost: { mode: this.mode === 'client' ? 'server' : 'client' },
      },
      ipam: { type: 'host-local', ranges: [[{ subnet: '10.56.0.0/24' }]], dataDir: this.ipamDir },
    };
    return merge(base, changes);
  }

  get path(): string {
    return `${this.binDir}:${cniPath}`;
  }

  /** A sandbox with a live network namespace: one of its own, unless it is given. */
  async pod(containerId = newId(), netns?: string): Promise<Pod> {
    const own = () => createNetns(join(this.directory, 'netns'), `ns${this.#netnsCount++}`);
    return new Pod(this, containerId, netns ?? (await own()));
  }

  /** An IPAM program of the test's own; `script` is the body of a shell script. */
  program(name: string, script: string): void {
    writeProgram(join(this.binDir, name), script);
  }

  world(): Promise<World> {
    return look(this.theSwitch, this, this.#baseline);
  }

  async port(name: string): Promise<Port | undefined> {
    return (await readSwitch(this.theSwitch)).ports.find((port) => port.name === name);
  }

  recover(...more: string[]): Promise<Answer> {
    return run(['recover', '--json', '--data-dir', this.dataDir, '--ovsdb', this.theSwitch.ovsdb, ...more]);
  }

  /** The same, with other words before the executable, such as a program that changes its view of the machine. */
  recoverUnder(under: readonly string[], ...more: string[]): Promise<Answer> {
    return run(['recover', '--json', '--data-dir', this.dataDir, '--ovsdb', this.theSwitch.ovsdb, ...more], {}, under);
  }

  async list(): Promise<Json[]> {
    return (await run(['list', '--json', '--data-dir', this.dataDir])).json.attachments;
  }

  async end(): Promise<void> {
    const names = (await tree(join(this.directory, 'netns'))).filter((name) => !name.endsWith('/'));
    for (const name of names) await removeNetns(join(this.directory, 'netns', name));
    await rm(this.directory, { recursive: true, force: true });
    // Only what a failed test left, so that the next one starts clean.
    const mine = (await readSwitch(this.theSwitch)).bridges.filter((bridge) => bridge.name.startsWith(this.bridge));
    for (const bridge of mine) await this.theSwitch.removeBridge(bridge.name);
  }
}

export class Pod {
  constructor(
    readonly node: TestNode<View>,
    readonly containerId: string,
    readonly netns: string,
  ) {}

  get shortId(): string {
    return this.containerId.slice(0, 12);
  }

  portName(ifName = 'net1'): string {
    return `${this.shortId}-${ifName}`;
  }

  socket(ifName = 'net1'): string {
    return join(this.node.sharedDir, this.shortId, this.portName(ifName));
  }

  journal(ifName = 'net1', network = 'net-a'): string {
    return join(this.node.dataDir, `${network}:${this.containerId}:${ifName}.journal`);
  }

  /** The parameters of a call, for a test that starts it itself. */
  call(ifName = 'net1', changes: Changes = {}): Call {
    const { containerId, netns, node } = this;
    return { containerId, netns, ifName, config: node.config(changes), path: node.path };
  }

  add(ifName = 'net1', changes: Changes = {}, options: CallOptions = {}): Promise<Answer> {
    return cni('ADD', this.call(ifName, changes), options);
  }

  /** As a runtime does, with the result of ADD as prevResult. */
  check(prevResult: unknown, ifName = 'net1', changes: Changes = {}): Promise<Answer> {
    return cni('CHECK', this.call(ifName, { ...changes, prevResult }));
  }

  del(ifName = 'net1', changes: Changes = {}, options: CallOptions = {}): Promise<Answer> {
    return cni('DEL', this.call(ifName, changes), options);
  }

  /** The sandbox goes: the namespace is destroyed. */
  async removeNetns(): Promise<void> {
    await removeNetns(this.netns);
  }
}

export function merge(base: unknown, changes: unknown): unknown {
  if (!isPlain(base) || !isPlain(changes)) return changes;
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) delete merged[key];
    else merged[key] = key in base ? merge(base[key], value) : value;
  }
  return merged;
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
