/**
 * Every verb of the real executable, killed at every system call that changes something, in both modes, with and without IPAM. Also
 * for a pod that an API server knows (the stand-in, which shares its cases with the real one).
 */
import { afterAll, beforeAll, describe } from 'vitest';
import { KubeNode, podGround } from '../../support/cluster/kube-node.ts';
import { dice, Tally } from '../../support/real/fault-suite.ts';
import { killMatrix, plainGround } from '../../support/real/kill-matrix.ts';
import type { Changes, Mode, TestNode } from '../../support/real/node.ts';
import { onRealSwitch, useNode } from '../../support/real/suite.ts';
import { withSeed } from '../../support/seed.ts';
import { StandInApi } from '../../support/stand-in/stand-in-api.ts';

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
    let api: StandInApi | undefined;
    beforeAll(async () => {
      api = await StandInApi.start();
    });
    afterAll(() => api?.stop());
    const homes = new WeakMap<TestNode, KubeNode>();
    const home = (): KubeNode => {
      if (!api) throw new Error('the stand-in is not running');
      const known = homes.get(node()) ?? new KubeNode(node(), api);
      homes.set(node(), known);
      return known;
    };
    killMatrix(() => podGround(home()), tally, die);
  });
});
