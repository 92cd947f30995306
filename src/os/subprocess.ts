/**
 * Runs one program to its end: argument arrays, no shell, a deadline, its failure as fields.
 *
 * It is given our locks: if we are killed, they stay held until the program ends too, so that nobody works on the attachment while an
 * orphan still may. It bears a lease (processes.ts): past that it is ended by us, or by the next call that waits for such a lock.
 */
import { leaseVariable, type Moment, remainingMs, sleep } from '../deadlines.ts';
import { type Child, sinceBootMs, spawnProgram } from './native.ts';
import { endDescendants, leaseText, lend, type Started } from './processes.ts';

export interface Finished {
  /** Why it did not even start: an errno name. */
  readonly spawnError?: string;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly timedOut: boolean;
  /** Something of it is still there although it was killed: the kernel does not let go of it. */
  readonly isStuck?: true;
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
  /** On whose behalf: the attachment's key, or what the program is for. */
  readonly purpose?: string;
}

/** More is read and thrown away: a program that floods its output costs its own time, not our memory. */
const stdoutBytesMax = 1024 * 1024;
const stderrTail = 2048;

/** A grandchild may keep the pipes open for ever: what it says after its parent has ended is of no interest. */
const drainMs = 500;

/** A killed program is gone at once, unless the kernel holds it: then it is not waited for. */
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
  const stdout = collect(child.stdout, (text, more) => (text.length < stdoutBytesMax ? text + more : text));
  const stderr = collect(child.stderr, (text, more) => (text + more).slice(-stderrTail));
  const ended = (await before(end, child.ended)) ?? (await endProgram(child, program));
  running.delete(program);
  // What a program that ended by itself leaves behind has no part in the operation; of another one it may have.
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

/** Reads a pipe to its end, keeping what `keep` keeps; what came so far can be had at any time. */
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
