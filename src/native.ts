/**
 * The only file that speaks to Bun itself and to libc: what `node:` has not, or has only at a price that every call would pay.
 */
import { dlopen } from 'bun:ffi';

const LOCK_EX_NB = 2 | 4;

let libc: { flock(fd: number, operation: number): number } | undefined;

/**
 * flock(2), exclusive, not waiting. The lock belongs to the open file description: it ends when the last copy of the fd is
 * closed, a child's copy included, and at no other time.
 * @returns false if somebody else holds it.
 */
export function flock(fd: number): boolean {
  libc ??= dlopen('libc.so.6', { flock: { args: ['i32', 'i32'], returns: 'i32' } }).symbols;
  return libc.flock(fd, LOCK_EX_NB) === 0;
}
