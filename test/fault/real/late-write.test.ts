/**
 * The annotation's write of an ADD that was killed after sending it. The API server (the stand-in) holds the write back until the
 * follow-up has answered, and then applies it if it still may. It must have no effect.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { emptyKubeWorld, KubeNode } from '../../support/cluster/kube-node.ts';
import { killProcess } from '../../support/real/agent-matrix.ts';
import { useSeat } from '../../support/real/agent-seat.ts';
import { answer, start } from '../../support/real/cni.ts';
import { complete, dice, Tally } from '../../support/real/fault-suite.ts';
import { failures, storms } from '../../support/real/storm.ts';
import { onRealSwitch, useNode } from '../../support/real/suite.ts';
import { byItself } from '../../support/real/way.ts';
import { withSeed } from '../../support/seed.ts';
import { StandInApi } from '../../support/stand-in/stand-in-api.ts';

const rounds = 5;
/** The write carries a resourceVersion that is no longer the pod's. */
const conflict = 409;

const count = complete ? 100 : 16;
const keys = 6;
const workers = 24;
const stormMs = 700;
/** The longest delay of a write. */
const lateMs = 150;

onRealSwitch(withSeed('late writes'), (theSwitch) => {
  const tally = new Tally('late-write');
  const node = useNode(theSwitch);
  const seat = useSeat();
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
          // The process that sent the write has to die: through an agent that is its worker, of which a test below tells.
          const child = start('ADD', pod.call(), byItself);
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

  test('a worker of an agent killed with its write sent: the call makes itself, and the write is refused', async () => {
    const home = new KubeNode(node(), server());
    for (let round = 0; round < rounds; round++) {
      const pod = await home.pod();
      const { worker } = await seat().ready();
      const held = server().hold();
      const child = start('ADD', pod.call(), seat().through);
      await held.received;
      killProcess(worker);
      const added = answer(await child);
      expect(added).toMatchObject({ exitCode: 0 });
      const before = await pod.annotations();
      expect(await held.deliver()).toBe(conflict);
      expect(await pod.annotations()).toEqual(before);
      expect(await pod.check(added.json)).toMatchObject({ exitCode: 0 });
      expect(await pod.del()).toMatchObject({ exitCode: 0 });
      tally.cases++;
      tally.faults++;
      await nothingLeft(home);
    }
  });

  test('a worker of an agent stopped with its write sent, and then a DEL: the worker takes back what was written', async () => {
    const home = new KubeNode(node(), server());
    for (let round = 0; round < rounds; round++) {
      const pod = await home.pod();
      const { agent, worker } = await seat().ready();
      const held = server().hold();
      const child = start('ADD', pod.call(), seat().through);
      await held.received;
      killProcess(worker, 'SIGSTOP');
      child.kill('SIGKILL');
      await child;
      // The worker has the lock, so this DEL only marks.
      expect(await pod.del('net1', { deadlines: { lockMs: 200 } }, byItself)).toMatchObject({ exitCode: 0 });
      expect(await held.deliver()).toBe(200);
      killProcess(worker, 'SIGCONT');
      await agent.atRest();
      tally.cases++;
      tally.faults++;
      await nothingLeft(home);
    }
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

  test(`${count} storms of ADDs and DELs of ${keys} pods, killed and paused, while every write comes late`, async () => {
    const home = new KubeNode(node(), server());
    const roll = dice('late');
    const lateness = () => roll.next() * lateMs;
    const late = server().inject({ kind: 'late', ms: lateness }, { verb: 'PATCH', times: Number.POSITIVE_INFINITY });
    try {
      const targetsFor = () => Promise.all(Array.from({ length: keys }, () => home.pod()));
      const options = { targetsFor, salt: 'late writes', workers, ms: stormMs, tally };
      await storms(count, options, async (pods) => {
        expect(failures(await Promise.all(pods.map((pod) => pod.del())))).toEqual([]);
        expect(await home.node.recover()).toMatchObject({ exitCode: 0, json: { owed: 0 } });
        await delay(2 * lateMs);
        await nothingLeft(home);
      });
    } finally {
      late.end();
    }
  });
});
