/**
 * One recovery at a time on a node: a lease with a heartbeat, which tells its holder and since when. The lease only saves work: two
 * recoveries do no harm, because each attachment has its lock (ADR 0001). A refused recovery leaves a request, and the holder then
 * makes another round, because the switch may have come back since it was asked.
 */
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sleep } from '../deadlines.ts';

/** Without a heartbeat for this long, the holder is dead. */
const staleMs = 5000;
const heartbeatMs = 1000;
/** Longer than a dead holder's lease lasts. */
const patienceMs = 6000;
const pauseMs = 250;

interface LeaseHolder {
  readonly pid: number;
  readonly since: string;
  readonly command: string;
  /** When its process was started (startOf). */
  readonly started?: string | undefined;
}

/** The end of a recovery that wanted the lease. */
export type Leased<T> =
  | { readonly kind: 'done'; readonly value: T }
  /** Another process is at work, and makes another round for this one. */
  | { readonly kind: 'left'; readonly to: string };

/** The most rounds for requests that others left: the next timer serves any more. */
const roundsMax = 5;

/** @throws what `action` throws */
export async function withLease<T>(dataDir: string, me: LeaseHolder, action: () => Promise<T>): Promise<Leased<T>> {
  const { lock } = await import('proper-lockfile');
  const holderFile = join(dataDir, 'recover.holder');
  const againFile = join(dataDir, 'recover.again');
  const options = {
    lockfilePath: join(dataDir, 'recover.lock'),
    realpath: false,
    stale: staleMs,
    update: heartbeatMs,
    // The holder is taken for dead if the machine stood still. The locks of the attachments still hold then.
    onCompromised: () => undefined,
  };
  const take = () => lock(dataDir, options);
  const lease = await takeLease({ take, lease: options.lockfilePath, holderFile, againFile, me });
  if (lease.kind === 'held') return { kind: 'left', to: lease.by };
  const here = { ...me, started: startOf(me.pid) };
  tolerate(() => writeFileSync(holderFile, `${JSON.stringify(here)}\n`, { mode: 0o600 }));
  try {
    for (let round = 1; ; round++) {
      tolerate(() => rmSync(againFile, { force: true }));
      const value = await action();
      if (!existsSync(againFile) || round === roundsMax) return { kind: 'done', value };
    }
  } finally {
    tolerate(() => rmSync(holderFile, { force: true }));
    await lease.release().catch(() => undefined);
  }
}

type Lease =
  | { readonly kind: 'taken'; readonly release: () => Promise<void> }
  /** The other process, in words. */
  | { readonly kind: 'held'; readonly by: string };

/** Waits for the lease. On a disk that takes no lease the recovery runs without one. */
async function takeLease({ take, lease, holderFile, againFile, me }: Wanted): Promise<Lease> {
  for (let waited = 0; ; waited += pauseMs) {
    try {
      return { kind: 'taken', release: await take() };
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ELOCKED')) {
        return { kind: 'taken', release: async () => undefined };
      }
    }
    const holder = readHolder(holderFile);
    // A killed holder's lease is taken away at once, before its heartbeat is overdue.
    if (isDead(holder, lease)) tolerate(() => rmSync(lease, { recursive: true, force: true }));
    else if (waited >= patienceMs) return { kind: 'held', by: heldBy(holder) };
    else {
      // The request is written before each look, because a holder that ends after our last look leaves the lease to us.
      tolerate(() => writeFileSync(againFile, `${JSON.stringify(me)}\n`, { mode: 0o600 }));
      await sleep(pauseMs);
    }
  }
}

/**
 * By its process. If no process is recorded, by the distance of the heartbeat from now, in either direction: a clock may be set.
 */
function isDead(holder: LeaseHolder | undefined, lease: string): boolean {
  if (holder) return startOf(holder.pid) === undefined || startOf(holder.pid) !== holder.started;
  const beat = statSync(lease, { throwIfNoEntry: false })?.mtimeMs;
  return beat !== undefined && Math.abs(Date.now() - beat) > staleMs;
}

/**
 * When a process was started, in clock ticks since the boot (proc_pid_stat(5), field 22): it tells a process from a later one
 * with its pid.
 */
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
  /** Path of the lease. */
  readonly lease: string;
  /** The file that names the holder. */
  readonly holderFile: string;
  /** The file that asks the holder for another round. */
  readonly againFile: string;
  readonly me: LeaseHolder;
}

function tolerate(action: () => void): void {
  try {
    action();
  } catch {
    // The lease saves work, and nothing else depends on it.
  }
}

function readHolder(holderFile: string): LeaseHolder | undefined {
  try {
    return JSON.parse(readFileSync(holderFile, 'utf8')) as LeaseHolder;
  } catch {
    return undefined;
  }
}

const heldBy = (holder: LeaseHolder | undefined): string =>
  holder
    ? `another recovery is at work: process ${holder.pid} (${holder.command}), since ${holder.since}`
    : 'another recovery is at work';
