/**
 * The state of a node as plain data: switch, address store, shared directories. The truth of every test in memory; fake-host.ts
 * makes the faults, and world-checker.ts judges.
 *
 * Every thing names its maker (`by`): the attachment as `network:container:interface`, or `admin`. The maker is taken from the
 * request and not from names or marks, so that a wrong name or a lost mark is seen.
 */

export interface FakeBridge {
  /** The instance of its mark; an administrator's bridge has none. */
  readonly instance: string | undefined;
  readonly ports: readonly string[];
  /** Of its row; absent where no test asks. */
  readonly uuid?: string;
  /** The data directory that its marks name. */
  readonly dataDir?: string;
  /** Absent: `netdev`. */
  readonly datapath?: 'system';
}

export interface FakePort {
  readonly uuid: string;
  readonly by: string;
  readonly mode: 'client' | 'server';
  readonly tag: number | undefined;
  /** Client mode: the path by which the switch connects. */
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

/** A write that was sent and lands later, even if its sender is dead. It is guarded by the version that the sender saw. */
export interface FakeWrite {
  readonly pod: string;
  readonly version: number;
  readonly annotations: { readonly [name: string]: string | null };
}

const admin = 'admin';
/** The administrator's directory for sockets, which always exists. */
export const sharedDir = '/shared';
/** The directory in which the switch creates the sockets of server mode. */
export const switchDir = '/run/openvswitch';
export const infoDir = '/run/device-info';
/** The kubelet's uid of the one pod that has its sockets in an emptyDir. */
export const podUid = '5b0d9e2a-6d5c-4c40-9d0e-0123456789ab';
export const emptyDir = `/var/lib/kubelet/pods/${podUid}/volumes/kubernetes.io~empty-dir/shared-dir`;
export const permanent = [sharedDir, switchDir, infoDir, emptyDir];

export class FakeWorld {
  bridges = new Map<string, FakeBridge>();
  ports = new Map<string, FakePort>();
  /** Address -> its holder. */
  addresses = new Map<string, string>();
  /** By absolute path. */
  files = new Map<string, FakeFile>();
  /** Live namespaces: path -> dev:inode. */
  netns = new Map<string, string>();
  /** By `namespace/name`. */
  pods = new Map<string, FakePod>();
  /** Writes that were sent and have not landed. */
  writes: FakeWrite[] = [];
  boot = 'boot-1';
  /** The _uuid of this switch's database. */
  database = 'database-1';
  /** Whether ovs-vswitchd applies the changes of the database. */
  daemon: 'running' | 'away' = 'running';
  /** The number of the last change; ovs-vswitchd has applied the changes up to `curCfg`. */
  nextCfg = 0;
  curCfg = 0;
  /** Broken rules: two processes at once on one attachment, an effect without an instance. */
  violations: string[] = [];
  /** The user of ovs-vswitchd, if it is not root; then it may search only directories that have an entry for it. */
  switchUser: number | undefined;
  /** The directories that have such an entry. An entry goes with its directory. */
  entries = new Set<string>();
  #made = 0;
  #bridgesMade = 0;

  constructor() {
    for (const path of permanent) this.files.set(path, { kind: 'directory', by: admin, text: '' });
  }

  /** Rows are numbered in the order of making, so that equal histories give equal worlds. */
  newUuid(): string {
    return `row-${++this.#made}`;
  }

  newBridgeUuid(): string {
    return `bridge-${++this.#bridgesMade}`;
  }

  /** @returns the value of curCfg at which ovs-vswitchd has applied all changes so far */
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
    copy.database = this.database;
    copy.daemon = this.daemon;
    copy.nextCfg = this.nextCfg;
    copy.curCfg = this.curCfg;
    copy.violations = [...this.violations];
    copy.switchUser = this.switchUser;
    copy.entries = new Set(this.entries);
    copy.#made = this.#made;
    copy.#bridgesMade = this.#bridgesMade;
    return copy;
  }

  /** Everything as text; equal worlds give equal texts. `boot` counts: a journal of another boot is read otherwise. */
  describe(): string {
    const sorted = <T>(map: ReadonlyMap<string, T>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
    const tables = [this.bridges, this.ports, this.addresses, this.files, this.netns];
    // A version counts the writes to a pod, and is not part of the state.
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

  /**
   * Starts the machine again: the boot id is new, even if namespaces keep their names.
   * @param wiped memory file systems are empty
   */
  reboot(wiped: boolean): void {
    this.boot = `boot-${Number(this.boot.split('-')[1]) + 1}`;
    if (!wiped) return;
    for (const path of this.files.keys()) if (!permanent.includes(path)) this.files.delete(path);
    for (const path of this.entries) if (!path.startsWith('/var/lib/kubelet')) this.entries.delete(path);
  }

  /** Lets every write that is on its way arrive. */
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

  /** Adds things of an administrator and of another instance to the switch, and a stranger's file to the shared directory. */
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
