/**
 * The check of each executable of a release: its header, and what it says of itself. It is run, on a foreign processor by QEMU. One that
 * cannot be run here is searched for the words.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, globSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { messageOf } from '../../src/attachment.ts';
import { bunVersion, type Target } from './compile.ts';
import { fetchDebian, lockedDebian } from './debian.ts';
import { type Elf, readElf } from './elf.ts';

export interface Expected {
  readonly version: string;
  readonly commit: string;
  readonly target: Target;
}

/** The header of each target's file. */
const headers: { readonly [target in Target]: Elf } = {
  'linux-x64': {
    machine: 'x64',
    interpreter: '/lib64/ld-linux-x86-64.so.2',
    needed: ['ld-linux-x86-64.so.2', 'libc.so.6', 'libdl.so.2', 'libm.so.6', 'libpthread.so.0'],
  },
  'linux-x64-musl': {
    machine: 'x64',
    interpreter: '/lib/ld-musl-x86_64.so.1',
    needed: ['libc.musl-x86_64.so.1', 'libstdc++.so.6'],
  },
  'linux-arm64': {
    machine: 'arm64',
    interpreter: '/lib/ld-linux-aarch64.so.1',
    needed: ['ld-linux-aarch64.so.1', 'libc.so.6', 'libdl.so.2', 'libm.so.6', 'libpthread.so.0'],
  },
};

/** @throws Error if the header is another one than the target's: a node would lack a library */
export function checkHeader(path: string, target: Target): void {
  const { needed, ...rest } = readElf(path);
  const [found, expected] = [{ ...rest, needed: needed.toSorted() }, headers[target]].map((one) => JSON.stringify(one));
  if (found !== expected) throw new Error(`"${path}" has the header ${found} and not ${expected}`);
}

/** One way to run an executable. */
interface Way {
  readonly name: string;
  /** The words before the executable's path. */
  readonly under: readonly string[];
  readonly env?: { readonly [name: string]: string };
}

export interface Places {
  /** The root of the image for arm64: the libraries for QEMU. */
  readonly arm64Root: string;
  /** A directory for files of the check. */
  readonly work: string;
}

/** @returns how it was found to be the expected one. @throws Error if it says anything else */
export function checkIdentity(path: string, expected: Expected, places: Places): string[] {
  checkHeader(path, expected.target);
  const ways = waysOf(expected.target, places);
  for (const way of ways) runWay(path, way, expected);
  if (ways.length > 0) return ways.map(({ name }) => name);
  if (!hasWords(path, expected)) throw new Error(`"${path}" does not have the words of its --version in it`);
  return ['not run: its words are in it'];
}

function runWay(path: string, { name, under, env = {} }: Way, expected: Expected): void {
  const [program = path, ...args] = [...under, path, '--version', '--json'];
  const said = JSON.parse(execFileSync(program, args, { env, encoding: 'utf8' }));
  // The size is an emulator's, or a loader's, where one opens the file.
  const { bytes, ...found } = said;
  const whole = {
    version: expected.version,
    commit: expected.commit,
    target: expected.target,
    runtime: `Bun ${bunVersion}`,
  };
  if (JSON.stringify(found) !== JSON.stringify(whole))
    throw new Error(`"${path}" (${name}) says ${JSON.stringify(found)} and not ${JSON.stringify(whole)}`);
}

/** Whether the file has, as a minified object, what it would say. */
export function hasWords(path: string, { commit, target }: Expected): boolean {
  return readFileSync(path).includes(`commit:"${commit}",target:"${target}",runtime:"Bun ${bunVersion}"`);
}

function waysOf(target: Target, { arm64Root, work }: Places): Way[] {
  const isNative = process.platform === 'linux' && target === `linux-${process.arch}`;
  const own: Way[] = isNative ? [{ name: 'run', under: [] }] : [];
  switch (target) {
    case 'linux-x64':
      return [...own, ...emulated('qemu-x86_64', ['-cpu', 'Nehalem'], 'run on a Nehalem, which has no AVX2 (QEMU)')];
    case 'linux-arm64':
      return own.length > 0 ? own : emulated('qemu-aarch64', ['-L', arm64Root], 'run by QEMU');
    case 'linux-x64-musl':
      return process.arch === 'x64' ? onMusl(join(work, 'musl')) : [];
  }
}

/** Debian 12 calls the emulator without libraries "-static", and later ones have only that one. */
function emulated(program: string, args: readonly string[], name: string): Way[] {
  const path = [`/usr/bin/${program}-static`, `/usr/bin/${program}`].find((one) => existsSync(one));
  return path === undefined ? [] : [{ name, under: [path, ...args] }];
}

/** Debian has musl itself, and PyPI a libstdc++ for it. */
function onMusl(work: string): Way[] {
  mkdirSync(work, { recursive: true });
  const [wheels, requirements] = [join(work, 'wheels'), 'scripts/release/musl-requirements.txt'];
  const exact = ['--no-deps', '--require-hashes', '--only-binary=:all:', '--platform=musllinux_1_2_x86_64'];
  const python = ['--python-version=3.12', '--implementation=cp', '--abi=cp312'];
  try {
    for (const one of lockedDebian('amd64', ['musl'])) execFileSync('dpkg-deb', ['--extract', fetchDebian(one), work]);
    const pip = [
      '-m',
      'pip',
      'download',
      '--quiet',
      ...exact,
      ...python,
      '--dest',
      wheels,
      '--requirement',
      requirements,
    ];
    execFileSync('python3', pip, { stdio: ['ignore', 'ignore', 'pipe'] });
    for (const wheel of globSync(join(wheels, '*.whl'))) execFileSync('python3', ['-m', 'zipfile', '-e', wheel, work]);
  } catch (error) {
    console.error(`the musl executable is not run, because its libraries are missing: ${messageOf(error)}`);
    return [];
  }
  const [library] = globSync(join(work, '*.libs/libstdc++-*.so.*'));
  if (library === undefined) return [];
  symlinkSync(basename(library), join(library, '../libstdc++.so.6'));
  const loader = join(work, 'usr/lib/ld-musl-x86_64.so.1');
  return [{ name: 'run by musl', under: [loader], env: { LD_LIBRARY_PATH: join(library, '..') } }];
}
