/** The installation of a cluster on a whole node that has nothing of ours: it comes, is at work while pods come and go, and goes. */
import { existsSync, readdirSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { Installation } from '../support/node/installation.ts';
import { kill, numbersIn, readLink } from '../support/node/node-space.ts';
import { onWorkerNode } from '../support/node/node-suite.ts';
import { emptyWholeWorld } from '../support/node/worker-node.ts';
import { eventually, expectAttachedAlone, type PodPlan } from '../support/node/workload.ts';
import { Spy } from '../support/real/spy.ts';
import { executable } from '../support/requirements.ts';
import { ask } from '../support/stand-in/api.ts';

const kubeconfig = '/etc/cni/net.d/userspace.d/kubeconfig';

onWorkerNode(
  'the DaemonSet',
  ({ worker, workload }) => {
    let installed: Installation;
    let spy: Spy;
    beforeAll(async () => {
      installed = new Installation(worker());
      await installed.importImage();
      spy = new Spy(worker().node);
      const usual = { kubeconfig, dataDir: undefined };
      await worker().network('data', { ...usual, ...spy.changes });
      symlinkSync(worker().node.theSwitch.rundir, join(worker().space.root, 'run/openvswitch'));
    });

    const onNode = (path: string): string => join(worker().space.root, path);

    /** The processes of our executable on the node, without those of calls. */
    const agents = (): number[] =>
      numbersIn('/proc').filter(
        (pid) =>
          readLink(`/proc/${pid}/exe`) === worker().program &&
          readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[1] === 'agent',
      );

    const supervisor = (): number | undefined =>
      agents().find((pid) => !readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('--worker'));

    const plansOf = (prefix: string, count: number): PodPlan[] =>
      Array.from({ length: count }, (_, index) => ({
        name: `${prefix}-${index}`,
        networks: Array.from({ length: (index % 3) + 1 }, () => 'data'),
        volume: index % 2 === 0 ? 'emptyDir' : 'hostPath',
      }));
    const namesOf = (plans: readonly PodPlan[]): string[] => plans.map(({ name }) => name);
    const create = (plans: readonly PodPlan[]) => Promise.all(plans.map((plan) => workload().create(plan)));
    const remove = async (plans: readonly PodPlan[]): Promise<void> => {
      await Promise.all(plans.map(({ name }) => workload().delete(name)));
      await workload().gone(namesOf(plans));
    };

    /** The kubelet tells of each ADD that has failed. */
    const failedAdds = async (): Promise<string[]> => {
      const { json } = await ask(worker().cluster, 'GET', '/api/v1/namespaces/blue/events');
      return json.items.flatMap(({ reason, message }: { reason: string; message: string }) =>
        reason === 'FailedCreatePodSandBox' ? [message] : [],
      );
    };

    /** Nothing of pods; the DaemonSet's own pod stays. */
    const nothingOfPodsLeft = (): Promise<boolean> =>
      eventually('nothing of pods is left', async () => {
        const { volumes, ...rest } = await worker().world();
        const { volumes: _, ...none } = emptyWholeWorld;
        expect(rest).toEqual(none);
        return volumes.length <= 1 || undefined;
      });

    const podOfNode = async (): Promise<string> =>
      await installed.kubectl(
        '-n',
        installed.namespace,
        'get',
        'pods',
        '-o',
        'name',
        '--field-selector=status.phase=Running',
      );

    describe('is installed by kubectl apply', () => {
      test('the executable, a kubeconfig for root alone and an agent are there when it is ready', async () => {
        await installed.kubectl('apply', '-k', installed.overlay('', '--token-seconds=600', '--renew-after=3'));
        await installed.rolledOut();
        console.log(await installed.tryKubectl('-n', 'userspace-cni', 'logs', 'ds/userspace-cni').catch(String));
        console.log(
          await installed
            .tryKubectl('-n', 'userspace-cni', 'exec', 'ds/userspace-cni', '--', 'userspace', '--version')
            .catch(String),
        );
        expect(readFileSync(worker().program).equals(readFileSync(executable))).toBe(true);
        const modes = ['etc/cni/net.d/userspace.d', 'etc/cni/net.d/userspace.d/kubeconfig'].map(
          (path) => statSync(onNode(path)).mode & 0o7777,
        );
        expect(modes).toEqual([0o700, 0o600]);
        await eventually('an agent listens', async () => supervisor());
        expect(readdirSync(onNode('run/userspace-cni'))).toEqual([expect.stringMatching(/^agent-/)]);
      });

      test('pods with one to three interfaces come and go, and the agent makes their calls', async () => {
        const plans = plansOf('first', 3);
        await create(plans);
        await workload().running(namesOf(plans));
        await expectAttachedAlone(worker(), plans);
        expect(spy.runs('ADD')).toHaveLength(6);
        const parents = new Set(spy.runs('ADD').map(({ parent }) => parent));
        expect([...parents].filter((pid) => !agents().includes(pid))).toEqual([]);
        await remove(plans);
        await nothingOfPodsLeft();
        expect(await failedAdds()).toEqual([]);
      });
    });

    describe('is disturbed while pods come up', () => {
      test('the agent is killed: another one is started, and no ADD fails', async () => {
        const before = supervisor();
        const plans = plansOf('killed', 3);
        await create(plans);
        kill(before ?? 0);
        await workload().running(namesOf(plans));
        await eventually('another agent', async () => (supervisor() !== before ? supervisor() : undefined));
        expect(installed.log.join('\n')).toContain('the agent has ended (SIGKILL); the next one in 1 s');
        await remove(plans);
        await nothingOfPodsLeft();
        expect(await failedAdds()).toEqual([]);
      });

      test('its pod is replaced: no ADD fails', async () => {
        const plans = plansOf('replaced', 4);
        const before = await podOfNode();
        await create(plans.slice(0, 2));
        const going = installed.kubectl('-n', installed.namespace, 'delete', before.trim());
        await create(plans.slice(2));
        await going;
        await workload().running(namesOf(plans));
        await installed.rolledOut();
        expect(await podOfNode()).not.toBe(before);
        await remove(plans);
        await nothingOfPodsLeft();
        expect(await failedAdds()).toEqual([]);
      });

      test('its token is replaced again and again: no ADD fails', async () => {
        const seen = new Set<string | undefined>();
        for (let round = 0; seen.size < 3; round++) {
          const plans = plansOf(`token-${round}`, 1);
          await create(plans);
          await workload().running(namesOf(plans));
          await remove(plans);
          seen.add(installed.token);
        }
        expect(await failedAdds()).toEqual([]);
      });
    });

    describe('is taken away', () => {
      test('it waits for a pod that lives, names it, and leaves nothing when that is gone', async () => {
        const plans = plansOf('last', 1);
        await create(plans);
        await workload().running(namesOf(plans));
        await installed.kubectl('apply', '-k', installed.overlay('uninstall', '--token-seconds=600'));
        await eventually(
          'it names the pod',
          async () => installed.log.join('\n').includes('pod blue/last-0') || undefined,
        );
        expect(existsSync(worker().program)).toBe(true);
        await remove(plans);
        await eventually('nothing is left', async () => {
          const places = [
            worker().program,
            ...['etc/cni/net.d/userspace.d', 'run/userspace-cni', 'var/lib/cni/userspace'].map(onNode),
          ];
          expect(places.filter((path) => existsSync(path))).toEqual([]);
          expect(agents()).toEqual([]);
          return true;
        });
        await installed.kubectl('delete', '-k', installed.overlay('uninstall'), '--timeout=60s');
      });
    });
  },
  { isBare: true },
);
