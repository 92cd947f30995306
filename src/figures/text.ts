/** The text format of Prometheus, version 0.0.4. */

export interface Sample {
  /** `_bucket`, `_sum` or `_count` of a histogram. */
  readonly suffix?: string;
  readonly labels?: { readonly [name: string]: string };
  readonly value: number;
}

/** One metric: all of its samples together. */
export interface Family {
  /** Without the prefix that all of ours have. */
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly samples: readonly Sample[];
}

export const contentType = 'text/plain; version=0.0.4; charset=utf-8';

const prefix = 'userspace_';

export const textOf = (families: readonly Family[]): string => families.map(familyText).join('');

function familyText({ name, type, help, samples }: Family): string {
  const whole = `${prefix}${name}`;
  const lines = samples.map(
    ({ suffix = '', labels = {}, value }) => `${whole}${suffix}${labelsText(labels)} ${numberText(value)}\n`,
  );
  return `# HELP ${whole} ${help}\n# TYPE ${whole} ${type}\n${lines.join('')}`;
}

function labelsText(labels: NonNullable<Sample['labels']>): string {
  const all = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return all.length === 0 ? '' : `{${all.join(',')}}`;
}

/** A name of a network or a path may hold anything. */
const escaped = (value: string): string =>
  value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');

/** Sums of floating point get as many digits as are certain. */
const numberText = (value: number): string => String(Number(value.toPrecision(15)));
