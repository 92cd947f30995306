/**
 * Runs one program to its end: argument arrays, no shell, a deadline, its failure as fields.
 *
 * It is given our locks: if we are killed, they stay held until the program ends too, so that nobody works on the attachment while an
 * orphan still may.
 */
import { type Moment, remainingMs } from '../deadlines.ts';
import { type Child, spawnProgram } from '../native.ts';

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
  readonly args?: readonly string[];
  readonly env: { readonly [name: string]: string };
  readonly stdin: string;
  /** Descriptors of locks. */
  readonly locks: readonly number[];
  readonly end: Moment;
}

const stdoutBytesMax = 1024 * 1024;
const stderrTail = 2048;

/** A grandchild may keep the pipes open for ever: what it says after its parent has ended is of no interest. */
const drainMs = 500;

export async function run({ file, args = [], env, stdin, locks, end }: Program): Promise<Finished> {
  let child: Child;
  try {
    child = spawnProgram({ file, args, env, stdin, fds: locks });
  } catch (error) {
    const spawnError = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    return { exitCode: null, signal: null, spawnError, timedOut: false, stdout: '', stderr: '' };
  }
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    child.kill();
  }, remainingMs(end));
  const stdout = collect(child.stdout, (text, more) => (text.length < stdoutBytesMax ? text + more : text));
  const stderr = collect(child.stderr, (text, more) => (text + more).slice(-stderrTail));
  const ended = await child.ended;
  clearTimeout(timer);
  await Promise.race([Promise.all([stdout.done, stderr.done]), sleep(drainMs)]);
  return { ...ended, timedOut, stdout: stdout.text(), stderr: stderr.text() };
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms).unref());

/** Reads a pipe to its end, keeping what `keep` keeps; what came so far can be had at any time. */
function collect(stream: ReadableStream<Uint8Array>, keep: (text: string, more: string) => string) {
  let text = '';
  const decoder = new TextDecoder();
  const read = async (): Promise<void> => {
    for await (const chunk of stream) text = keep(text, decoder.decode(chunk, { stream: true }));
  };
  return { done: read().catch(() => undefined), text: () => text };
}
