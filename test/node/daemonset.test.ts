/** The installation of a cluster on a whole node that has nothing of ours: it comes, is at work while pods come and go, and goes. */
import { statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { Installation } from '../support/node/installation.ts';
import { onWorkerNode } from '../support/node/node-suite.ts';

onWorkerNode(
  'the DaemonSet',
  ({ worker, workload, nothingLeft }) => {
    let installed: Installation;
    beforeAll(async () => {
      installed = new Installation(worker());
      await installed.importImage();
      symlinkSync(worker().node.theSwitch.rundir, join(worker().space.root, 'run/openvswitch'));
      await worker().network('one', { kubeconfig: '/etc/cni/net.d/userspace.d/kubeconfig', dataDir: undefined });
    });

    test('comes with kubectl apply, and pods with one to three interfaces come and go', async () => {
      await installed.kubectl('apply', '-k', installed.overlay('', '--token-seconds=600', '--renew-after=3'));
      await installed.rolledOut().catch(async (error) => {
        console.log(await installed.kubectl('-n', 'userspace-cni', 'get', 'pods,events', '-o', 'wide'));
        console.log(installed.log.join('\n'), worker().logs());
        throw error;
      });
      await Bun.sleep(8000);
      console.log(installed.log.join('\n'));
      const root = worker().space.root;
      expect(statSync(join(root, 'etc/cni/net.d/userspace.d')).mode & 0o7777).toBe(0o700);
      expect(statSync(join(root, 'etc/cni/net.d/userspace.d/kubeconfig')).mode & 0o7777).toBe(0o600);
      const names = ['one', 'two', 'three'];
      for (const [at, name] of names.entries())
        await workload().create({ name, networks: Array.from({ length: at + 1 }, () => 'one') });
      await workload().running(names);
      for (const name of names) await workload().delete(name);
      await workload().gone(names);
      await nothingLeft();
    });
  },
  { isBare: true },
);
