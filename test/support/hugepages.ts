/**
 * 2 MiB pages for a private switch and its peers: what is missing is reserved, and exactly that is given back.
 *
 * No hugetlbfs mount is made: everything here runs DPDK with --in-memory, which maps the pages anonymously.
 */
import { readFileSync, writeFileSync } from 'node:fs';

const directory = '/sys/kernel/mm/hugepages/hugepages-2048kB';

/** The switch's 256 MiB (less, and no packet moves), twice 64 MiB for peers, and room for rings of large frames. */
const pagesNeeded = 256;

const read = (name: string): number => Number(readFileSync(`${directory}/${name}`, 'utf8'));

export const hugepageCount = (): number => read('nr_hugepages');

export interface Hugepages {
  /** How many pages had to be added to what the machine had. */
  readonly added: number;
  readonly before: number;
  giveBack(): void;
}

/** @throws Error with the remedy if the kernel cannot find so many. */
export function reserveHugepages(needed = true): Hugepages {
  const before = read('nr_hugepages');
  const wanted = !needed ? 0 : Math.max(0, pagesNeeded - (read('free_hugepages') - read('resv_hugepages')));
  if (wanted > 0) writeFileSync(`${directory}/nr_hugepages`, String(before + wanted));
  const added = read('nr_hugepages') - before;
  // Relative, so that two runs at once do not take each other's pages.
  const giveBack = () => {
    if (added > 0) writeFileSync(`${directory}/nr_hugepages`, String(Math.max(0, read('nr_hugepages') - added)));
  };
  if (added < wanted) {
    giveBack();
    throw new Error(
      `only ${added} of ${wanted} hugepages of 2 MiB could be reserved: free memory, or reboot with hugepages=${pagesNeeded}`,
    );
  }
  return { added, before, giveBack };
}
