/** A node that is switched off and on again: its pods come back, and nothing of before is left. */
import { beforeAll, describe, expect, test } from 'vitest';
import { onWorkerNode } from '../support/node/node-suite.ts';
import { expectAttachedAlone, type PodPlan } from '../support/node/workload.ts';

onWorkerNode('a reboot', ({ worker, workload, nothingLeft }) => {
  beforeAll(async () => {
    await worker().network('client', {});
    await worker().network('server', { host: { vhost: { mode: 'server' } }, container: { vhost: { mode: 'client' } } });
  });

  describe.each([
    { what: 'the switch keeps its database', restart: 'startVswitchd', hasAgent: false },
    { what: 'the switch has an empty database, and an agent runs', restart: 'wipeDatabase', hasAgent: true },
  ] as const)('$what', ({ restart, hasAgent }) => {
    test('every pod has its interfaces again, and what an earlier boot made is gone', async () => {
      const { theSwitch } = worker().node;
      const plans: PodPlan[] = [
        { name: `${restart.toLowerCase()}-1`, networks: ['client'] },
        { name: `${restart.toLowerCase()}-2`, networks: ['client', 'server', 'client'] },
        { name: `${restart.toLowerCase()}-3`, networks: ['server', 'server'], volume: 'hostPath' },
      ];
      const names = plans.map(({ name }) => name);
      if (hasAgent) await worker().startAgent();
      await Promise.all(plans.map((plan) => workload().create(plan)));
      const before = await workload().running(names);

      await worker().powerOff();
      await theSwitch.stopVswitchd();
      await theSwitch[restart]();
      await worker().boot();
      if (hasAgent) await worker().startAgent();
      expect(await worker().recover('--boot')).toMatchObject({ exitCode: 0, json: { owed: 0 } });

      const containers = new Set(before.map(containerOf));
      await workload().until('the pods of the new boot run', names, (pod) => !containers.has(containerOf(pod)));
      await expectAttachedAlone(worker(), plans);
      for (const name of names) await workload().delete(name);
      await workload().gone(names);
      await worker().stopAgent();
      await nothingLeft();
    });
  });
});

const containerOf = (pod: { status: { containerStatuses: { containerID: string }[] } }): string | undefined =>
  pod.status.containerStatuses[0]?.containerID;
