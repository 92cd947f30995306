/** Calls one after the other: every way in every round. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Share } from './blocks.ts';
import { median, Samples } from './measure.ts';
import { Failures, named, type Place, placesOf, rotated, type Scene } from './scene.ts';
import type { Changes } from './stage.ts';
import { questions, verbs, type Way } from './ways.ts';

export interface Calls {
  readonly samples: Samples;
  readonly failures: Failures;
  /** The journals of the ADDs of this executable, by way: lines of JSON. */
  readonly journals: Map<string, string[]>;
}

export async function callsInTurn(scene: Scene, hello: string): Promise<Calls> {
  const calls: Calls = { samples: new Samples(), failures: new Failures(), journals: new Map() };
  for (let round = 0; round < scene.options.rounds; round++) {
    for (const place of placesOf(scene)) await attachInTurn(scene, calls, place, round);
    for (const question of questions) {
      for (const { name, ask } of rotated(scene.ways, round))
        if (ask) calls.samples.time(named(question, name), ask(question));
    }
    calls.samples.time(named('hello world', 'floor'), { program: hello, args: [] });
  }
  return calls;
}

async function attachInTurn(
  { stage }: Scene,
  { samples, failures, journals }: Calls,
  { ways, suffix, prepare }: Place,
  round: number,
): Promise<void> {
  const turns: { way: Way; id: string; changes: Changes }[] = [];
  for (const way of rotated(ways, round)) {
    const id = stage.freshId();
    turns.push({ way, id, changes: await prepare(id) });
  }
  for (const verb of verbs) {
    for (const { way, id, changes } of turns) {
      const name = named(`${verb}${suffix}`, way.name);
      failures.guard(name, way.mayFail, () => samples.time(name, ...way.calls(verb, id, changes)));
      if (verb === 'ADD' && suffix === '')
        journals.set(way.name, [...(journals.get(way.name) ?? []), ...journalOf(stage.dataDir, id)]);
    }
  }
}

function journalOf(dataDir: string, id: string): string[] {
  const name = readdirSync(dataDir).find((file) => file.endsWith('.journal') && file.includes(id));
  return name ? readFileSync(join(dataDir, name), 'utf8').trim().split('\n') : [];
}

/** @param shares the agent's part of the CPU time of each call */
export function printCalls(scene: Scene, calls: Calls, shares: ReadonlyMap<string, Share>, standing: number): void {
  const { samples, failures } = calls;
  const { report, options } = scene;
  const cpu = (call: string, way: string): number =>
    samples.median(named(call, way), 'cpuMs') + (way === 'agent' ? (shares.get(call)?.agentMs ?? 0) : 0);
  const rows = placesOf(scene).flatMap(({ ways, suffix }) =>
    verbs.flatMap((verb) =>
      ways.map(({ name: way }) => {
        const [call, r1, own] = [`${verb}${suffix}`, named(verb, 'R1'), named(`${verb}${suffix}`, 'alone')];
        const [wall, p90] = [samples.median(named(call, way), 'wallMs'), samples.p90(named(call, way), 'wallMs')];
        const ratios = [
          wall / samples.median(r1, 'wallMs'),
          wall / samples.median(own, 'wallMs'),
          p90 / samples.p90(r1, 'wallMs'),
          p90 / samples.p90(own, 'wallMs'),
          cpu(call, way) / cpu(verb, 'R1'),
          cpu(call, way) / cpu(call, 'alone'),
        ];
        return [call, way, ...ratios, wall, p90, cpu(call, way)];
      }),
    ),
  );
  report.print({
    title: `calls one after the other, beside ${standing} standing attachments`,
    notes: [`${options.rounds} rounds; the CPU of \`agent\` is the call's and the agent's share`, ...failures.lines()],
    columns: [
      ['call'],
      ['way'],
      ...(['x R1', 'x alone', 'p90 x R1', 'p90 x alone', 'CPU x R1', 'CPU x alone'] as const).map(
        (name) => [name, 2] as const,
      ),
      ['ms', 1],
      ['p90 ms', 1],
      ['CPU ms', 1],
    ],
    rows,
  });
  printQuestions(scene, samples, cpu);
  printSteps(scene, calls);
}

function printQuestions(
  { report, ways, options }: Scene,
  samples: Samples,
  cpu: (call: string, way: string) => number,
): void {
  const hello = named('hello world', 'floor');
  const rows = questions.flatMap((call) =>
    ways
      .filter(({ name }) => samples.has(named(call, name)))
      .map(({ name }) => {
        const wall = samples.median(named(call, name), 'wallMs');
        const own = samples.median(named(call, 'alone'), 'wallMs');
        const [ownCpu, helloCpu] = [cpu(call, name), samples.median(hello, 'cpuMs')];
        return [call, name, wall / samples.median(hello, 'wallMs'), wall / own, ownCpu / helloCpu, wall, ownCpu];
      }),
  );
  report.print({
    title: 'calls that change nothing, beside a compiled hello world',
    notes: [`${options.rounds} rounds; hello world: ${samples.median(hello, 'wallMs').toFixed(1)} ms`],
    columns: [['call'], ['way'], ['x hello', 2], ['x alone', 2], ['CPU x hello', 2], ['ms', 1], ['CPU ms', 1]],
    rows,
  });
}

/** Where an ADD's time goes: the journal's own figures. */
function printSteps({ report }: Scene, { journals }: Calls): void {
  const ways = ['alone', 'agent'];
  const figures = ways.map((way) => stepsOf(journals.get(way) ?? []));
  const steps = [...new Set(figures.flatMap((one) => [...one.keys()]))];
  report.print({
    title: 'in an ADD: the steps of its journal',
    columns: [['step'], ...ways.map((way) => [`${way} ms`, 1] as const)],
    rows: steps.map((step) => [step, ...figures.map((one) => median(one.get(step) ?? []))]),
  });
}

function stepsOf(lines: readonly string[]): Map<string, number[]> {
  const steps = new Map<string, number[]>();
  for (const line of lines) {
    const { kind, step, ms } = JSON.parse(line);
    if (kind === 'outcome') steps.set(step, [...(steps.get(step) ?? []), ms]);
  }
  return steps;
}
