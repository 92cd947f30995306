/**
 * Runs one program to its end: argument arrays, no shell, a deadline, its failure as fields.
 *
 * It is given the attachment's lock: if we are killed, the lock stays held until the program ends too, so that nobody works on the
 * attachment while an orphan still may.
 */
import { spawn } from 'node:child_process';
import { type Moment, remainingMs } from '../deadlines.ts';

export interface Finished {
  /** Why it did not even start: an errno name. */
  readonly spawnError?: string;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly timedOut: boolean;
  readonly stdout: string;
  /** The last of it. */
  readonly stderr: string;
}

export interface Program {
  readonly file: string;
  readonly env: { readonly [name: string]: string };
  readonly stdin: string;
  readonly lockFd?: number;
  readonly end: Moment;
}

const stdoutBytesMax = 1024 * 1024;
const stderrTail = 2048;

/** A grandchild may keep the pipes open for ever: what it says after its parent has ended is of no interest. */
const drainMs = 500;

export async function run(program: Program): Promise<Finished> {
  return await new Promise((resolve) => {
    const { lockFd } = program;
    const child = spawn(program.file, [], {
      env: program.env,
      stdio: ['pipe', 'pipe', 'pipe', ...(lockFd === undefined ? [] : [lockFd])],
    });
    let [stdout, stderr, timedOut] = ['', '', false];
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
    }, remainingMs(program.end));
    const finish = (facts: Pick<Finished, 'exitCode' | 'signal' | 'spawnError'>) => {
      clearTimeout(timer);
      for (const pipe of [child.stdin, child.stdout, child.stderr]) pipe?.destroy();
      resolve({ ...facts, timedOut, stdout, stderr });
    };
    child.on('error', (error: NodeJS.ErrnoException) =>
      finish({ exitCode: null, signal: null, spawnError: error.code ?? error.message }),
    );
    child.on('close', (exitCode, signal) => finish({ exitCode, signal }));
    child.on('exit', (exitCode, signal) => setTimeout(() => finish({ exitCode, signal }), drainMs).unref());
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      if (stdout.length < stdoutBytesMax) stdout += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr = (stderr + text).slice(-stderrTail);
    });
    // A program that ends without reading its input raises EPIPE here.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(program.stdin);
  });
}
