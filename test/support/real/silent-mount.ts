/**
 * Runs a program where a directory is on a file system that never answers: `silent-mount.ts DIRECTORY PROGRAM ARGUMENT…`, in a mount
 * namespace of its own. The mount is of FUSE, and no process reads its requests.
 */
import { dlopen } from 'bun:ffi';
import { spawnSync } from 'node:child_process';
import { openSync } from 'node:fs';

const [directory = '', program = '', ...args] = process.argv.slice(2);
const libc = dlopen('libc.so.6', {
  mount: { args: ['ptr', 'ptr', 'ptr', 'u64', 'ptr'], returns: 'i32' },
}).symbols;
const text = (value: string): Uint8Array => new TextEncoder().encode(`${value}\0`);

const device = openSync('/dev/fuse', 'r+');
const options = `fd=${device},rootmode=40000,user_id=0,group_id=0`;
if (libc.mount(text('silent'), text(directory), text('fuse'), 0n, text(options)) !== 0) {
  throw new Error(`a FUSE file system cannot be mounted on ${directory}: is this root, and is there /dev/fuse?`);
}
process.exit(spawnSync(program, args, { stdio: 'inherit' }).status ?? 1);
