/**
 * The meaning of a journal's mode: none, or that its attachment is to be removed (docs/adr/0001).
 */
import type { FileStat } from './disk.ts';

export const modeAlive = 0o600;
/**
 * -rwx--xr-T: no chmod of a directory tree, umask, file system without modes or restored backup leaves it by accident (ADR 0001).
 * It has the owner's x bit, which was the whole mark in earlier releases: an executable of one of those sees it too.
 */
export const modeGoing = 0o1714;
/** The mark of earlier releases, and what a recursive `chmod 700` leaves. */
const modeGoingOnce = 0o700;
const modeBits = 0o7777n;

const modeOf = ({ mode }: Pick<FileStat, 'mode'>): number => Number(mode & modeBits);

export const isGoing = (stat: Pick<FileStat, 'mode'>): boolean => modeOf(stat) === modeGoing;

/** The mark of an earlier release, or an innocent mode. */
export const mayBeGoing = (stat: Pick<FileStat, 'mode'>): boolean => modeOf(stat) === modeGoingOnce;

/** A mode that no call of this release sets, in octal. */
export function strangeModeOf(stat: Pick<FileStat, 'mode'>): string | undefined {
  const mode = modeOf(stat);
  return mode === modeAlive || mode === modeGoing ? undefined : mode.toString(8).padStart(4, '0');
}
