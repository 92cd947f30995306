/** The agent's memory and CPU time: at rest, and while a crowd of calls asks it. */
import { crowdOf } from './crowds.ts';
import { atOnce } from './measure.ts';
import { type Peak, peakDuring, pidsOf, pssMb, restingCpu } from './processes.ts';
import { placesOf, type Scene } from './scene.ts';

export async function agentAtRest({ agent, options, report }: Scene, standing: number): Promise<void> {
  if (agent.pid === undefined) return;
  const cpu = await restingCpu(agent.pid, options.restSeconds);
  const pids = pidsOf(agent.pid);
  report.print({
    title: `the agent at rest, beside ${standing} standing attachments`,
    notes: [`watched for ${options.restSeconds} s; CPU in milliseconds for each second, with all its descendants`],
    columns: [['CPU ms/s', 2], ['PSS MB', 1], ['processes']],
    rows: [[cpu, pssMb(pids), pids.length]],
  });
}

/** Crowds of their own, because looking at memory takes time from the calls. */
export async function memoryOfCrowd(scene: Scene, size: number): Promise<void> {
  const { agent, stage, report } = scene;
  const rows = [];
  for (const place of placesOf(scene)) {
    for (const way of place.ways.filter(({ name }) => name === 'alone' || name === 'agent')) {
      const calls = await crowdOf(stage.freshIds(size), place, way);
      const ofAgent = () => (agent.pid === undefined ? [] : pidsOf(agent.pid));
      // The daemons of the stage stood before, and the agent's tree counts on its own.
      const others = new Set(pidsOf(process.pid));
      const ofCalls = () => {
        const agents = new Set(ofAgent());
        return pidsOf(process.pid).filter((pid) => !others.has(pid) && !agents.has(pid));
      };
      const groups = way.name === 'agent' ? { agent: ofAgent, calls: ofCalls } : { calls: ofCalls };
      const peaks = await peakDuring(() => atOnce(calls.ADD), groups);
      await atOnce(calls.DEL);
      const cells = ({ mb, processes }: Peak = { mb: 0, processes: 0 }) => [mb, processes];
      rows.push([`ADD${place.suffix}`, way.name, ...cells(peaks.agent), ...cells(peaks.calls)]);
    }
  }
  report.print({
    title: `memory at the peak of ${size} ADD at once (PSS)`,
    notes: ['the agent with its workers, and the processes of the calls with their programs; the peak of each'],
    columns: [['call'], ['way'], ['agent MB', 1], ['agent processes'], ['calls MB', 1], ['calls processes']],
    rows,
  });
}
