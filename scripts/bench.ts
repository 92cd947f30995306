/** The cost of a call beside that of the things that it replaces: `npm run bench -- --help` says everything. */
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { executable } from '../test/support/requirements.ts';
import { Agent } from './bench/agent.ts';
import { cpuInBlocks } from './bench/blocks.ts';
import { callsInTurn, printCalls } from './bench/calls.ts';
import { crowdsAtOnce } from './bench/crowds.ts';
import { agentAtRest, memoryOfCrowd } from './bench/memory.ts';
import { help, type Options, readOptions } from './bench/options.ts';
import { type Figures, isKept } from './bench/performance.ts';
import { Report } from './bench/report.ts';
import type { Scene } from './bench/scene.ts';
import { notMeasured, onSlowDisk } from './bench/slow-disk.ts';
import { soak } from './bench/soak.ts';
import { Stage } from './bench/stage.ts';
import { raiseTo } from './bench/standing.ts';
import { afterReboot, besideBefore, besideDebts } from './bench/upkeep.ts';
import { waysOf } from './bench/ways.ts';
import { docs, readFigures, writePerformance } from './bench/write.ts';

async function play(stage: Stage, options: Options): Promise<void> {
  const agent = await Agent.start(join(stage.directory, 'agent'));
  try {
    if (options.write && agent.trouble !== undefined)
      throw new Error(`nothing to write: no agent runs (${agent.trouble})`);
    const report = new Report(factsOf(stage, agent, options));
    console.log(
      Object.entries(report.facts)
        .map(([name, fact]) => `${name}: ${JSON.stringify(fact)}`)
        .join('\n'),
      '\n',
    );
    const scene = { options, stage, agent, ways: waysOf(stage, agent, options), report };
    await playScenes(scene, stage.compileHello());
    agent.expectAlive();
    if (options.json !== undefined) report.save(options.json);
    if (options.write) write(keptOf(report, options), options);
  } finally {
    await agent.stop();
  }
}

async function playScenes(scene: Scene, hello: string): Promise<void> {
  const { options, stage } = scene;
  let standing = 0;
  for (const [index, wanted] of options.ports.entries()) {
    standing = await raiseTo(wanted, standing, stage);
    const calls = await callsInTurn(scene, hello);
    printCalls(scene, calls, await cpuInBlocks(scene), standing);
    await agentAtRest(scene, standing);
    if (index === 0) await playCrowds(scene);
  }
  if (options.soak > 0) await soak(scene, options.soak);
  if (options.owed > 0) besideDebts(scene);
  if (options.rebooted > 0) await afterReboot(scene);
  if (options.before !== undefined) besideBefore(scene, options.before);
}

async function playCrowds(scene: Scene): Promise<void> {
  const { atOnce, slowDisk } = scene.options;
  for (const size of atOnce) await crowdsAtOnce(scene, size);
  if (atOnce.length > 0) await memoryOfCrowd(scene, Math.max(...atOnce));
  if (slowDisk) await onSlowDisk(scene);
}

/** A run's figures as the documentation keeps them: the tables that its page shows, without the paths of this machine. */
function keptOf({ facts, tables }: Report, { rounds }: Options): Figures {
  const { stdout } = Bun.spawnSync([executable, '--version'], { env: {} });
  return {
    version: stdout
      .toString()
      .trim()
      .replace(/, \d+ bytes/, ''),
    rounds,
    processors: Number(facts.processors),
    load: Number(facts.load),
    disk: String(facts.disk),
    tables: tables
      .filter(({ title, notes }) => isKept(title) && !notes.some((note) => note.startsWith(notMeasured)))
      .map(({ title, rows }) => ({ title, rows: rows.map(rounded) })),
  };
}

const rounded = (row: { readonly [column: string]: string | number | null }) =>
  Object.fromEntries(
    Object.entries(row).map(([name, cell]) => [name, typeof cell === 'number' ? Number(cell.toFixed(3)) : cell]),
  );

function write(figures: Figures, { docs: directory = docs }: Options): void {
  for (const file of writePerformance(figures, directory)) console.log(`${join(directory, file)}: written`);
}

function factsOf(stage: Stage, agent: Agent, options: Options) {
  const disk = Bun.spawnSync(['stat', '--file-system', '--format=%T', stage.directory]).stdout.toString().trim();
  const none = `none: ${agent.trouble}; the way \`agent\` is a second \`alone\``;
  return {
    processors: cpus().length,
    load: loadavg()[0],
    disk,
    pods: stage.cluster ? 'yes' : 'no: npm run kube-assets',
    agent: agent.trouble === undefined ? 'yes' : none,
    options,
  };
}

/** @returns undefined for help and for wrong words, which are answered here */
function asked(): Options | undefined {
  try {
    const options = readOptions(process.argv.slice(2));
    if (!options) console.log(help);
    return options;
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${help}`);
    process.exitCode = 2;
    return undefined;
  }
}

const options = asked();
if (options?.from !== undefined) write(readFigures(options.from), options);
else if (options) await Stage.use((stage) => play(stage, options));
