/**
 * One reconciler at a time on a node: a lease with a heartbeat, which tells who holds it and since when. It saves work; what keeps two
 * from harm is the lock of each attachment (ADR 0001).
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sleep } from '../deadlines.ts';

/** Without a heartbeat for so long its holder is dead. */
const staleMs = 5000;
const heartbeatMs = 1000;
/** Longer than a dead holder's lease lasts. */
const patienceMs = 6000;
const pauseMs = 250;

interface Holder {
  readonly pid: number;
  readonly since: string;
  readonly command: string;
}

/** @throws Error naming the holder, if one that lives does not end in a few seconds. */
export async function withLease<T>(dataDir: string, me: Holder, action: () => Promise<T>): Promise<T> {
  const { lock } = await import('proper-lockfile');
  const told = join(dataDir, 'recover.holder');
  const options = {
    lockfilePath: join(dataDir, 'recover.lock'),
    realpath: false,
    stale: staleMs,
    update: heartbeatMs,
    // It is taken for dead when the machine stood still: the locks of the attachments hold all the same.
    onCompromised: () => undefined,
  };
  const give = await patiently(() => lock(dataDir, options), options.lockfilePath, told);
  tolerate(() => writeFileSync(told, `${JSON.stringify(me)}\n`, { mode: 0o600 }));
  try {
    return await action();
  } finally {
    tolerate(() => rmSync(told, { force: true }));
    await give().catch(() => undefined);
  }
}

/** A disk that takes no lease is no reason not to recover what is on it. */
async function patiently(
  take: () => Promise<() => Promise<void>>,
  lease: string,
  told: string,
): Promise<() => Promise<void>> {
  for (let waited = 0; ; waited += pauseMs) {
    try {
      return await take();
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ELOCKED')) return async () => undefined;
    }
    const holder = readHolder(told);
    // Killed: its heartbeat need not be waited for.
    if (holder && !existsSync(`/proc/${holder.pid}`)) tolerate(() => rmSync(lease, { recursive: true, force: true }));
    else if (waited >= patienceMs) throw new Error(heldBy(holder));
    else await sleep(pauseMs);
  }
}

function tolerate(action: () => void): void {
  try {
    action();
  } catch {
    // The lease saves work, and nothing else depends on it.
  }
}

function readHolder(told: string): Holder | undefined {
  try {
    return JSON.parse(readFileSync(told, 'utf8')) as Holder;
  } catch {
    return undefined;
  }
}

const heldBy = (holder: Holder | undefined): string =>
  holder
    ? `another recovery is at work: process ${holder.pid} (${holder.command}), since ${holder.since}`
    : 'another recovery is at work';
