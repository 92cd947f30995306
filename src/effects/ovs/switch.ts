/**
 * The switch as one call sees it: one session per database, opened when first needed, and opened again after it broke.
 *
 * Owns: connecting, retries, and questions about the switch as a whole. Does not own: bridges, ports.
 */
import { fenceName, keyText, owner } from '../../attachment.ts';
import { type Deadlines, type Moment, now, sleep, within } from '../../deadlines.ts';
import type { Call, Plan } from '../../machines/protocol.ts';
import { Away, askedBefore } from '../away.ts';
import { type Operation, type OperationResult, type Row, readUuid, select, withMarks } from './operations.ts';
import { runDirectory, selectSwitch } from './root-row.ts';
import { Session, Unreachable } from './session.ts';

/** The pause between two tries, while a restart of the database takes about a second. */
const reconnectPauseMs = 50;

/** The database, and the attachment whose rows are asked for. */
type Asked = Pick<Plan, 'ovsdb'> & Partial<Pick<Plan, 'key' | 'database'>>;

export class Switch {
  readonly deadlines: Deadlines;
  /** The database's address, as the caller gives it. */
  readonly #elsewhere: string | undefined;
  readonly #away: Away;
  readonly #sessions = new Map<string, Session>();
  readonly #alive = new Set<string>();
  /** The database that was asked last. */
  #asked = '';

  /** @param elsewhere the database's address, as the caller gives it */
  constructor(deadlines: Deadlines, away = new Away(), elsewhere?: string) {
    this.deadlines = deadlines;
    this.#away = away;
    this.#elsewhere = elsewhere;
  }

  /** Reads without the fence: a transaction of a dead call may land later. @throws Unreachable, TransactionError */
  async read(asked: Asked, operations: readonly Operation[], end: Moment): Promise<readonly OperationResult[]> {
    return await this.#asking(asked, end, (session) => session.transact(operations, end));
  }

  /**
   * For every change, and for the look that decides on a change. Under the fence, a transaction of a dead call has either landed or
   * never will. @throws Unreachable, TransactionError
   */
  async fenced(plan: Plan, operations: readonly Operation[], call: Call): Promise<readonly OperationResult[]> {
    const fence = fenceName(plan.key, call.instance);
    const known = this.#sessions.get(plan.ovsdb);
    // A data directory that lost its id can lead to another instance's fence, and a session has only one.
    if (known?.fence !== undefined && known.fence !== fence) known.close();
    return await this.#asking(plan, call.end, (session) => session.fenced(fence, operations, call.end));
  }

  /** Whether ovs-vswitchd was seen to apply a change. A host, which lives as long as a call or a recovery, asks once. */
  daemonOf = ({ ovsdb }: Asked): 'alive' | Error | undefined =>
    this.#away.findError(`ovs-vswitchd of ${ovsdb}`) ?? (this.#alive.has(ovsdb) ? 'alive' : undefined);

  noteDaemon({ ovsdb }: Asked, seen: 'alive' | Error): void {
    if (seen === 'alive') this.#alive.add(ovsdb);
    else this.#away.note(`ovs-vswitchd of ${ovsdb}`, seen);
  }

  /** The id of each database that was looked at (Plan.database). */
  readonly #databases = new Map<string, string>();
  databaseAt = (ovsdb: string): string | undefined => this.#databases.get(ovsdb);
  readonly #rundirs = new Map<string, string>();
  rundirAt = (ovsdb: string): string | undefined => this.#rundirs.get(ovsdb);
  noteDatabase(ovsdb: string, root: Row | undefined): void {
    this.#databases.set(ovsdb, readUuid(root?._uuid));
    this.#rundirs.set(ovsdb, runDirectory(ovsdb, root));
  }

  /** Tries a removal again while the database is away for a moment. */
  async patiently<T>(action: () => Promise<T>, end: Moment): Promise<T> {
    const patience = within(end, this.deadlines.reconnectMs);
    for (;;) {
      try {
        return await action();
      } catch (error) {
        const broken = error instanceof Unreachable && (error.why === 'refused' || this.#isBroken());
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
      error instanceof Unreachable && error.why === 'silent' ? { error: asAway(error), isSilence: true } : undefined,
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

  /** Another database may now be at the plan's address. If the caller's address leads to the right one, that one is used. */
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
   * A database that is not at the plan's address may be at the caller's. It must be the same one, because a row that is missing
   * from another switch's database proves nothing. @throws the error of opening it at the plan's address
   */
  async #openMoved(asked: Asked, error: unknown, end: Moment): Promise<Session> {
    const place = this.#elsewhere;
    if (!(error instanceof Unreachable && error.why === 'refused') || place === undefined || place === asked.ovsdb)
      throw error;
    const session = await Session.open(place, end).catch(() => undefined);
    if (!session) throw error;
    const own = asked.key && select('Port', [withMarks({ owner, key: keyText(asked.key) })], ['_uuid']);
    const answers = await session.transact([selectSwitch, ...(own ? [own] : [])], end).catch(() => []);
    const [root, ports] = answers;
    const isSame = asked.database !== undefined && readUuid(root?.rows?.[0]?._uuid) === asked.database;
    if (isSame || (ports?.rows?.length ?? 0) > 0) return session;
    session.close();
    throw new Unreachable(`${error.message} (the database at "${place}" is another one)`, 'refused');
  }
}

/** A switch, bound to the moment at which its answers must have come. */
export class BoundSwitch {
  readonly whole: Switch;
  readonly asked: Asked;
  readonly end: Moment;

  constructor(whole: Switch, asked: Asked, end: Moment) {
    this.whole = whole;
    this.asked = asked;
    this.end = end;
  }

  get ovsdb(): string {
    return this.asked.ovsdb;
  }

  /** @throws Unreachable, TransactionError */
  async read(operations: readonly Operation[]): Promise<readonly OperationResult[]> {
    return await this.whole.read(this.asked, operations, this.end);
  }
}

/** A switch, bound to one call on one attachment. */
export class AttachmentSwitch extends BoundSwitch {
  readonly plan: Plan;
  readonly call: Call;

  constructor(whole: Switch, plan: Plan, call: Call) {
    super(whole, plan, call.end);
    this.plan = plan;
    this.call = call;
  }

  /** The same, with an earlier end. */
  until(end: Moment): AttachmentSwitch {
    return new AttachmentSwitch(this.whole, this.plan, { ...this.call, end });
  }

  /** The same, with no more time than a switch gets for one change. */
  soon(): AttachmentSwitch {
    return this.until(within(this.end, this.whole.deadlines.switchMs));
  }

  /** @throws Unreachable, TransactionError */
  async fenced(operations: readonly Operation[]): Promise<readonly OperationResult[]> {
    return await this.whole.fenced(this.plan, operations, this.call);
  }

  async patiently<T>(action: () => Promise<T>): Promise<T> {
    return await this.whole.patiently(action, this.end);
  }
}

/** @returns undefined if it does not answer: the next question then fails with a message */
const rootOf = async (session: Session, end: Moment): Promise<string | undefined> =>
  await session.transact([selectSwitch], end).then(
    ([root]) => readUuid(root?.rows?.[0]?._uuid),
    () => undefined,
  );

const asAway = ({ message }: Unreachable): Unreachable => new Unreachable(askedBefore(message));
