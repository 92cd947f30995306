/**
 * The hugepages of this machine: without any, neither ovs-vswitchd with DPDK nor a DPDK application gets memory that both can see.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Hugepages {
  /** The size of one page. */
  readonly kiB: number;
  readonly total: number;
  readonly free: number;
}

/** The counts of each size that has pages. @param directory the kernel's (Documentation/admin-guide/mm/hugetlbpage.rst) */
export function hugepages(directory: string): Hugepages[] {
  const count = (name: string, what: string) => Number(readFileSync(join(directory, name, what), 'utf8'));
  return readdirSync(directory)
    .flatMap((name) => {
      const kiB = Number(/^hugepages-(\d+)kB$/.exec(name)?.[1] ?? 0);
      return kiB === 0 ? [] : [{ kiB, total: count(name, 'nr_hugepages'), free: count(name, 'free_hugepages') }];
    })
    .filter(({ total }) => total > 0)
    .sort((one, other) => one.kiB - other.kiB);
}
