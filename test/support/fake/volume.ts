/**
 * The contents of a simulated disk: for every file and directory the state that processes see, and the state that would survive.
 *
 * The rules are the strict ones: fsync of a file makes its content and its mode durable, but never its name; fsync of a directory
 * makes its names durable, but never their files. Every later change is in doubt and may survive in part.
 */
import type { Choose } from './choices.ts';

type Change = { kind: 'write'; at: number; bytes: Uint8Array; lost: boolean } | { kind: 'truncate'; size: number };

/** One inode of a regular file. */
export class File {
  readonly ino: bigint;
  bytes: Uint8Array = new Uint8Array();
  mode: number;
  links = 1n;
  mtimeMs = 0n;
  /** How often its pages could not be written: every descriptor that was open before gets one error for it. */
  failures = 0;
  /** The open file description that holds the lock. */
  holder: object | undefined;
  /** Whether our extended attribute is set. */
  attribute: boolean;
  #durable: { bytes: Uint8Array; mode: number; attribute: boolean };
  #changes: Change[] = [];
  #modes: number[] = [];
  #attributes: boolean[] = [];

  constructor(ino: bigint, mode: number, bytes: Uint8Array = new Uint8Array(), attribute = false) {
    this.ino = ino;
    this.mode = mode;
    this.bytes = bytes;
    this.attribute = attribute;
    this.#durable = { bytes, mode, attribute };
  }

  write(at: number, bytes: Uint8Array): void {
    this.#changes.push({ kind: 'write', at, bytes: bytes.slice(), lost: false });
    this.bytes = patched(this.bytes, at, bytes);
  }

  truncate(size: number): void {
    this.#changes.push({ kind: 'truncate', size });
    this.bytes = resized(this.bytes, size);
  }

  chmod(mode: number): void {
    this.#modes.push(mode);
    this.mode = mode;
  }

  setAttribute(): void {
    if (this.attribute) return;
    this.#attributes.push(true);
    this.attribute = true;
  }

  clearAttribute(): void {
    if (!this.attribute) return;
    this.#attributes.push(false);
    this.attribute = false;
  }

  fsync(): void {
    let bytes = this.#durable.bytes;
    let stillLost: Change[] = [];
    for (const change of this.#changes) {
      if (change.kind === 'truncate') {
        bytes = resized(bytes, change.size);
        stillLost = [];
      } else if (change.lost) stillLost.push(change);
      else bytes = patched(bytes, change.at, change.bytes);
    }
    this.#durable = { bytes, mode: this.mode, attribute: this.attribute };
    this.#changes = stillLost;
    this.#modes = [];
    this.#attributes = [];
  }

  /** The kernel marks the pages clean: the next fsync succeeds and leaves the data where it is, in doubt (contract C3.2). */
  fsyncFailed(): void {
    this.failures++;
    for (const change of this.#changes) if (change.kind === 'write') change.lost = true;
  }

  afterPowerCut(choose: Choose): File {
    const modes = [this.#durable.mode, ...this.#modes];
    const mode = modes[choose(modes.length, `mode of inode ${this.ino}`)] ?? this.mode;
    const attributes = [this.#durable.attribute, ...this.#attributes];
    const attribute = attributes[choose(attributes.length, `attribute of inode ${this.ino}`)] ?? this.attribute;
    const file = new File(this.ino, mode, this.#survivingBytes(choose), attribute);
    file.mtimeMs = this.mtimeMs;
    return file;
  }

  #survivingBytes(choose: Choose): Uint8Array {
    let image = this.#durable.bytes;
    let size = image.length;
    for (const change of this.#changes) {
      if (change.kind === 'truncate') {
        // Metadata is written in order: changes after a lost truncation are lost with it.
        if (choose(2, `truncation of inode ${this.ino}`) === 0) break;
        image = resized(image, change.size);
        size = change.size;
      } else {
        const kept = choose(change.bytes.length + 1, `content of inode ${this.ino}`);
        if (kept > 0) image = patched(image, change.at, change.bytes.subarray(0, kept));
        size = Math.max(size, change.at + change.bytes.length);
      }
    }
    if (size <= image.length) return image;
    return resized(image, image.length + choose(size - image.length + 1, `size of inode ${this.ino}`));
  }
}

export class Directory {
  readonly ino: bigint;
  readonly mode: number;
  readonly names: Map<string, File | Directory>;
  #durable: Map<string, File | Directory>;
  /** For each name the files that it has led to since the last fsync, in order. */
  #changes = new Map<string, (File | Directory | undefined)[]>();

  constructor(ino: bigint, mode: number, names: ReadonlyMap<string, File | Directory> = new Map()) {
    this.ino = ino;
    this.mode = mode;
    this.names = new Map(names);
    this.#durable = new Map(names);
  }

  set(name: string, node: File | Directory): void {
    this.names.set(name, node);
    this.#changes.set(name, [...(this.#changes.get(name) ?? []), node]);
  }

  delete(name: string): void {
    this.names.delete(name);
    this.#changes.set(name, [...(this.#changes.get(name) ?? []), undefined]);
  }

  fsync(): void {
    this.#durable = new Map(this.names);
    this.#changes.clear();
  }

  afterPowerCut(choose: Choose): Directory {
    const names = new Map<string, File | Directory>();
    for (const name of [...new Set([...this.#durable.keys(), ...this.#changes.keys()])].sort()) {
      const fates = [this.#durable.get(name), ...(this.#changes.get(name) ?? [])];
      const node = fates[choose(fates.length, `name "${name}"`)];
      if (node) names.set(name, node.afterPowerCut(choose));
    }
    return new Directory(this.ino, this.mode, names);
  }
}

/** One file system and the clock of its inodes. */
export class Volume {
  readonly root: Directory;
  readonly dev = 1n;
  readOnly = false;
  #lastIno: bigint;
  #ticks: bigint;

  constructor(root = new Directory(2n, 0o755), lastIno = 2n, ticks = 1_000n) {
    this.root = root;
    this.#lastIno = lastIno;
    this.#ticks = ticks;
  }

  newIno(): bigint {
    return ++this.#lastIno;
  }

  /** Each reading is a later millisecond. */
  nowMs(): bigint {
    return ++this.#ticks;
  }

  /** The volume when power returns. This volume stays as it is, so that another fate can be tried. */
  afterPowerCut(choose: Choose): Volume {
    const volume = new Volume(this.root.afterPowerCut(choose), this.#lastIno, this.#ticks);
    volume.readOnly = this.readOnly;
    return volume;
  }
}

function patched(bytes: Uint8Array, at: number, patch: Uint8Array): Uint8Array {
  const result = resized(bytes, Math.max(bytes.length, at + patch.length));
  result.set(patch, at);
  return result;
}

/** A copy, cut or filled up with NULs. */
function resized(bytes: Uint8Array, size: number): Uint8Array {
  const result = new Uint8Array(size);
  result.set(size < bytes.length ? bytes.subarray(0, size) : bytes);
  return result;
}
