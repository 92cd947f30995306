/**
 * The executable: a CNI plugin when CNI_COMMAND is set, a command for people otherwise. The only file that says `process.`.
 */
import { readFileSync, writeSync } from 'node:fs';
import { version } from '../package.json' with { type: 'json' };
import { runCniCommand, type Status } from './cni/command.ts';
import { handlers } from './verbs.ts';

const stdout = (text: string): void => void writeSync(1, text);
const stderr = (text: string): void => void writeSync(2, text);
const clock = (): Date => new Date();
const random = (): string => crypto.randomUUID().replaceAll('-', '').slice(0, 16);
const stdin = (): string => readFileSync(0, 'utf8');

async function verbs() {
  const { createNode } = await import('./node.ts');
  return handlers((request) => createNode(request, { clock, random, stderr }));
}

async function status(): Promise<Status> {
  const { statusOf } = await import('./status.ts');
  return statusOf;
}

async function main(): Promise<number> {
  if (process.env.CNI_COMMAND) return await runCniCommand({ env: process.env, stdin, stdout, stderr }, verbs, status);
  const { runCli } = await import('./cli/cli.ts');
  const { machineForPeople } = await import('./node.ts');
  const interactive = process.stdout.isTTY === true && !process.env.NO_COLOR;
  const terminal = { args: process.argv.slice(2), stdout, stderr, interactive, version };
  return await runCli(terminal, machineForPeople(clock, process.pid, process.env.CNI_PATH));
}

process.exit(await main());
