/** Kills and crowds with a real API server in the loop: nothing is left in the switch, the address store, the volumes, the pods. */
import { afterAll, describe, expect, test } from 'vitest';
import { onCluster, useKubeNode } from '../support/cluster/cluster-suite.ts';
import { emptyKubeWorld, podGround } from '../support/cluster/kube-node.ts';
import { complete, dice, Tally } from '../support/real/fault-suite.ts';
import { killByTime } from '../support/real/kill-by-time.ts';
import { killMatrix } from '../support/real/kill-matrix.ts';
import { failures, storms } from '../support/real/storm.ts';
import { withSeed } from '../support/seed.ts';

const kills = complete ? 200 : 60;
const sampledPoints = 8;
const keys = 8;
const workers = 24;
const stormMs = 1_000;
const count = complete ? 60 : 12;

onCluster(withSeed('with an API server in the loop'), (parts) => {
  const home = useKubeNode(parts);
  const nothingLeft = async () => expect(await home().world()).toEqual(emptyKubeWorld);

  describe('kills by time', () => {
    const tally = new Tally('kill-by-time, in a cluster');
    afterAll(() => tally.print());
    test.each(['ADD', 'DEL'] as const)(
      `I4 %s killed at ${kills} moments leaves nothing after DEL`,
      async (command) => await killByTime(podGround(home()), command, kills, tally),
    );
  });

  describe('kills at every call', () => {
    const tally = new Tally('kill-matrix, in a cluster');
    afterAll(() => tally.print());
    killMatrix(() => podGround(home(), sampledPoints), tally, dice('kill-matrix, in a cluster'));
  });

  test(`${count} storms of ADDs and DELs of ${keys} pods by ${workers} processes, killed and paused`, async () => {
    const tally = new Tally('storm, in a cluster');
    const targetsFor = () => Promise.all(Array.from({ length: keys }, () => home().pod()));
    await storms(count, { targetsFor, salt: 'in a cluster', workers, ms: stormMs, tally }, async (pods) => {
      expect(await home().node.recover()).toMatchObject({ exitCode: 0, json: { owed: 0 } });
      expect(failures(await Promise.all(pods.map((pod) => pod.del())))).toEqual([]);
      await tally.clean(nothingLeft);
      await Promise.all(pods.map((pod) => home().forget(pod)));
    });
    tally.print();
  });
});
