/**
 * The parts of the machine that the verbs use; src/node.ts puts the real ones together.
 */
import type { Moment } from '../deadlines.ts';
import type { Host } from '../effects/host.ts';
import type { Disk } from '../journal/disk.ts';
import type { Log } from '../log.ts';

export interface Node {
  readonly disk: Disk;
  readonly host: Host;
  readonly log: Log;
  readonly clock: () => Date;
  /** When this call began; its deadlines count from there. */
  readonly began: Moment;
  /** Whether nothing waits for the answer any more. The call is then made again by another process, or never. */
  readonly isCallerGone: () => boolean;
  /** When this call was made, which can be long before its process got a processor. */
  readonly called: () => Date;
  /** 64 random bits as 16 hex digits. */
  readonly random: () => string;
}

/** How many attachments a call is for: a call for many asks a server or a program that was away only once. */
export type Scope = 'one attachment' | 'many attachments';
