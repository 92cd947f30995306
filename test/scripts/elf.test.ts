/** The reader of ELF headers, on files that are made here and on the runtime of these tests. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readElf } from '../../scripts/release/elf.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const base = 0x400000;

/** A file with an interpreter and a dynamic segment: its strings lie at an address, like a linker's. */
function elfFile(needed: readonly string[], interpreter = '/lib/ld.so', machine = 62): Buffer {
  const file = Buffer.alloc(4096);
  file.write('\x7fELF\x02\x01', 0, 'latin1');
  file.writeUInt16LE(machine, 18);
  file.writeBigUInt64LE(64n, 32);
  file.writeUInt16LE(56, 54);
  file.writeUInt16LE(3, 56);
  const segment = (index: number, type: number, [offset, bytes]: readonly [number, number]) => {
    const at = 64 + index * 56;
    file.writeUInt32LE(type, at);
    file.writeBigUInt64LE(BigInt(offset), at + 8);
    file.writeBigUInt64LE(BigInt(base + offset), at + 16);
    file.writeBigUInt64LE(BigInt(bytes), at + 32);
  };
  const dynamicBytes = (needed.length + 2) * 16;
  segment(0, 3, [512, interpreter.length + 1]);
  segment(1, 1, [0, 4096]);
  segment(2, 2, [1024, dynamicBytes + 64]);
  file.write(`${interpreter}\0`, 512);
  let name = 1;
  const entry = (index: number, tag: number, value: number) => {
    file.writeBigUInt64LE(BigInt(tag), 1024 + index * 16);
    file.writeBigUInt64LE(BigInt(value), 1032 + index * 16);
  };
  entry(0, 5, base + 2048);
  for (const [index, one] of needed.entries()) {
    entry(index + 1, 1, name);
    file.write(`${one}\0`, 2048 + name);
    name += one.length + 1;
  }
  // A linker leaves room behind the end: what stands there is not an entry.
  entry(needed.length + 2, 1, 1);
  return file;
}

function fileOf(bytes: Buffer): string {
  const path = join(temporaryDirectory(), 'file');
  writeFileSync(path, bytes);
  return path;
}

describe('the header of an executable', () => {
  it('says its machine, its interpreter and every library that it needs (need N26)', () => {
    const needed = ['libc.so.6', 'libm.so.6'];
    expect(readElf(fileOf(elfFile(needed)))).toEqual({ machine: 'x64', interpreter: '/lib/ld.so', needed });
    expect(readElf(fileOf(elfFile([], '/lib/ld-a.so', 183)))).toEqual({
      machine: 'arm64',
      interpreter: '/lib/ld-a.so',
      needed: [],
    });
  });

  it('is read of the runtime of these tests (need N26)', () => {
    const { machine, interpreter, needed } = readElf(process.execPath);
    expect(machine).toBe(process.arch);
    expect(interpreter).toMatch(/^\/lib.*\/ld-/);
    expect(needed.some((name) => name.startsWith('libc.'))).toBe(true);
  });

  it.each([
    ['a text', Buffer.from('#!/bin/sh\n'.padEnd(100)), 'not an ELF file'],
    ['a file of 32 bits', Buffer.from(elfFile([]).fill(1, 4, 5)), 'not an ELF file'],
    ['an empty file', Buffer.alloc(0), 'not an ELF file'],
    ['one of another machine', elfFile([], '/lib/ld.so', 8), 'machine 8'],
  ])('%s is refused by name (need N26)', (_, bytes, said) => {
    const path = fileOf(bytes);
    expect(() => readElf(path)).toThrow(said);
    expect(() => readElf(path)).toThrow(path);
  });
});
