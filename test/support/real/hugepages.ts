/**
 * 2 MiB pages for a private switch and its peers: missing pages are reserved, and exactly those are given back.
 *
 * No hugetlbfs mount is made: everything here runs DPDK with --in-memory, which maps the pages anonymously.
 *
 * Each run has a claim: a file that says how many pages it added, locked as long as the run lives. So two runs at once take none of each
 * other's pages, and the next run gives back the pages that a killed one added.
 */
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { flock } from '../../../src/os/native.ts';

const directory = '/sys/kernel/mm/hugepages/hugepages-2048kB';

/** The switch's 256 MiB (less, and no packet moves), twice 64 MiB for peers, and room for rings of large frames. */
const pagesNeeded = 256;

/** Pages are the machine's, whatever TMPDIR says. */
const claims = '/run/lock/userspace-hugepages';
const turnMs = 30_000;
const pollMs = 5;

const read = (name: string): number => Number(readFileSync(`${directory}/${name}`, 'utf8'));

export const hugepageCount = (): number => read('nr_hugepages');

export interface Hugepages {
  /** How many pages had to be added to what the machine had. */
  readonly added: number;
  readonly before: number;
  giveBack(): Promise<void>;
}

/** Relative, so that others' pages stay. */
function change(pages: number): void {
  writeFileSync(`${directory}/nr_hugepages`, String(Math.max(0, read('nr_hugepages') + pages)));
}

/** One at a time on this machine; the lock ends with the process too. */
async function inTurn<T>(action: () => T): Promise<T> {
  const deadline = performance.now() + turnMs;
  for (;;) {
    mkdirSync(claims, { recursive: true });
    const fd = openSync(claims, 'r');
    try {
      if (flock(fd)) return action();
    } finally {
      closeSync(fd);
    }
    if (performance.now() > deadline) throw new Error(`the lock of "${claims}" is held for ${turnMs} ms`);
    await delay(pollMs);
  }
}

/** Gives back the pages that killed runs added. @returns how many runs are alive */
function collectDead(): number {
  let alive = 0;
  for (const name of readdirSync(claims)) {
    const path = join(claims, name);
    const fd = openSync(path, 'r+');
    if (flock(fd)) {
      change(-Number(readFileSync(fd, 'utf8') || 0));
      unlinkSync(path);
    } else alive++;
    closeSync(fd);
  }
  return alive;
}

/** @throws Error with the remedy if the kernel cannot find so many. */
export async function reserveHugepages(needed = true): Promise<Hugepages> {
  if (!needed) return { added: 0, before: hugepageCount(), giveBack: async () => undefined };
  return await inTurn(() => {
    const alive = collectDead();
    const before = hugepageCount();
    // Free pages may be meant for a run that has not taken them yet.
    const spare = alive > 0 ? 0 : read('free_hugepages') - read('resv_hugepages');
    const wanted = Math.max(0, pagesNeeded - spare);
    const path = join(claims, crypto.randomUUID());
    const fd = openSync(path, 'ax');
    flock(fd);
    if (wanted > 0) change(wanted);
    const added = hugepageCount() - before;
    writeSync(fd, String(added));
    const release = (): void => {
      if (added > 0) change(-added);
      unlinkSync(path);
      closeSync(fd);
    };
    if (added < wanted) {
      release();
      throw new Error(
        `only ${added} of ${wanted} hugepages of 2 MiB could be reserved: free memory, or reboot with hugepages=${pagesNeeded}`,
      );
    }
    return { added, before, giveBack: () => inTurn(release) };
  });
}
