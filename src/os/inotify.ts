/**
 * Waits for changes in a directory by inotify(7): the kernel wakes this process, and nothing is asked meanwhile. node:fs has a watch too,
 * which does not tell that a file was closed by its writer: so the end of a lock would be missed.
 */
import { read, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { sleep } from '../deadlines.ts';
import { ffi, terminated } from './bare.ts';

const IN_CLOEXEC = 0o2000000;
const IN_ONLYDIR = 0x01000000;
const IN_MODIFY = 0x2;
const IN_ATTRIB = 0x4;
const IN_CLOSE_WRITE = 0x8;
const IN_MOVED_FROM = 0x40;
const IN_MOVED_TO = 0x80;
const IN_CREATE = 0x100;
const IN_DELETE = 0x200;
const IN_DELETE_SELF = 0x400;
const IN_MOVE_SELF = 0x800;
const IN_UNMOUNT = 0x2000;
const IN_Q_OVERFLOW = 0x4000;
const IN_IGNORED = 0x8000;

const ofItself = IN_DELETE_SELF | IN_MOVE_SELF;
const ofNames = IN_CREATE | IN_MOVED_TO;
const ofFiles = IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_DELETE;
/** After these the directory is not what its path leads to, or not everything was told. */
const isOver = ofItself | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED;

const FIONREAD = 0x541bn;

const open = () =>
  ffi().dlopen('libc.so.6', {
    inotify_init1: { args: ['i32'], returns: 'i32' },
    inotify_add_watch: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
    inotify_rm_watch: { args: ['i32', 'i32'], returns: 'i32' },
    ioctl: { args: ['i32', 'u64', 'ptr'], returns: 'i32' },
  }).symbols;

/** A call makes a dozen changes within a few milliseconds: they are told together. */
const settleMs = 50;

/** Enough for a hundred events with long names. */
const bufferBytes = 32 * 1024;

interface InotifyEvent {
  readonly watch: number;
  readonly mask: number;
  readonly name: string;
}

/** Files by their names, or the directory as a whole. */
export type Changed = ReadonlySet<string> | 'everything';

export class DirectoryWatch {
  readonly #path: string;
  readonly #libc = open();
  readonly #fd: number;
  readonly #buffer = new Uint8Array(bufferBytes);
  /** The watch of the directory, or of the nearest one above it while it is not there. */
  #watch: { readonly id: number; readonly isIt: boolean } | undefined;

  /** @param path absolute; the directory may be made later. @throws Error if the kernel gives no more of them */
  constructor(path: string) {
    this.#path = path;
    this.#fd = this.#libc.inotify_init1(IN_CLOEXEC);
    if (this.#fd < 0) throw new Error(`no directory can be watched: ${limits}`);
  }

  /**
   * Waits for the next change. The first answer comes at once, and is `everything`: from then on no change is missed.
   * @throws Error if the directory cannot be watched
   */
  async next(): Promise<Changed> {
    if (this.#watch === undefined) {
      this.#arm();
      return 'everything';
    }
    for (;;) {
      const events = await this.#events();
      const { id, isIt } = this.#watch;
      const own = events.filter(({ watch, mask }) => watch === id || (mask & IN_Q_OVERFLOW) !== 0);
      if (isIt && !own.some(({ mask }) => (mask & isOver) !== 0)) {
        if (own.length > 0) return new Set(own.map(({ name }) => name));
        continue;
      }
      if (own.length === 0) continue;
      this.#libc.inotify_rm_watch(this.#fd, id);
      this.#arm();
      if (isIt || this.#watch.isIt) return 'everything';
    }
  }

  /** Watches the directory; while there is none, the nearest one above it for a new name. */
  #arm(): void {
    for (let path = this.#path; ; path = dirname(path)) {
      const isIt = path === this.#path;
      const mask = ofItself | ofNames | (isIt ? ofFiles : 0) | IN_ONLYDIR;
      const id = this.#libc.inotify_add_watch(this.#fd, terminated(path), mask);
      if (id < 0 && isDirectory(path)) throw new Error(`"${path}" cannot be watched: ${limits}`);
      if (id < 0 && path === dirname(path))
        throw new Error(`"${this.#path}" cannot be watched: no directory leads to it`);
      if (id < 0) continue;
      this.#watch = { id, isIt };
      // It can have been made between the two looks.
      if (!isIt && isDirectory(this.#path)) {
        this.#libc.inotify_rm_watch(this.#fd, id);
        this.#arm();
      }
      return;
    }
  }

  /** The events of one wake-up and of the moment after it. */
  async #events(): Promise<InotifyEvent[]> {
    const first = await this.#read();
    await sleep(settleMs);
    return [...first, ...(this.#isMore() ? await this.#read() : [])];
  }

  /** Waits in a thread of its own: read(2) returns when there is an event. */
  async #read(): Promise<InotifyEvent[]> {
    const bytes = await new Promise<number>((done, fail) => {
      read(this.#fd, this.#buffer, 0, bufferBytes, null, (error, count) => (error ? fail(error) : done(count)));
    });
    return eventsIn(this.#buffer.subarray(0, bytes));
  }

  #isMore(): boolean {
    const count = new Int32Array(1);
    return this.#libc.ioctl(this.#fd, FIONREAD, count) === 0 && (count[0] ?? 0) > 0;
  }
}

const limits = 'it is not readable, or fs.inotify.max_user_instances or max_user_watches is reached (sysctl)';

function isDirectory(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
  } catch {
    return false;
  }
}

/** struct inotify_event: int wd; uint32_t mask, cookie, len; char name[len], filled up with NULs. */
function eventsIn(bytes: Uint8Array): InotifyEvent[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const events: InotifyEvent[] = [];
  for (let at = 0; at + 16 <= bytes.length; ) {
    const length = view.getUint32(at + 12, true);
    const name = new TextDecoder().decode(bytes.subarray(at + 16, at + 16 + length)).replace(/\0.*$/s, '');
    events.push({ watch: view.getInt32(at, true), mask: view.getUint32(at + 4, true), name });
    at += 16 + length;
  }
  return events;
}
