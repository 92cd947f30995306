/**
 * SIGKILL at an exact system call of the real executable, by strace's fault injection.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentSeat } from './agent-seat.ts';
import type { Call } from './cni.ts';
import { cniUnderStrace } from './under-strace.ts';

/** Main thread only (no -f): the executable does its journal there, and children are not ours to kill. */
const words = (calls: string, ...more: string[]) => ['-qq', '-e', `trace=${calls}`, ...more];

/** One place where a run can die: as it enters the n-th of these system calls. */
export interface Point {
  readonly call: string;
  readonly n: number;
}

/** Every such place of a whole run. strace counts each system call for itself. @param seat as for cniUnderStrace */
export async function pointsOf(command: string, call: Call, calls: string, seat?: AgentSeat): Promise<Point[]> {
  const counts = new Map<string, number>();
  for (const [, name = ''] of (await tracedRun(command, call, calls, seat)).matchAll(/^([a-z0-9_]+)\(/gm)) {
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].flatMap(([name, count]) =>
    Array.from({ length: count }, (_, index) => ({ call: name, n: index + 1 })),
  );
}

async function tracedRun(command: string, call: Call, calls: string, seat?: AgentSeat): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'usw-t-'));
  try {
    const file = join(directory, 'calls');
    const traced = words(calls, '-e', 'signal=none', '-o', file);
    const { exitCode, stdout } = await cniUnderStrace(traced, { command, call }, seat);
    if (exitCode !== 0) throw new Error(`${command} under strace failed: ${stdout}`);
    return await readFile(file, 'utf8');
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** @returns whether it was: a run that waits less makes fewer calls, and then ends by itself. */
export async function killedAt(command: string, call: Call, point: Point): Promise<boolean> {
  const injection = ['-o', '/dev/null', '-e', `inject=${point.call}:signal=SIGKILL:when=${point.n}`];
  return (await cniUnderStrace(words(point.call, ...injection), { command, call })).signal === 'SIGKILL';
}
