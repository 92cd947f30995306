/**
 * A disk in memory that loses unsynced data: one process's view of a Volume, with faults on demand.
 *
 * Owns: file descriptors, flock, errno, faults. Does not own: the data that can survive (volume.ts), the choice among it
 * (choices.ts). It answers as the real disk does; disk-cases.ts and a property hold the two against each other.
 */
import { basename, dirname } from 'node:path';
import type { Disk, FileStat } from '../../../src/journal/disk.ts';
import type { Choose } from './choices.ts';
import { Directory, File, Volume } from './volume.ts';

export type Call = keyof Disk;

/** The process is dead. Not an errno, so that no code under test takes it for an expected failure. */
export class ProcessKilled extends Error {
  override readonly name = 'ProcessKilled';
}

export interface Fault {
  /** `every`: counts every call whatever it is. */
  readonly call: Call | 'every';
  /** 1 is the next one. */
  readonly nth: number;
  /** An errno; a write of so many bytes only; the death of the process before the call. */
  readonly how: { readonly error: string } | { readonly short: number } | 'crash';
  /** That call and every later one. */
  readonly forever?: boolean;
}

/** open(2)'s file description: a flock belongs to it, and a child gets a copy of it. All writers append. */
interface Description {
  readonly file: File;
  readonly readable: boolean;
  readonly writable: boolean;
  failuresTold: number;
  copies: number;
}

const nameBytesMax = 255;

interface Place {
  readonly parent: string;
  readonly name: string;
  readonly isNameTooLong: boolean;
}

const places = new Map<string, Place>();

/** A cache, because every call splits its path at each level, and a run has few paths. */
function placeOf(path: string): Place {
  const known = places.get(path);
  if (known) return known;
  const name = basename(path);
  const place = { parent: dirname(path), name, isNameTooLong: Buffer.byteLength(name) > nameBytesMax };
  places.set(path, place);
  return place;
}

export class SimulatedDisk implements Disk {
  /** Every call of this process, in order; a loop over its crash points has to cover them all. */
  readonly calls: Call[] = [];
  readonly #volume: Volume;
  readonly #descriptors = new Map<number, Description>();
  #faults: { fault: Fault; seen: number }[] = [];
  #nextFd = 3;
  #death: ProcessKilled | undefined;

  /** An empty disk with these directories, or a process on a disk that is already there. */
  constructor(content: readonly string[] | Volume = ['/data']) {
    if (content instanceof Volume) this.#volume = content;
    else {
      this.#volume = new Volume();
      for (const path of content) this.#makeDurable(path);
    }
  }

  inject(...faults: Fault[]): void {
    for (const fault of faults) this.#faults.push({ fault, seen: 0 });
  }

  /** Ends the faults, as if the full disk had been cleaned up. */
  heal(): void {
    this.#faults = [];
  }

  /** How many descriptors this process has. */
  get openFiles(): number {
    return this.#descriptors.size;
  }

  set readOnly(value: boolean) {
    this.#volume.readOnly = value;
  }

  /** The disk when power returns, by `choose`. This disk stays as it is. */
  powerCut(choose: Choose): SimulatedDisk {
    return new SimulatedDisk(this.#volume.afterPowerCut(choose));
  }

  /** SIGKILL: every fd is closed, everything written stays. @returns the disk as the next process finds it. */
  processDeath(): SimulatedDisk {
    for (const fd of this.#descriptors.keys()) this.#release(fd);
    this.#death ??= new ProcessKilled('this process has been killed');
    return new SimulatedDisk(this.#volume);
  }

  /** Another process on the same disk, which has copies of the given fds. */
  spawn(handed: readonly number[] = []): SimulatedDisk {
    const child = new SimulatedDisk(this.#volume);
    for (const fd of handed) {
      const description = this.#description(fd, 'open');
      description.copies++;
      child.#descriptors.set(fd, description);
    }
    child.#nextFd = this.#nextFd;
    return child;
  }

  open(path: string, flags: 'r' | 'r+' | 'a+' | 'ax', mode = 0o666): number {
    this.#enter('open');
    const parent = this.#parent(path, 'open');
    const { name } = placeOf(path);
    const found = parent.names.get(name);
    if (found && flags === 'ax') throw errno('EEXIST', 'open', path);
    if (found instanceof Directory) throw errno('EISDIR', 'open', path);
    if (!found && (flags === 'r' || flags === 'r+')) throw errno('ENOENT', 'open', path);
    if (flags !== 'r' && this.#volume.readOnly) throw errno('EROFS', 'open', path);
    const file = found ?? new File(this.#volume.newIno(), mode);
    if (!found) {
      file.mtimeMs = this.#volume.nowMs();
      parent.set(name, file);
    }
    const [readable, writable] = [flags !== 'ax', flags !== 'r'];
    const description = { file, readable, writable, failuresTold: file.failures, copies: 1 };
    this.#descriptors.set(this.#nextFd, description);
    return this.#nextFd++;
  }

  close(fd: number): void {
    this.#enter('close');
    this.#description(fd, 'close');
    this.#release(fd);
  }

  write(fd: number, bytes: Uint8Array): number {
    const short = this.#enter('write');
    const description = this.#description(fd, 'write');
    if (!description.writable) throw errno('EBADF', 'write');
    const { file } = description;
    const written = bytes.subarray(0, short);
    if (written.length > 0) {
      file.write(file.bytes.length, written);
      file.mtimeMs = this.#volume.nowMs();
    }
    return written.length;
  }

  read(fd: number): Uint8Array {
    this.#enter('read');
    const { file, readable } = this.#description(fd, 'read');
    if (!readable && file.bytes.length > 0) throw errno('EBADF', 'read');
    return file.bytes.slice();
  }

  fsync(fd: number): void {
    const opened = this.#descriptors.get(fd);
    this.#enter('fsync', () => {
      opened?.file.fsyncFailed();
      if (opened) opened.failuresTold = opened.file.failures;
    });
    const description = this.#description(fd, 'fsync');
    const { file, failuresTold } = description;
    description.failuresTold = file.failures;
    if (failuresTold < file.failures) throw errno('EIO', 'fsync');
    file.fsync();
  }

  truncate(fd: number, bytes: number): void {
    this.#enter('truncate');
    const { file, writable } = this.#description(fd, 'truncate');
    if (!writable) throw errno('EINVAL', 'ftruncate');
    file.truncate(bytes);
    file.mtimeMs = this.#volume.nowMs();
  }

  chmod(fd: number, mode: number): void {
    this.#enter('chmod');
    const { file } = this.#description(fd, 'chmod');
    if (this.#volume.readOnly) throw errno('EROFS', 'fchmod');
    file.chmod(mode);
  }

  stat(fd: number): FileStat {
    this.#enter('stat');
    return this.#statOf(this.#description(fd, 'stat').file);
  }

  lookup(path: string): FileStat | undefined {
    this.#enter('lookup');
    const found = this.#find(path, 'stat');
    return found && this.#statOf(found);
  }

  touch(fd: number, at: Date): void {
    this.#enter('touch');
    const { file } = this.#description(fd, 'touch');
    if (this.#volume.readOnly) throw errno('EROFS', 'futimes');
    file.mtimeMs = BigInt(at.getTime());
  }

  setAttribute(fd: number): void {
    this.#enter('setAttribute');
    const { file } = this.#description(fd, 'fsetxattr');
    if (this.#volume.readOnly && !file.attribute) throw errno('EROFS', 'fsetxattr');
    file.setAttribute();
  }

  clearAttribute(fd: number): void {
    this.#enter('clearAttribute');
    const { file } = this.#description(fd, 'fremovexattr');
    if (this.#volume.readOnly && file.attribute) throw errno('EROFS', 'fremovexattr');
    file.clearAttribute();
  }

  hasAttribute(fd: number): boolean {
    this.#enter('hasAttribute');
    return this.#description(fd, 'fgetxattr').file.attribute;
  }

  tryLock(fd: number): boolean {
    this.#enter('tryLock');
    const description = this.#descriptors.get(fd);
    if (!description || (description.file.holder ?? description) !== description) return false;
    description.file.holder = description;
    return true;
  }

  unlock(fd: number): void {
    this.#enter('unlock');
    const description = this.#descriptors.get(fd);
    if (description?.file.holder === description && description) description.file.holder = undefined;
  }

  unlink(path: string): void {
    this.#enter('unlink');
    const parent = this.#parent(path, 'unlink');
    if (this.#volume.readOnly) throw errno('EROFS', 'unlink', path);
    const { name } = placeOf(path);
    const found = parent.names.get(name);
    if (!found) throw errno('ENOENT', 'unlink', path);
    if (found instanceof Directory) throw errno('EISDIR', 'unlink', path);
    found.links--;
    parent.delete(name);
  }

  list(directory: string): string[] {
    this.#enter('list');
    return [...this.#directory(directory, 'scandir').names.keys()];
  }

  mkdir(directory: string, mode: number): void {
    this.#enter('mkdir');
    const parent = this.#parent(directory, 'mkdir');
    const { name } = placeOf(directory);
    if (parent.names.has(name)) throw errno('EEXIST', 'mkdir', directory);
    if (this.#volume.readOnly) throw errno('EROFS', 'mkdir', directory);
    parent.set(name, new Directory(this.#volume.newIno(), mode));
  }

  fsyncDirectory(directory: string): void {
    this.#enter('fsyncDirectory');
    this.#directory(directory, 'open').fsync();
  }

  /** Counts the call and lets the faults have it. @returns how many bytes a write may take, if not all. */
  #enter(call: Call, failed: () => void = () => {}): number | undefined {
    if (this.#death) throw this.#death;
    this.calls.push(call);
    let short: number | undefined;
    for (const armed of this.#faults) {
      const { fault } = armed;
      if (fault.call !== 'every' && fault.call !== call) continue;
      armed.seen++;
      if (armed.seen !== fault.nth && !(fault.forever && armed.seen > fault.nth)) continue;
      if (fault.how === 'crash') {
        this.#death = new ProcessKilled(`killed before call ${this.calls.length}, ${call}`);
        throw this.#death;
      }
      if ('error' in fault.how) {
        failed();
        throw errno(fault.how.error, call);
      }
      short = fault.how.short;
    }
    return short;
  }

  #statOf(node: File | Directory): FileStat {
    const { ino, mode } = node;
    const { dev } = this.#volume;
    if (node instanceof Directory)
      return { ino, dev, nlink: 2n, mode: BigInt(mode | 0o040_000), size: 0n, mtimeMs: 0n };
    const { links: nlink, mtimeMs } = node;
    return { ino, dev, nlink, mode: BigInt(mode | 0o100_000), size: BigInt(node.bytes.length), mtimeMs };
  }

  #description(fd: number, call: string): Description {
    const description = this.#descriptors.get(fd);
    if (!description) throw errno('EBADF', call);
    return description;
  }

  #release(fd: number): void {
    const description = this.#descriptors.get(fd);
    this.#descriptors.delete(fd);
    if (!description || --description.copies > 0) return;
    if (description.file.holder === description) description.file.holder = undefined;
  }

  #makeDurable(path: string): void {
    if (path === '/') return;
    const { parent: above, name } = placeOf(path);
    this.#makeDurable(above);
    const parent = this.#parent(path, 'mkdir');
    if (!parent.names.has(name)) parent.set(name, new Directory(this.#volume.newIno(), 0o755));
    parent.fsync();
  }

  #parent(path: string, call: string): Directory {
    const { parent, isNameTooLong } = placeOf(path);
    const found = this.#directory(parent, call);
    if (isNameTooLong) throw errno('ENAMETOOLONG', call, path);
    return found;
  }

  #directory(path: string, call: string): Directory {
    if (path === '/') return this.#volume.root;
    const node = this.#parent(path, call).names.get(placeOf(path).name);
    if (!node) throw errno('ENOENT', call, path);
    if (node instanceof File) throw errno('ENOTDIR', call, path);
    return node;
  }

  #find(path: string, call: string): File | Directory | undefined {
    if (path === '/') return this.#volume.root;
    try {
      return this.#parent(path, call).names.get(placeOf(path).name);
    } catch (error) {
      if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return;
      throw error;
    }
  }
}

function errno(code: string, call: string, path?: string): Error {
  const message = path === undefined ? `${code}: ${call}` : `${code}: ${call} '${path}'`;
  return Object.assign(new Error(message), { code, syscall: call });
}
