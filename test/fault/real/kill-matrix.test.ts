/**
 * Every verb of the real executable, killed at every system call that changes something, in both modes, with and without IPAM. Also
 * for a pod that an API server knows (the stand-in, which shares its cases with the real one).
 */
import { afterAll, describe } from 'vitest';
import { usePodGround } from '../../support/cluster/pod-ground.ts';
import { dice, Tally } from '../../support/real/fault-suite.ts';
import { killMatrix, plainGround } from '../../support/real/kill-matrix.ts';
import type { Changes, Mode } from '../../support/real/node.ts';
import { onRealSwitch, useNode } from '../../support/real/suite.ts';
import { withSeed } from '../../support/seed.ts';

const modes: readonly Mode[] = ['client', 'server'];
const addressing: readonly (readonly [string, Changes])[] = [
  ['with IPAM', {}],
  ['without IPAM', { ipam: undefined }],
];
const rows = modes.flatMap((mode) => addressing.map(([title, changes]) => ({ mode, title, changes })));

onRealSwitch(withSeed('the kill matrix'), (theSwitch) => {
  const tally = new Tally('kill-matrix');
  const die = dice('kill-matrix');
  afterAll(() => tally.print());

  describe.each(rows)('in $mode mode, $title', ({ mode, title, changes }) => {
    const node = useNode(theSwitch, mode);
    killMatrix(() => plainGround(node(), `${mode} mode, ${title}`, changes), tally, die);
  });

  describe('in a pod', () => {
    const node = useNode(theSwitch);
    killMatrix(usePodGround(node), tally, die);
  });
});
