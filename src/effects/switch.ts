/**
 * The switch as one call sees it: one session per database, opened when first needed, opened again when it broke.
 *
 * Owns: connecting, trying again, and what is asked of the switch as a whole. Does not own: bridges, ports.
 */
import { dirname, join } from 'node:path';
import { code, fenceName, keyText, owner } from '../attachment.ts';
import { type Deadlines, type Moment, now, remainingMs, sleep, within } from '../deadlines.ts';
import type { Call, Outcome, Plan, PortPlan } from '../machines/protocol.ts';
import { Away, askedBefore } from './away.ts';
import {
  map,
  type Operation,
  type OperationResult,
  type Row,
  readMap,
  Session,
  set,
  TransactionError,
  Unreachable,
  uuid,
} from './ovsdb.ts';

/** A restart of the database takes about a second: look again this often. */
const reconnectPauseMs = 50;

export class Switch {
  readonly #deadlines: Deadlines;
  readonly #away: Away;
  readonly #sessions = new Map<string, Session>();
  /** The database that was asked last. */
  #asked = '';

  constructor(deadlines: Deadlines, away = new Away(false)) {
    this.#deadlines = deadlines;
    this.#away = away;
  }

  /** Reads, by whoever has the fence already or does not mind what lands later. @throws Unreachable, TransactionError */
  async read(
    { ovsdb }: Pick<Plan, 'ovsdb'>,
    operations: readonly Operation[],
    end: Moment,
  ): Promise<readonly OperationResult[]> {
    return await this.#asking(ovsdb, end, (session) => session.transact(operations, end));
  }

  /**
   * Whatever changes something, and the look that decides what to change: what a dead call had sent has landed by then, or never
   * will. @throws Unreachable, TransactionError
   */
  async fenced(plan: Plan, operations: readonly Operation[], call: Call): Promise<readonly OperationResult[]> {
    const fence = fenceName(plan.key, call.instance);
    return await this.#asking(plan.ovsdb, call.end, (session) => session.fenced(fence, operations, call.end));
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

  async #asking<T>(ovsdb: string, end: Moment, question: (session: Session) => Promise<T>): Promise<T> {
    this.#asked = ovsdb;
    const asking = async () => await question(await this.#open(ovsdb, end));
    // A refusal may be a restart, which `patiently` waits for.
    return await this.#away.ask(ovsdb, asking, (error) =>
      error instanceof Unreachable && error.silent ? { error: asAway(error), isSilence: true } : undefined,
    );
  }

  #isBroken(): boolean {
    return [...this.#sessions.values()].some(({ alive }) => !alive);
  }

  async #open(ovsdb: string, end: Moment): Promise<Session> {
    const known = this.#sessions.get(ovsdb);
    if (known?.alive) return known;
    const session = await Session.open(ovsdb, end);
    this.#sessions.set(ovsdb, session);
    return session;
  }
}

const asAway = ({ message }: Unreachable): Unreachable => new Unreachable(askedBefore(message));

/** What every row of ours bears in external_ids. */
export const instanceMarks = (call: Pick<Call, 'instance'>) => ({ owner, instance: call.instance });

export const keyMarks = (plan: Plan, call: Pick<Call, 'instance'>) => ({
  ...instanceMarks(call),
  key: keyText(plan.key),
});

/** Of table Interface (ovs-vswitchd.conf.db(5)), by the switch's side of the socket. */
export const interfaceType = { client: 'dpdkvhostuserclient', server: 'dpdkvhostuser' } as const;

/** No datapath knows it: ovs-vswitchd keeps nothing under the name of such an interface. */
export const noType = 'none';

/** What bears the port's name, if anything. */
export const typeOf = ({ name }: Pick<PortPlan, 'name'>): Operation =>
  select('Interface', [['name', '==', name]], ['type']);

export const socketOf = (port: Pick<PortPlan, 'directory' | 'file'>): string => join(port.directory, port.file);

/** By which path the switch connects. */
export const switchPathOf = (port: Pick<PortPlan, 'directory' | 'file' | 'link'>): string =>
  join(port.link ?? port.directory, port.file);

export const failed = (code: number, message: string): Extract<Outcome, { kind: 'failed' }> => ({
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
  ['external_ids', 'other_config', 'dpdk_initialized', 'next_cfg', 'cur_cfg'],
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
export async function letGo(ovs: Switch, plan: Plan, goneAt: number, end: Moment): Promise<Outcome> {
  for (let wait: readonly Operation[] = []; ; ) {
    const results = await ovs.read(plan, [...wait, selectSwitch], end).catch((error) => {
      if (!guarded(error)) throw error;
      return undefined;
    });
    const root = results?.at(-1)?.rows?.[0];
    if (!root) return failed(code.tryAgainLater, 'ovs-vswitchd has not let go of the port yet: is it running?');
    if (Number(root.cur_cfg) >= goneAt) return { kind: 'ok' };
    wait = [untilChanged({ cur_cfg: root.cur_cfg }, end)];
  }
}

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

/** Where server-mode sockets are created: rundir plus vhost-sock-dir, else beside the database's socket. */
export function switchSocketDirectory(ovsdb: string, root: Row | undefined): string {
  const rundir = readMap(root?.external_ids).rundir ?? dirname(ovsdb.replace(/^unix:/, ''));
  return join(rundir, readMap(root?.other_config)['vhost-sock-dir'] ?? '');
}
