/**
 * The gate between ADDs that ask an IPAM program for an address, which pass together, and a GC that hands its list to one, which
 * passes alone: a list that is older than an ADD would give the address of a living pod away. There is one for each network and IPAM
 * program: a program that hangs keeps no other network waiting.
 *
 * It is a kernel lock on one byte of the data directory's `instance` file, which the network and the program tell, and it ends as the
 * attachment's does (journal/lock.ts, LO2, LO4). Its holder waits for nothing but the program.
 */
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { code } from '../../attachment.ts';
import type { Moment } from '../../deadlines.ts';
import { crc32, lockByte } from '../../os/native.ts';
import { claim, findHolders, holderText, isLent, type Lock, taken } from '../../os/processes.ts';
import { type Failed, failed } from '../outcome.ts';

export interface Passage {
  readonly dataDir: string;
  readonly network: string;
  /** Name of the IPAM program. */
  readonly program: string;
  readonly how: 'together' | 'alone';
  readonly end: Moment;
}

/** It is there once a call has been told its instance id. */
const fileName = 'instance';

/**
 * @param action is handed the descriptor that a program has to keep
 * @returns the action's outcome; code 11 if the others were at work until the end
 */
export async function throughGate<T>(passage: Passage, action: (fd: number) => Promise<T>): Promise<T | Failed> {
  const { dataDir, how, end } = passage;
  const path = join(dataDir, fileName);
  // A lock that shares needs no more than to read.
  const fd = openSync(path, how === 'together' ? constants.O_RDONLY : constants.O_RDWR);
  const at = lockByteOf(passage);
  const lockOf = (): Lock => ({ path, ...fstatSync(fd, { bigint: true }), at });
  try {
    if (!(await taken(() => lockByte(fd, at, how === 'together' ? 'shared' : 'alone'), lockOf, end))) {
      return { ...failed(code.tryAgainLater, describeHolder(passage, lockOf())), made: 'nothing' };
    }
    claim(fd);
    const answer = await action(fd);
    if (!isLent(fd)) lockByte(fd, at, 'none');
    return answer;
  } finally {
    closeSync(fd);
  }
}

/** Two that share a byte by chance (one in four thousand million) wait for each other, and no more. */
const lockByteOf = ({ network, program }: Passage): number => crc32(new TextEncoder().encode(`${network}\0${program}`));

function describeHolder({ network, program, how }: Passage, lock: Lock): string {
  const [holder] = findHolders([lock]).get(lock) ?? [];
  const other = how === 'together' ? 'a GC' : 'an ADD';
  const by = holder ? ` (${holderText(holder)})` : '';
  return `${other} of network "${network}" is asking the IPAM plugin "${program}" for too long${by}: try again later`;
}
