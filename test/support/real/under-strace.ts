/** A call under strace: what is traced is the process that makes it, the call's own or the worker of an agent. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import type { AgentSeat } from './agent-seat.ts';
import { type Answer, type Call, cni } from './cni.ts';

/** strace cannot let go of a worker that is ending: it waits for its first thread, and keeps another one. Its own end lets go of both. */
const forceKillAfterDelay = 1_000;

/** strace attaches within milliseconds, also on a busy machine. */
const attachMs = 10_000;

/**
 * @param words strace's own arguments
 * @param seat of the agent that makes the call; without it the call's own process does
 */
export async function cniUnderStrace(
  words: readonly string[],
  { command, call }: { readonly command: string; readonly call: Call },
  seat?: AgentSeat,
): Promise<Answer> {
  if (!seat) return await cni(command, call, { under: ['strace', ...words] });
  const { agent, worker } = await seat.ready();
  const strace = execa('strace', [...words, '-p', String(worker)], {
    reject: false,
    stdin: 'ignore',
    forceKillAfterDelay,
  });
  try {
    await whenTraced(worker, words.includes('-f'));
    return await cni(command, call, seat.through);
  } finally {
    await agent.atRest();
    strace.kill();
    await strace;
  }
}

/** @param everywhere whether strace traces all threads, not the main one alone */
async function whenTraced(pid: number, everywhere: boolean): Promise<void> {
  const end = performance.now() + attachMs;
  for (;;) {
    const threads = everywhere ? readdirSync(`/proc/${pid}/task`) : [String(pid)];
    const status = threads.map((thread) => readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8'));
    if (status.every((text) => !/^TracerPid:\s+0$/m.test(text))) return;
    if (performance.now() > end) throw new Error(`strace does not attach to process ${pid} in ${attachMs} ms`);
    await delay(5);
  }
}
