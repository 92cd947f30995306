/** The installation of a cluster on a whole node that has nothing of ours: it comes, is at work while pods come and go, and goes. */
import { existsSync, readdirSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { version } from '../../package.json' with { type: 'json' };
import { Installation } from '../support/node/installation.ts';
import { kill, numbersIn, readLink } from '../support/node/node-space.ts';
import { onWorkerNode } from '../support/node/node-suite.ts';
import { Page } from '../support/node/page.ts';
import { emptyWholeWorld } from '../support/node/worker-node.ts';
import { eventually, expectAttachedAlone, type PodPlan } from '../support/node/workload.ts';
import { cni } from '../support/real/cni.ts';
import { Spy } from '../support/real/spy.ts';
import { executable } from '../support/requirements.ts';
import { ask } from '../support/stand-in/api.ts';

const kubeconfig = '/etc/cni/net.d/userspace.d/kubeconfig';
/** The shortest life that an API server gives, and renewals that do not wait for half of it. */
const quickly = ['--token-seconds=600', '--renew-after=3'];

onWorkerNode(
  'the DaemonSet',
  ({ worker, workload }) => {
    let installed: Installation;
    let archive: string;
    let spy: Spy;
    beforeAll(async () => {
      installed = new Installation(worker());
      archive = await installed.packImage();
      spy = new Spy(worker().node);
      await worker().network('data', { kubeconfig, dataDir: undefined, ...spy.changes });
      // Where a switch is if no network says otherwise.
      symlinkSync(worker().node.theSwitch.rundir, onNode('run/openvswitch'));
    });

    const onNode = (path: string): string => join(worker().space.root, path);

    /** The processes of an agent on the node, by their role. */
    const agents = (role: 'supervisor' | 'worker'): number[] =>
      numbersIn('/proc').filter((pid) => {
        if (readLink(`/proc/${pid}/exe`) !== worker().program) return false;
        const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        return words.includes(role === 'worker' ? '--worker' : '--recover');
      });

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

    /** Nothing of pods. The DaemonSet's own pod, and a recovery that is at work, are no leftovers. */
    const nothingOfPodsLeft = (): Promise<boolean> =>
      eventually('nothing of pods is left', async () => {
        const { volumes, journals, ...rest } = await worker().world();
        const { volumes: _, journals: __, ...none } = emptyWholeWorld;
        expect(rest).toEqual(none);
        expect(journals.filter((name) => !name.startsWith('recover.'))).toEqual([]);
        return volumes.length <= 1 || undefined;
      });

    /** Pods come up while something happens, and go: no ADD fails meanwhile. */
    const comeAndGo = async (plans: readonly PodPlan[], meanwhile: () => Promise<unknown>): Promise<void> => {
      await create(plans);
      await meanwhile();
      await workload().running(namesOf(plans));
      await remove(plans);
      await nothingOfPodsLeft();
      expect(await failedAdds()).toEqual([]);
    };

    const ofOurs = ['etc/cni/net.d/userspace.d', 'run/userspace-cni', 'var/lib/cni/userspace', 'opt/cni/bin/userspace'];
    const nothingOfOursLeft = () =>
      eventually('nothing of ours is left', async () => {
        expect(ofOurs.filter((path) => existsSync(onNode(path)))).toEqual([]);
        expect([...agents('supervisor'), ...agents('worker')]).toEqual([]);
        return true;
      });

    /** A CHECK of the one attachment of a network, from what libcni keeps of its ADD: no kubelet asks for one. */
    const checkAsRuntime = async (network: string) => {
      const { disk, node, space } = worker();
      const kept = [join(disk, 'lib/cni'), join(node.directory, 'multus-state')].flatMap((directory) =>
        existsSync(directory)
          ? readdirSync(directory, { recursive: true, encoding: 'utf8' })
              .filter((name) => name.includes(`/${network}-`))
              .map((name) => join(directory, name))
          : [],
      );
      const { config, result, containerId, ifName, netns, cniArgs } = JSON.parse(readFileSync(kept[0] ?? '', 'utf8'));
      const conf = JSON.parse(Buffer.from(config, 'base64').toString());
      const args = cniArgs.map((pair: string[]) => pair.join('=')).join(';');
      const call = { containerId, ifName, netns, args, config: { ...conf, prevResult: result }, path: node.path };
      return await cni('CHECK', call, { under: space.under, program: worker().program });
    };

    /** The values of the agent's figures whose names, with their labels, match. */
    const figures = async (name: RegExp): Promise<number[]> => {
      const text = await (await fetch('http://127.0.0.1:9468/metrics')).text();
      const lines = text.split('\n').map((line) => line.replace(/^userspace_/, ''));
      return lines.filter((line) => name.test(line)).map((line) => Number(line.split(' ').at(-1)));
    };
    const sum = (values: readonly number[]): number => values.reduce((all, one) => all + one, 0);

    const podOfNode = async (): Promise<string> => {
      const running = ['--field-selector=status.phase=Running', '--output=name'];
      return (await installed.kubectl('-n', installed.namespace, 'get', 'pods', ...running)).trim();
    };

    test('docs/getting-started.md, block by block: the image, the installation, a network, a pod, and away again', async () => {
      const page = new Page('docs/getting-started.md', installed, { [`userspace-${version}-oci-amd64.tar`]: archive });
      await page.next('images import');
      await worker().containerd.tagImage('docker.io/library/busybox:1.36');
      expect(await page.next('apply -k deploy/kubernetes')).toMatch(
        /the kubeconfig has a token until .*agent: ready at/s,
      );
      const files = readdirSync(onNode('etc/cni/net.d/userspace.d'));
      const modes = ['etc/cni/net.d/userspace.d', kubeconfig].map((path) => statSync(onNode(path)).mode & 0o7777);
      expect([files, modes]).toEqual([['kubeconfig'], [0o700, 0o600]]);
      expect(readFileSync(worker().program).equals(readFileSync(executable))).toBe(true);
      expect(await page.next('userspace status')).toContain('ok');
      await page.next('examples/network.yaml');
      await page.next('kind: Pod');
      expect(JSON.parse(await page.next('configuration-data'))).toMatchObject([{ name: 'dpdk-net', ifName: 'net1' }]);
      expect(await page.next('userspace list')).toMatch(/attached +yes .*apps\/hello/);
      expect(await checkAsRuntime('dpdk-net')).toMatchObject({ exitCode: 0, stdout: '' });
      await page.next('kubernetes/uninstall');
      expect(page.left).toBe(0);
      await nothingOfOursLeft();
    });

    describe('installed again', () => {
      test('it is ready when an agent serves, and pods with one to three interfaces come and go through that agent', async () => {
        await installed.apply('', ...quickly);
        await installed.rolledOut();
        await comeAndGo(plansOf('first', 3), async () => {
          await workload().running(['first-0', 'first-1', 'first-2']);
          await expectAttachedAlone(worker(), plansOf('first', 3));
          const callers = spy.runs('ADD').map(({ parent }) => agents('worker').includes(parent));
          expect(callers).toEqual(Array.from({ length: 6 }, () => true));
          expect(await figures(/^attachments\{.*state="attached"/)).toEqual([6]);
        });
      });

      test('its figures are what happened', async () => {
        await eventually('the figures of all calls', async () => {
          expect(await figures(/^calls_total\{verb="ADD",code="0"/)).toEqual([6]);
          // A kubelet may call for a second DEL of an interface.
          expect(Math.min(...(await figures(/^calls_total\{verb="DEL",code="0"/)))).toBeGreaterThanOrEqual(6);
          return true;
        });
        expect(sum(await figures(/^calls_total\{verb="\w+",code="[1-9]/))).toBe(0);
        expect(sum(await figures(/^attachments\{/))).toBe(0);
        for (const now of [/^owed /, /^interrupted_journals_total /]) expect(await figures(now)).toEqual([0]);
        for (const up of [/^switch_up\{/, /^api_server_up\{/]) expect(await figures(up)).toEqual([1]);
        expect(sum(await figures(/^recoveries_total\{/))).toBeGreaterThanOrEqual(1);
      });

      test('its manifests, overlays and examples are what an API server takes', async () => {
        const dry = ['apply', '--dry-run=server', '--namespace=blue'];
        for (const name of ['', 'uninstall', 'overlays/k3s', 'overlays/rke2', 'overlays/talos'])
          await installed.kubectl('apply', '--dry-run=server', '-k', join('deploy/kubernetes', name));
        for (const name of ['network', 'dpdk-pod'])
          await installed.kubectl(...dry, '-f', `deploy/kubernetes/examples/${name}.yaml`);
        // The kinds of OpenShift and KubeVirt are not of this cluster.
        const built = await installed.kubectl('kustomize', 'deploy/kubernetes/overlays/openshift');
        const parts = ['kind: SecurityContextConstraints', '- /var/lib/cni/bin', 'type: spc_t'];
        expect(parts.filter((part) => !built.includes(part))).toEqual([]);
      });

      test('while pods come up its agent is killed: another one is started, and no ADD fails', async () => {
        const [before = 0] = agents('supervisor');
        await comeAndGo(plansOf('killed', 3), async () => {
          kill(before);
          await eventually('another agent', async () => agents('supervisor').find((pid) => pid !== before));
        });
        expect(installed.log.join('\n')).toContain('the agent has ended (SIGKILL); the next one in 1 s');
      });

      test('while pods come up its pod is replaced: no ADD fails', async () => {
        const before = await podOfNode();
        const late = plansOf('late', 3);
        await comeAndGo(plansOf('early', 2), async () => {
          const going = installed.kubectl('-n', installed.namespace, 'delete', before);
          await create(late);
          await going;
          await workload().running(namesOf(late));
          await remove(late);
        });
        await installed.rolledOut();
        expect(await podOfNode()).not.toBe(before);
      });

      test('while pods come and go their token is replaced again and again: no ADD fails', async () => {
        const seen = new Set<string | undefined>();
        for (let round = 0; seen.size < 3; round++) {
          await comeAndGo(plansOf(`token-${round}`, 1), async () => seen.add(installed.token));
        }
      });

      test('tokens that the API server takes no more are replaced, and pods come up', async () => {
        const path = '/api/v1/namespaces/userspace-cni/serviceaccounts/userspace-cni';
        const old = installed.token;
        expect((await ask(worker().cluster, 'DELETE', path)).status).toBe(200);
        const statusWith = async (token: string | undefined) =>
          (await ask(worker().cluster, 'GET', '/api/v1/namespaces/blue/pods/none', undefined, token)).status;
        await eventually('the old token is void', async () => (await statusWith(old)) === 401 || undefined);
        await installed.apply('', ...quickly);
        await eventually('another one is there', async () => (await statusWith(installed.token)) === 404 || undefined);
        await comeAndGo(plansOf('renewed', 2), async () => undefined);
      });
    });

    describe('without a right', () => {
      /** Each rule, and what fails by name without it. */
      const rules = [
        {
          role: 'role/userspace-cni-node',
          rule: 0,
          said: 'forbids to create serviceaccounts/token (403): RBAC needs it',
        },
        { role: 'clusterrole/userspace-cni', rule: 0, said: 'forbids to get pods in namespace "blue" (403)' },
        { role: 'clusterrole/userspace-cni', rule: 1, said: 'forbids to patch pods/status in namespace "blue" (403)' },
      ];

      test.each(rules)('$role, rule $rule: $said', async ({ role, rule, said }) => {
        const patch = JSON.stringify([{ op: 'remove', path: `/rules/${rule}` }]);
        await installed.kubectl('-n', installed.namespace, 'patch', role, '--type=json', `--patch=${patch}`);
        const plans = plansOf(`lacks-${role.replace(/\W/g, '-')}-${rule}`, 1);
        try {
          if (role.startsWith('role/')) {
            await eventually(said, async () => installed.log.join('\n').includes(said) || undefined);
          } else {
            await create(plans);
            await eventually(said, async () => (await failedAdds()).some((text) => text.includes(said)) || undefined);
          }
        } finally {
          await installed.apply('', ...quickly);
          await remove(plans);
          await ask(worker().cluster, 'DELETE', '/api/v1/namespaces/blue/events');
        }
        await nothingOfPodsLeft();
      });

      test('there are no other rules, and with all of them pods come up', async () => {
        const listed = await installed.kubectl('kustomize', 'deploy/kubernetes/base');
        expect(listed.match(/^- apiGroups:/gm)).toHaveLength(rules.length);
        await comeAndGo(plansOf('again', 1), async () => undefined);
      });
    });

    test('it is taken away: it waits for a pod that lives, names it, and leaves nothing when that is gone', async () => {
      const plans = plansOf('last', 1);
      await create(plans);
      await workload().running(namesOf(plans));
      await installed.apply('uninstall', '--token-seconds=600');
      await eventually(
        'it names the pod',
        async () => installed.log.join('\n').includes('pod blue/last-0') || undefined,
      );
      expect(existsSync(worker().program)).toBe(true);
      await remove(plans);
      await installed.rolledOut();
      await nothingOfOursLeft();
      await installed.remove('uninstall');
    });
  },
  { isBare: true },
);
