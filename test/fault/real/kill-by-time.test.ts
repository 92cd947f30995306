/** The executable killed at moments spread evenly over an ADD and a DEL, in both modes. */
import { afterAll, describe, test } from 'vitest';
import { Tally } from '../../support/real/fault-suite.ts';
import { killByTime } from '../../support/real/kill-by-time.ts';
import { plainGround } from '../../support/real/kill-matrix.ts';
import type { Mode } from '../../support/real/node.ts';
import { onRealSwitch, useNode } from '../../support/real/suite.ts';
import { withSeed } from '../../support/seed.ts';

/** Kills of each verb, half of them in each mode. */
const killsInAll = 200;
const modes: readonly Mode[] = ['client', 'server'];
const kills = killsInAll / modes.length;

onRealSwitch(withSeed('kills by time'), (theSwitch) => {
  const tally = new Tally('kill-by-time', 'complete');
  afterAll(() => tally.print());

  describe.each(modes)('in %s mode', (mode) => {
    const node = useNode(theSwitch, mode);
    test.each(['ADD', 'DEL'] as const)(
      `I4 %s, killed at ${kills} moments, leaves nothing after DEL`,
      async (command) => await killByTime(plainGround(node(), `${mode} mode`, {}), command, kills, tally),
    );
  });
});
