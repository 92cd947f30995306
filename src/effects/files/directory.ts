/**
 * A directory that a pod can write to. It is hostile: it may hold symlinks, FIFOs and directories at our names, and the pod may
 * swap it while we work (bug B30).
 *
 * Invariants
 *  DI1 The directory is opened once, its last component is never followed, and everything happens below that descriptor.
 *  DI2 A thing of the wrong type at a name of ours is not ours: it is neither used nor removed.
 *  DI3 No call here outlasts its moment, whatever the file system does.
 *
 * DI3 holds for every path that a user, a pod or the switch named. Other paths are root's and the kernel's, and are touched
 * synchronously: the data directory with its journals and locks, the programs of CNI_PATH, /proc, /etc/group, network namespaces.
 */
import { constants, type Stats } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, realpath, rename, rmdir, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type Moment, now } from '../../deadlines.ts';
import { codeOf, inTime } from '../outcome.ts';

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;

/** Closing needs little time, because all writes were waited for before. */
const closeMs = 100;

/** errno codes that mean: missing, or not ours to touch. */
const foreign = new Set(['ENOENT', 'ELOOP', 'ENOTDIR', 'EISDIR', 'ENXIO']);

/** The file type that a name of ours must have. */
type Kind = 'file' | 'socket';

/** Compares the time of birth too, because a freed inode number goes to the next file. */
const isSame = (one: Stats, other: Stats): boolean => one.ino === other.ino && one.birthtimeMs === other.birthtimeMs;

const isOf = (kind: Kind, stats: Stats): boolean => (kind === 'file' ? stats.isFile() : stats.isSocket());

interface WholeFile {
  /** The name under which it is written first; it is ours too. */
  readonly temporary: string;
  readonly bytes: Uint8Array;
  readonly mode: number;
}

export class Directory {
  readonly path: string;
  readonly #handle: FileHandle;
  readonly #end: Moment;

  private constructor(path: string, handle: FileHandle, end: Moment) {
    this.path = path;
    this.#handle = handle;
    this.#end = end;
  }

  /** @throws errno exceptions; ELOOP or ENOTDIR if the last component is not a directory. */
  static async open(path: string, end: Moment): Promise<Directory> {
    const above = await inTime(() => realpath(dirname(path)), end, `"${path}"`);
    const flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK;
    const opened = () => open(join(above, basename(path)), flags);
    return new Directory(path, await inTime(opened, end, `"${path}"`), end);
  }

  /** @returns undefined if there is none, or something else is at its place. */
  static async find(path: string, end: Moment): Promise<Directory | undefined> {
    return await Directory.open(path, end).catch((error) => {
      if (foreign.has(codeOf(error))) return undefined;
      throw error;
    });
  }

  /** The path of a name in this very directory, even if the directory was moved. */
  at(name: string): string {
    return `/proc/self/fd/${this.#handle.fd}/${name}`;
  }

  async stat(name: string): Promise<Stats | undefined> {
    return await this.#inTime(() => lstat(this.at(name))).catch((error) => {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw error;
    });
  }

  /** Creates a file that was not there. @throws EEXIST, ENOENT if the directory itself was removed. */
  async create(name: string, mode: number, bytes?: Uint8Array): Promise<void> {
    const flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NONBLOCK;
    const file = await this.#inTime(() => open(this.at(name), flags, mode));
    try {
      if (bytes) await this.#inTime(() => file.writeFile(bytes));
    } finally {
      // Some file systems report a full disk only here.
      await this.#inTime(file.close());
    }
  }

  /** Puts a whole file at `name`. @throws errno exceptions */
  async replace(name: string, { temporary, bytes, mode }: WholeFile): Promise<void> {
    await this.remove(temporary, 'file');
    await this.create(temporary, mode, bytes);
    await this.#inTime(() => rename(this.at(temporary), this.at(name)));
  }

  async read(name: string): Promise<string | undefined> {
    try {
      const file = await this.#inTime(() => open(this.at(name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
      try {
        const isFile = (await this.#inTime(() => file.stat())).isFile();
        return isFile ? await this.#inTime(() => file.readFile('utf8')) : undefined;
      } finally {
        await this.#closeFile(file);
      }
    } catch (error) {
      if (foreign.has(codeOf(error))) return undefined;
      throw error;
    }
  }

  /** Removes a name of ours if its kind is right (DI2). @param seen only this file, not one that was made there since */
  async remove(name: string, kind: Kind, seen?: Stats): Promise<void> {
    const stats = await this.stat(name);
    if (!stats || !isOf(kind, stats) || (seen && !isSame(stats, seen))) return;
    await this.#inTime(() => unlink(this.at(name))).catch((error) => {
      if (!foreign.has(codeOf(error))) throw error;
    });
  }

  /** Moves a file from outside to a name in here. @throws EXDEV, EISDIR, … */
  async adopt(from: string, name: string): Promise<void> {
    await this.#inTime(() => rename(from, this.at(name)));
  }

  /**
   * Lets a group create and open sockets here, unless every user may. No user loses a right.
   * @returns the gid of another group that may do so already, because a directory has only one group
   */
  async admitGroup(gid: number): Promise<number | undefined> {
    const { uid, gid: before, mode } = await this.#inTime(() => this.#handle.stat());
    if ((mode & 0o007) === 0o007) return undefined;
    if (before !== gid && (mode & 0o030) === 0o030) return before;
    if (before !== gid) await this.#inTime(() => this.#handle.chown(uid, gid));
    await this.#inTime(() => this.#handle.chmod((mode & 0o7777) | 0o070));
    return undefined;
  }

  /** Lets a group read and search here: the directory becomes that group's. */
  async giveToGroup(gid: number): Promise<void> {
    const { uid, mode } = await this.#inTime(() => this.#handle.stat());
    await this.#inTime(() => this.#handle.chown(uid, gid));
    await this.#inTime(() => this.#handle.chmod((mode & 0o7777) | 0o050));
  }

  async close(): Promise<void> {
    await this.#closeFile(this.#handle);
  }

  async #closeFile(file: FileHandle): Promise<void> {
    await inTime(file.close(), Math.max(this.#end, now() + closeMs), `"${this.path}"`).catch(() => undefined);
  }

  #inTime<T>(call: Promise<T> | (() => Promise<T>)): Promise<T> {
    return inTime(call, this.#end, `"${this.path}"`);
  }
}

/** mkdir of a name that is ours. @returns false if something is there already. */
export async function makeDirectory(path: string, mode: number, end: Moment): Promise<boolean> {
  try {
    await inTime(() => mkdir(path, { mode }), end, `"${path}"`);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** rmdir of a name that is ours. Content in it, or something else at its place, is not an error. */
export async function removeEmpty(path: string, end: Moment): Promise<void> {
  await inTime(() => rmdir(path), end, `"${path}"`).catch((error) => {
    if (!foreign.has(codeOf(error)) && !['ENOTEMPTY', 'EEXIST'].includes(codeOf(error))) throw error;
  });
}
