/** The CPU time and the memory of a tree of processes, from /proc. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fieldsOfStat, tickMs } from '../../src/os/processes.ts';

interface Stat {
  readonly pid: number;
  readonly parent: number;
  /** Whether it has ended, and its parent has not waited for it yet. It has CPU time, but no memory. */
  readonly isZombie: boolean;
  /** The CPU time of the process and of its children that ended and that it waited for. */
  readonly cpuMs: number;
}

/** @returns undefined if it has ended */
function statOf(pid: number): Stat | undefined {
  const text = readOr(`/proc/${pid}/stat`);
  if (text === undefined) return undefined;
  const fields = fieldsOfStat(text);
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  return { pid, parent: Number(fields[1]), isZombie: fields[0] === 'Z', cpuMs: ticks * tickMs };
}

function readOr(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** The process and all its descendants. */
function treeOf(root: number): Stat[] {
  const all = readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? (statOf(Number(name)) ?? []) : []));
  const tree = all.filter(({ pid }) => pid === root);
  for (const { pid } of tree) tree.push(...all.filter(({ parent }) => parent === pid));
  return tree;
}

/** The living processes of a tree. */
export const pidsOf = (root: number): number[] => treeOf(root).flatMap(({ pid, isZombie }) => (isZombie ? [] : [pid]));

/** Whether a living process has mapped the file. */
export const hasMapped = (pid: number, file: string): boolean => readOr(`/proc/${pid}/maps`)?.includes(file) ?? true;

/** The CPU time that the tree has taken since its root began, workers that ended included. */
function cpuMsOf(root: number): number {
  return treeOf(root).reduce((sum, { cpuMs }) => sum + cpuMs, 0);
}

const quietMs = 300;
const patienceMs = 5_000;

/** Waits until the tree takes no more CPU time, so that work behind the answers counts too. @returns its CPU time */
export async function quietCpuMs(root: number): Promise<number> {
  const deadline = performance.now() + patienceMs;
  let before = cpuMsOf(root);
  for (;;) {
    await delay(quietMs);
    const now = cpuMsOf(root);
    if (now === before || performance.now() > deadline) return now;
    before = now;
  }
}

/** The CPU time that the tree takes while nothing is asked of it. @returns milliseconds for each second */
export async function restingCpu(root: number, seconds: number): Promise<number> {
  const before = await quietCpuMs(root);
  const began = performance.now();
  await delay(seconds * 1000);
  return ((cpuMsOf(root) - before) / (performance.now() - began)) * 1000;
}

/** The proportional set size: memory that several processes share counts once. A process that has ended has none. */
export function pssMb(pids: readonly number[]): number {
  const kb = pids.map((pid) => Number(readOr(`/proc/${pid}/smaps_rollup`)?.match(/^Pss: +(\d+)/m)?.[1] ?? 0));
  return kb.reduce((sum, one) => sum + one, 0) / 1024;
}

export interface Peak {
  readonly mb: number;
  readonly processes: number;
}

const sampleMs = 50;

/** Looks at processes again and again while `work` runs. @returns the most memory, and the most processes, of each group */
export async function peakDuring(
  work: () => Promise<unknown>,
  groups: Readonly<Record<string, () => readonly number[]>>,
): Promise<Record<string, Peak>> {
  const peaks: Record<string, Peak> = {};
  const look = () => {
    for (const [name, pids] of Object.entries(groups)) {
      const found = pids();
      const { mb, processes } = peaks[name] ?? { mb: 0, processes: 0 };
      peaks[name] = { mb: Math.max(mb, pssMb(found)), processes: Math.max(processes, found.length) };
    }
  };
  let working = true;
  const watch = async () => {
    while (working) {
      look();
      await delay(sampleMs);
    }
  };
  const watching = watch();
  await work().finally(() => {
    working = false;
  });
  await watching;
  return peaks;
}
