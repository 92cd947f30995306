/**
 * The options of a recovery, and its report on each attachment.
 */
import type { AttachmentKey, Trouble } from '../attachment.ts';
import type { Past } from '../drive/past.ts';
import type { RemovalHost } from '../drive/removal.ts';
import type { Disk } from '../journal/disk.ts';
import type { Call, Database, IdleBridges, KnownPort, Plan, Request } from '../machines/protocol.ts';
import type { Witness } from './judge.ts';
import type { Fate, Found } from './words.ts';

/** A process that has an attachment's lock. */
export interface LockHolder {
  readonly pid: number;
  /** Its command line. */
  readonly command: string;
  /** When it was started, ISO 8601. */
  readonly since: string;
}

export interface Recovered {
  readonly key: string;
  readonly found: Found;
  /** In a dry run: what would be done. */
  readonly result: Fate;
  readonly owed: readonly { readonly step: string; readonly message: string }[];
  /** The process that has the lock, if the caller wants to know it and it can be seen. */
  readonly holder?: LockHolder;
  /** A remark for a person. */
  readonly note?: string;
}

/** A held attachment that is to be removed is a debt like any other, because its holder may never end. */
export const isOwed = ({ found, result }: Recovered): boolean =>
  result === 'owed' || (result === 'held' && found === 'going');

export interface RecoveryHost extends RemovalHost, Witness {
  listPorts(database: Database, end: number): Promise<readonly KnownPort[]>;
  /** @returns the names of those that went */
  removeIdleBridges(sought: IdleBridges, call: Call): Promise<string[]>;
  /** @returns undefined unless the path leads to a live network namespace */
  readNetns(path: string): object | undefined;
  restoreTrouble(sought: Pick<Request, 'plan' | 'facts'>, call: Call): Promise<Trouble | undefined>;
  /** Allows servers and programs that were away to be asked again. @returns whether any was away */
  forgetAway(): boolean;
  close(): void;
}

/** The data directory that is worked on, for every visit to one of its journals. */
export interface Task {
  readonly disk: Disk;
  readonly host: RecoveryHost;
  readonly clock: () => Date;
  readonly dataDir: string;
  readonly ovsdb: string;
  /** The directory's id; empty if neither it nor a journal has one. */
  readonly instance: string;
  /** The time for each attachment: as long as a DEL has. */
  readonly removeMs: number;
}

/** Finds the process that has the lock of a journal. @returns undefined if no such process can be seen */
type HolderOf = (path: string) => LockHolder | undefined;

/** Why a journal is visited, which decides what may be done with it. */
export type Visit =
  /** `userspace recover`: everything. */
  | {
      readonly why: 'recovery';
      /** `later`: a lost port is put back only once everything else is done. */
      readonly putBack: 'now' | 'later';
      /** The plan with which an IPAM program's CHECK is called for an attachment at rest. */
      readonly asChecked: (plan: Plan, facts: Past['facts']) => Plan;
      /** Nothing is changed. */
      readonly dryRun: boolean;
      readonly holderOf?: HolderOf;
    }
  /** A port without a journal: a journal is made, because only a file can be locked. */
  | { readonly why: 'orphan'; readonly key: AttachmentKey; readonly holderOf?: HolderOf }
  /** A DEL pays what earlier ones owe: a removal that was begun, and nothing else. */
  | { readonly why: 'debt' }
  /** The runtime that called GC does not list it. */
  | {
      readonly why: 'gc';
      /** When GC was called (ISO 8601). An attachment that came to rest later cannot be in the runtime's list, and is kept. */
      readonly calledAt: string;
      /** The plan by GC's configuration, for an attachment whose journal has none. */
      readonly planOf: (key: AttachmentKey) => Plan;
    };

/** The options of `recover`. */
export interface RecoverOptions extends Omit<Task, 'instance'> {
  /** The plan with which an IPAM program's CHECK is called for an attachment at rest. */
  readonly asChecked: (plan: Plan, facts: Past['facts']) => Plan;
  readonly progress: (one: Recovered) => void;
  /** Called with each port on the switch that belongs to another data directory, and is left alone. */
  readonly others?: (port: KnownPort) => void;
  /** Called with each switch that could not be asked for its ports. It is not an attachment, so it has no report. */
  readonly unreachable?: (one: UnreachableSwitch) => void;
  readonly holderOf?: HolderOf;
  /** Nothing is changed. */
  readonly dryRun?: boolean;
  /** How long servers and programs that are away are asked again and again, once all else is done. Absent: once. */
  readonly patienceMs?: number;
}

/** One round of `recover` over a data directory. */
export type Round = RecoverOptions & Task;

export interface UnreachableSwitch {
  readonly ovsdb: string;
  readonly message: string;
}
