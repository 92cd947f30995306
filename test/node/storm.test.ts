/** Pods come and go in waves while our calls, the agent, containerd and the kubelet are killed: every pod that should run does. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Volume } from '../support/cluster/kube-node.ts';
import type { Dice } from '../support/dice.ts';
import { Disturbance } from '../support/node/disturbance.ts';
import { onWorkerNode } from '../support/node/node-suite.ts';
import { expectAttachedAlone, type PodPlan } from '../support/node/workload.ts';
import { complete, dice, Tally } from '../support/real/fault-suite.ts';
import { withSeed } from '../support/seed.ts';

const waves = 5;
const podsPerWave = complete ? 20 : 10;

onWorkerNode(withSeed('pods in waves'), ({ worker, workload, nothingLeft }) => {
  let disturbance: Disturbance | undefined;
  beforeAll(async () => {
    await worker().network('client', {});
    await worker().network('server', { host: { vhost: { mode: 'server' } }, container: { vhost: { mode: 'client' } } });
  });
  afterEach(() => disturbance?.stop());

  const planOf = (name: string, roll: Dice): PodPlan => ({
    name,
    volume: roll.pick<Volume>(['emptyDir', 'hostPath']),
    networks: Array.from({ length: 1 + roll.below(3) }, () => roll.pick(['client', 'server'])),
  });

  /** The runtime and the kubelet die, each in a wave of its own, at some moment of it. */
  const strikes = [
    { wave: 1, strike: () => worker().containerd },
    { wave: 3, strike: () => worker().kubelet },
  ];

  describe.each([
    { way: 'each call a process of its own', hasAgent: false },
    { way: 'calls through an agent', hasAgent: true },
  ])('$way', ({ way, hasAgent }) => {
    test(`I4 I7 ${waves} waves of ${podsPerWave} pods, killed at random, leave nothing`, async () => {
      const tally = new Tally(`pods in waves, ${way}`);
      const roll = dice(way);
      const prefix = hasAgent ? 'agent' : 'alone';
      if (hasAgent) await worker().startAgent();
      disturbance = new Disturbance(worker(), dice(`${way}, kills`), tally);
      let before: PodPlan[] = [];
      for (let wave = 0; wave < waves; wave++) {
        const plans = Array.from({ length: podsPerWave }, (_, index) => planOf(`${prefix}-${wave}-${index}`, roll));
        tally.cases += plans.length;
        await Promise.all([
          ...plans.map((plan) => workload().create(plan)),
          ...before.map(({ name }) => workload().delete(name)),
        ]);
        for (const { strike } of strikes.filter((one) => one.wave === wave)) {
          await delay(roll.below(3_000));
          await strike().kill();
          await delay(roll.below(2_000));
          await strike().start();
          tally.faults++;
        }
        // Half of the waves are deleted while they come up.
        if (wave === waves - 1 || roll.next() < 0.5) await workload().running(plans.map(({ name }) => name));
        else await delay(500 + roll.below(3_000));
        before = plans;
      }
      await disturbance.stop();
      await tally.clean(() => expectAttachedAlone(worker(), before));
      disturbance = new Disturbance(worker(), dice(`${way}, last kills`), tally);
      for (const { name } of before) await workload().delete(name);
      await workload().gone((await workload().pods()).map(({ metadata }) => metadata.name));
      await disturbance.stop();
      await worker().stopAgent();
      expect(await worker().recover()).toMatchObject({ exitCode: 0, json: { owed: 0 } });
      await tally.clean(nothingLeft);
      tally.print();
    });
  });
});
