/**
 * The real node: the parts that the handlers and the commands are handed, put together once.
 */
import type { Machine } from './cli/cli.ts';
import type { Basics } from './cni/config.ts';
import { defaultDeadlines } from './deadlines.ts';
import { createHost } from './effects/host.ts';
import { realDisk } from './journal/disk.ts';
import { openLog } from './log.ts';
import type { Node } from './plugin.ts';

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
