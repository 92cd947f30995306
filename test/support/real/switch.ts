/**
 * A private Open vSwitch with DPDK in a directory of its own: never the host's, and nothing of it stays.
 *
 * Owns: both daemons (as child processes that die with us), the directory, the hugepages it had to add. ovs-vswitchd lives in
 * a network namespace of its own, so that the local ports of two instances' bridges cannot collide on the host.
 */
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { ovsDpdkPath } from '../requirements.ts';
import { type Daemon, end, launch, pause } from './daemon.ts';
import { type Hugepages, reserveHugepages } from './hugepages.ts';
import type { Row, Tables, View } from './world.ts';

const schemaPath = '/usr/share/openvswitch/vswitch.ovsschema';

/** DPDK starts in a second or two; a busy machine gets more. */
const startMs = 60_000;
/** One ovs-vsctl; long enough for ovs-vswitchd to come back from its own reconnect backoff (8 s at most). */
const vsctlMs = 30_000;
const pollMs = 5;

export interface Switch extends View {
  readonly directory: string;
  readonly hugepages: Hugepages;
  vsctl(...args: string[]): Promise<string>;
  appctl(...args: string[]): Promise<string>;
  stopDatabase(): Promise<void>;
  /** Returns once ovs-vswitchd follows the database again. */
  startDatabase(): Promise<void>;
  /** SIGSTOP: the kernel accepts connections, and no process answers. */
  pauseDatabase(): void;
  resumeDatabase(): void;
  pauseVswitchd(): void;
  resumeVswitchd(): void;
  stopVswitchd(): Promise<void>;
  /** Both daemons are stopped, and started on an empty database. */
  wipeDatabase(): Promise<void>;
  /** The same, without ovs-vswitchd: as at every boot, where the database is back before it. */
  loseDatabase(): Promise<void>;
  startVswitchd(): Promise<void>;
  stop(): Promise<void>;
}

export interface SwitchOptions {
  /** Without it the switch knows no vhost-user ports: it takes their rows and reports an error. */
  readonly dpdk?: boolean;
  /** Both daemons run as this user and group, with the rights that ovs-vswitchd keeps after `--user`: as on RHEL. Absent: root. */
  readonly user?: number;
}

/** lib/daemon-unix.c: what `--user` leaves, and what DPDK locks memory with. */
const keptRights = '+net_admin,+net_broadcast,+net_raw,+ipc_lock';

export async function startSwitch(options: SwitchOptions = {}): Promise<Switch> {
  const { dpdk = true } = options;
  const hugepages = await reserveHugepages(dpdk);
  const directory = await mkdtemp(join(tmpdir(), 'usw-'));
  const instance = new PrivateSwitch(directory, hugepages, options);
  try {
    await instance.boot();
    return instance;
  } catch (error) {
    await instance.stop();
    throw error;
  }
}

class PrivateSwitch implements Switch {
  readonly rundir: string;
  readonly ovsdb: string;
  /** ovs-vswitchd's control socket, where its own default is. */
  readonly #control: string;
  #database: Daemon | undefined;
  #vswitchd: Daemon | undefined;
  readonly #env: Record<string, string>;

  constructor(
    readonly directory: string,
    readonly hugepages: Hugepages,
    readonly options: SwitchOptions,
  ) {
    this.rundir = join(directory, 'run');
    this.#control = join(this.rundir, 'ovs-vswitchd.ctl');
    this.ovsdb = `unix:${join(this.rundir, 'db.sock')}`;
    // RUNTIME_DIRECTORY is where DPDK puts what would otherwise stay in /run/dpdk.
    this.#env = {
      OVS_RUNDIR: this.rundir,
      OVS_DBDIR: directory,
      OVS_LOGDIR: directory,
      RUNTIME_DIRECTORY: directory,
    };
  }

  async boot(): Promise<void> {
    await execa('mkdir', ['-p', this.rundir]);
    await this.#handOver();
    await this.#databaseAnew();
    await this.startVswitchd();
  }

  get #hasDpdk(): boolean {
    return this.options.dpdk !== false;
  }

  /** Files that root made here are given to the daemons' user. */
  async #handOver(): Promise<void> {
    const { user } = this.options;
    if (user === undefined) return;
    await chmod(this.directory, 0o755);
    await execa('chown', ['-R', `${user}:${user}`, this.directory]);
  }

  #asUser(command: string[]): string[] {
    const { user } = this.options;
    if (user === undefined) return command;
    const ids = [`--reuid=${user}`, `--regid=${user}`, '--clear-groups'];
    // A change of user takes the death signal away that `launch` asked for.
    const rights = [`--inh-caps=${keptRights}`, `--ambient-caps=${keptRights}`, '--pdeathsig', 'KILL'];
    return ['setpriv', ...ids, ...rights, ...command];
  }

  async #databaseAnew(): Promise<void> {
    await execa('ovsdb-tool', ['create', join(this.directory, 'conf.db'), schemaPath], { timeout: startMs });
    await this.#handOver();
    await this.#runDatabase();
    await this.vsctl('--no-wait', '--', 'init');
    if (this.#hasDpdk) await this.#configureDpdk();
  }

  async #configureDpdk(): Promise<void> {
    const wanted = {
      'dpdk-init': 'true',
      'dpdk-socket-mem': '256',
      'dpdk-lcore-mask': '0x1',
      'pmd-cpu-mask': '0x2',
      // An idle polling thread would take one of two cores from everything else.
      'pmd-maxsleep': '200',
      // --no-pci: the machine's own network card is not touched.
      'dpdk-extra': '--in-memory --no-pci --no-telemetry',
    };
    const settings = Object.entries(wanted).map(([key, value]) => `other_config:${key}="${value}"`);
    await this.vsctl('--no-wait', '--', 'set', 'Open_vSwitch', '.', ...settings);
  }

  async vsctl(...args: string[]): Promise<string> {
    const seconds = Math.ceil(vsctlMs / 1000);
    const all = [`--db=${this.ovsdb}`, `--timeout=${seconds}`, ...args];
    return (await execa('ovs-vsctl', all, { timeout: vsctlMs + 5_000 })).stdout;
  }

  async appctl(...args: string[]): Promise<string> {
    const target = this.#control;
    return (await execa('ovs-appctl', ['-t', target, '-T', '10', ...args], { timeout: vsctlMs })).stdout;
  }

  async tables(): Promise<Tables> {
    const text = await this.vsctl(
      '--format=json',
      '--',
      'list',
      'Bridge',
      '--',
      'list',
      'Port',
      '--',
      'list',
      'Interface',
    );
    const lines = text.split('\n').filter((line) => line !== '');
    const [Bridge = [], Port = [], Interface = []] = lines.map(readTable);
    return { Bridge, Port, Interface };
  }

  async removeBridge(name: string): Promise<void> {
    await this.vsctl('--if-exists', 'del-br', name);
  }

  async stopDatabase(): Promise<void> {
    await end(this.#database);
    this.#database = undefined;
  }

  async startDatabase(): Promise<void> {
    await this.#runDatabase();
    // A change that asks for ovs-vswitchd's confirmation returns when it has reconnected.
    if (this.#vswitchd) await this.vsctl('set', 'Open_vSwitch', '.', 'external_ids:settled=yes');
  }

  pauseDatabase(): void {
    if (this.#database) pause(this.#database);
  }

  resumeDatabase(): void {
    this.#database?.kill('SIGCONT');
  }

  pauseVswitchd(): void {
    if (this.#vswitchd) pause(this.#vswitchd);
  }

  resumeVswitchd(): void {
    this.#vswitchd?.kill('SIGCONT');
  }

  async stopVswitchd(): Promise<void> {
    await end(this.#vswitchd);
    this.#vswitchd = undefined;
  }

  async wipeDatabase(): Promise<void> {
    await this.loseDatabase();
    await this.startVswitchd();
  }

  async loseDatabase(): Promise<void> {
    await this.stopVswitchd();
    await this.stopDatabase();
    await rm(join(this.directory, 'conf.db'));
    await this.#databaseAnew();
  }

  async startVswitchd(): Promise<void> {
    const log = `--log-file=${join(this.directory, 'vswitchd.log')}`;
    const control = `--unixctl=${this.#control}`;
    // The socket of the last run answers no longer, and we wait for the presence of the new one.
    await rm(this.#control, { force: true });
    await this.vsctl('--no-wait', '--', 'set', 'Open_vSwitch', '.', 'dpdk_initialized=false');
    const daemon = [ovsDpdkPath, this.ovsdb, log, control, '--pidfile', '-vconsole:off'];
    this.#vswitchd = this.#run(['unshare', '--net', ...this.#asUser(daemon)]);
    await this.#alive(this.#vswitchd, () => existsSync(this.#control), 'vswitchd.log');
    if (this.#hasDpdk) await this.vsctl('wait-until', 'Open_vSwitch', '.', 'dpdk_initialized=true');
    await this.vsctl('set', 'Open_vSwitch', '.', 'external_ids:settled=yes');
  }

  async stop(): Promise<void> {
    this.resumeVswitchd();
    this.resumeDatabase();
    await this.stopVswitchd();
    await this.stopDatabase();
    await rm(this.directory, { recursive: true, force: true });
    await this.hugepages.giveBack();
  }

  async #runDatabase(): Promise<void> {
    const socket = join(this.rundir, 'db.sock');
    const log = `--log-file=${join(this.directory, 'ovsdb-server.log')}`;
    const control = `--unixctl=${join(this.directory, 'ovsdb-server.ctl')}`;
    const database = join(this.directory, 'conf.db');
    await rm(join(this.directory, 'ovsdb-server.ctl'), { force: true });
    const daemon = ['ovsdb-server', database, `--remote=punix:${socket}`, log, control, '-vconsole:off'];
    this.#database = this.#run(this.#asUser(daemon));
    await this.#alive(this.#database, () => accepts(socket), 'ovsdb-server.log');
  }

  #run(command: string[]): Daemon {
    return launch(command, this.directory, this.#env);
  }

  async #alive(child: Daemon, ready: () => boolean | Promise<boolean>, log: string): Promise<void> {
    let ended = false;
    void child.then(() => {
      ended = true;
    });
    const deadline = performance.now() + startMs;
    while (!(await ready())) {
      if (ended || performance.now() > deadline) {
        const told = await execa('tail', ['-n', '20', join(this.directory, log)], { reject: false });
        const { stderr } = ended ? await child : { stderr: 'it does not become ready' };
        throw new Error(`the private switch does not start: ${stderr}\n${told.stdout}`);
      }
      await delay(pollMs);
    }
  }
}

function accepts(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(socket);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}

function readTable(text: string): Row[] {
  const { headings, data } = JSON.parse(text) as { headings: string[]; data: unknown[][] };
  return data.map((cells) => Object.fromEntries(headings.map((heading, index) => [heading, cells[index]])));
}
