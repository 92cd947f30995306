/**
 * What there is on a node, as plain data: switch, address store, shared directories. The truth of every test in memory; faults are
 * elsewhere (fake-host.ts), and so is the judgement (world-checker.ts).
 *
 * Every thing says who made it (`by`): the attachment as `network:container:interface`, or `admin`. That is the truth, told from
 * the request that made it and not from names or marks, so that a wrong name or a lost mark is seen.
 */

export interface FakeBridge {
  /** The instance whose mark it bears; an administrator's bears none. */
  readonly instance: string | undefined;
  readonly ports: readonly string[];
  /** Absent: `netdev`. */
  readonly datapath?: 'system';
}

export interface FakePort {
  readonly uuid: string;
  readonly by: string;
  readonly mode: 'client' | 'server';
  readonly tag: number | undefined;
  /** Client mode: by which path the switch connects. */
  readonly path?: string;
  readonly marks: { readonly [name: string]: string };
}

export interface FakeFile {
  readonly kind: 'directory' | 'file' | 'socket' | 'symlink';
  readonly by: string;
  readonly text: string;
}

/** A pod as the API server has it; each write gives it another version. */
export interface FakePod {
  readonly uid: string;
  readonly version: number;
  readonly annotations: { readonly [name: string]: string };
}

/** A write that was sent, and lands when it lands, whether or not its sender lives: guarded by the version that it saw. */
export interface FakeWrite {
  readonly pod: string;
  readonly version: number;
  readonly annotations: { readonly [name: string]: string | null };
}

const admin = 'admin';
/** Where the administrator wants the sockets; always there. */
export const sharedDir = '/shared';
/** Where the switch creates the sockets of server mode. */
export const switchDir = '/run/openvswitch';
export const infoDir = '/run/device-info';
/** The kubelet's, of the one pod that asks for its directory there. */
export const podUid = '5b0d9e2a-6d5c-4c40-9d0e-0123456789ab';
export const emptyDir = `/var/lib/kubelet/pods/${podUid}/volumes/kubernetes.io~empty-dir/shared-dir`;
export const permanent = [sharedDir, switchDir, infoDir, emptyDir];

export class FakeWorld {
  bridges = new Map<string, FakeBridge>();
  ports = new Map<string, FakePort>();
  /** Address -> who was given it. */
  addresses = new Map<string, string>();
  /** By absolute path. */
  files = new Map<string, FakeFile>();
  /** Live namespaces: path -> dev:inode. */
  netns = new Map<string, string>();
  /** By `namespace/name`. */
  pods = new Map<string, FakePod>();
  /** Sent and not landed yet. */
  writes: FakeWrite[] = [];
  boot = 'boot-1';
  /** ovs-vswitchd: whether it applies what the database says. */
  daemon: 'running' | 'away' = 'running';
  /** What it was asked for, and how far it has come. */
  nextCfg = 0;
  curCfg = 0;
  /** Rules that were broken while it was looked at: two processes at once on one attachment, an effect without an instance. */
  violations: string[] = [];
  /** Of ovs-vswitchd, if it is not root: it is let to what it has to search by an entry. */
  switchUser: number | undefined;
  /** The directories that have one. It goes with its directory. */
  entries = new Set<string>();
  #made = 0;

  constructor() {
    for (const path of permanent) this.files.set(path, { kind: 'directory', by: admin, text: '' });
  }

  /** Rows are numbered in the order of making, so that equal histories give equal worlds. */
  newUuid(): string {
    return `row-${++this.#made}`;
  }

  /** @returns what curCfg will be when ovs-vswitchd has applied all that was changed until now */
  raiseCfg(): number {
    this.nextCfg++;
    if (this.daemon === 'running') this.curCfg = this.nextCfg;
    return this.nextCfg;
  }

  setDaemon(daemon: FakeWorld['daemon']): void {
    this.daemon = daemon;
    if (daemon === 'running') this.curCfg = this.nextCfg;
  }

  clone(): FakeWorld {
    const copy = new FakeWorld();
    copy.bridges = new Map(this.bridges);
    copy.ports = new Map(this.ports);
    copy.addresses = new Map(this.addresses);
    copy.files = new Map(this.files);
    copy.netns = new Map(this.netns);
    copy.pods = new Map(this.pods);
    copy.writes = [...this.writes];
    copy.boot = this.boot;
    copy.daemon = this.daemon;
    copy.nextCfg = this.nextCfg;
    copy.curCfg = this.curCfg;
    copy.violations = [...this.violations];
    copy.switchUser = this.switchUser;
    copy.entries = new Set(this.entries);
    copy.#made = this.#made;
    return copy;
  }

  /** Everything as text; equal worlds give equal texts. `boot` counts: a journal of another boot is read otherwise. */
  describe(): string {
    const sorted = <T>(map: ReadonlyMap<string, T>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
    const tables = [this.bridges, this.ports, this.addresses, this.files, this.netns];
    // A version tells how often a pod was written, which is nobody's state.
    const pods = sorted(this.pods).map(([name, { uid, annotations }]) => [name, uid, annotations]);
    return JSON.stringify([
      tables.map((table) => sorted<unknown>(table)),
      pods,
      this.writes,
      this.boot,
      this.daemon,
      this.violations,
      [...this.entries].toSorted(),
    ]);
  }

  /** The switch's database is wiped: rows go, and with them the sockets that it made. */
  loseSwitch(): void {
    this.nextCfg = 0;
    this.curCfg = 0;
    for (const [name, { instance }] of this.bridges) if (instance !== undefined) this.bridges.delete(name);
    for (const [name, { marks }] of this.ports) if (marks.owner !== undefined) this.ports.delete(name);
  }

  /** The machine starts again: another boot id, whatever the namespaces are called. @param wiped what lay in memory is gone */
  reboot(wiped: boolean): void {
    this.boot = `boot-${Number(this.boot.split('-')[1]) + 1}`;
    if (!wiped) return;
    for (const path of this.files.keys()) if (!permanent.includes(path)) this.files.delete(path);
    for (const path of this.entries) if (!path.startsWith('/var/lib/kubelet')) this.entries.delete(path);
  }

  /** Whatever is on its way arrives now. */
  land(): void {
    for (const { pod: name, version, annotations } of this.writes.splice(0)) {
      const pod = this.pods.get(name);
      if (pod?.version !== version) continue;
      const merged = Object.entries({ ...pod.annotations, ...annotations }).filter(([, value]) => value !== null);
      this.pods.set(name, {
        ...pod,
        version: version + 1,
        annotations: Object.fromEntries(merged) as FakePod['annotations'],
      });
    }
  }

  childrenOf(directory: string): string[] {
    return [...this.files.keys()].filter((path) => path.startsWith(`${directory}/`));
  }

  /** What an administrator and another instance have on the same switch, and a stranger's file in the shared directory. */
  addOthers(): void {
    const marksOf = (instance: string, key: string) => ({ owner: 'userspace-cni', instance, key });
    this.bridges.set('br-admin', { instance: undefined, ports: ['admin0'] });
    this.bridges.set('br-idle', { instance: undefined, ports: [] });
    this.bridges.set('br-other', { instance: 'ffffffffffffffff', ports: ['other-net1'] });
    this.bridges.set('br-other-idle', { instance: 'ffffffffffffffff', ports: [] });
    const common = { mode: 'client', tag: undefined } as const;
    this.ports.set('admin0', { uuid: 'row-a', by: admin, marks: {}, ...common });
    const marks = marksOf('ffffffffffffffff', 'net-a:d00dd00dd00dd00d:net1');
    this.ports.set('other-net1', { uuid: 'row-b', by: admin, marks, ...common });
    this.files.set(`${sharedDir}/notes.txt`, { kind: 'file', by: admin, text: 'mine' });
    this.addresses.set('192.0.2.1', admin);
  }
}
