/**
 * The gate between ADDs that ask an IPAM program for an address, which pass together, and a GC that hands its list to one, which
 * passes alone: a list that is older than an ADD would give the address of a living pod away.
 *
 * It is a kernel lock on the data directory itself, held as the attachment's is: by the children too, and released by close alone.
 * Who holds it waits for nobody but the program.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { code } from '../attachment.ts';
import { type Moment, polled } from '../deadlines.ts';
import type { Outcome } from '../machines/protocol.ts';
import { flock } from '../native.ts';
import { failed } from './switch.ts';

type Passing = 'together' | 'alone';

const atWork: Record<Passing, string> = {
  together: 'a GC of this node',
  alone: 'an ADD of this node',
};

/**
 * @param action is handed the descriptor that a child has to keep
 * @returns the action's outcome; code 11 if the others were at work until the end
 */
export async function throughGate<T>(
  dataDir: string,
  passing: Passing,
  end: Moment,
  action: (fd: number) => Promise<T>,
): Promise<T | Extract<Outcome, { kind: 'failed' }>> {
  const fd = openSync(dataDir, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    if (await polled(() => flock(fd, passing === 'together'), end)) return await action(fd);
    return failed(code.tryAgainLater, `${atWork[passing]} is asking the IPAM plugin for too long: try again later`);
  } finally {
    closeSync(fd);
  }
}
