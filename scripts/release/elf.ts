/** The parts of an ELF file that say where it runs: its machine, its interpreter and the libraries that it needs (elf(5)). */
import { closeSync, openSync, readSync } from 'node:fs';

export interface Elf {
  readonly machine: 'x64' | 'arm64';
  /** The loader that the kernel starts; undefined: a library, or a program without libraries. */
  readonly interpreter?: string;
  readonly needed: readonly string[];
}

const machines: { readonly [number: number]: Elf['machine'] } = { 62: 'x64', 183: 'arm64' };

/** Types of a segment. */
const segmentTypes = { load: 1, dynamic: 2, interpreter: 3 } as const;
/** Tags of an entry of the dynamic segment. */
const tags = { end: 0n, needed: 1n, strings: 5n } as const;

const headerBytes = 64;

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly bytes: number;
}

type ReadAt = (offset: number, bytes: number) => Buffer;

/** @throws Error if it is not an ELF file of 64 bits, little endian, of a machine that a release knows */
export function readElf(path: string): Elf {
  const fd = openSync(path, 'r');
  try {
    return parse(path, (offset, bytes) => {
      const buffer = Buffer.alloc(bytes);
      const count = readSync(fd, buffer, 0, bytes, offset);
      return buffer.subarray(0, count);
    });
  } finally {
    closeSync(fd);
  }
}

function parse(path: string, read: ReadAt): Elf {
  const header = read(0, headerBytes);
  if (header.length < headerBytes || header.toString('latin1', 0, 6) !== '\x7fELF\x02\x01')
    throw new Error(`"${path}" is not an ELF file of 64 bits, little endian`);
  const number = header.readUInt16LE(18);
  const machine = machines[number];
  if (!machine) throw new Error(`"${path}" is for machine ${number}, which no release is for`);
  const segments = segmentsOf(header, read);
  const named = segments.find(({ type }) => type === segmentTypes.interpreter);
  const interpreter = named && textAt(read(named.offset, named.bytes), 0);
  return { machine, ...(interpreter && { interpreter }), needed: neededBy(segments, read) };
}

function segmentsOf(header: Buffer, read: ReadAt): Segment[] {
  const [offset, size, count] = [
    Number(header.readBigUInt64LE(32)),
    header.readUInt16LE(54),
    header.readUInt16LE(56),
  ] as const;
  return Array.from({ length: count }, (_, index) => {
    const entry = read(offset + index * size, size);
    return {
      type: entry.readUInt32LE(0),
      offset: Number(entry.readBigUInt64LE(8)),
      address: Number(entry.readBigUInt64LE(16)),
      bytes: Number(entry.readBigUInt64LE(32)),
    };
  });
}

function neededBy(segments: readonly Segment[], read: ReadAt): string[] {
  const dynamic = segments.find(({ type }) => type === segmentTypes.dynamic);
  if (!dynamic) return [];
  const table = read(dynamic.offset, dynamic.bytes);
  const entries = Array.from({ length: Math.floor(table.length / 16) }, (_, index) => ({
    tag: table.readBigUInt64LE(index * 16),
    value: Number(table.readBigUInt64LE(index * 16 + 8)),
  }));
  const end = entries.findIndex(({ tag }) => tag === tags.end);
  const valid = end < 0 ? entries : entries.slice(0, end);
  const strings = valid.find(({ tag }) => tag === tags.strings);
  if (!strings) return [];
  // The strings are named by their address in memory.
  const home = segments.find(
    ({ type, address, bytes }) =>
      type === segmentTypes.load && address <= strings.value && strings.value < address + bytes,
  );
  if (!home) throw new Error('the strings of the dynamic segment are in no segment');
  const start = home.offset + strings.value - home.address;
  return valid.filter(({ tag }) => tag === tags.needed).map(({ value }) => textAt(read(start + value, 256), 0));
}

function textAt(buffer: Buffer, start: number): string {
  const end = buffer.indexOf(0, start);
  return buffer.toString('latin1', start, end < 0 ? undefined : end);
}
