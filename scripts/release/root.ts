/**
 * The file system of the image: the executables, nsenter(1), and those files of Debian's packages that they need, found by reading
 * their headers. It has no shell.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { type DebianPackage, fetchDebian } from './debian.ts';
import { readElf } from './elf.ts';

/** For each architecture, by its name in OCI and Debian: the directory of libraries. */
const libraries = { amd64: 'usr/lib/x86_64-linux-gnu', arm64: 'usr/lib/aarch64-linux-gnu' } as const;

export type Architecture = keyof typeof libraries;

export interface Contents {
  readonly architecture: Architecture;
  /** Paths in the image, without the first slash, with the files on this machine. */
  readonly executables: { readonly [path: string]: string };
  readonly packages: readonly DebianPackage[];
  readonly license: string;
}

const program = 'usr/bin/nsenter';
/** The names of before the merge of / and /usr; an ELF file names its interpreter by one of them. */
const merged = ['bin', 'lib', 'lib64'];
/** Mount points of a container, and the place of temporary files. */
const empty = ['dev', 'etc', 'proc', 'run', 'sys', 'tmp', 'var/tmp'];

/** Lays the files out under `root`. @param unpacked a directory for the packages' files */
export function layRoot(root: string, unpacked: string, contents: Contents): void {
  for (const directory of empty) mkdirSync(join(root, directory), { recursive: true });
  for (const directory of ['tmp', 'var/tmp']) chmodSync(join(root, directory), 0o1777);
  for (const one of contents.packages) {
    const archive = fetchDebian(one);
    execFileSync('dpkg-deb', ['--extract', archive, join(unpacked, 'files')]);
    // Scanners read what is installed from here, where there is no package manager.
    const control = execFileSync('dpkg-deb', ['--field', archive], { encoding: 'utf8' });
    put(root, `var/lib/dpkg/status.d/${one.name}`, `${control.trim()}\nStatus: install ok installed\n`);
    copy(join(unpacked, 'files'), root, `usr/share/doc/${one.name}/copyright`);
  }
  copy(join(unpacked, 'files'), root, 'usr/lib/os-release');
  symlinkSync('../usr/lib/os-release', join(root, 'etc/os-release'));
  put(root, 'usr/share/doc/userspace-cni/copyright', contents.license);
  for (const [path, file] of Object.entries(contents.executables)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    copyFileSync(file, join(root, path));
    chmodSync(join(root, path), 0o755);
  }
  copyWithLibraries(join(unpacked, 'files'), root, contents);
  for (const name of merged) {
    if (existsSync(join(root, 'usr', name))) symlinkSync(`usr/${name}`, join(root, name));
  }
}

function put(root: string, path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text, { mode: 0o644 });
}

/** Copies a file. A symbolic link is kept, and its target copied too. */
function copy(from: string, root: string, path: string): void {
  const [source, target] = [join(from, path), join(root, path)];
  if (lstatSync(target, { throwIfNoEntry: false })) return;
  const found = lstatSync(source);
  mkdirSync(dirname(target), { recursive: true });
  if (found.isSymbolicLink()) {
    const link = readlinkSync(source);
    symlinkSync(link, target);
    copy(from, root, normalize(link.startsWith('/') ? link.slice(1) : join(dirname(path), link)));
    return;
  }
  copyFileSync(source, target);
  chmodSync(target, found.mode & 0o755);
}

/** Copies nsenter, and every library that it or a glibc executable needs, directly or not. */
function copyWithLibraries(from: string, root: string, { architecture, executables }: Contents): void {
  copy(from, root, program);
  const places = [libraries[architecture], 'usr/lib'];
  const queue = [program, ...Object.keys(executables)];
  for (let path = queue.shift(); path !== undefined; path = queue.shift()) {
    const { interpreter, needed } = readElf(join(root, path));
    // Debian has no library for musl: such an executable is for a node that has them.
    if (interpreter?.includes('musl')) continue;
    const loader = interpreter && join('usr', interpreter);
    const more = needed.map((name) => placeOf(name, places, from));
    for (const next of [...(loader ? [loader] : []), ...more]) {
      if (lstatSync(join(root, next), { throwIfNoEntry: false })) continue;
      copy(from, root, next);
      queue.push(next);
    }
  }
}

function placeOf(name: string, places: readonly string[], from: string): string {
  const place = places.find((one) => existsSync(join(from, one, name)));
  if (place === undefined) throw new Error(`no package of the image has the library "${name}"`);
  return join(place, name);
}
