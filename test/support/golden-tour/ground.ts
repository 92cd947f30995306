/**
 * The ground of a chapter of the tour: directories of its own, names that are the same in every run, and the record of every call
 * with all its changes.
 */

import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { writeProgram } from '../programs.ts';
import { whileAway } from '../real/away.ts';
import type { Ended } from '../real/cni.ts';
import { createNetns, removeNetns } from '../real/netns.ts';
import { type Changes, merge } from '../real/node.ts';
import type { Switch } from '../real/switch.ts';
import { tree } from '../real/world.ts';
import { cniPath } from '../requirements.ts';
import { Normaliser } from './normal.ts';
import { changesBetween, linesOf, type Place, type Snapshot, takeSnapshot } from './snapshot.ts';

/** Above the plugin's own deadlines. */
const hangMs = 60_000;

/** One call, or one action behind the plugin's back, in the form that is compared. */
export interface CallRecord {
  readonly title: string;
  readonly text: string;
}

/** How much was compared: after every call, all files and rows. */
export interface Counts {
  calls: number;
  files: number;
  rows: number;
  bytes: number;
}

export interface Chapter {
  readonly calls: readonly CallRecord[];
  readonly counts: Counts;
}

/** A container with a network namespace; its name is the beginning of its id. */
export interface Sandbox {
  readonly name: string;
  readonly id: string;
  readonly netns: string;
}

export interface Call {
  readonly ifName?: string;
  /** To the ground's configuration; objects are merged, undefined takes a key away. */
  readonly changes?: Changes;
  /** Instead of the ground's configuration: an object is sent as JSON, a string as it is. */
  readonly config?: unknown;
  /** CNI_ARGS. */
  readonly args?: string;
  /** undefined takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** The special part of the call, for the title. */
  readonly note?: string;
  readonly under?: readonly string[];
}

export interface Answer {
  readonly exitCode: number | undefined;
  readonly stdout: string;
  // biome-ignore lint/suspicious/noExplicitAny: ADD's answer is handed to CHECK unchanged.
  readonly json: any;
}

/** The chapters by name, in the order in which they are played. */
export type Chapters = { readonly [name: string]: (ground: Ground) => Promise<void> };

export const bridge = 'br-tour';

export class Ground {
  readonly dataDir: string;
  readonly sharedDir: string;
  readonly ipamDir: string;
  /** The only directory of CNI_PATH, so that no other program's version shows in an answer. */
  readonly binDir: string;
  readonly normaliser = new Normaliser();
  readonly counts: Counts = { calls: 0, files: 0, rows: 0, bytes: 0 };
  readonly calls: CallRecord[] = [];
  readonly #places: readonly Place[];
  readonly #sandboxes = new Map<string, Sandbox>();
  #before: Snapshot = new Map();
  #isSilent = false;

  private constructor(
    readonly executable: string,
    readonly theSwitch: Switch,
    readonly directory: string,
    /** The directory of the agent that every call asks; `off`: none. */
    readonly agent: string,
  ) {
    this.dataDir = join(directory, 'data');
    this.sharedDir = join(directory, 'pods');
    this.ipamDir = join(directory, 'addresses');
    this.binDir = join(directory, 'bin');
    this.#places = [
      ...['data', 'pods', 'addresses', 'log', 'more'].map((name) => ({ name, path: join(directory, name) })),
      { name: 'run', path: theSwitch.rundir },
    ];
  }

  static async open(executable: string, theSwitch: Switch, agent: string): Promise<Ground> {
    const ground = new Ground(executable, theSwitch, await mkdtemp(join(tmpdir(), 'usw-t-')), agent);
    const { normaliser, directory } = ground;
    normaliser.know(directory, '<dir>');
    normaliser.know(theSwitch.directory, '<ovs>');
    normaliser.know(executable, '<executable>');
    normaliser.know((await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim(), '<boot>');
    for (const name of ['bin', 'log', 'more', 'netns']) await mkdir(join(directory, name));
    await ground.#knowInode(join(directory, 'netns'), 'netns directory');
    ground.program('host-local', `exec ${cniPath}/host-local`);
    ground.#before = await ground.#snapshot();
    return ground;
  }

  /** Removes everything, whatever state the chapter left it in. */
  async close(): Promise<Chapter> {
    const { directory, theSwitch, calls, counts } = this;
    const names = (await tree(join(directory, 'netns'))).filter((name) => !name.endsWith('/'));
    for (const name of names) await removeNetns(join(directory, 'netns', name));
    for (const { name } of (await theSwitch.tables()).Bridge) await theSwitch.removeBridge(String(name));
    await rm(directory, { recursive: true, force: true });
    return { calls, counts };
  }

  async #knowInode(path: string, kind: string): Promise<void> {
    const { dev, ino } = await stat(path, { bigint: true });
    this.normaliser.knowNext(`${dev}:${ino}`, kind);
  }

  // ---- the things of a chapter

  /**
   * The pod of a name, always the same one: inodes of namespaces are used again, so a new one could have the number of a removed
   * one.
   * @param id by default 64 characters that begin with the name
   */
  async sandbox(name: string, id = name.padEnd(64, '0')): Promise<Sandbox> {
    const known = this.#sandboxes.get(name);
    if (known) return known;
    const netns = await createNetns(join(this.directory, 'netns'), name);
    await this.#knowInode(netns, 'netns');
    const made = { name, id, netns };
    this.#sandboxes.set(name, made);
    return made;
  }

  /** Removes a pod's namespace. */
  async leave({ name, netns }: Sandbox): Promise<void> {
    await this.act(`the namespace of ${name} goes`, () => removeNetns(netns));
  }

  /** Writes a shell script. */
  program(name: string, body: string): void {
    writeProgram(join(this.binDir, name), body);
  }

  /** Writes a file of the chapter's own, and makes its directory. */
  async write(path: string, text: string): Promise<void> {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  }

  config(changes: Changes = {}): unknown {
    const base = {
      cniVersion: '1.0.0',
      name: 'net-a',
      type: 'userspace',
      sharedDir: this.sharedDir,
      dataDir: this.dataDir,
      ovsdb: this.theSwitch.ovsdb,
      shortDir: join(this.directory, 'more', 'short'),
      predecessorDir: join(this.directory, 'more', 'usrspcni'),
      logFile: join(this.directory, 'log', 'log'),
      logLevel: 'debug',
      host: {
        engine: 'ovs-dpdk',
        iftype: 'vhostuser',
        netType: 'bridge',
        vhost: { mode: 'client' },
        bridge: { bridgeName: bridge },
      },
      ipam: { type: 'host-local', ranges: [[{ subnet: '10.56.0.0/24' }]], dataDir: this.ipamDir },
    };
    return merge(base, changes);
  }

  journal(sandbox: Sandbox, ifName = 'net1', network = 'net-a'): string {
    return join(this.dataDir, `${network}:${sandbox.id}:${ifName}.journal`);
  }

  portName = ({ id }: Sandbox, ifName = 'net1'): string => `${id.slice(0, 12)}-${ifName}`;

  // ---- recorded actions

  environment(verb: string, sandbox: Sandbox | undefined, { ifName, args, env }: Call) {
    const entries = {
      PATH: process.env.PATH,
      CNI_COMMAND: verb,
      CNI_CONTAINERID: sandbox?.id,
      CNI_NETNS: sandbox?.netns,
      CNI_IFNAME: sandbox && (ifName ?? 'net1'),
      CNI_ARGS: args,
      CNI_PATH: this.binDir,
      USERSPACE_CNI_AGENT: this.agent,
      ...env,
    };
    return Object.fromEntries(
      Object.entries(entries).filter((entry): entry is [string, string] => entry[1] !== undefined),
    );
  }

  /** Calls the plugin as a runtime does. */
  async cni(verb: string, sandbox: Sandbox | undefined, call: Call = {}): Promise<Answer> {
    const child = this.start(verb, sandbox, call);
    const title = [verb, sandbox?.name, sandbox && (call.ifName ?? 'net1')].filter(Boolean).join(' ');
    return await this.#recordEnd(call.note ? `${title}: ${call.note}` : title, await child);
  }

  /** Starts a call that is not awaited at once; `ended` records it. */
  start(verb: string, sandbox: Sandbox | undefined, call: Call = {}) {
    const config = 'config' in call ? call.config : this.config(call.changes);
    const input = typeof config === 'string' ? config : JSON.stringify(config);
    return this.#run([...(call.under ?? []), this.executable], this.environment(verb, sandbox, call), input);
  }

  async ended(title: string, child: ReturnType<Ground['start']>): Promise<Answer> {
    return await this.#recordEnd(title, await child);
  }

  /** Calls the command as a person does. Only `here` names the tour's own places: the defaults are the machine's. */
  async people(args: readonly string[], env: Readonly<Record<string, string>> = {}, note = ''): Promise<Answer> {
    const all = { PATH: process.env.PATH ?? '', ...env };
    const title = ['userspace', ...args, ...(note && [`(${note})`])].join(' ');
    return await this.#recordEnd(title, await this.#run([this.executable, ...args], all, ''));
  }

  here(command: string, ...more: readonly string[]): Promise<Answer> {
    if (command === 'status' && !more.includes('--config'))
      throw new Error('the networks of the machine are not looked at');
    const ovsdb = ['recover', 'status'].includes(command) ? ['--ovsdb', this.theSwitch.ovsdb] : [];
    return this.people([command, ...more, '--data-dir', this.dataDir, ...ovsdb], { CNI_PATH: this.binDir });
  }

  /** Does something behind the plugin's back, and records its changes. */
  async act(title: string, action: () => unknown): Promise<void> {
    await action();
    await this.#record(`* ${title}`, []);
  }

  async vsctl(...args: readonly string[]): Promise<void> {
    await this.act(`ovs-vsctl ${args.join(' ')}`, () => this.theSwitch.vsctl(...args));
  }

  /** Takes the database's socket away. Its rows are looked at when it is back. */
  async whileAway(action: () => Promise<unknown>): Promise<void> {
    await this.act('the switch goes away', () => undefined);
    this.#isSilent = true;
    await whileAway(this.theSwitch, action);
    this.#isSilent = false;
    await this.act('the switch is back', () => undefined);
  }

  /** Lets the database accept connections without answering. */
  async whileSilent(action: () => Promise<unknown>): Promise<void> {
    this.#isSilent = true;
    await this.act('the database stands still', () => this.theSwitch.pauseDatabase());
    await action().finally(() => this.theSwitch.resumeDatabase());
    this.#isSilent = false;
    await this.act('the database goes on', () => undefined);
  }

  /** Lets the database answer, while ovs-vswitchd applies nothing. */
  async whilePaused(action: () => Promise<unknown>): Promise<void> {
    await this.act('ovs-vswitchd stands still', () => this.theSwitch.pauseVswitchd());
    await action().finally(() => this.theSwitch.resumeVswitchd());
    await this.vsctl('set', 'Open_vSwitch', '.', 'external_ids:settled=yes');
  }

  #run(command: readonly string[], env: Readonly<Record<string, string>>, input: string) {
    const [program = '', ...args] = command;
    const options = { env, extendEnv: false, input, reject: false, stripFinalNewline: false } as const;
    return execa(program, args, { ...options, timeout: hangMs, cwd: '/' });
  }

  async #recordEnd(title: string, ended: Ended): Promise<Answer> {
    this.counts.calls++;
    const { exitCode, signal, stdout, stderr, timedOut } = ended;
    const end = timedOut ? 'it hung' : signal ? `killed by ${signal}` : `exit ${exitCode}`;
    const told = (stream: string, text: string) =>
      linesOf(this.normaliser.text(text)).map((line) => `${stream} ${line}`);
    await this.#record(title, [end, ...told('out|', stdout), ...told('err|', stderr)]);
    return { exitCode, stdout, json: jsonOf(stdout) };
  }

  async #record(title: string, told: readonly string[]): Promise<void> {
    // Before the streams are recorded, so that an instance made by this call has its number already.
    const after = await this.#snapshot();
    const lines = [...told.map((line) => this.normaliser.text(line)), ...changesBetween(this.#before, after)];
    this.#before = after;
    for (const [name, { kind, about, lines: inside }] of after) {
      this.counts[kind === 'file' ? 'files' : 'rows']++;
      this.counts.bytes += [name, about, ...inside].reduce((sum, line) => sum + line.length + 1, 0);
    }
    this.counts.bytes += told.reduce((sum, line) => sum + line.length + 1, 0);
    this.calls.push({ title: this.normaliser.text(title), text: lines.map((line) => `${line}\n`).join('') });
  }

  async #snapshot(): Promise<Snapshot> {
    const tables = this.#isSilent ? this.#before : await this.theSwitch.tables();
    return await takeSnapshot(this.#places, tables, this.normaliser);
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
