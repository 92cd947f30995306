/**
 * What the verbs need of the machine that they run on; src/node.ts puts the real one together.
 */
import type { Host } from '../effects/host.ts';
import type { Disk } from '../journal/disk.ts';
import type { Log } from '../log.ts';

/** What the handlers are given of the machine they run on. */
export interface Node {
  readonly disk: Disk;
  readonly host: Host;
  readonly log: Log;
  readonly clock: () => Date;
  /** When this call was made: its process can have waited long for a processor. */
  readonly called: () => Date;
  /** 64 random bits as 16 hex digits. */
  readonly random: () => string;
}

/** How many attachments a call is for: one that needs a server or a program for many of them asks one that was away only once. */
export type Scope = 'one attachment' | 'many attachments';
