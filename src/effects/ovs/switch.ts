/**
 * The switch as one call sees it: one session per database, opened when first needed, opened again when it broke.
 *
 * Owns: connecting, trying again, and what is asked of the switch as a whole. Does not own: bridges, ports.
 */
import { existsSync, realpathSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { code, fenceName, keyText, owner, type Trouble } from '../../attachment.ts';
import { type Deadlines, type Moment, now, remainingMs, sleep, within } from '../../deadlines.ts';
import type { Call, Outcome, Plan, PortPlan } from '../../machines/protocol.ts';
import { Away, askedBefore } from '../away.ts';
import {
  map,
  type Operation,
  type OperationResult,
  type Row,
  readMap,
  readUuid,
  Session,
  set,
  TransactionError,
  Unreachable,
  uuid,
} from './session.ts';
import { seenOf } from './vswitchd.ts';

/** A restart of the database takes about a second: look again this often. */
const reconnectPauseMs = 50;

/** Which database, and which attachment's rows are asked for. */
type Asked = Pick<Plan, 'ovsdb'> & Partial<Pick<Plan, 'key' | 'database'>>;

export class Switch {
  readonly #deadlines: Deadlines;
  /** Where the caller says that the database is. */
  readonly #elsewhere: string | undefined;
  readonly #away: Away;
  readonly #sessions = new Map<string, Session>();
  readonly #alive = new Set<string>();
  /** The database that was asked last. */
  #asked = '';

  /** @param elsewhere where the caller says that the database is */
  constructor(deadlines: Deadlines, away = new Away(false), elsewhere?: string) {
    this.#deadlines = deadlines;
    this.#away = away;
    this.#elsewhere = elsewhere;
  }

  /** Reads, under the fence already or not minding what lands later. @throws Unreachable, TransactionError */
  async read(asked: Asked, operations: readonly Operation[], end: Moment): Promise<readonly OperationResult[]> {
    return await this.#asking(asked, end, (session) => session.transact(operations, end));
  }

  /**
   * Whatever changes something, and the look that decides what to change: what a dead call had sent has landed by then, or never
   * will. @throws Unreachable, TransactionError
   */
  async fenced(plan: Plan, operations: readonly Operation[], call: Call): Promise<readonly OperationResult[]> {
    const fence = fenceName(plan.key, call.instance);
    const known = this.#sessions.get(plan.ovsdb);
    // What was found is another instance's than was asked for: a data directory that lost its id. A session has one fence.
    if (known?.fence !== undefined && known.fence !== fence) known.close();
    return await this.#asking(plan, call.end, (session) => session.fenced(fence, operations, call.end));
  }

  /** Whether ovs-vswitchd was seen to apply a change, or not: asked once by a host, which lives as long as a call or a recovery. */
  daemonOf = ({ ovsdb }: Asked): 'alive' | Error | undefined =>
    this.#away.known(`ovs-vswitchd of ${ovsdb}`) ?? (this.#alive.has(ovsdb) ? 'alive' : undefined);

  noteDaemon({ ovsdb }: Asked, seen: 'alive' | Error): void {
    if (seen === 'alive') this.#alive.add(ovsdb);
    else this.#away.note(`ovs-vswitchd of ${ovsdb}`, seen);
  }

  /** What told each database when it was looked at (Plan.database). */
  readonly #databases = new Map<string, string>();
  databaseAt = (ovsdb: string): string | undefined => this.#databases.get(ovsdb);
  readonly #rundirs = new Map<string, string>();
  rundirAt = (ovsdb: string): string | undefined => this.#rundirs.get(ovsdb);
  noteDatabase(ovsdb: string, root: Row | undefined): void {
    this.#databases.set(ovsdb, readUuid(root?._uuid));
    this.#rundirs.set(ovsdb, runDirectory(ovsdb, root));
  }

  /** A removal is tried again while the database is away for a moment. */
  async patiently<T>(action: () => Promise<T>, end: Moment): Promise<T> {
    const patience = within(end, this.#deadlines.reconnectMs);
    for (;;) {
      try {
        return await action();
      } catch (error) {
        const broken = error instanceof Unreachable && (error.refused || this.#isBroken());
        if (!broken || this.#away.isKnown(error)) throw error;
        if (now() >= patience) {
          this.#away.note(this.#asked, asAway(error));
          throw error;
        }
        await sleep(reconnectPauseMs);
      }
    }
  }

  close(): void {
    for (const session of this.#sessions.values()) session.close();
    this.#sessions.clear();
  }

  async #asking<T>(asked: Asked, end: Moment, question: (session: Session) => Promise<T>): Promise<T> {
    const { ovsdb } = asked;
    this.#asked = ovsdb;
    const asking = async () => await question(await this.#open(asked, end));
    // A refusal may be a restart, which `patiently` waits for.
    return await this.#away.ask(ovsdb, asking, (error) =>
      error instanceof Unreachable && error.silent ? { error: asAway(error), isSilence: true } : undefined,
    );
  }

  #isBroken(): boolean {
    return [...this.#sessions.values()].some(({ alive }) => !alive);
  }

  async #open(asked: Asked, end: Moment): Promise<Session> {
    const { ovsdb } = asked;
    const known = this.#sessions.get(ovsdb);
    if (known?.alive) return known;
    const session = await Session.open(ovsdb, end).then(
      (opened) => this.#orMoved(asked, opened, end),
      (error) => this.#openMoved(asked, error, end),
    );
    this.#sessions.set(ovsdb, session);
    return session;
  }

  /** Where the plan says there may be another by now, which lacks what the caller's has. */
  async #orMoved(asked: Asked, opened: Session, end: Moment): Promise<Session> {
    const [place, { database }] = [this.#elsewhere, asked];
    if (place === undefined || place === asked.ovsdb || database === undefined) return opened;
    if ((await rootOf(opened, end)) === database) return opened;
    const moved = await Session.open(place, end).catch(() => undefined);
    const isSame = moved && (await rootOf(moved, end)) === database;
    (isSame ? opened : moved)?.close();
    return isSame ? moved : opened;
  }

  /**
   * A database that is not where the plan says may be where the caller says: the same one, not another switch's, which would prove
   * nothing by what it lacks. @throws what opening it at its own place threw
   */
  async #openMoved(asked: Asked, error: unknown, end: Moment): Promise<Session> {
    const place = this.#elsewhere;
    if (!(error instanceof Unreachable && error.refused) || place === undefined || place === asked.ovsdb) throw error;
    const session = await Session.open(place, end).catch(() => undefined);
    if (!session) throw error;
    const own = asked.key && select('Port', [marked({ owner, key: keyText(asked.key) })], ['_uuid']);
    const answers = await session.transact([selectSwitch, ...(own ? [own] : [])], end).catch(() => []);
    const [root, ports] = answers;
    const isSame = asked.database !== undefined && readUuid(root?.rows?.[0]?._uuid) === asked.database;
    if (isSame || (ports?.rows?.length ?? 0) > 0) return session;
    session.close();
    throw new Unreachable(`${error.message} (the database at "${place}" is another one)`, true);
  }
}

/** @returns undefined where it does not say: its next question is answered, or fails, for all to see */
const rootOf = async (session: Session, end: Moment): Promise<string | undefined> =>
  await session.transact([selectSwitch], end).then(
    ([root]) => readUuid(root?.rows?.[0]?._uuid),
    () => undefined,
  );

const asAway = ({ message }: Unreachable): Unreachable => new Unreachable(askedBefore(message));

/** What every row of ours bears in external_ids. */
export const instanceMarks = (call: Pick<Call, 'instance'>) => ({ owner, instance: call.instance });

/** Whose a port of ours is, whichever data directory it was made through. */
export const ownerMarks = (plan: Pick<Plan, 'key'>) => ({ owner, key: keyText(plan.key) });

/** The mark that tells a person, and a data directory that lost its id, where the journal of a port is. */
export const dataDirMark = 'data-dir';

/** What tells a sandbox's namespace from another at its path (netns.ts). */
export const netnsMarks = { file: 'netns-file', directory: 'netns-directory' } as const;

/** Whether marks of this key are of the call's own data directory: by its id, or by its path where the id was lost with it. */
export const isOwn = (
  marks: { readonly [name: string]: string | undefined },
  call: Pick<Call, 'instance' | 'dataDir'>,
): boolean => marks.instance === call.instance || isSameDirectory(marks[dataDirMark], call.dataDir);

/** Whether they name another data directory, which is there: this one may be a copy of it, under the same id. */
export function isOfAnother(
  marks: { readonly [name: string]: string | undefined },
  dataDir: string | undefined,
): boolean {
  const named = marks[dataDirMark];
  return named !== undefined && !isSameDirectory(named, dataDir) && existsSync(join(named, 'instance'));
}

/** Root's own directories. One that is not there is known by its name alone. */
function isSameDirectory(one: string | undefined, other: string | undefined): boolean {
  if (one === undefined || other === undefined || one === other) return one !== undefined && one === other;
  const real = (path: string) => {
    try {
      return realpathSync(path);
    } catch {
      return resolve(path);
    }
  };
  return real(one) === real(other);
}

/** An attachment is removed, and made again, through the data directory that it was made through. */
export function madeElsewhere(
  plan: Pick<Plan, 'key'>,
  marks: { readonly [name: string]: string | undefined },
): Trouble {
  const where = marks[dataDirMark] ? `the data directory "${marks[dataDirMark]}"` : 'another data directory';
  const message = `${keyText(plan.key)} was made through ${where} (instance ${marks.instance}), and its port is still there: use that "dataDir"; if it is lost, remove the port by hand`;
  return { code: code.invalidConfig, message };
}

export const keyMarks = (plan: Plan, call: Pick<Call, 'instance'>) => ({
  ...instanceMarks(call),
  key: keyText(plan.key),
});

/** Of table Interface (ovs-vswitchd.conf.db(5)), by the switch's side of the socket. */
export const interfaceType = { client: 'dpdkvhostuserclient', server: 'dpdkvhostuser' } as const;

/** What ovn-controller looks for in external_ids of table Interface (ovn-controller(8)). */
export const ovnPortId = 'iface-id';

/** No datapath knows it: ovs-vswitchd keeps nothing under the name of such an interface. */
export const noType = 'none';

/** What bears the port's name, if anything. */
export const typeOf = ({ name }: Pick<PortPlan, 'name'>): Operation =>
  select('Interface', [['name', '==', name]], ['type']);

export const socketOf = (port: Pick<PortPlan, 'directory' | 'file'>): string => join(port.directory, port.file);

/** By which path the switch connects. */
export const switchPathOf = (port: Pick<PortPlan, 'directory' | 'file' | 'link'>): string =>
  join(port.link ?? port.directory, port.file);

export type Failed = Extract<Outcome, { kind: 'failed' }>;

export const failed = (code: number, message: string): Failed => ({
  kind: 'failed',
  trouble: { code, message },
});

export const select = (table: string, where: readonly unknown[], columns: readonly string[]): Operation => ({
  op: 'select',
  table,
  where,
  columns,
});

/** Fails the transaction at once unless the rows are just these (RFC 7047 5.2.6). */
export const unless = (table: string, where: readonly unknown[], rows: readonly Row[]): Operation => ({
  op: 'wait',
  table,
  where,
  columns: Object.keys(rows[0] ?? { name: '' }),
  until: '==',
  rows,
  timeout: 0,
});

/** Until ovs-vswitchd has taken an interface; the transaction fails (`guarded`) if it has not in that time. */
export const untilApplied = (id: string, timeoutMs: number): Operation => ({
  op: 'wait',
  table: 'Interface',
  where: [['_uuid', '==', uuid(id)]],
  columns: ['ofport'],
  until: '!=',
  rows: [{ ofport: set([]) }],
  timeout: Math.floor(timeoutMs),
});

export const marked = (marks: { readonly [key: string]: string }): unknown => ['external_ids', 'includes', map(marks)];

/** The guard of a transaction did not hold. */
export const guarded = (error: unknown): boolean => error instanceof TransactionError && error.error === 'timed out';

export const selectSwitch = select(
  'Open_vSwitch',
  [],
  ['_uuid', 'external_ids', 'other_config', 'dpdk_initialized', 'next_cfg', 'cur_cfg'],
);

/** Asks to be told when everything up to here is applied: ovs-vswitchd then sets cur_cfg to it (ovs-vswitchd.conf.db(5)). */
export const raiseNextCfg: Operation = {
  op: 'mutate',
  table: 'Open_vSwitch',
  where: [],
  mutations: [['next_cfg', '+=', 1]],
};

/** ovs-vswitchd has not applied yet what it was asked for. */
export const isBehind = (root: Row | undefined): boolean => Number(root?.cur_cfg) < Number(root?.next_cfg);

/**
 * Waits until ovs-vswitchd has come to a next_cfg: a port that was deleted by then forwards no packet any more, and its address and
 * its name may be another's (A32).
 */
export async function letGo(
  ovs: Switch,
  asked: Pick<Plan, 'ovsdb'>,
  goneAt: number,
  end: Moment,
): Promise<{ kind: 'ok' } | Failed> {
  let seen: Row | undefined;
  for (let wait: readonly Operation[] = []; ; ) {
    const results = await ovs.read(asked, [...wait, selectSwitch], end).catch((error) => {
      if (!guarded(error)) throw error;
      return undefined;
    });
    const root = results?.at(-1)?.rows?.[0];
    if (!root) {
      const message = behind(asked.ovsdb, seen);
      ovs.noteDaemon(asked, new Error(askedBefore(message)));
      return failed(code.tryAgainLater, message);
    }
    // A database that has not come that far is another one: it never had the port.
    if (Number(root.cur_cfg) >= goneAt || Number(root.next_cfg) < goneAt) return { kind: 'ok' };
    const known = ovs.daemonOf(asked);
    if (known instanceof Error) return failed(code.tryAgainLater, known.message);
    seen = root;
    wait = [untilChanged({ cur_cfg: root.cur_cfg }, end)];
  }
}

/** The words for an ovs-vswitchd that does not apply what it is told. */
const behind = (ovsdb: string, root: Row | undefined): string =>
  `ovs-vswitchd has applied ${root?.cur_cfg} of ${root?.next_cfg} changes, and no more in time: ${seenOf(runDirectory(ovsdb, root))}`;

/** The server's own timeout ends before ours: its answer says which of the two is stuck. */
const untilChanged = (row: Row, end: Moment): Operation => ({
  op: 'wait',
  table: 'Open_vSwitch',
  where: [],
  columns: Object.keys(row),
  until: '!=',
  rows: [row],
  timeout: Math.floor(remainingMs(end) * 0.9),
});

/** Of both daemons, as the database tells it, else where the database's socket is. */
export const runDirectory = (ovsdb: string, root?: Row): string =>
  readMap(root?.external_ids).rundir ?? dirname(socketPathOf(ovsdb));

/** Where server-mode sockets are created: rundir plus vhost-sock-dir, else beside the database's socket. */
export function switchSocketDirectory(ovsdb: string, root: Row | undefined): string {
  return join(runDirectory(ovsdb, root), readMap(root?.other_config)['vhost-sock-dir'] ?? '');
}

/** Of the database. */
export const socketPathOf = (ovsdb: string): string => ovsdb.replace(/^unix:/, '');
