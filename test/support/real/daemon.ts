/** Servers of tests: children that die with this process, whatever ends it. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';

const stopMs = 10_000;

/** Under setpriv, so that not even our own SIGKILL leaves a daemon behind. */
export function launch(command: string[], cwd: string, env: Record<string, string>) {
  const options = { env, cwd, reject: false, stdin: 'ignore', forceKillAfterDelay: stopMs } as const;
  return execa('setpriv', ['--pdeathsig', 'KILL', ...command], options);
}

export type Daemon = ReturnType<typeof launch>;

export async function end(child: Daemon | undefined): Promise<void> {
  if (!child) return;
  child.kill('SIGTERM');
  await child;
}

/** @throws what it said on stderr if it ends, or is not ready in time. */
export async function whenReady(child: Daemon, name: string, ready: () => Promise<boolean>, ms: number): Promise<void> {
  let ended = false;
  void child.then(() => {
    ended = true;
  });
  const deadline = performance.now() + ms;
  while (!(await ready())) {
    if (ended) throw new Error(`${name} does not start: ${(await child).stderr?.slice(-2000)}`);
    if (performance.now() > deadline) throw new Error(`${name} does not become ready in ${ms} ms`);
    await delay(20);
  }
}

/** A stopped process shows state T (proc_pid_stat(5)); its name in brackets can hold anything. */
const isStopped = (stat: string): boolean => /^.*\) [Tt] /s.test(readFileSync(stat, 'utf8'));

const pauseMs = 5_000;

/** Stops a process with all its threads. The signal is only a request, so this waits until the kernel shows them stopped. */
export function pause({ pid = 0 }: Daemon): void {
  process.kill(pid, 'SIGSTOP');
  const tasks = `/proc/${pid}/task`;
  const end = performance.now() + pauseMs;
  while (!readdirSync(tasks).every((task) => isStopped(`${tasks}/${task}/stat`))) {
    if (performance.now() > end) throw new Error(`process ${pid} was told to stop, and did not in ${pauseMs} ms`);
    Bun.sleepSync(1);
  }
}
