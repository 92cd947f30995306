/**
 * The gate before an IPAM program. ADDs that ask for an address pass together. A GC that hands over its list passes alone, because
 * a list that is older than an ADD would release a living pod's address. Each network and program has its own gate, so that a
 * hanging program keeps no other network waiting.
 *
 * The gate is a kernel lock on one byte of the data directory's `instance` file. The network and the program determine the byte.
 * The lock ends as the attachment's does (journal/lock.ts, LO2, LO4). Its holder waits for nothing but the program.
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
  /** The IPAM program's name. */
  readonly program: string;
  readonly how: 'together' | 'alone';
  readonly end: Moment;
}

/** The file exists once a call has read its instance id. */
const fileName = 'instance';

/**
 * @param action receives the descriptor that the program has to hold
 * @returns the action's outcome; code 11 if other holders did not leave the gate in time
 */
export async function throughGate<T>(passage: Passage, action: (fd: number) => Promise<T>): Promise<T | Failed> {
  const { dataDir, how, end } = passage;
  const path = join(dataDir, fileName);
  // A shared lock needs only read access.
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

/** If two gates share a byte by chance (one in four thousand million), they only wait for each other. */
const lockByteOf = ({ network, program }: Passage): number => crc32(new TextEncoder().encode(`${network}\0${program}`));

function describeHolder({ network, program, how }: Passage, lock: Lock): string {
  const [holder] = findHolders([lock]).get(lock) ?? [];
  const other = how === 'together' ? 'a GC' : 'an ADD';
  const by = holder ? ` (${holderText(holder)})` : '';
  return `${other} of network "${network}" is asking the IPAM plugin "${program}" for too long${by}: try again later`;
}
