/** Servers of tests: children that die with this process, whatever ends it. */
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
