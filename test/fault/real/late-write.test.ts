/**
 * The annotation's write of an ADD that was killed after it had sent it: the API server (the stand-in) holds it back until the
 * follow-up has answered, and applies it then, if it still may. Nothing may come of it.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { start } from '../../support/cni.ts';
import { Tally } from '../../support/faults.ts';
import { emptyKubeWorld, KubeNode } from '../../support/kube-node.ts';
import { withSeed } from '../../support/seed.ts';
import { StandInApi } from '../../support/stand-in-api.ts';
import { onRealSwitch, useNode } from '../../support/suite.ts';

const rounds = 5;
/** The write is guarded by a resourceVersion that is not the pod's any more. */
const conflict = 409;

onRealSwitch(withSeed('late writes'), (theSwitch) => {
  const tally = new Tally('late-write', 'complete');
  const node = useNode(theSwitch);
  let api: StandInApi | undefined;
  beforeAll(async () => {
    api = await StandInApi.start();
  });
  afterAll(async () => {
    tally.print();
    await api?.stop();
  });
  const server = (): StandInApi => {
    if (!api) throw new Error('the stand-in is not running');
    return api;
  };
  const nothingLeft = (home: KubeNode) => tally.clean(async () => expect(await home.world()).toEqual(emptyKubeWorld));

  describe.each(['alone', 'beside a sibling'])('%s', (company) => {
    test.each(['DEL', 'recover'] as const)(
      'an ADD killed with its write sent, then %s: the write is refused',
      async (followUp) => {
        const home = new KubeNode(node(), server());
        for (let round = 0; round < rounds; round++) {
          const pod = await home.pod();
          if (company !== 'alone') expect(await pod.add('net2')).toMatchObject({ exitCode: 0 });
          const before = await pod.annotations();
          const held = server().hold();
          const child = start('ADD', pod.call());
          await held.received;
          child.kill('SIGKILL');
          await child;
          const follow = followUp === 'DEL' ? pod.del() : home.node.recover();
          expect(await follow).toMatchObject({ exitCode: 0 });
          expect(await held.deliver()).toBe(conflict);
          tally.cases++;
          tally.faults++;
          await tally.clean(async () => expect(await pod.annotations()).toEqual(before));
          if (company !== 'alone') expect(await pod.del('net2')).toMatchObject({ exitCode: 0 });
          await nothingLeft(home);
        }
      },
    );
  });

  test('an ADD whose write is not answered in time takes itself back, and the write is refused', async () => {
    const home = new KubeNode(node(), server());
    const pod = await home.pod();
    const held = server().hold();
    const added = await pod.add('net1', {
      deadlines: { apiMs: 500, apiRetryMs: 400, addMs: 10_000, rollbackMs: 5_000 },
    });
    expect(added).toMatchObject({ exitCode: 1, json: { code: 11 } });
    expect(await held.deliver()).toBe(conflict);
    tally.cases++;
    tally.faults++;
    await nothingLeft(home);
  });
});
