/** Keeps an agent at work: starts it, and another one when it has ended. */
import type { ChildProcess } from 'node:child_process';
import { messageOf } from '../attachment.ts';
import { now } from '../deadlines.ts';
import { endOf } from './host-space.ts';
import { pause } from './pause.ts';

/** The pause before the next start doubles with each agent that lives no longer than a minute. */
const pauseMs = 1_000;
const pauseMsMax = 30_000;
const shortLifeMs = 60_000;
/** How long an agent may finish its calls. Below the pod's terminationGracePeriodSeconds. */
const finishMs = 20_000;

export interface KeeperOptions {
  /** @throws an Error if it cannot be started now */
  readonly start: () => Promise<ChildProcess>;
  readonly stop: AbortSignal;
  readonly log: (line: string) => void;
}

/** Ends when it is told to stop and the agent has ended. */
export async function keepAgent({ start, stop, log }: KeeperOptions): Promise<void> {
  for (let restMs = pauseMs; !stop.aborted; ) {
    const began = now();
    const why = await lifeOf(start, stop).catch((error) => `cannot be started: ${messageOf(error)}`);
    if (stop.aborted) return;
    if (now() - began > shortLifeMs) restMs = pauseMs;
    log(`the agent ${why}; the next one in ${restMs / 1000} s`);
    await pause(restMs, stop);
    restMs = Math.min(2 * restMs, pauseMsMax);
  }
}

/** @returns how it ended */
async function lifeOf(start: KeeperOptions['start'], stop: AbortSignal): Promise<string> {
  const child = await start();
  const ended = endOf(child, 'exit');
  const end = () => {
    child.kill('SIGTERM');
    setTimeout(() => child.kill('SIGKILL'), finishMs).unref();
  };
  if (stop.aborted) end();
  stop.addEventListener('abort', end);
  try {
    return `has ended (${await ended})`;
  } finally {
    stop.removeEventListener('abort', end);
  }
}
