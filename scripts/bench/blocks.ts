/** The agent's share of a call: the CPU time that the agent and all its descendants take over a block of calls, divided by the calls. */
import { type Command, median, Samples } from './measure.ts';
import { quietCpuMs } from './processes.ts';
import { named, placesOf, type Scene } from './scene.ts';
import { questions, verbs, type Way } from './ways.ts';

export interface Share {
  /** The agent's part of a call, without the process that asks it. */
  readonly agentMs: number;
}

const turns = 2;
/** The kernel counts in ticks of 10 ms, so that a block has to be long. */
const shortest = 10;

/** Makes blocks of calls alone and through the agent, by turns, and prints them. @returns the shares, by call */
export async function cpuInBlocks(scene: Scene): Promise<ReadonlyMap<string, Share>> {
  const samples = new Samples();
  const spent = new Map<string, number[]>();
  const length = Math.max(shortest, Math.ceil(scene.options.rounds / turns));
  const pair = scene.ways.filter(({ name }) => name === 'alone' || name === 'agent');
  for (let turn = 0; turn < turns; turn++) {
    for (const way of turn % 2 === 0 ? pair : [...pair].reverse()) {
      const block = async (call: string, commands: readonly Command[]) => {
        const pid = way.name === 'agent' ? scene.agent.pid : undefined;
        const before = pid === undefined ? 0 : await quietCpuMs(pid);
        for (const command of commands) samples.time(named(call, way.name), command);
        const after = pid === undefined ? 0 : await quietCpuMs(pid);
        if (way.name === 'agent') spent.set(call, [...(spent.get(call) ?? []), (after - before) / commands.length]);
      };
      await blocksOf(scene, way, length, block);
    }
  }
  const shares = new Map([...spent].map(([call, all]) => [call, { agentMs: mean(all) }]));
  print(scene, samples, shares, length);
  return shares;
}

async function blocksOf(
  scene: Scene,
  { calls, ask }: Way,
  length: number,
  block: (call: string, commands: readonly Command[]) => Promise<void>,
): Promise<void> {
  for (const { suffix, prepare } of placesOf(scene)) {
    const all = await Promise.all(scene.stage.freshIds(length).map(async (id) => ({ id, changes: await prepare(id) })));
    for (const verb of verbs) {
      await block(
        `${verb}${suffix}`,
        all.flatMap(({ id, changes }) => calls(verb, id, changes)),
      );
    }
  }
  for (const question of questions)
    if (ask)
      await block(
        question,
        Array.from({ length }, () => ask(question)),
      );
}

const mean = (all: readonly number[]): number => all.reduce((sum, one) => sum + one, 0) / all.length;

function print({ report, agent }: Scene, samples: Samples, shares: ReadonlyMap<string, Share>, length: number): void {
  const rows = [...shares].map(([call, { agentMs }]) => {
    const [own, asking] = ['alone', 'agent'].map((way) => {
      const all = samples.of(named(call, way));
      return { wall: median(all.map(({ wallMs }) => wallMs)), cpu: mean(all.map(({ cpuMs }) => cpuMs)) };
    });
    if (!own || !asking) throw new Error(`${call} was not timed`);
    const whole = asking.cpu + agentMs;
    return [
      call,
      whole / own.cpu,
      agentMs / whole,
      asking.wall / own.wall,
      own.cpu,
      asking.cpu,
      agentMs,
      own.wall,
      asking.wall,
    ];
  });
  report.print({
    title: "CPU of a call with the agent's share",
    notes: [
      `${turns} blocks of ${length} calls each way, by turns; means of CPU, medians of wall times`,
      ...(agent.trouble === undefined ? [] : [`no agent runs (${agent.trouble}): its share is nothing`]),
    ],
    columns: [
      ['call'],
      ['CPU x alone', 2],
      ['share of agent', 2],
      ['wall x alone', 2],
      ['alone CPU ms', 1],
      ['asking CPU ms', 1],
      ['agent CPU ms', 1],
      ['alone ms', 1],
      ['agent ms', 1],
    ],
    rows,
  });
}
