/** The API server or the switch is away while pods come and go: afterwards every pod is as it should be, and nothing is left. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Disturbance } from '../support/node/disturbance.ts';
import { onWorkerNode } from '../support/node/node-suite.ts';
import { eventually, expectAttachedAlone, type PodPlan } from '../support/node/workload.ts';
import { dice, Tally } from '../support/real/fault-suite.ts';
import { withSeed } from '../support/seed.ts';

/** Above every wait of a call for an API server. */
const outageMs = 22_000;

onWorkerNode(withSeed('something is away'), ({ worker, workload, nothingLeft }) => {
  let disturbance: Disturbance | undefined;
  beforeAll(async () => {
    await worker().network('client', {});
    await worker().network('server', { host: { vhost: { mode: 'server' } }, container: { vhost: { mode: 'client' } } });
  });
  afterEach(async () => {
    await disturbance?.stop();
    disturbance = undefined;
    worker().cluster.resumeServer();
  });

  const plansOf = (prefix: string, count: number): PodPlan[] =>
    Array.from({ length: count }, (_, index) => ({
      name: `${prefix}-${index}`,
      networks: index % 2 === 0 ? ['client', 'server'] : ['server', 'client', 'client'],
      volume: index % 3 === 0 ? 'hostPath' : 'emptyDir',
    }));
  const namesOf = (plans: readonly PodPlan[]): string[] => plans.map(({ name }) => name);
  const create = (plans: readonly PodPlan[]) => Promise.all(plans.map((plan) => workload().create(plan)));
  const remove = (plans: readonly PodPlan[]) => Promise.all(plans.map(({ name }) => workload().delete(name)));

  const restored = async (): Promise<void> => {
    expect(await worker().recover()).toMatchObject({ exitCode: 0, json: { owed: 0, held: 0 } });
  };
  const allGone = async (plans: readonly PodPlan[]): Promise<void> => {
    await remove(plans);
    await workload().gone(namesOf(plans));
    await worker().stopAgent();
    await restored();
    await nothingLeft();
  };

  describe.each([
    { what: 'does not answer', hasAgent: false, away: 'pauseServer', back: 'resumeServer' },
    { what: 'is killed and started again', hasAgent: true, away: 'stopServer', back: 'startServer' },
  ] as const)('the API server $what', ({ what, hasAgent, away, back }) => {
    test(`${hasAgent ? 'with an agent that is killed at random, ' : ''}pods that were deleted go, and new ones come up`, async () => {
      const tally = new Tally(`the API server ${what}`);
      const roll = dice(what);
      const [old, young] = [plansOf(`${away.toLowerCase()}-old`, 4), plansOf(`${away.toLowerCase()}-new`, 4)];
      tally.cases += old.length + young.length;
      if (hasAgent) await worker().startAgent();
      await create(old);
      await workload().running(namesOf(old));
      if (hasAgent) disturbance = new Disturbance(worker(), dice(`${what}, kills`), tally);
      await Promise.all([create(young), remove(old.slice(2))]);
      await delay(roll.below(1_500));
      await worker().cluster[away]();
      tally.faults++;
      await delay(outageMs);
      await worker().cluster[back]();
      await disturbance?.stop();
      await workload().gone(namesOf(old.slice(2)));
      const living = [...old.slice(0, 2), ...young];
      await workload().running(namesOf(living));
      await restored();
      await tally.clean(() => expectAttachedAlone(worker(), living));
      await tally.clean(() => allGone(living));
      tally.print();
    });
  });

  test('the switch is restarted, then loses its database: recover puts every port of a living pod back', async () => {
    const plans = plansOf('switch', 4);
    const { theSwitch } = worker().node;
    await create(plans);
    await workload().running(namesOf(plans));
    await theSwitch.stopVswitchd();
    await theSwitch.startVswitchd();
    await restored();
    await expectAttachedAlone(worker(), plans);
    await theSwitch.wipeDatabase();
    expect((await worker().world()).ports).toEqual([]);
    // DELs of pods whose ports the switch has lost.
    await remove(plans.slice(3));
    await workload().gone(namesOf(plans.slice(3)));
    await restored();
    await expectAttachedAlone(worker(), plans.slice(0, 3));
    await eventually('no port has an error', async () => (await worker().world()).errors.length === 0 || undefined);
    await allGone(plans.slice(0, 3));
  });
});
