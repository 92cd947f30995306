/**
 * The journal of one attachment: one append-only file, locked for a whole operation (docs/adr/0001, 0003).
 *
 * Owns: the file's life (create, append, repair, restart, unlink) and the going mark. Generic in the record: it knows bytes and
 * durability, not what a record means.
 *
 * Invariants
 *  JO1 An append returns only after its record and all before it are fsynced, and never after an earlier write or fsync has failed.
 *  JO2 The going mark (a mode) is set before the wait for the lock, needs no space and no lock, and is never cleared. One other
 *     mode counts as the mark: that of the format before, unless the records contradict it.
 *  JO3 The file is never renamed. It is truncated in place. Only its lock holder unlinks it, at the end of a removal or while
 *     blank.
 *  JO4 No content of the file is lost in silence: a corrupt file is copied aside before its tail is cut.
 *  JO5 An attachment at rest bears an attribute. A file with the attribute and records of something else was damaged, even if its
 *     tail looks whole.
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

/** The size at which best-effort records stop when a removal is tried again and again. A whole ADD takes about 8 KiB. */
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

/** Says whether records tell of an attachment at rest, of a removal, or of neither: for a mark that may be an accident. */
export type Tells<R> = (records: readonly (R & Stamped)[]) => 'rest' | 'removal' | undefined;

/** A journal as a reader without its lock sees it. */
export interface Peeked<R> {
  readonly records: readonly (R & Stamped)[];
  readonly going: boolean;
  /** Some of its records were lost. */
  readonly damaged: boolean;
  /** A mode that no call of ours sets, in octal. */
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
  /** The end of each record. */
  #ends: End[] = [];
  #isHeld = false;
  /** The reason why nothing more may be appended. */
  #failure: JournalError | undefined;
  /** The file was corrupt in the middle, now or before an earlier repair: its records do not tell everything that happened. */
  damaged = false;

  private constructor({ disk, path, fd, access }: Opened, options: OpenOptions<R>) {
    this.#disk = disk;
    this.#path = path;
    this.fd = fd;
    this.readOnly = access === 'read';
    this.#options = options;
  }

  /**
   * Opens the file, or creates it if asked. Does not wait for the lock.
   * @returns undefined if there is no file, and none was to be created.
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

  /** Reads the file as it is now, without lock or repair. @returns undefined if there is none. @throws JournalError */
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

  /** An append failed, so no later one can be relied on (JO1). */
  get failed(): boolean {
    return this.#failure !== undefined;
  }

  /** The attachment is to be removed. Every process that has the file open sees the mark at once. */
  get going(): boolean {
    const stat = this.#stat();
    if (isGoing(stat) || !mayBeGoing(stat)) return isGoing(stat);
    const subject = this.#options.tells(this.#records);
    return subject === 'removal' || (subject === undefined && !this.#disk.hasAttribute(this.fd));
  }

  /** A mode that no call of ours sets, in octal: it means nothing, and a person should know of it. */
  get strangeMode(): string | undefined {
    return this.going ? undefined : strangeModeOf(this.#stat());
  }

  /** dev:inode. A file that was copied, or restored from a backup, has another identity. */
  get identity(): string {
    const { dev, ino } = this.#stat();
    return `${dev}:${ino}`;
  }

  /** Its name still leads to this file. If another tool has moved it away, no later call will find its records. */
  get isInPlace(): boolean {
    let found: FileStat | undefined;
    this.#guard('look for', () => {
      found = this.#disk.lookup(this.#path);
    });
    return found?.ino === this.#stat().ino;
  }

  /** Nothing was ever written to it. If such a file was unlinked, no removal did that. */
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
   * The attachment was at rest once, and the records tell neither of that nor of a removal (JO5). The going mark proves nothing
   * here, because a DEL sets it before it reads the records.
   */
  get #isCutShort(): boolean {
    return this.#disk.hasAttribute(this.fd) && this.#options.tells(this.#records) === undefined;
  }

  /**
   * Marks the file itself as at rest, so that this stays known if its records are lost. Not every file system can keep the mark.
   */
  markRest(): void {
    try {
      this.#disk.setAttribute(this.fd);
    } catch (error) {
      if (!isSystemError(error)) throw error;
    }
  }

  /**
   * Sets the going mark durably. Works on a full disk.
   * @throws JournalError on a read-only or failing disk: the removal may go on under the lock, but no other process sees the mark.
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

  /** Makes all written records durable. @throws JournalError */
  sync(): void {
    if (this.#failure) throw this.#failure;
    this.#guard('sync', () => this.#disk.fsync(this.fd));
  }

  /** Writes one record, which the next append makes durable together with its own. @throws as append */
  stage(record: R): void {
    this.#put(record, 'staged');
  }

  /** Appends one record of a removal if the disk allows it: the record is for people, and no effect depends on it. */
  note(record: R): void {
    if (this.#failure || this.readOnly || this.#end.bytes > notesBytesMax) return;
    try {
      this.#write(record, 'staged');
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.#fail(error, 'append to');
    }
  }

  /** Empties the file in place for an ADD that starts from the beginning. The going mark stays as it is. */
  restart(): void {
    this.#guard('truncate', () => {
      this.#disk.clearAttribute(this.fd);
      this.#disk.truncate(this.fd, 0);
      this.#disk.fsync(this.fd);
      // The copy kept the lost records of things that are now removed, so the file no longer counts as damaged.
      unlinkIfThere(this.#disk, copyOf(this.#path));
    });
    this.damaged = false;
    this.#records = [];
    this.#ends = [];
  }

  /** Cuts off the records of an attempt that was undone: the first `count` stay. @throws JournalError */
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

  /** Makes the file's name durable, because the process that created it may have died before it did so. */
  fsyncName(): void {
    this.#guard('sync the directory of', () => this.#disk.fsyncDirectory(dirname(this.#path)));
  }

  /** Sets the file's modification time to when this removal is due again, so that it can be read without opening the file. */
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

  /** Unlinks a blank file under its lock, unless it is marked. A blank file's name is not durable, so no fsync is needed. */
  discardBlank(): void {
    this.#guard('unlink', () => {
      if (this.readOnly || !this.blank || this.going) return;
      unlinkIfThere(this.#disk, this.#path);
    });
  }

  /**
   * A failure of close(2) does not matter: the descriptor is gone, and everything important was fsynced. The lock ends here too,
   * unless a program of this operation may still be at work: then that program keeps it.
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

  /** A file that cannot be read is still locked, since a removal can go by the key and the marks. @returns a tail to repair */
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

  /** A file that cannot be repaired takes no append, because the record would come after the bad tail. */
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

  /** From here on the file's state is unknown, so no append may rely on it. An fsync is never tried again (JO1). */
  #fail(error: Error & { code: string }, verb: string): JournalError {
    const message = `cannot ${verb} the journal "${this.#path}": ${error.message}`;
    const failure = new JournalError(error.code, message, { cause: error });
    this.#failure ??= failure;
    return failure;
  }
}
