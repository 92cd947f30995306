/**
 * What a recovery is asked for, and what it says of each attachment.
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
  /** Of a dry run: what would be. */
  readonly result: Fate;
  readonly owed: readonly { readonly step: string; readonly message: string }[];
  /** Of what is held, where the caller wants to know it and the process can be seen. */
  readonly holder?: LockHolder;
  /** What a person has to know of it. */
  readonly note?: string;
}

/** What is held and is to go is a debt like any other: nothing says that its holder ends. */
export const isOwed = ({ found, result }: Recovered): boolean =>
  result === 'owed' || (result === 'held' && found === 'going');

export interface RecoveryHost extends RemovalHost, Witness {
  listPorts(database: Database, end: number): Promise<readonly KnownPort[]>;
  /** @returns the names of those that went */
  removeIdleBridges(sought: IdleBridges, call: Call): Promise<string[]>;
  /** @returns undefined unless the path leads to a live network namespace */
  readNetns(path: string): object | undefined;
  restoreTrouble(sought: Pick<Request, 'plan' | 'facts'>, call: Call): Promise<Trouble | undefined>;
  /** What was away is asked again. @returns whether anything was */
  forgetAway(): boolean;
  close(): void;
}

/** The data directory that is worked on: what every visit to one of its journals needs. */
export interface Task {
  readonly disk: Disk;
  readonly host: RecoveryHost;
  readonly clock: () => Date;
  readonly dataDir: string;
  readonly ovsdb: string;
  /** The directory's id; empty if neither it nor a journal has one. */
  readonly instance: string;
  /** For each attachment: as long as a DEL has. */
  readonly removeMs: number;
}

/** Which process has the lock of a journal. @returns undefined where no such process can be seen */
type HolderOf = (path: string) => LockHolder | undefined;

/** Why a journal is visited, and so what may be done with it. */
export type Visit =
  /** `userspace recover`: everything. */
  | {
      readonly why: 'recovery';
      /** `later`: what is lost is put back once all else is done. */
      readonly putBack: 'now' | 'later';
      /** What an IPAM program's CHECK is told of an attachment at rest. */
      readonly asChecked: (plan: Plan, facts: Past['facts']) => Plan;
      /** Nothing is changed. */
      readonly dryRun: boolean;
      readonly holderOf?: HolderOf;
    }
  /** A port without a journal: one is made, so that its lock can be had. */
  | { readonly why: 'orphan'; readonly key: AttachmentKey; readonly holderOf?: HolderOf }
  /** A DEL pays what earlier ones owe: a removal that was begun, and nothing else. */
  | { readonly why: 'debt' }
  /** The runtime that called GC does not list it. */
  | {
      readonly why: 'gc';
      /** When GC was called (ISO 8601): an attachment that came to rest later can be in no list, and is kept. */
      readonly calledAt: string;
      /** What GC's configuration says of an attachment whose journal does not. */
      readonly planOf: (key: AttachmentKey) => Plan;
    };

/** What `recover` is asked for. */
export interface RecoverOptions extends Omit<Task, 'instance'> {
  /** What an IPAM program's CHECK is told of an attachment at rest. */
  readonly asChecked: (plan: Plan, facts: Past['facts']) => Plan;
  readonly progress: (one: Recovered) => void;
  /** Told of ports on the switch that belong to other data directories: they are left alone. */
  readonly others?: (port: KnownPort) => void;
  /** Told of switches that could not be asked for ports without a journal. Those are no attachments. */
  readonly unreachable?: (one: UnreachableSwitch) => void;
  readonly holderOf?: HolderOf;
  /** Nothing is changed. */
  readonly dryRun?: boolean;
  /** How long what is away is asked again and again, once all else is done. Absent: it is asked once again. */
  readonly patienceMs?: number;
}

/** One round of `recover` over a data directory. */
export type Round = RecoverOptions & Task;

export interface UnreachableSwitch {
  readonly ovsdb: string;
  readonly message: string;
}
