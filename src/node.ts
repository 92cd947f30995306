/**
 * The real node: the parts that the handlers and the commands are handed, put together once.
 */
import type { Machine } from './cli/cli.ts';
import type { Basics } from './cni/config.ts';
import { defaultDeadlines } from './deadlines.ts';
import { createHost, type Host } from './effects/host.ts';
import { type Disk, realDisk } from './journal/disk.ts';
import { type Log, openLog } from './log.ts';

/** What the handlers are given of the machine they run on. */
export interface Node {
  readonly disk: Disk;
  readonly host: Host;
  readonly log: Log;
  readonly clock: () => Date;
  /** 64 random bits as 16 hex digits. */
  readonly random: () => string;
}

interface Edges {
  readonly clock: () => Date;
  readonly random: () => string;
  readonly stderr: (text: string) => void;
}

export function createNode(config: Pick<Basics, 'deadlines' | 'logFile' | 'logLevel'>, edges: Edges): Node {
  const { clock, random, stderr } = edges;
  return { disk: realDisk, host: createHost(config.deadlines), log: openLog(config, stderr, clock), clock, random };
}

export const machineForPeople = (clock: () => Date, pid: number): Machine => ({
  disk: realDisk,
  host: () => createHost(defaultDeadlines),
  clock,
  pid,
});
