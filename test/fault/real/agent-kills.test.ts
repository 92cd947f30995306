/** Calls through an agent, of which a process dies at every system call that changes something: in both modes, and in a pod. */
import { afterAll, describe } from 'vitest';
import { usePodGround } from '../../support/cluster/pod-ground.ts';
import { agentKills, supervisorKills } from '../../support/real/agent-matrix.ts';
import { useSeat } from '../../support/real/agent-seat.ts';
import { dice, Tally } from '../../support/real/fault-suite.ts';
import { plainGround } from '../../support/real/kill-matrix.ts';
import type { Mode } from '../../support/real/node.ts';
import { onRealSwitch, useNode } from '../../support/real/suite.ts';
import { withSeed } from '../../support/seed.ts';

/** The worker's own calls are nearly the same everywhere, so a sample has few points of the other two grounds. */
const grounds: readonly { mode: Mode; sampled: number }[] = [
  { mode: 'client', sampled: 12 },
  { mode: 'server', sampled: 2 },
];
const sampledInPod = 2;

onRealSwitch(withSeed('kills around an agent'), (theSwitch) => {
  const tally = new Tally('agent-kills');
  const die = dice('agent-kills');
  const seat = useSeat();
  afterAll(() => tally.print());

  describe.each(grounds)('in $mode mode', ({ mode, sampled }) => {
    const node = useNode(theSwitch, mode);
    agentKills(() => ({ ...plainGround(node(), `${mode} mode`, {}), sampled }), seat, tally, die);
    if (mode === 'client') supervisorKills(() => plainGround(node(), `${mode} mode`, {}), seat, tally);
  });

  describe('in a pod', () => {
    const node = useNode(theSwitch);
    agentKills(usePodGround(node, sampledInPod), seat, tally, die);
  });
});
