/** The agent of a pod is started again when it ends, and told to end when the pod is. */
import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { keepAgent } from '../../src/daemonset/agent-keeper.ts';

/** @param scripts of the shell, one for each start; the last one is repeated */
function stage(...scripts: readonly string[]) {
  const stop = new AbortController();
  const [children, log]: [ChildProcess[], string[]] = [[], []];
  const start = async () => {
    const script = scripts[Math.min(children.length, scripts.length - 1)] ?? '';
    if (script === '') throw new Error('no memory');
    const child = spawn('sh', ['-c', script], { stdio: 'ignore' });
    children.push(child);
    return child;
  };
  const kept = keepAgent({ start, stop: stop.signal, log: (line) => log.push(line) });
  return { stop, children, log, kept };
}

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await delay(5);
};

describe('the agent of a pod', () => {
  it('is started again when it has ended, after a pause, and how it ended is told', async () => {
    const { stop, children, log, kept } = stage('exit 3', 'exec sleep 600');
    await until(() => children.length === 2);
    stop.abort();
    await kept;
    expect(log).toEqual(['the agent has ended (3); the next one in 1 s']);
    expect(children[1]?.signalCode).toBe('SIGTERM');
  });

  it('is tried again when it cannot be started', async () => {
    const { stop, log, kept } = stage('');
    await until(() => log.length === 1);
    stop.abort();
    await kept;
    expect(log).toEqual(['the agent cannot be started: no memory; the next one in 1 s']);
  });

  it('is waited for when it is told to end: it finishes its calls', async () => {
    const { stop, children, kept } = stage('trap "sleep 0.2; exit 7" TERM; while :; do sleep 0.01; done');
    await until(() => children.length === 1);
    await delay(100);
    stop.abort();
    await kept;
    expect(children[0]?.exitCode).toBe(7);
  });
});
