/**
 * The journal of one attachment: one append-only file, locked for a whole operation (docs/adr/0001, 0003).
 *
 * Owns: the file's life (create, append, repair, restart, unlink) and the going mark. Generic in the record: it knows bytes and
 * durability, not what a record means.
 *
 * Invariants
 *  JO1 An append returns only after its record and all before it are fsynced, and never after an earlier write or fsync has failed.
 *  JO2 The going mark (a mode) is set before the lock is waited for, needs no space and no lock, and is never cleared. No other
 *     mode is taken for it, but the one of the format before, unless the records speak against it.
 *  JO3 The file is never renamed. It is truncated in place, and unlinked only by its lock holder: at the end of a removal, or blank.
 *  JO4 Nothing of the file's content is lost in silence: corruption is copied aside before the tail is cut.
 *  JO5 An attachment at rest bears an attribute. A file that bears it and tells of something else was damaged, whatever its tail looks like.
 */
import { dirname } from 'node:path';
import type { Moment } from '../deadlines.ts';
import { isLent } from '../os/processes.ts';
import { type Disk, type FileStat, isSystemError, type OpenFile } from './disk.ts';
import { asJournalError, JournalError } from './failure.ts';
import { type LockOutcome, lock } from './lock.ts';
import { isGoing, mayBeGoing, modeAlive, modeGoing, strangeModeOf } from './marks.ts';
import { type Decoded, decode, type End, encode, noRecord, type Stamped } from './record.ts';
import { type BadTail, closeQuietly, copyOf, quietly, repair, unlinkIfThere, wholeWrite } from './repair.ts';

export { JournalError } from './failure.ts';

/** Best-effort records of a removal that is tried again and again stop here; a whole ADD takes about 8 KiB. */
const notesBytesMax = 256 * 1024;

export interface OpenOptions<R> {
  readonly create: boolean;
  readonly clock: () => Date;
  readonly tells: Tells<R>;
}

interface Opened extends OpenFile {
  readonly access: 'append' | 'read';
}

/** A staged record becomes durable with the next durable one. */
type Durability = 'durable' | 'staged';

/** What records tell of, for a mark that is not for sure one: something at rest, a removal, or neither. */
export type Tells<R> = (records: readonly (R & Stamped)[]) => 'rest' | 'removal' | undefined;

/** A journal as a reader without its lock sees it. */
export interface Peeked<R> {
  readonly records: readonly (R & Stamped)[];
  readonly going: boolean;
  /** The records are not all that there were. */
  readonly damaged: boolean;
  /** A mode that no call of ours gives: octal. */
  readonly strangeMode?: string;
}

export class Journal<R extends object> {
  readonly #disk: Disk;
  readonly #path: string;
  /** Handed to every child process, so that an orphan of a killed call still holds the lock. */
  readonly fd: number;
  /** The file system is read-only: the lock holds, nothing is written. */
  readonly readOnly: boolean;
  readonly #options: OpenOptions<R>;
  #records: (R & Stamped)[] = [];
  /** Of each record. */
  #ends: End[] = [];
  #isHeld = false;
  /** Why nothing more may be appended. */
  #failure: JournalError | undefined;
  /** The file, or an earlier cut of it, was corrupt in the middle: its records say less than what happened. */
  damaged = false;

  private constructor({ disk, path, fd, access }: Opened, options: OpenOptions<R>) {
    this.#disk = disk;
    this.#path = path;
    this.fd = fd;
    this.readOnly = access === 'read';
    this.#options = options;
  }

  /**
   * Opens the file, creating it if asked, without waiting for anybody.
   * @returns undefined if there is none and none was asked for.
   * @throws JournalError if it cannot be opened or created.
   */
  static open<R extends object>(disk: Disk, path: string, options: OpenOptions<R>): Journal<R> | undefined {
    try {
      const fd = options.create ? disk.open(path, 'a+', modeAlive) : disk.open(path, 'r+');
      return new Journal<R>({ disk, path, fd, access: 'append' }, options);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      if (error.code === 'ENOENT' && !options.create) return undefined;
      // An immutable file (chattr +i) is to us what a read-only disk is.
      if (error.code === 'EROFS' || error.code === 'EPERM') return Journal.#openReadOnly<R>(disk, path, options);
      throw asJournalError(`cannot open the journal "${path}"`, error);
    }
  }

  static #openReadOnly<R extends object>(disk: Disk, path: string, options: OpenOptions<R>): Journal<R> | undefined {
    try {
      return new Journal<R>({ disk, path, fd: disk.open(path, 'r'), access: 'read' }, options);
    } catch (error) {
      if (isSystemError(error) && error.code === 'ENOENT') return undefined;
      if (!isSystemError(error)) throw error;
      throw asJournalError(`cannot open the journal "${path}"`, error);
    }
  }

  /** What the file says right now, for people: no lock, no repair. @returns undefined if there is none. @throws JournalError */
  static peek<R extends object>(disk: Disk, path: string, tells: Tells<R>): Peeked<R> | undefined {
    const options = { create: false, clock: () => new Date(0), tells };
    const journal = Journal.#openReadOnly<R>(disk, path, options);
    if (!journal) return undefined;
    let seen: Peeked<R> | undefined;
    try {
      journal.#guard('read', () => {
        const { records, tail } = decode<R>(disk.read(journal.fd));
        journal.#records = records;
        const { going, strangeMode } = journal;
        const damaged = tail === 'corrupt' || disk.lookup(copyOf(path)) !== undefined || journal.#isCutShort;
        seen = { records, going, damaged, ...(strangeMode && { strangeMode }) };
      });
    } finally {
      journal.close();
    }
    return seen;
  }

  /** Waits for the lock; once it is held, reads the file and, unless told not to, repairs its tail. */
  async lock(end: Moment, { repairs = true }: { readonly repairs?: boolean } = {}): Promise<LockOutcome> {
    try {
      const outcome = await lock(this.#file, end);
      this.#isHeld = outcome === 'held';
      if (!this.#isHeld) return outcome;
      const bad = this.#readBack();
      if (bad && repairs) this.#repair(bad);
      return outcome;
    } catch (error) {
      if (!isSystemError(error) || error instanceof JournalError) throw error;
      throw this.#fail(error, 'lock');
    }
  }

  get records(): readonly (R & Stamped)[] {
    return this.#records;
  }

  /** An append failed, and no later one can be relied on (JO1). */
  get failed(): boolean {
    return this.#failure !== undefined;
  }

  /** This attachment is to go. Seen at once by every process that has the file open. */
  get going(): boolean {
    const stat = this.#stat();
    if (isGoing(stat) || !mayBeGoing(stat)) return isGoing(stat);
    const told = this.#options.tells(this.#records);
    return told === 'removal' || (told === undefined && !this.#disk.hasAttribute(this.fd));
  }

  /** A mode that no call of ours gives, in octal: it says nothing, and a person should know. */
  get strangeMode(): string | undefined {
    return this.going ? undefined : strangeModeOf(this.#stat());
  }

  /** dev:inode: a file that was restored from a backup, or copied, is another. */
  get identity(): string {
    const { dev, ino } = this.#stat();
    return `${dev}:${ino}`;
  }

  /** Its name still leads to it: what is recorded in a file that another tool has taken away will be remembered by nothing. */
  get isInPlace(): boolean {
    let found: FileStat | undefined;
    this.#guard('look for', () => {
      found = this.#disk.lookup(this.#path);
    });
    return found?.ino === this.#stat().ino;
  }

  /** Nothing was ever written to it: what unlinked it was no removal. */
  get blank(): boolean {
    return this.#stat().size === 0n;
  }

  #stat(): FileStat {
    let stat: FileStat | undefined;
    this.#guard('look at', () => {
      stat = this.#disk.stat(this.fd);
    });
    if (!stat) throw new Error('a journal without a failure was not looked at');
    return stat;
  }

  /**
   * It was at rest once, and the records do not say it, nor what has become of that (JO5). The mark does not say what there is to
   * remove: a DEL sets it before it reads them.
   */
  get #isCutShort(): boolean {
    return this.#disk.hasAttribute(this.fd) && this.#options.tells(this.#records) === undefined;
  }

  /** Lets the file itself say that it is at rest: where its records are lost, that stays known. For a file system that can. */
  markRest(): void {
    try {
      this.#disk.setAttribute(this.fd);
    } catch (error) {
      if (!isSystemError(error)) throw error;
    }
  }

  /**
   * Sets the going mark durably. Works on a full disk.
   * @throws JournalError on a read-only or failing one: the removal may go on under the lock, but nobody is told.
   */
  markGoing(): void {
    this.#guard('mark', () => {
      this.#disk.chmod(this.fd, modeGoing);
      if (!isGoing(this.#disk.stat(this.fd))) throw new JournalError('ENOTSUP', 'its file system keeps no modes');
      this.#disk.fsync(this.fd);
    });
  }

  /** Appends and fsyncs one record. @throws JournalError; from then on every further append throws as well. */
  append(record: R): void {
    this.#put(record, 'durable');
  }

  /** Makes durable what is written. @throws JournalError */
  sync(): void {
    if (this.#failure) throw this.#failure;
    this.#guard('sync', () => this.#disk.fsync(this.fd));
  }

  /** Writes one record that the next append makes durable with its own. @throws as append */
  stage(record: R): void {
    this.#put(record, 'staged');
  }

  /** Appends one record of a removal, if the disk lets us: it is for people, and never a precondition. */
  note(record: R): void {
    if (this.#failure || this.readOnly || this.#end.bytes > notesBytesMax) return;
    try {
      this.#write(record, 'staged');
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.#fail(error, 'append to');
    }
  }

  /** Empties the file in place, for an ADD that starts afresh; the going mark stays as it is. */
  restart(): void {
    this.#guard('truncate', () => {
      this.#disk.clearAttribute(this.fd);
      this.#disk.truncate(this.fd, 0);
      this.#disk.fsync(this.fd);
      // What the copy told of is gone too: the file is as good as any other again.
      unlinkIfThere(this.#disk, copyOf(this.#path));
    });
    this.damaged = false;
    this.#records = [];
    this.#ends = [];
  }

  /** Takes back the last records, of an attempt that was undone: only so many stay. @throws JournalError */
  cutBack(count: number): void {
    if (count >= this.#records.length) return;
    if (this.#failure) throw this.#failure;
    const { bytes } = this.#ends[count - 1] ?? noRecord;
    this.#guard('truncate', () => {
      this.#disk.truncate(this.fd, bytes);
      this.#disk.fsync(this.fd);
    });
    this.#records = this.#records.slice(0, count);
    this.#ends = this.#ends.slice(0, count);
  }

  get #file(): OpenFile {
    return { disk: this.#disk, path: this.#path, fd: this.fd };
  }

  get #end(): End {
    return this.#ends.at(-1) ?? noRecord;
  }

  /** Makes the file's name durable: the process that created it may have died before it did. */
  fsyncName(): void {
    this.#guard('sync the directory of', () => this.#disk.fsyncDirectory(dirname(this.#path)));
  }

  /** Sets when this removal is due to be tried again, as the file's modification time: a look at the name alone tells it. */
  dueAt(moment: Date): void {
    try {
      this.#disk.touch(this.fd, moment);
    } catch (error) {
      if (!isSystemError(error)) throw error;
    }
  }

  /** The end of a removal: unlinks the file under its lock. @throws JournalError if it stays. */
  unlink(): void {
    this.#guard('unlink', () => {
      for (const path of [copyOf(this.#path), this.#path]) unlinkIfThere(this.#disk, path);
      this.#disk.fsyncDirectory(dirname(this.#path));
    });
  }

  /** Unlinks a file that nothing was ever written to, under its lock, unless it is marked. It is not durable, so that no fsync is needed. */
  discardBlank(): void {
    this.#guard('unlink', () => {
      if (this.readOnly || !this.blank || this.going) return;
      unlinkIfThere(this.#disk, this.#path);
    });
  }

  /**
   * The descriptor is gone whatever close(2) answers, and what matters was fsynced. The lock ends here too, unless a program of this
   * operation may still be at work, which then keeps it.
   */
  close(): void {
    if (this.#isHeld && !isLent(this.fd)) quietly(() => this.#disk.unlock(this.fd));
    closeQuietly(this.#disk, this.fd);
  }

  #put(record: R, how: Durability): void {
    if (this.#failure) throw this.#failure;
    this.#guard('append to', () => this.#write(record, how));
  }

  #write(record: R, how: Durability): void {
    const stamped = { seq: this.#records.length + 1, at: this.#options.clock().toISOString(), ...record };
    const { line, chain } = encode(stamped, this.#end.chain);
    wholeWrite(this.#disk, this.fd, line);
    if (how === 'durable') this.#disk.fsync(this.fd);
    this.#ends.push({ bytes: this.#end.bytes + line.length, chain });
    this.#records.push(stamped);
  }

  /** A file that can not be read is held all the same: a removal goes by the key and the marks. @returns a tail to repair */
  #readBack(): BadTail | undefined {
    let decoded: Decoded<R> | undefined;
    let bytes = new Uint8Array(0);
    try {
      bytes = new Uint8Array(this.#disk.read(this.fd));
      decoded = decode<R>(bytes);
      this.damaged = decoded.tail === 'corrupt' || this.#disk.lookup(copyOf(this.#path)) !== undefined;
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.damaged = true;
      this.#fail(error, 'read');
    }
    if (!decoded) return undefined;
    this.#records = decoded.records;
    this.#ends = decoded.ends;
    this.damaged ||= this.#isCutShort;
    return decoded.tail === 'clean' ? undefined : { tail: decoded.tail, bytes, whole: this.#end.bytes };
  }

  /** One that can not be repaired takes no append: it would stand behind the bad tail. */
  #repair(bad: BadTail): void {
    try {
      repair(this.#file, bad);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.#fail(error, 'repair');
    }
  }

  #guard(verb: string, action: () => void): void {
    try {
      action();
    } catch (error) {
      if (!isSystemError(error)) throw error;
      throw this.#fail(error, verb);
    }
  }

  /** From here on the file's state is unknown (an fsync is never tried again, JO1): no append may rely on it. */
  #fail(error: Error & { code: string }, verb: string): JournalError {
    const message = `cannot ${verb} the journal "${this.#path}": ${error.message}`;
    const failure = new JournalError(error.code, message, { cause: error });
    this.#failure ??= failure;
    return failure;
  }
}
