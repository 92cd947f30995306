/**
 * One reconciler at a time on a node: a lease with a heartbeat, which tells what holds it and since when. It saves work; what keeps two
 * from harm is the lock of each attachment (ADR 0001). One that is refused leaves word, and the one at work makes another round: the
 * switch may have come back since it was asked.
 */
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sleep } from '../deadlines.ts';

/** Without a heartbeat for so long its holder is dead. */
const staleMs = 5000;
const heartbeatMs = 1000;
/** Longer than a dead holder's lease lasts. */
const patienceMs = 6000;
const pauseMs = 250;

interface LeaseHolder {
  readonly pid: number;
  readonly since: string;
  readonly command: string;
  /** Of its process. */
  readonly started?: string | undefined;
}

/** What came of a recovery that wanted the lease. */
export type Leased<T> =
  | { readonly kind: 'done'; readonly value: T }
  /** Another process is at work, and makes another round for this one. */
  | { readonly kind: 'left'; readonly to: string };

/** Rounds for those that left word: more often than this they would be served by the next timer. */
const roundsMax = 5;

/** @throws what `action` throws */
export async function withLease<T>(dataDir: string, me: LeaseHolder, action: () => Promise<T>): Promise<Leased<T>> {
  const { lock } = await import('proper-lockfile');
  const told = join(dataDir, 'recover.holder');
  const word = join(dataDir, 'recover.again');
  const options = {
    lockfilePath: join(dataDir, 'recover.lock'),
    realpath: false,
    stale: staleMs,
    update: heartbeatMs,
    // It is taken for dead when the machine stood still: the locks of the attachments hold all the same.
    onCompromised: () => undefined,
  };
  const lease = await patiently({ take: () => lock(dataDir, options), lease: options.lockfilePath, told, word, me });
  if (lease.kind === 'held') return { kind: 'left', to: lease.by };
  const here = { ...me, started: startOf(me.pid) };
  tolerate(() => writeFileSync(told, `${JSON.stringify(here)}\n`, { mode: 0o600 }));
  try {
    for (let round = 1; ; round++) {
      tolerate(() => rmSync(word, { force: true }));
      const value = await action();
      if (!existsSync(word) || round === roundsMax) return { kind: 'done', value };
    }
  } finally {
    tolerate(() => rmSync(told, { force: true }));
    await lease.release().catch(() => undefined);
  }
}

type Lease =
  | { readonly kind: 'taken'; readonly release: () => Promise<void> }
  /** By another process, in words. */
  | { readonly kind: 'held'; readonly by: string };

/** A disk that takes no lease is no reason not to recover what is on it. */
async function patiently({ take, lease, told, word, me }: Wanted): Promise<Lease> {
  for (let waited = 0; ; waited += pauseMs) {
    try {
      return { kind: 'taken', release: await take() };
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ELOCKED')) {
        return { kind: 'taken', release: async () => undefined };
      }
    }
    const holder = readHolder(told);
    // Killed: its heartbeat need not be waited for.
    if (isDead(holder, lease)) tolerate(() => rmSync(lease, { recursive: true, force: true }));
    else if (waited >= patienceMs) return { kind: 'held', by: heldBy(holder) };
    else {
      // Before each look: the holder that ends after the last one leaves the lease to us.
      tolerate(() => writeFileSync(word, `${JSON.stringify(me)}\n`, { mode: 0o600 }));
      await sleep(pauseMs);
    }
  }
}

/** By its process; where it did not come to say which, by a heartbeat that is not of now, whichever way a clock was set. */
function isDead(holder: LeaseHolder | undefined, lease: string): boolean {
  if (holder) return startOf(holder.pid) === undefined || startOf(holder.pid) !== holder.started;
  const beat = statSync(lease, { throwIfNoEntry: false })?.mtimeMs;
  return beat !== undefined && Math.abs(Date.now() - beat) > staleMs;
}

/** When a process was started, in clock ticks since the boot (proc_pid_stat(5), field 22): tells it from a later one of its number. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

interface Wanted {
  readonly take: () => Promise<() => Promise<void>>;
  /** Paths: of the lease, of what tells its holder, of the word that is left for it. */
  readonly lease: string;
  readonly told: string;
  readonly word: string;
  readonly me: LeaseHolder;
}

function tolerate(action: () => void): void {
  try {
    action();
  } catch {
    // The lease saves work, and nothing else depends on it.
  }
}

function readHolder(told: string): LeaseHolder | undefined {
  try {
    return JSON.parse(readFileSync(told, 'utf8')) as LeaseHolder;
  } catch {
    return undefined;
  }
}

const heldBy = (holder: LeaseHolder | undefined): string =>
  holder
    ? `another recovery is at work: process ${holder.pid} (${holder.command}), since ${holder.since}`
    : 'another recovery is at work';
