/** Calls through an agent, of which a process dies at every system call that changes something. */
import { afterAll, describe } from 'vitest';
import { agentKills } from '../../support/real/agent-matrix.ts';
import { useSeat } from '../../support/real/agent-seat.ts';
import { complete, dice, Tally } from '../../support/real/fault-suite.ts';
import { plainGround } from '../../support/real/kill-matrix.ts';
import type { Mode } from '../../support/real/node.ts';
import { onRealSwitch, useNode } from '../../support/real/suite.ts';
import { withSeed } from '../../support/seed.ts';

const modes: readonly Mode[] = complete ? ['client', 'server'] : ['client'];

onRealSwitch(withSeed('kills around an agent'), (theSwitch) => {
  const tally = new Tally('agent-kills');
  const die = dice('agent-kills');
  const seat = useSeat();
  afterAll(() => tally.print());

  describe.each(modes)('in %s mode', (mode) => {
    const node = useNode(theSwitch, mode);
    agentKills(() => plainGround(node(), `${mode} mode`, {}), seat, tally, die);
  });
});
