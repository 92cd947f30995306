/**
 * The findings of `userspace status`, and how they are printed.
 */
import { type Colour, gap, type Paint, plain } from './print.ts';
import type { Health } from './words.ts';

export interface HealthFinding {
  /** One of `user`, `switch`, `DPDK`, `hugepages`, `data directory`, `configuration`, `IPAM`, `kubeconfig`, `owed`. */
  readonly check: string;
  /** The thing that was checked: a path, an address, a network, a key. */
  readonly subject: string;
  readonly health: Health;
  readonly finding: string;
  readonly remedy?: string;
}

const healthColour: Record<Health, Colour> = { ok: 'green', owed: 'red', sick: 'red', unknown: 'yellow' };

/** Some of many debts are enough to see their kind; `list` has all. */
const debtsMost = 10;

export function findingsTable(findings: readonly HealthFinding[], colours: Paint): string {
  const owed = findings.filter(({ health }) => health === 'owed');
  const more = owed.slice(debtsMost);
  const shown = findings.filter((one) => !more.includes(one));
  const width = Math.max(...shown.map(({ check }) => check.length));
  const lines = shown.flatMap(({ health, check, subject, finding, remedy }) => [
    `${colours(healthColour[health], health)}${' '.repeat(9 - health.length)}${check.padEnd(width)}${gap}${plain(subject)}: ${plain(finding)}`,
    ...(remedy ? [`${' '.repeat(9 + width)}${gap}-> ${remedy}`] : []),
  ]);
  const rest = more.length > 0 ? [`${more.length} more are owed: userspace list`] : [];
  return `${[colours('dim', `${'HEALTH'.padEnd(9)}${'CHECK'.padEnd(width)}${gap}FINDING`), ...lines, ...rest].join('\n')}\n`;
}
