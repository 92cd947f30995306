/**
 * The example of docs/library.md on a disk and files in memory, where every call on either may be the process' last one.
 */

import { dirname } from 'node:path';
import { bring, type Call } from '../../../docs/examples/directory-with-file.ts';
import type { Disk } from '../../../src/journal/disk.ts';
import { decode } from '../../../src/journal/record.ts';
import { type Choose, keepAll, loseAll, nulTail } from './choices.ts';
import { watched } from './crash-points.ts';
import { dataDir } from './fake-node.ts';
import { ProcessKilled, SimulatedDisk } from './simulated-disk.ts';
import { describeDisk } from './world-checker.ts';

export const directory = '/notes/one';
export const file = `${directory}/file`;
export const text = 'made by the example';
const journal = `${dataDir}/one.journal`;

/** `by the journals alone`: what a boot does, which knows no plan: whatever has a journal is removed. */
export type Deed = 'make' | 'remove' | 'remove by the journals alone';

/** Directories (undefined) and files (their text). */
type Things = ReadonlyMap<string, string | undefined>;

/** What the processes of one machine share. */
export interface Machine {
  readonly disk: SimulatedDisk;
  readonly things: Things;
  /** Those that a power cut leaves. */
  readonly durable: Things;
}

export const machineWith = (things: Things = new Map()): Machine => ({
  disk: new SimulatedDisk([dataDir]),
  things,
  durable: things,
});

const copy = ({ disk, things, durable }: Machine) => ({
  disk: disk.powerCut(keepAll),
  things: new Map(things),
  durable: new Map(durable),
});

export const fingerprint = ({ disk, things, durable }: Machine): string =>
  JSON.stringify([describeDisk(disk), [...things], [...durable]]);

/** A directory's names become durable; a file's text never does here. */
function syncNames(path: string, { things, durable }: ReturnType<typeof copy>): void {
  const isIn = (name: string) => dirname(name) === path;
  for (const name of [...durable.keys()].filter(isIn)) if (!things.has(name)) durable.delete(name);
  for (const [name, kept] of things) if (isIn(name)) durable.set(name, kept && '');
}

/** The durable things whose directory is durable too. */
const survivors = ({ durable }: Machine): Things =>
  new Map([...durable].filter(([name]) => name === directory || durable.has(directory)));

const errno = (code: string): Error => Object.assign(new Error(code), { code });

/** The calls of node:fs that the example uses. A write makes an empty file first. */
function filesOn(things: Map<string, string | undefined>, announce: () => void): Call['files'] {
  const files = {
    existsSync: (path: string) => {
      announce();
      return things.has(path);
    },
    readFileSync: (path: string) => {
      announce();
      return things.get(path) ?? '';
    },
    mkdirSync: (path: string) => {
      announce();
      if (things.has(path)) throw errno('EEXIST');
      things.set(path, undefined);
    },
    writeFileSync: (path: string, written: string) => {
      announce();
      things.set(path, '');
      announce();
      things.set(path, written);
    },
    rmSync: (path: string) => {
      announce();
      things.delete(path);
    },
    rmdirSync: (path: string) => {
      announce();
      if ([...things.keys()].some((name) => name.startsWith(`${path}/`))) throw errno('ENOTEMPTY');
      if (!things.delete(path)) throw errno('ENOENT');
    },
  };
  return files as unknown as Call['files'];
}

interface Write {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** The moment of a process' death: before its call of this number, or in the middle of the write that this call is. */
interface Death {
  readonly call: number;
  readonly torn: boolean;
}

export interface Lived {
  /** The machine as the next process finds it, if the power stays. */
  readonly machine: Machine;
  readonly calls: number;
  /** The calls among them that write to a journal. */
  readonly writes: readonly number[];
}

/** One process that does a deed, on a copy of the machine. */
export async function live(from: Machine, deed: Deed, death?: Death): Promise<Lived> {
  const machine = copy(from);
  const writes: number[] = [];
  let calls = 0;
  let isDead = false;
  const die = (): never => {
    isDead = true;
    throw new ProcessKilled(`killed at call ${calls}`);
  };
  const announce = (write?: Write): void => {
    // A dead process makes no call, whatever its code would do on its way out.
    if (isDead) die();
    calls++;
    if (write) writes.push(calls);
    if (calls !== death?.call) return;
    if (death.torn && write) {
      const half = machine.disk.spawn();
      half.write(half.open(write.path, 'a+'), write.bytes.subarray(0, write.bytes.length / 2));
      half.processDeath();
    }
    die();
  };
  const watchedDisk = watched(machine.disk, (_, write) => announce(write));
  const fsyncDirectory = (path: string): void => {
    if (path === dataDir) watchedDisk.fsyncDirectory(path);
    else {
      announce();
      syncNames(path, machine);
    }
  };
  const disk = new Proxy(watchedDisk, {
    get: (target, name) => (name === 'fsyncDirectory' ? fsyncDirectory : Reflect.get(target, name)),
  });
  const files = filesOn(machine.things, announce);
  try {
    await doDeed(deed, { disk, files });
  } catch (error) {
    if (!(error instanceof ProcessKilled)) throw error;
  }
  return { machine: { ...machine, disk: machine.disk.processDeath() }, calls, writes };
}

async function doDeed(deed: Deed, { disk, files }: Pick<Call, 'disk' | 'files'>): Promise<void> {
  const plan = { directory, text };
  if (deed !== 'remove by the journals alone') return await bring(deed, { disk, files, journal, plan });
  for (const name of journalsOn(disk)) {
    const unknown = { directory: '/elsewhere', text: '' };
    await bring('remove', { disk, files, journal: `${dataDir}/${name}`, plan: unknown });
  }
}

export const journalsOn = (disk: Disk): string[] => disk.list(dataDir).filter((name) => name.endsWith('.journal'));

export interface Crash extends Machine {
  /** The way to it, for the reader of a failure. */
  readonly how: string;
}

const cuts: readonly (readonly [string, Choose])[] = [
  ['unsynced lost', loseAll],
  ['names and sizes kept', nulTail],
  ['everything kept', keepAll],
];

/** Every different machine that is found after a death or a power cut at any call of a deed. */
export async function crashesOf(from: Machine, deed: Deed): Promise<Crash[]> {
  const { calls, writes } = await live(from, deed);
  const crashes = new Map<string, Crash>();
  const add = (crash: Crash): void => {
    const print = fingerprint(crash);
    if (!crashes.has(print)) crashes.set(print, crash);
  };
  for (let call = 1; call <= calls; call++) {
    const how = `${deed}, dead at call ${call}`;
    const { machine } = await live(from, deed, { call, torn: false });
    add({ ...machine, how });
    if (writes.includes(call)) add({ ...(await live(from, deed, { call, torn: true })).machine, how: `${how}, torn` });
    for (const [name, choose] of cuts) {
      const disk = machine.disk.powerCut(choose);
      const lost = survivors(machine);
      add({ disk, things: machine.things, durable: machine.things, how: `${how}, power cut: ${name}` });
      add({ disk, things: lost, durable: lost, how: `${how}, power cut: ${name}, effects lost` });
    }
  }
  return [...crashes.values()];
}

/** The steps that a journal says were begun. */
export function begunOn(disk: SimulatedDisk): string[] {
  if (disk.lookup(journal) === undefined) return [];
  const reader = disk.spawn();
  const { records } = decode<{ kind: string; step: string }>(reader.read(reader.open(journal, 'r')));
  return records.filter(({ kind }) => kind === 'intent').map(({ step }) => step);
}
