/**
 * SIGKILL at an exact system call of the real executable, by strace's fault injection.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { answer, type Call, cni, start } from './cni.ts';

/** Main thread only (no -f): the executable does its journal there, and children are not ours to kill. */
const strace = (calls: string, ...more: string[]) => ['strace', '-qq', '-e', `trace=${calls}`, ...more];

/** One place where a run can die: as it enters the n-th of these system calls. */
export interface Point {
  readonly call: string;
  readonly n: number;
}

/** Every such place of a whole run. strace counts each system call for itself. */
export async function pointsOf(command: string, call: Call, calls: string, directory: string): Promise<Point[]> {
  const file = join(directory, 'calls');
  const { exitCode, stdout } = await cni(command, call, { under: strace(calls, '-e', 'signal=none', '-o', file) });
  if (exitCode !== 0) throw new Error(`${command} under strace failed: ${stdout}`);
  const counts = new Map<string, number>();
  for (const [, name = ''] of (await readFile(file, 'utf8')).matchAll(/^([a-z0-9_]+)\(/gm)) {
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].flatMap(([name, count]) =>
    Array.from({ length: count }, (_, index) => ({ call: name, n: index + 1 })),
  );
}

/** @returns whether it was: a run that waits less makes fewer calls, and then ends by itself. */
export async function killedAt(command: string, call: Call, point: Point): Promise<boolean> {
  const injection = ['-o', '/dev/null', '-e', `inject=${point.call}:signal=SIGKILL:when=${point.n}`];
  return answer(await start(command, call, { under: strace(point.call, ...injection) })).signal === 'SIGKILL';
}
