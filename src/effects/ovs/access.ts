/**
 * Whether the switch may reach the sockets that it connects to. Most switches are root. For those this file alone is loaded, and
 * not switch-access.ts.
 */
import type { Trouble } from '../../attachment.ts';
import { type Moment, within } from '../../deadlines.ts';
import type { Outcome, Plan } from '../../machines/protocol.ts';
import { ok } from '../outcome.ts';
import { runDirectory, selectSwitch, socketPathOf } from './root-row.ts';
import type { Switch } from './switch.ts';
import type { Sought } from './switch-access.ts';
import { type SwitchUser, switchUser } from './switch-user.ts';
import { findVswitchd } from './vswitchd.ts';

type Acts = typeof import('./switch-access.ts');

/** Short, because the database only tells here where to find the process. The steps that need its answer wait longer. */
const askedMs = 1_000;

export class Access {
  readonly #ovs: Switch;
  readonly #warn: (message: string) => void;
  /** The pid of each database's ovs-vswitchd: one host looks once. */
  readonly #pids = new Map<string, number | undefined>();
  readonly #users = new Map<string, Promise<SwitchUser | 'unlimited'>>();

  constructor(ovs: Switch, warn: (message: string) => void = () => undefined) {
    this.#ovs = ovs;
    this.#warn = warn;
  }

  /** Looks for the pid file beside the database's socket, because most switches have their run directory there. */
  pidBeside(ovsdb: string): number | undefined {
    if (!this.#pids.has(ovsdb)) this.#pids.set(ovsdb, findVswitchd(runDirectory(ovsdb))?.pid);
    return this.#pids.get(ovsdb);
  }

  /** For an ADD, before it touches anything. */
  async troubles(plan: Plan, end: Moment): Promise<Trouble[]> {
    return await this.#with(plan, end, [], (acts, sought, user) => acts.accessTroubles(sought, user, end, this.#warn));
  }

  async open(plan: Plan, end: Moment): Promise<Outcome> {
    return await this.#with(plan, end, ok, (acts, sought, user) => acts.openWay(sought, user, end));
  }

  async find(plan: Plan, end: Moment): Promise<Outcome> {
    return await this.#with(plan, end, ok, async (acts, sought, user) => {
      const trouble = await acts.accessDrift(sought, user, end);
      return trouble ? { kind: 'failed', trouble } : ok;
    });
  }

  /** Whether `open` would change something. */
  async isLost(plan: Plan, end: Moment): Promise<boolean> {
    return await this.#with(plan, end, false, (acts, sought, user) => acts.isToBeOpened(sought, user, end));
  }

  /** In server mode the switch makes the socket in its own directory and needs no other. */
  async #with<T>(
    plan: Plan,
    end: Moment,
    otherwise: T,
    action: (acts: Acts, sought: Sought, user: SwitchUser) => Promise<T>,
  ) {
    const { ovsdb, socketDir, port } = plan;
    if (port?.mode !== 'client' || !socketDir) return otherwise;
    const user = await once(this.#users, ovsdb, () => this.#userOf(plan, end));
    return user === 'unlimited'
      ? otherwise
      : await action(await import('./switch-access.ts'), { socketDir, port }, user);
  }

  /** A user that cannot be found out does not stop the call. */
  async #userOf(plan: Plan, end: Moment): Promise<SwitchUser | 'unlimited'> {
    const { ovsdb } = plan;
    const pid = this.pidBeside(ovsdb) ?? (await this.#pidElsewhere(plan, end));
    const user = await switchUser(pid, socketPathOf(ovsdb), end);
    if (user === undefined) {
      this.#warn(
        `as which user the switch at "${ovsdb}" runs cannot be known: whether it may reach the socket is not looked at`,
      );
    }
    return user ?? 'unlimited';
  }

  async #pidElsewhere({ ovsdb }: Plan, end: Moment): Promise<number | undefined> {
    const rundir = this.#ovs.rundirAt(ovsdb) ?? (await this.#askedRundir(ovsdb, within(end, askedMs)));
    return rundir === runDirectory(ovsdb) ? undefined : findVswitchd(rundir)?.pid;
  }

  async #askedRundir(ovsdb: string, end: Moment): Promise<string> {
    const answers = await this.#ovs.read({ ovsdb }, [selectSwitch], end).catch(() => undefined);
    return runDirectory(ovsdb, answers?.[0]?.rows?.[0]);
  }
}

function once<T>(known: Map<string, Promise<T>>, key: string, ask: () => Promise<T>): Promise<T> {
  const asked = known.get(key) ?? ask();
  known.set(key, asked);
  return asked;
}
