/**
 * Finds other processes in /proc: the holder of a lock, and the processes that a program of ours left behind. Ends those whose time
 * is up.
 *
 * Every program that we start has one variable of ours, which all its descendants inherit. It says when the program has to end, and
 * for which purpose it acts. A lock that the program inherited is a lease until then.
 *
 * Invariants
 *  PS1 A process is ended only if it has our variable or descends from a program that this process started. Its name or number
 *     alone is not enough, because the number may belong to another process meanwhile.
 *  PS2 By its lease alone, a process of our own executable is never ended.
 *  PS3 Where /proc does not show a process (another pid namespace), nothing is ended and nothing is claimed.
 */
import { closeSync, readdirSync, readFileSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { leaseVariable, type Moment, now, polled, remainingMs, sleep } from '../deadlines.ts';
import { sinceBootMs } from './bare.ts';
import { killNumber, killProcess, openProcess } from './native.ts';

/**
 * A lock is usually held for a moment; after a longer wait, a walk through /proc is worth its price (70 ms with 1,000 processes).
 */
const firstLookMs = 300;
const lookPauseMs = 1_000;

/** The time that the kernel of a loaded machine needs to remove a killed process. */
const leaseMarginMs = 1_000;

/** /proc answers from memory, but a process that is stuck in the kernel can block a read of its environment. */
const lookMs = 500;

/** The wait for a killed process to be gone; it is given up for one that the kernel holds (a dead mount). */
const deathMs = 1_000;

/** A clock tick of proc(5) is a hundredth of a second on every Linux. */
export const tickMs = 10;

// ---- one process in /proc

interface Process {
  readonly pid: number;
  readonly parent: number;
  /** Its start, in ticks since boot: pid and start together identify it. */
  readonly start: number;
  readonly isDead: boolean;
}

/** The fields from the third on of the text of proc_pid_stat(5): the name in parentheses, the second one, may contain any character. */
export const fieldsOfStat = (text: string): string[] => text.slice(text.lastIndexOf(')') + 2).split(' ');

/** @throws errno exceptions */
const statFields = (pid: number | 'self'): string[] => fieldsOfStat(readFileSync(`/proc/${pid}/stat`, 'latin1'));

const startIn = (fields: readonly string[]): number => Number(fields[19]);

/** When a process was forked, in ticks since boot. @throws errno exceptions if it has gone */
export const readStart = (pid: number | 'self'): number => startIn(statFields(pid));

function readProcess(pid: number): Process | undefined {
  const fields = attempt(() => statFields(pid));
  if (fields === undefined) return undefined;
  // A process whose first thread has ended has the state of a zombie, but its other threads go on.
  const isDead = /^[ZX]/.test(fields[0] ?? '') && Number(fields[17]) <= 1;
  return { pid, parent: Number(fields[1]), start: startIn(fields), isDead };
}

const ownPid = (): number => Number(attempt(() => readlinkSync('/proc/self')));

const pids = (): number[] =>
  (attempt(() => readdirSync('/proc')) ?? []).filter((name) => /^\d+$/.test(name)).map(Number);

/** Ends a process if it is still the one that was looked at, and `isStill` holds. */
function end({ pid, start }: Process, isStill: () => boolean = () => true): void {
  const opened = openProcess(pid);
  try {
    if (readProcess(pid)?.start !== start || !isStill()) return;
    // If /proc shows another pid namespace than ours, the number means another process there (PS3).
    if (opened !== undefined && numberOf(opened) !== pid) return;
    if (opened === undefined) killNumber(pid);
    else killProcess(opened);
  } finally {
    if (opened !== undefined) closeSync(opened);
  }
}

/** The number of an opened process in /proc. */
const numberOf = (opened: number): number =>
  Number(/^Pid:\s+(\d+)$/m.exec(attempt(() => readFileSync(`/proc/self/fdinfo/${opened}`, 'latin1')) ?? '')?.[1]);

// ---- locks

export interface HoldingProcess {
  readonly pid: number;
  readonly command: string;
  /** The age of the process. */
  readonly ageMs: number;
}

/** A lock of a whole file (flock), or of one byte of it. */
export interface Lock {
  readonly path: string;
  readonly ino: bigint;
  readonly dev: bigint;
  readonly at?: number;
}

/** Finds the other processes that hold these locks, in one walk of /proc. */
export function findHolders(locks: readonly Lock[]): Map<Lock, HoldingProcess[]> {
  const byName = grouped(locks, ({ path }) => basename(path));
  const found = new Map<Lock, HoldingProcess[]>();
  const own = ownPid();
  for (const pid of pids()) {
    if (pid === own) continue;
    for (const lock of new Set(locksOf(pid, byName))) {
      const holder = holderOf(pid);
      if (holder) found.set(lock, [...(found.get(lock) ?? []), holder]);
    }
  }
  return found;
}

/** Finds the wanted locks that a process holds by any of its descriptors. */
function* locksOf(pid: number, wanted: ReadonlyMap<string, readonly Lock[]>): Generator<Lock> {
  for (const fd of attempt(() => readdirSync(`/proc/${pid}/fd`)) ?? []) {
    const link = attempt(() => readlinkSync(`/proc/${pid}/fd/${fd}`))?.replace(/ \(deleted\)$/, '') ?? '';
    const locks = wanted.get(basename(link));
    if (!locks) continue;
    const said = attempt(() => readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1')) ?? '';
    yield* locks.filter((lock) => says(said, lock, link));
  }
}

/** A descriptor's own locks, in proc(5)'s words: `lock:	1: FLOCK  ADVISORY  WRITE 1234 fd:01:5678 0 EOF`. */
const lockLine = /^lock:\s+\d+: (FLOCK|OFDLCK)\s+\S+\s+\S+ -?\d+ ([0-9a-f]+):([0-9a-f]+):(\d+) (\d+)/gm;

function says(fdinfo: string, { path, ino, dev, at }: Lock, link: string): boolean {
  return [...fdinfo.matchAll(lockLine)].some(([, kind, major, minor, inode, from]) => {
    if (kind !== (at === undefined ? 'FLOCK' : 'OFDLCK') || BigInt(inode ?? 0) !== ino) return false;
    if (at !== undefined && Number(from) !== at) return false;
    // For a file in an overlay or a subvolume, the kernel names another device here than stat(2) does.
    return isDevice(dev, Number.parseInt(major ?? '', 16), Number.parseInt(minor ?? '', 16)) || isPath(link, path);
  });
}

/** glibc's makedev(3). */
const isDevice = (dev: bigint, major: number, minor: number): boolean =>
  dev === BigInt(((major & 0xfff) << 8) | (minor & 0xff) | ((minor >>> 8) << 20));

const isPath = (link: string, path: string): boolean => link === path || link === attempt(() => realpathSync(path));

function holderOf(pid: number): HoldingProcess | undefined {
  const process = readProcess(pid);
  if (!process) return undefined;
  const read = (name: string) => attempt(() => readFileSync(`/proc/${pid}/${name}`, 'utf8')) ?? '';
  const words = read('cmdline').replaceAll('\0', ' ').trim();
  return {
    pid,
    // A process that is ending has no command line any more; ps(1) shows its name in brackets.
    command: words || `[${read('comm').trim()}]`,
    ageMs: Math.max(0, Math.round(sinceBootMs()) - process.start * tickMs),
  };
}

/** For messages: `process 12 (sleep 60), there for 21 s`. A worker of the agent is older than its call. */
export const holderText = ({ pid, command, ageMs }: HoldingProcess): string =>
  command.endsWith(' agent --worker')
    ? `process ${pid} (${command})`
    : `process ${pid} (${command}), there for ${Math.round(ageMs / 1000)} s`;

// ---- our locks in other programs

/** By descriptor: the programs that were given it and have not ended by themselves. */
const lent = new Map<number, Set<symbol>>();

/** Begins a new lock: earlier loans of the same descriptor number were of another file. */
export const claim = (fd: number): void => void lent.set(fd, new Set());

/** Notes that a program is given descriptors of locks. @returns a function to be called once it has ended by itself */
export function lend(locks: readonly number[]): () => void {
  const program = Symbol();
  const loans = locks.map((fd) => {
    const programs = lent.get(fd) ?? new Set();
    lent.set(fd, programs.add(program));
    return programs;
  });
  return () => {
    for (const programs of loans) programs.delete(program);
  };
}

/**
 * Whether a program that was given this lock may still be at work: it runs, or it was killed and did not end by itself. Such a lock
 * is closed without unlocking, so it stays with that program and its descendants until they end.
 */
export const isLent = (fd: number): boolean => (lent.get(fd)?.size ?? 0) > 0;

// ---- waiting for a lock

/**
 * Tries to take a lock until the end. Meanwhile it ends a process that inherited the lock and whose time is up.
 * @param lockOf called only after a longer wait
 * @returns whether it was taken
 */
export async function taken(tryLock: () => boolean, lockOf: () => Lock, end: Moment): Promise<boolean> {
  if (await polled(tryLock, Math.min(end, now() + firstLookMs))) return true;
  while (now() < end) {
    await endOverdue(lockOf());
    if (await polled(tryLock, Math.min(end, now() + lookPauseMs))) return true;
  }
  return false;
}

/** Ends the lock's holders whose lease is over, and all processes with the same lease. */
async function endOverdue(lock: Lock): Promise<void> {
  const until = now() + lookMs;
  const holders = findHolders([lock]).get(lock) ?? [];
  const wanted = new Map([[basename(lock.path), [lock]]]);
  for (const { pid } of holders) {
    const holder = readProcess(pid);
    const lease = await leaseOf(pid, until);
    if (!holder || lease === undefined || sinceBootMs() < deadlineOf(lease) + leaseMarginMs) continue;
    if (await isOurExecutable(pid, until)) continue;
    end(holder, () => !locksOf(pid, wanted).next().done);
    await endBearers((text) => text === lease);
  }
}

// ---- the variable

/** @param purpose the attachment's key, or the program's task */
export const leaseText = (end: Moment, purpose: string): string =>
  `${Math.ceil(sinceBootMs() + remainingMs(end))} ${purpose}`;

const deadlineOf = (lease: string): number => Number(lease.split(' ', 1)[0]);

/** Reads a process's lease. The environment of one that is stuck in the kernel cannot be read: it counts as having none. */
async function leaseOf(pid: number, end: Moment): Promise<string | undefined> {
  const text = await before(end, readFile(`/proc/${pid}/environ`, 'utf8'));
  const found = text?.split('\0').find((one) => one.startsWith(`${leaseVariable}=`));
  const lease = found?.slice(leaseVariable.length + 1);
  return lease && /^\d+ /.test(lease) ? lease : undefined;
}

async function isOurExecutable(pid: number, end: Moment): Promise<boolean> {
  const [own, other] = await Promise.all(
    ['self', pid].map((name) => before(end, stat(`/proc/${name}/exe`, { bigint: true }))),
  );
  // An executable that cannot be seen may be ours.
  return !own || !other || (own.ino === other.ino && own.dev === other.dev);
}

/**
 * Ends the processes of programs that other calls started for this purpose: one in a session of its own, without any of our
 * descriptors, could still act on it.
 */
export async function endOrphans(purpose: string): Promise<void> {
  await endBearers((lease) => lease.slice(lease.indexOf(' ') + 1) === purpose);
}

async function endBearers(isMeant: (lease: string) => boolean): Promise<void> {
  const until = now() + deathMs;
  for (let left = await bearers(isMeant); left.length > 0 && now() < until; left = await bearers(isMeant)) {
    for (const process of left) end(process);
    await sleep(2);
  }
}

async function bearers(isMeant: (lease: string) => boolean): Promise<Process[]> {
  const own = ownPid();
  const until = now() + lookMs;
  const looks = pids().map(async (pid) => {
    const lease = pid === own ? undefined : await leaseOf(pid, until);
    if (lease === undefined || !isMeant(lease) || (await isOurExecutable(pid, until))) return [];
    const process = readProcess(pid);
    // The number may belong to another process meanwhile.
    return process && !process.isDead && (await leaseOf(pid, until)) === lease ? [process] : [];
  });
  return (await Promise.all(looks)).flat();
}

// ---- descendants

/** A program that this process has started. */
export interface Started {
  readonly pid: number;
  /** A moment shortly before its start, in milliseconds since boot. */
  readonly startMs: number;
  readonly lease: string;
}

/**
 * Kills all descendants of a program. Children of its dead processes become ours, in whatever session they are (spawnProgram).
 * Descendants of an earlier program started earlier, and stay; so do the programs that run beside this one.
 * @returns whether nothing is left
 */
export async function endDescendants(program: Started, beside: readonly Started[]): Promise<boolean> {
  const own = ownPid();
  const until = now() + deathMs;
  for (;;) {
    const left = await leftBy(program, beside, own);
    if (left.length === 0) return true;
    if (now() >= until) return false;
    for (const process of left) end(process);
    await sleep(2);
  }
}

async function leftBy(program: Started, beside: readonly Started[], own: number): Promise<Process[]> {
  const all = pids().flatMap((pid) => readProcess(pid) ?? []);
  const children = grouped(all, ({ parent }) => parent);
  const roots: Process[] = [];
  for (const root of children.get(own) ?? []) {
    if (root.pid === program.pid || (await isLeftBy(root, program, beside))) roots.push(root);
  }
  for (let index = 0; index < roots.length; index++) roots.push(...(children.get(roots[index]?.pid ?? 0) ?? []));
  return roots.filter(({ isDead }) => !isDead);
}

async function isLeftBy(root: Process, program: Started, beside: readonly Started[]): Promise<boolean> {
  if (root.isDead) return false;
  if (root.start < Math.floor(program.startMs / tickMs) || beside.some(({ pid }) => pid === root.pid)) return false;
  const lease = await leaseOf(root.pid, now() + lookMs);
  // A descendant may have dropped our variable: then it belongs to this program if no other one runs.
  return lease === program.lease || (lease === undefined && beside.length === 0);
}

// ---- small help

function grouped<K, T>(all: readonly T[], keyOf: (one: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const one of all) {
    const group = groups.get(keyOf(one));
    if (group) group.push(one);
    else groups.set(keyOf(one), [one]);
  }
  return groups;
}

async function before<T>(end: Moment, promise: Promise<T>): Promise<T | undefined> {
  const late = sleep(remainingMs(end)).then(() => undefined);
  return await Promise.race([promise.catch(() => undefined), late]);
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** The lock of the file that is at the path now. @returns undefined if there is no file */
export function lockOf(path: string, at?: number): Lock | undefined {
  const found = attempt(() => statSync(path, { bigint: true }));
  return found && { path, ino: found.ino, dev: found.dev, ...(at !== undefined && { at }) };
}
