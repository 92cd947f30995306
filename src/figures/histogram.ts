/** A histogram in Prometheus' sense: how many of the observed times were no longer than each limit. */
import type { Sample } from './text.ts';

/** Seconds. A call takes 15 ms of a healthy node, and a minute if everything fails; a step takes from 1 ms to its deadline. */
const limits = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60] as const;

/** As the file has it. */
export interface HistogramData {
  /** The number of times under each limit and over the one before it; last, of those over all. */
  readonly counts: readonly number[];
  readonly seconds: number;
}

export class Histogram {
  readonly #counts: number[];
  #seconds: number;

  constructor(data?: HistogramData) {
    this.#counts = data ? [...data.counts] : [...limits, 0].fill(0);
    this.#seconds = data?.seconds ?? 0;
  }

  static isData(value: unknown): value is HistogramData {
    if (typeof value !== 'object' || value === null) return false;
    const { counts, seconds }: { readonly [member in keyof HistogramData]?: unknown } = value;
    const isWhole = Array.isArray(counts) && counts.length === limits.length + 1;
    return isWhole && counts.every((count) => Number.isSafeInteger(count)) && typeof seconds === 'number';
  }

  observe(ms: number): void {
    const seconds = ms / 1000;
    const at = limits.findIndex((limit) => seconds <= limit);
    const index = at < 0 ? limits.length : at;
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#seconds += seconds;
  }

  samples(labels: NonNullable<Sample['labels']>): Sample[] {
    let count = 0;
    const buckets = [...limits.map(String), '+Inf'].map((le, index): Sample => {
      count += this.#counts[index] ?? 0;
      return { suffix: '_bucket', labels: { ...labels, le }, value: count };
    });
    const total = { suffix: '_count', labels, value: count };
    return [...buckets, { suffix: '_sum', labels, value: this.#seconds }, total];
  }

  toJSON(): HistogramData {
    return { counts: this.#counts, seconds: this.#seconds };
  }
}
