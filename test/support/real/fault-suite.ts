/**
 * Shared by the suites of the fault lane: their size, their dice, their last line, and the executable killed at its n-th call.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import fc from 'fast-check';
import { type Dice, diceFrom } from '../dice.ts';
import { executable } from '../requirements.ts';
import { type Answer, answer, type Call, cni } from './cni.ts';
import '../seed.ts';

/** Decided by seed.ts. */
const seed = fc.readConfigureGlobal()?.seed ?? 0;

/** Everything, however long it takes; otherwise a sample by the seed. */
export const complete: boolean = (process.env.FAULT_ALL ?? '') !== '';

/** One for each suite, so that a suite run alone throws the same. */
export function dice(salt: string): Dice {
  return diceFrom([...salt].reduce((sum, letter) => (Math.imul(sum, 31) + (letter.codePointAt(0) ?? 0)) | 0, seed));
}

/** The figures of one suite, printed as one line at its end. */
export class Tally {
  cases = 0;
  faults = 0;
  leftovers = 0;
  readonly #began = performance.now();

  /** @param extent in words, where FAULT_ALL makes no difference. */
  constructor(
    readonly name: string,
    readonly extent: string = complete ? 'complete' : 'sampled',
  ) {}

  /** Runs one case; `looked` throws on a leftover. */
  async clean(looked: () => Promise<void>): Promise<void> {
    try {
      await looked();
    } catch (error) {
      this.leftovers++;
      throw error;
    }
  }

  print(): void {
    const seconds = Math.round((performance.now() - this.#began) / 1000);
    const figures = `${this.cases} cases, ${this.faults} faults, ${this.leftovers} leftovers, ${seconds} s`;
    console.log(`${this.name}: ${figures}, ${this.extent}, FC_SEED=${seed}`);
  }
}

/** A run under the tracer. */
export interface Traced {
  readonly answer: Answer;
  /** It died of the SIGKILL that it was given at its n-th call. */
  readonly killed: boolean;
  /** The calls that change something, as far as it came. */
  readonly calls: readonly string[];
}

const tracer = new URL('./tracer.ts', import.meta.url).pathname;

async function traced(nth: number, run: (under: readonly string[]) => Promise<Answer>): Promise<Traced> {
  const directory = mkdtempSync(join(tmpdir(), 'usw-t-'));
  try {
    const report = join(directory, 'calls');
    const given = await run([process.execPath, tracer, String(nth), report]);
    const calls = JSON.parse(readFileSync(report, 'utf8')) as string[];
    return { answer: given, calls, killed: given.signal === 'SIGKILL' && calls.length >= nth };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** @param nth 0 for a whole run */
export function tracedCni(nth: number, command: string, call: Call): Promise<Traced> {
  return traced(nth, (under) => cni(command, call, { under }));
}

/** A command for people. */
export function tracedRun(nth: number, args: readonly string[]): Promise<Traced> {
  return traced(nth, async ([program = '', ...under]) =>
    answer(
      await execa(program, [...under, executable, ...args], {
        env: { PATH: process.env.PATH ?? '' },
        extendEnv: false,
        reject: false,
        timeout: 90_000,
        stdin: 'ignore',
        stripFinalNewline: false,
      }),
    ),
  );
}
