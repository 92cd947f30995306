/** systemd, where it runs: told of a unit that comes or goes by its own program, systemctl(1). */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { messageOf } from '../../attachment.ts';
import { programIn } from '../../effects/program.ts';
import type { CliNode } from '../command-line.ts';

export const agentUnit = 'userspace-agent.service';

/** A unit may take its time to stop. */
const systemctlMs = 60_000;

/** Whether systemd is the machine's init (sd_booted(3)). */
export const isSystemdThere = ({ systemd }: Pick<CliNode, 'systemd'>): boolean => existsSync(systemd.runs);

/** @throws Error if there is none */
export function systemctlIn({ programDirs }: Pick<CliNode, 'programDirs'>): string {
  const program = programIn({ program: 'systemctl', path: programDirs });
  if (!program) throw new Error(`systemd runs, and there is no systemctl in ${programDirs.join(', ')}`);
  return program;
}

/** @throws Error with systemctl's own words */
export function systemctl(machine: Pick<CliNode, 'programDirs'>, ...words: string[]): void {
  const { programDirs } = machine;
  const program = systemctlIn(machine);
  try {
    const env = { PATH: programDirs.join(':'), LC_ALL: 'C' };
    execFileSync(program, words, { timeout: systemctlMs, env, stdio: ['ignore', 'ignore', 'pipe'] });
  } catch (cause) {
    const said = (cause as { stderr?: Buffer }).stderr?.toString().trim();
    throw new Error(`systemctl ${words.join(' ')}: ${said || messageOf(cause)}`, { cause });
  }
}

/** Whether systemd has this unit at work. */
export function isActive(machine: Pick<CliNode, 'programDirs'>, unit: string): boolean {
  try {
    systemctl(machine, 'is-active', '--quiet', unit);
    return true;
  } catch {
    return false;
  }
}
