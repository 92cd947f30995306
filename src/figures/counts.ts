/**
 * Counters of calls, their steps and recoveries. Pure. Labels come from lists here; codes, of which there is no list, are bounded
 * by `codeMax` and `codesMax`. So no report makes them grow without end.
 *
 * Invariants
 *  FI1 No report makes a counter decrease. (A killed meter does, and a file of another format.)
 *  FI2 The number of counters is bounded by the lists here, and not by what is reported.
 */
import { code } from '../attachment.ts';
import { steps } from '../machines/protocol.ts';
import { Histogram } from './histogram.ts';
import type { CallReport, RecoveryReport, Report } from './report.ts';
import type { Family, Sample } from './text.ts';

const verbs = ['ADD', 'CHECK', 'DEL', 'GC', 'STATUS'] as const;
/** A call that failed before its first step, or between two. */
const noStep = 'none';
const other = 'other';

/** The codes of an error (CNI SPEC section 5): ours are below 1000, and an IPAM program's are passed on. */
const codeMax = 999;
/** More different codes than there are in any IPAM program. */
const codesMax = 64;

/** Counters by a label, or by two with a space between. */
type Tally = Map<string, number>;
type Times = Map<string, Histogram>;

const raise = (tally: Tally, key: string, by = 1): void => void tally.set(key, (tally.get(key) ?? 0) + by);

function observe(times: Times, key: string, ms: number): void {
  const histogram = times.get(key) ?? new Histogram();
  histogram.observe(ms);
  times.set(key, histogram);
}

const among = (words: readonly string[], word: string): string => (words.includes(word) ? word : other);

/** The counters without a label. */
const singles = [
  {
    key: 'putBack',
    name: 'recovery_put_back_total',
    help: 'Ports that recoveries put back after the switch had lost them.',
  },
  { key: 'removed', name: 'recovery_removed_total', help: 'Attachments that recoveries removed.' },
  {
    key: 'interrupted',
    name: 'interrupted_journals_total',
    help: 'Journals that recoveries found whose ADD had died.',
  },
  { key: 'unreachable', name: 'recovery_unreachable_total', help: 'Switches that recoveries could not ask.' },
  {
    key: 'refused',
    name: 'figures_refused_total',
    help: 'Reports that could not be understood, and were not counted.',
  },
] as const;

type Single = (typeof singles)[number]['key'];

const lastRecovery = {
  name: 'last_recovery_timestamp_seconds',
  type: 'gauge',
  help: 'When the last recovery ended; absent before the first one.',
} as const;

const attaching = ['ADD', 'DEL'] as const;

/** A counter that appears with its first event shows no increase at that event, so the expected ones are there from the beginning. */
const known = {
  calls: [
    ...verbs.map((verb) => `${verb} 0`),
    ...attaching.flatMap((verb) => Object.values(code).map((one) => `${verb} ${one}`)),
  ],
  failedSteps: attaching.flatMap((verb) => [...steps, noStep].map((step) => `${verb} ${step}`)),
  recoveries: ['done', 'owed', 'failed'],
} as const;

export class Counts {
  readonly #calls: Tally = new Map();
  readonly #failedSteps: Tally = new Map();
  readonly #callTimes: Times = new Map();
  readonly #stepTimes: Times = new Map();
  readonly #recoveries: Tally = new Map();
  readonly #singles: Tally = new Map();
  /** When the last recovery ended, in seconds of the wall clock. */
  #recovered: number | undefined;
  /** Changes with each report. */
  #version = 0;

  get version(): number {
    return this.#version;
  }

  /** @param seconds now, by the wall clock; @param report undefined: what came was none */
  add(report: Report | undefined, seconds: number): void {
    this.#version++;
    if (report === undefined) raise(this.#singles, 'refused');
    else if (report.kind === 'call') this.#addCall(report);
    else this.#addRecovery(report, seconds);
  }

  #addCall({ verb: said, code: result, ms, steps: done }: CallReport): void {
    const verb = among(verbs, said);
    raise(this.#calls, this.#callKey(verb, result));
    observe(this.#callTimes, verb, ms);
    for (const { step, direction, ms: stepMs, failed } of done) {
      const name = among(steps, step);
      observe(this.#stepTimes, `${name} ${direction}`, stepMs);
      if (failed) raise(this.#failedSteps, `${verb} ${name}`);
    }
    if (result !== 0 && !done.some(({ failed }) => failed)) raise(this.#failedSteps, `${verb} ${noStep}`);
  }

  #callKey(verb: string, result: number): string {
    const key = `${verb} ${result}`;
    if (this.#calls.has(key) || result === 0) return key;
    const isFull = [...this.#calls.keys()].filter((one) => one.startsWith(`${verb} `)).length >= codesMax;
    return result <= codeMax && !isFull ? key : `${verb} ${other}`;
  }

  #addRecovery({ result, removed, restored, interrupted, unreachable }: RecoveryReport, seconds: number): void {
    raise(this.#recoveries, result);
    raise(this.#singles, 'putBack', restored);
    raise(this.#singles, 'removed', removed);
    raise(this.#singles, 'interrupted', interrupted);
    raise(this.#singles, 'unreachable', unreachable);
    this.#recovered = seconds;
  }

  families(): Family[] {
    const recovered = this.#recovered === undefined ? [] : [{ value: this.#recovered }];
    const calls = tallySamples(known.calls, this.#calls, ['verb', 'code']);
    const failed = tallySamples(known.failedSteps, this.#failedSteps, ['verb', 'step']);
    const recoveries = tallySamples(known.recoveries, this.#recoveries, ['result']);
    const single = (name: Single) => [{ value: this.#singles.get(name) ?? 0 }];
    return [
      counter('calls_total', 'Calls of a runtime that were answered, by verb and CNI code (0: success).', calls),
      counter('failed_steps_total', 'Steps that failed in a call; none: the call failed, and no step of it.', failed),
      times(
        'call_seconds',
        'From the start of the process that the runtime called to its answer.',
        timeSamples(this.#callTimes, ['verb']),
      ),
      times(
        'step_seconds',
        'Steps of calls: ensure makes a thing, remove takes it away.',
        timeSamples(this.#stepTimes, ['step', 'direction']),
      ),
      counter('recoveries_total', 'Runs of userspace recover: done, owed (something is left) or failed.', recoveries),
      { ...lastRecovery, samples: recovered },
      ...singles.map(({ key, name, help }) => counter(name, help, single(key))),
    ];
  }

  toJSON() {
    const { entries } = Object;
    const all = {
      calls: this.#calls,
      failedSteps: this.#failedSteps,
      callTimes: this.#callTimes,
      stepTimes: this.#stepTimes,
      recoveries: this.#recoveries,
      singles: this.#singles,
    };
    const plain = Object.fromEntries(entries(all).map(([name, map]) => [name, Object.fromEntries(map)]));
    return { format, ...plain, ...(this.#recovered !== undefined && { recovered: this.#recovered }) };
  }

  /** @param text of toJSON's document. @returns undefined if it is none, or another release's */
  static from(text: string): Counts | undefined {
    const counts = new Counts();
    try {
      return counts.#take(JSON.parse(text)) ? counts : undefined;
    } catch {
      return undefined;
    }
  }

  /** @returns whether all of it could be taken. @throws TypeError for a document of another kind */
  #take(said: { readonly [member: string]: { readonly [key: string]: unknown } }): boolean {
    const tallies = {
      calls: this.#calls,
      failedSteps: this.#failedSteps,
      recoveries: this.#recoveries,
      singles: this.#singles,
    };
    const histograms = { callTimes: this.#callTimes, stepTimes: this.#stepTimes };
    let isWhole = (said.format as unknown) === format;
    for (const [name, tally] of Object.entries(tallies)) {
      for (const [key, value] of Object.entries(said[name] ?? {})) {
        if (Number.isSafeInteger(value)) tally.set(key, value as number);
        else isWhole = false;
      }
    }
    for (const [name, all] of Object.entries(histograms)) {
      for (const [key, value] of Object.entries(said[name] ?? {})) {
        if (Histogram.isData(value)) all.set(key, new Histogram(value));
        else isWhole = false;
      }
    }
    const recovered: unknown = said.recovered;
    if (typeof recovered === 'number') this.#recovered = recovered;
    return isWhole;
  }
}

/** The file's version: raise it when a name, a label or a limit of a histogram changes. The counters then begin with 0. */
const format = 1;

const counter = (name: string, help: string, samples: readonly Sample[]): Family => ({
  name,
  type: 'counter',
  help,
  samples,
});

const times = (name: string, help: string, samples: readonly Sample[]): Family => ({
  name,
  type: 'histogram',
  help,
  samples,
});

const labelsOf = (key: string, names: readonly string[]): NonNullable<Sample['labels']> => {
  const values = key.split(' ');
  return Object.fromEntries(names.map((name, index) => [name, values[index] ?? '']));
};

const tallySamples = (expected: readonly string[], tally: Tally, names: readonly string[]): Sample[] =>
  [...new Map([...expected.map((key) => [key, 0] as const), ...tally])]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => ({ labels: labelsOf(key, names), value }));

const timeSamples = (all: Times, names: readonly string[]): Sample[] =>
  [...all].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([key, histogram]) => histogram.samples(labelsOf(key, names)));
