/**
 * Runs one program to its end: argument arrays, no shell, a deadline, and its failure as fields.
 *
 * The program is given our locks. If this process is killed, they stay held until the program ends too, so that no call works on
 * the attachment while an orphan may. The program has a lease (processes.ts). After it, this process or the next waiting call ends
 * it.
 */
import { leaseVariable, type Moment, remainingMs, sleep } from '../deadlines.ts';
import { sinceBootMs } from './bare.ts';
import { type Child, spawnProgram } from './native.ts';
import { endDescendants, leaseText, lend, type Started } from './processes.ts';

export interface Finished {
  /** The reason why it did not start: an errno name. */
  readonly spawnError?: string;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly timedOut: boolean;
  /** Some process of it is still there although it was killed, because the kernel holds it. */
  readonly isStuck?: true;
  readonly stdout: string;
  /** The last part of it. */
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
  /** The attachment's key, or the program's task. */
  readonly purpose?: string;
}

/** More is read and thrown away, so that a program that floods its output costs its own time, not our memory. */
const stdoutBytesMax = 1024 * 1024;
const stderrTail = 2048;

/** A grandchild may keep the pipes open for ever; its output after its parent's end is not used. */
const drainMs = 500;

/** The wait for a killed program to be gone; it is given up for one that the kernel holds. */
const deathMs = 1_000;

/** Programs under way. */
const running = new Set<Started>();

export async function run({ file, args = [], env, stdin, locks, end, purpose = '' }: Program): Promise<Finished> {
  const lease = leaseText(end, purpose);
  const startMs = sinceBootMs();
  let child: Child;
  try {
    child = spawnProgram({ file, args, env: { ...env, [leaseVariable]: lease }, stdin, fds: locks });
  } catch (error) {
    const spawnError = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    return { exitCode: null, signal: null, spawnError, timedOut: false, stdout: '', stderr: '' };
  }
  const program: Started = { pid: child.pid, startMs, lease };
  const giveBack = lend(locks);
  running.add(program);
  // A process that had to wait is handed all that came meanwhile as one chunk.
  const stdout = collect(child.stdout, (text, more) =>
    text.length < stdoutBytesMax ? text + more.slice(0, stdoutBytesMax) : text,
  );
  const stderr = collect(child.stderr, (text, more) => (text + more).slice(-stderrTail));
  const ended = (await before(end, child.ended)) ?? (await endProgram(child, program));
  running.delete(program);
  // Processes left by a program that ended by itself have no part in the operation; those of a killed one may have.
  if (ended.exitCode !== null && !ended.timedOut) giveBack();
  await Promise.race([Promise.all([stdout.done, stderr.done]), sleep(drainMs)]);
  for (const pipe of [stdout, stderr]) pipe.close();
  return { ...ended, stdout: stdout.text(), stderr: stderr.text() };
}

type Ended = Omit<Finished, 'stdout' | 'stderr'>;

const before = async (end: Moment, ended: Child['ended']): Promise<Ended | undefined> => {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), remainingMs(end));
  });
  const how = await Promise.race([ended, late]);
  clearTimeout(timer);
  return how && { ...how, timedOut: false };
};

/** Ends a program whose time is up, with all that descends from it. */
async function endProgram(child: Child, program: Started): Promise<Ended> {
  child.kill();
  const beside = [...running].filter((one) => one !== program);
  const isGone = await endDescendants(program, beside);
  const how = await Promise.race([child.ended, sleep(deathMs).then(() => ({ exitCode: null, signal: null }))]);
  return { ...how, timedOut: true, ...(!isGone && { isStuck: true }) };
}

/** Reads a pipe to its end. `keep` chooses the part to keep, and `text` gives the part so far at any time. */
function collect(stream: ReadableStream<Uint8Array>, keep: (text: string, more: string) => string) {
  let text = '';
  const decoder = new TextDecoder();
  const reader = stream.getReader();
  const read = async (): Promise<void> => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text = keep(text, decoder.decode(value, { stream: true }));
    }
  };
  return {
    done: read().catch(() => undefined),
    text: () => text,
    close: () => void reader.cancel().catch(() => undefined),
  };
}
