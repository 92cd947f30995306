/**
 * The journal of one attachment: one append-only file, locked for a whole operation (docs/adr/0001, 0003).
 *
 * Owns: the file's life (create, append, repair, restart, unlink) and the going mark. Generic in the record: it knows bytes and
 * durability, not what a record means.
 *
 * Invariants
 *  J1 An append returns only after its record and all before it are fsynced, and never after an earlier write or fsync has failed.
 *  J2 The going mark (the owner's x bit) is set before the lock is waited for, needs no space and no lock, and is never cleared.
 *  J3 The file is never renamed. It is truncated in place, and unlinked only by its lock holder at the end of a removal.
 *  J4 Nothing of the file's content is lost in silence: corruption is copied aside before the tail is cut.
 */
import { dirname } from 'node:path';
import type { Moment } from '../deadlines.ts';
import { isLent } from '../processes.ts';
import { type Disk, type FileStat, isSystemError } from './disk.ts';
import { type LockOutcome, lock } from './lock.ts';
import { type Decoded, decode, encode, type Stamped } from './record.ts';

const modeAlive = 0o600;
const modeGoing = 0o700;
const ownerExecute = 0o100n;

/** Best-effort records of a removal that is tried again and again stop here; a whole ADD takes about 8 KiB. */
const notesBytesMax = 256 * 1024;

export const isGoing = ({ mode }: Pick<FileStat, 'mode'>): boolean => (mode & ownerExecute) !== 0n;

export const corruptSuffix = '.corrupt';

/** The disk failed us. `code` is the errno name. */
export class JournalError extends Error {
  override readonly name = 'JournalError';
  constructor(
    readonly code: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export class Journal<R extends object> {
  readonly #disk: Disk;
  readonly #path: string;
  /** Handed to every child process, so that an orphan of a killed call still holds the lock. */
  readonly fd: number;
  /** The file system is read-only: the lock holds, nothing is written. */
  readonly readOnly: boolean;
  readonly #clock: () => Date;
  #records: (R & Stamped)[] = [];
  #chain = 0;
  #bytes = 0;
  #isHeld = false;
  /** Why nothing more may be appended. */
  #failure: JournalError | undefined;
  /** The file, or an earlier cut of it, was corrupt in the middle: its records say less than what happened. */
  damaged = false;

  private constructor(disk: Disk, path: string, fd: number, readOnly: boolean, clock: () => Date) {
    this.#disk = disk;
    this.#path = path;
    this.fd = fd;
    this.readOnly = readOnly;
    this.#clock = clock;
  }

  /**
   * Opens the file, creating it if asked, without waiting for anybody.
   * @returns undefined if there is none and none was asked for.
   * @throws JournalError if it cannot be opened or created.
   */
  static open<R extends object>(
    disk: Disk,
    path: string,
    options: { create: boolean; clock: () => Date },
  ): Journal<R> | undefined {
    try {
      const fd = options.create ? disk.open(path, 'a+', modeAlive) : disk.open(path, 'r+');
      return new Journal<R>(disk, path, fd, false, options.clock);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      if (error.code === 'ENOENT' && !options.create) return undefined;
      if (error.code === 'EROFS') return Journal.#openReadOnly<R>(disk, path, options.clock);
      throw new JournalError(error.code, `cannot open the journal "${path}": ${error.message}`, { cause: error });
    }
  }

  static #openReadOnly<R extends object>(disk: Disk, path: string, clock: () => Date): Journal<R> | undefined {
    try {
      return new Journal<R>(disk, path, disk.open(path, 'r'), true, clock);
    } catch (error) {
      if (isSystemError(error) && error.code === 'ENOENT') return undefined;
      if (!isSystemError(error)) throw error;
      throw new JournalError(error.code, `cannot open the journal "${path}": ${error.message}`, { cause: error });
    }
  }

  /** What the file says right now, for people: no lock, no repair. @returns undefined if there is none. @throws JournalError */
  static peek<R extends object>(disk: Disk, path: string): { records: (R & Stamped)[]; going: boolean } | undefined {
    const journal = Journal.#openReadOnly<R>(disk, path, () => new Date(0));
    if (!journal) return undefined;
    let seen: { records: (R & Stamped)[]; going: boolean } | undefined;
    try {
      journal.#guard('read', () => {
        seen = { records: decode<R>(disk.read(journal.fd)).records, going: journal.going };
      });
    } finally {
      journal.close();
    }
    return seen;
  }

  /** Waits for the lock; once it is held, reads the file and, unless told not to, repairs its tail. */
  async lock(end: Moment, repair = true): Promise<LockOutcome> {
    try {
      const outcome = await lock(this.#disk, this.fd, this.#path, end);
      this.#isHeld = outcome === 'held';
      if (this.#isHeld) this.#replay(repair);
      return outcome;
    } catch (error) {
      if (!isSystemError(error) || error instanceof JournalError) throw error;
      throw this.#fail(error, 'lock');
    }
  }

  get records(): readonly (R & Stamped)[] {
    return this.#records;
  }

  /** Somebody wants this attachment gone. Seen at once by every process that has the file open. */
  get going(): boolean {
    let going = false;
    this.#guard('look at', () => {
      going = isGoing(this.#disk.stat(this.fd));
    });
    return going;
  }

  /**
   * Sets the going mark durably. Works on a full disk.
   * @throws JournalError on a read-only or failing one: the removal may go on under the lock, but nobody is told.
   */
  markGoing(): void {
    this.#guard('mark', () => {
      this.#disk.chmod(this.fd, modeGoing);
      this.#disk.fsync(this.fd);
    });
  }

  /** Appends and fsyncs one record. @throws JournalError; from then on every further append throws as well. */
  append(record: R): void {
    this.#put(record, true);
  }

  /** Makes durable what is written. @throws JournalError */
  sync(): void {
    if (this.#failure) throw this.#failure;
    this.#guard('sync', () => this.#disk.fsync(this.fd));
  }

  /** Writes one record that the next append makes durable with its own. @throws as append */
  stage(record: R): void {
    this.#put(record, false);
  }

  /** Appends one record of a removal, if the disk lets us: it is for people, and never a precondition. */
  note(record: R): void {
    if (this.#failure || this.readOnly || this.#bytes > notesBytesMax) return;
    try {
      this.#write(record, false);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.#fail(error, 'append to');
    }
  }

  /** Empties the file in place, for an ADD that starts afresh; the going mark stays as it is. */
  restart(): void {
    this.#guard('truncate', () => {
      this.#disk.truncate(this.fd, 0);
      this.#disk.fsync(this.fd);
      // What the copy told of is gone too: the file is as good as any other again.
      unlinkIfThere(this.#disk, `${this.#path}${corruptSuffix}`);
    });
    this.damaged = false;
    this.#records = [];
    this.#chain = 0;
    this.#bytes = 0;
  }

  /** Makes the file's name durable, whoever created it. */
  fsyncName(): void {
    this.#guard('sync the directory of', () => this.#disk.fsyncDirectory(dirname(this.#path)));
  }

  /** Records that this removal was tried now: owed removals are taken least recently tried first. */
  touch(): void {
    try {
      this.#disk.touch(this.fd);
    } catch (error) {
      if (!isSystemError(error)) throw error;
    }
  }

  /** The end of a removal: unlinks the file under its lock. @throws JournalError if it stays. */
  unlink(): void {
    this.#guard('unlink', () => {
      for (const path of [`${this.#path}${corruptSuffix}`, this.#path]) unlinkIfThere(this.#disk, path);
      this.#disk.fsyncDirectory(dirname(this.#path));
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

  #put(record: R, durable: boolean): void {
    if (this.#failure) throw this.#failure;
    this.#guard('append to', () => this.#write(record, durable));
  }

  #write(record: R, durable: boolean): void {
    const stamped = { seq: this.#records.length + 1, at: this.#clock().toISOString(), ...record };
    const { line, chain } = encode(stamped, this.#chain);
    wholeWrite(this.#disk, this.fd, line);
    if (durable) this.#disk.fsync(this.fd);
    this.#records.push(stamped);
    this.#chain = chain;
    this.#bytes += line.length;
  }

  /** A file that can not be read is held all the same: a removal goes by the key and the marks. */
  #replay(repair: boolean): void {
    let decoded: Decoded<R> | undefined;
    let bytes = new Uint8Array(0);
    try {
      bytes = new Uint8Array(this.#disk.read(this.fd));
      decoded = decode<R>(bytes);
      this.damaged = decoded.tail === 'corrupt' || this.#disk.lookup(`${this.#path}${corruptSuffix}`) !== undefined;
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.damaged = true;
      this.#fail(error, 'read');
    }
    if (!decoded) return;
    this.#records = decoded.records;
    this.#chain = decoded.chain;
    this.#bytes = decoded.goodBytes;
    if (decoded.tail !== 'clean' && repair) this.#repair(decoded, bytes);
  }

  /** One that can not be repaired takes no append: it would stand behind the bad tail. */
  #repair({ tail, goodBytes }: Decoded<R>, bytes: Uint8Array): void {
    try {
      if (tail === 'corrupt') this.#copyAside(bytes);
      this.#disk.truncate(this.fd, goodBytes);
      this.#disk.fsync(this.fd);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.#fail(error, 'repair');
    }
  }

  #copyAside(bytes: Uint8Array): void {
    const copy = this.#disk.open(`${this.#path}${corruptSuffix}`, 'a+', modeAlive);
    try {
      this.#disk.truncate(copy, 0);
      wholeWrite(this.#disk, copy, bytes);
      this.#disk.fsync(copy);
    } finally {
      this.#disk.close(copy);
    }
    this.#disk.fsyncDirectory(dirname(this.#path));
  }

  #guard(verb: string, action: () => void): void {
    try {
      action();
    } catch (error) {
      if (!isSystemError(error)) throw error;
      throw this.#fail(error, verb);
    }
  }

  /** From here on the file's state is unknown (an fsync is never tried again, J1): no append may rely on it. */
  #fail(error: Error & { code: string }, verb: string): JournalError {
    const message = `cannot ${verb} the journal "${this.#path}": ${error.message}`;
    const failure = new JournalError(error.code, message, { cause: error });
    this.#failure ??= failure;
    return failure;
  }
}

export const closeQuietly = (disk: Disk, fd: number): void => quietly(() => disk.close(fd));

function quietly(action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!isSystemError(error)) throw error;
  }
}

/** write(2) on a full disk may take a part. @throws JournalError ENOSPC */
export function wholeWrite(disk: Disk, fd: number, bytes: Uint8Array): void {
  const count = disk.write(fd, bytes);
  if (count !== bytes.length) throw new JournalError('ENOSPC', `only ${count} of ${bytes.length} bytes were written`);
}

function unlinkIfThere(disk: Disk, path: string): void {
  try {
    disk.unlink(path);
  } catch (error) {
    if (!isSystemError(error) || error.code !== 'ENOENT') throw error;
  }
}
