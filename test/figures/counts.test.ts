import { describe, expect, it } from 'vitest';
import { Counts } from '../../src/figures/counts.ts';
import { type CallReport, parseReport, type RecoveryReport } from '../../src/figures/report.ts';
import { textOf } from '../../src/figures/text.ts';

const call = (changes: Partial<CallReport> = {}): CallReport => ({
  kind: 'call',
  verb: 'ADD',
  code: 0,
  ms: 20,
  steps: [],
  ...changes,
});

const recovery = (changes: Partial<RecoveryReport> = {}): RecoveryReport => ({
  kind: 'recovery',
  result: 'done',
  ms: 100,
  removed: 0,
  restored: 0,
  owed: 0,
  kept: 0,
  interrupted: 0,
  unreachable: 0,
  ...changes,
});

const port = { step: 'port', direction: 'ensure', ms: 7, failed: false } as const;

/** The value of one series; undefined if there is none. */
function value(counts: Counts, series: string): number | undefined {
  const line = textOf(counts.families())
    .split('\n')
    .find((one) => one.startsWith(`userspace_${series} `));
  return line === undefined ? undefined : Number(line.split(' ').at(-1));
}

const seriesOf = (counts: Counts): number =>
  textOf(counts.families())
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#')).length;

describe('counters', () => {
  it('count each call by its verb and its code', () => {
    const counts = new Counts();
    counts.add(call(), 0);
    counts.add(call({ code: 11 }), 0);
    counts.add(call({ code: 11 }), 0);
    counts.add(call({ verb: 'DEL' }), 0);
    expect(value(counts, 'calls_total{verb="ADD",code="0"}')).toBe(1);
    expect(value(counts, 'calls_total{verb="ADD",code="11"}')).toBe(2);
    expect(value(counts, 'calls_total{verb="DEL",code="0"}')).toBe(1);
  });

  it('name the step that failed; none, if the call failed and no step of it', () => {
    const counts = new Counts();
    counts.add(call({ code: 11, steps: [{ ...port, failed: true }] }), 0);
    counts.add(call({ code: 7, steps: [port] }), 0);
    // A DEL succeeds with a debt.
    counts.add(call({ verb: 'DEL', steps: [{ ...port, direction: 'remove', failed: true }] }), 0);
    counts.add(call({ steps: [port] }), 0);
    expect(value(counts, 'failed_steps_total{verb="ADD",step="port"}')).toBe(1);
    expect(value(counts, 'failed_steps_total{verb="ADD",step="none"}')).toBe(1);
    expect(value(counts, 'failed_steps_total{verb="DEL",step="port"}')).toBe(1);
  });

  it('put each time under the limits that it keeps, and sum them up', () => {
    const counts = new Counts();
    for (const ms of [5, 7, 100_000]) counts.add(call({ ms, steps: [{ ...port, ms }] }), 0);
    for (const series of ['call_seconds', 'step_seconds']) {
      const labels = series === 'call_seconds' ? 'verb="ADD"' : 'step="port",direction="ensure"';
      const bucket = (le: string) => value(counts, `${series}_bucket{${labels},le="${le}"}`);
      expect(['0.0025', '0.005', '0.01', '60', '+Inf'].map(bucket)).toEqual([0, 1, 2, 2, 3]);
      expect(value(counts, `${series}_sum{${labels}}`)).toBeCloseTo(100.012);
      expect(value(counts, `${series}_count{${labels}}`)).toBe(3);
    }
  });

  it('sum up what recoveries did, and keep the moment of the last one', () => {
    const counts = new Counts();
    expect(value(counts, 'last_recovery_timestamp_seconds')).toBeUndefined();
    counts.add(recovery({ restored: 2, removed: 3, interrupted: 1 }), 1000);
    counts.add(recovery({ result: 'owed', restored: 1, unreachable: 1 }), 2000);
    expect(value(counts, 'recoveries_total{result="done"}')).toBe(1);
    expect(value(counts, 'recoveries_total{result="owed"}')).toBe(1);
    expect(value(counts, 'recovery_put_back_total')).toBe(3);
    expect(value(counts, 'recovery_removed_total')).toBe(3);
    expect(value(counts, 'interrupted_journals_total')).toBe(1);
    expect(value(counts, 'recovery_unreachable_total')).toBe(1);
    expect(value(counts, 'last_recovery_timestamp_seconds')).toBe(2000);
  });

  it('that are expected are there before their first event, so that it is an increase', () => {
    const counts = new Counts();
    expect(value(counts, 'calls_total{verb="ADD",code="11"}')).toBe(0);
    expect(value(counts, 'failed_steps_total{verb="ADD",step="port"}')).toBe(0);
    expect(value(counts, 'recovery_put_back_total')).toBe(0);
  });

  it('do not grow without end, whatever is reported (FI2)', () => {
    const counts = new Counts();
    const step = (name: string) => ({ ...port, step: name as 'port' });
    for (let count = 0; count < 2_000; count++) {
      counts.add(call({ verb: `verb ${count}`, code: count, steps: [step(`step ${count}`)] }), 0);
      counts.add(call({ code: count }), 0);
    }
    expect(seriesOf(counts)).toBeLessThan(400);
    expect(value(counts, 'calls_total{verb="other",code="0"}')).toBe(1);
    expect(value(counts, 'calls_total{verb="ADD",code="other"}')).toBeGreaterThan(1_900);
    expect(value(counts, 'step_seconds_count{step="other",direction="ensure"}')).toBe(2_000);
  });

  it('count what is no report apart', () => {
    const counts = new Counts();
    counts.add(undefined, 0);
    expect(value(counts, 'figures_refused_total')).toBe(1);
  });

  it('go on from their file (FI1)', () => {
    const counts = new Counts();
    counts.add(call({ code: 11, steps: [{ ...port, failed: true }] }), 0);
    counts.add(recovery({ restored: 2 }), 1000);
    counts.add(undefined, 0);
    const again = Counts.from(JSON.stringify(counts));
    expect(again && textOf(again.families())).toBe(textOf(counts.families()));
    again?.add(call({ code: 11 }), 0);
    expect(again && value(again, 'calls_total{verb="ADD",code="11"}')).toBe(2);
  });

  it.each([
    '',
    'null',
    '[]',
    '{}',
    '{"format":2}',
    '{"format":1,"calls":{"ADD 0":"many"}}',
    '{"format":1,"calls":null',
  ])('do not take the file %j', (text) => {
    expect(Counts.from(text)).toBeUndefined();
  });
});

describe('a report', () => {
  it.each([call({ steps: [port] }), recovery()])('is taken as it was made: %j', (report) => {
    expect(parseReport(JSON.stringify(report))).toEqual(report);
  });

  it.each([
    '',
    'null',
    '[]',
    '{',
    '{"kind":"call"}',
    JSON.stringify(call({ ms: -1 })),
    JSON.stringify(call({ code: 1.5 })),
    JSON.stringify(call({ ms: 1e12 })),
    JSON.stringify({ ...call(), steps: {} }),
    JSON.stringify({ ...call(), steps: [null] }),
    JSON.stringify({ ...call(), steps: [{ ...port, direction: 'find' }] }),
    JSON.stringify({ ...recovery(), result: 'well' }),
    JSON.stringify({ ...recovery(), restored: -1 }),
    JSON.stringify({ ...recovery(), restored: undefined }),
  ])('is none: %j', (text) => {
    expect(parseReport(text)).toBeUndefined();
  });
});
