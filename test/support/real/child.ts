/** A real process beside the test: what it says line by line, when it ends, and its certain death with the test. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { onTestFinished } from 'vitest';

export interface Child {
  readonly process: ChildProcess;
  /** The next line of its stdout; fails if it ends without one. */
  line(): Promise<string>;
  /** Its exit code, or the signal that ended it. */
  ended(): Promise<number | string>;
  /** SIGKILL, and the end of it awaited: the kernel has closed its descriptors then. */
  kill(): Promise<void>;
}

/** Runs a program of test/support under Bun. `fds` become its descriptors 3, 4 … */
export function bunChild(script: URL, args: readonly string[], fds: readonly number[] = []): Child {
  return startChild(process.execPath, [script.pathname, ...args], fds);
}

export function startChild(program: string, args: readonly string[], fds: readonly number[] = []): Child {
  const stdio: SpawnOptions['stdio'] = ['pipe', 'pipe', 'inherit', ...fds];
  const started = spawn(program, [...args], { stdio });
  const end = once(started, 'exit').then(([code, signal]) => (code ?? signal) as number | string);
  const { stdout } = started;
  if (!stdout) throw new Error('the child has no stdout');
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  const kill = async (): Promise<void> => {
    started.kill('SIGKILL');
    await end;
  };
  onTestFinished(kill);
  const line = async (): Promise<string> => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`"${program} ${args.join(' ')}" ended without a word: ${await end}`);
    return value;
  };
  return { process: started, line, ended: () => end, kill };
}
