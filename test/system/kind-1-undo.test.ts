/** An undo takes back what its own attempt made, and nothing more: put-backs, refused ADDs, and debts of a pod's earlier sandbox. */
import { lstatSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KubeNode } from '../support/cluster/kube-node.ts';
import { Application } from '../support/real/application.ts';
import { type Pod, TestNode } from '../support/real/node.ts';
import { adminBridge, onRealSwitch, useNode } from '../support/real/suite.ts';
import type { Switch } from '../support/real/switch.ts';
import { expectNothingLeft, withoutLease } from '../support/real/world.ts';
import { StandInApi } from '../support/stand-in/stand-in-api.ts';

const ok = { exitCode: 0 };
const sizeOf = (pod: Pod): number => statSync(pod.journal()).size;

onRealSwitch('an undo', (theSwitch) => {
  const node = useNode(theSwitch);

  /** A pod whose application listens. */
  async function attached(): Promise<{ pod: Pod; application: Application }> {
    const pod = await node().pod();
    expect(await pod.add()).toMatchObject(ok);
    return { pod, application: await Application.listen(pod.socket()) };
  }

  async function expectRefusedPutBack({ pod, application }: { pod: Pod; application: Application }): Promise<void> {
    const before = { size: sizeOf(pod), world: await node().world() };
    for (let time = 0; time < 2; time++) {
      const { exitCode, json } = await node().recover();
      expect({ exitCode, json }).toMatchObject({ exitCode: 3, json: { owed: 1, restored: 0, removed: 0 } });
      expect(json.attachments).toMatchObject([{ found: 'lost', result: 'owed', owed: [{ step: 'port' }] }]);
      expect(application.isReachable).toBe(true);
      expect({ size: sizeOf(pod), world: withoutLease(await node().world()) }).toEqual(before);
    }
    expect((await node().list())[0]).toMatchObject({ state: 'attached' });
  }

  async function expectPutBack({ pod, application }: { pod: Pod; application: Application }): Promise<void> {
    const connected = application.isConnected();
    expect(await node().recover()).toMatchObject({ ...ok, json: { restored: 1, owed: 0 } });
    expect(application.isReachable).toBe(true);
    expect(await connected).toBe(true);
    expect(await pod.del()).toMatchObject(ok);
  }

  describe('of a put-back', () => {
    test('kind 1: a put-back before ovs-vswitchd is there changes nothing, twice, and once it is there the switch connects', async () => {
      const one = await attached();
      await theSwitch().loseDatabase();
      try {
        await expectRefusedPutBack(one);
      } finally {
        await theSwitch().startVswitchd();
      }
      await expectPutBack(one);
      expectNothingLeft(await node().world());
    });

    test('kind 1: a put-back while ovs-vswitchd stands still changes nothing', async () => {
      const one = await attached();
      await theSwitch().vsctl('del-port', one.pod.portName());
      theSwitch().pauseVswitchd();
      try {
        await expectRefusedPutBack(one);
      } finally {
        theSwitch().resumeVswitchd();
      }
      await expectPutBack(one);
      expectNothingLeft(await node().world());
    });

    test('kind 1: a put-back while ovs-vswitchd is behind with a change of another tool changes nothing', async () => {
      const one = await attached();
      theSwitch().pauseVswitchd();
      try {
        await theSwitch().vsctl('--no-wait', 'del-port', one.pod.portName());
        await theSwitch().vsctl('--no-wait', 'set', 'Open_vSwitch', '.', 'next_cfg=99999999');
        await expectRefusedPutBack(one);
      } finally {
        theSwitch().resumeVswitchd();
      }
      await theSwitch().vsctl('set', 'Open_vSwitch', '.', 'external_ids:settled=yes');
      await expectPutBack(one);
      expectNothingLeft(await node().world());
    });

    test('kind 1: a put-back whose name an administrator’s port took changes nothing, and is done when that has gone', async () => {
      const one = await attached();
      const name = one.pod.portName();
      const foreign = ['type=dpdkvhostuserclient', `options:vhost-server-path=${join(node().directory, 'foreign')}`];
      await theSwitch().vsctl('del-port', name);
      await theSwitch().vsctl('add-port', node().bridge, name, '--', 'set', 'Interface', name, ...foreign);
      await expectRefusedPutBack(one);
      await theSwitch().vsctl('del-port', name);
      await expectPutBack(one);
      expectNothingLeft(await node().world());
    });

    test('kind 1: a put-back of a socket that an administrator’s port of another name leads to changes nothing', async () => {
      const one = await attached();
      const foreign = `f${node().bridge}`;
      const options = ['type=dpdkvhostuserclient', `options:vhost-server-path=${one.pod.socket()}`];
      await theSwitch().vsctl('del-port', one.pod.portName());
      await theSwitch().vsctl('add-port', node().bridge, foreign, '--', 'set', 'Interface', foreign, ...options);
      await expectRefusedPutBack(one);
      await theSwitch().vsctl('del-port', foreign);
      await expectPutBack(one);
      expectNothingLeft(await node().world());
    });

    test('kind 1: a put-back on a bridge that came back with datapath_type system changes nothing', async () => {
      const one = await attached();
      const { bridge } = node();
      await theSwitch().vsctl('del-br', bridge);
      await theSwitch().vsctl('--no-wait', 'add-br', bridge, '--', 'set', 'Bridge', bridge, 'datapath_type=system');
      await expectRefusedPutBack(one);
      await theSwitch().vsctl('del-br', bridge);
      await expectPutBack(one);
      expectNothingLeft(await node().world());
    });

    test('kind 1: a put-back on a bridge that is gone and not ours changes nothing', async () => {
      await adminBridge(node());
      const one = await attached();
      await theSwitch().vsctl('del-br', node().bridge);
      await expectRefusedPutBack(one);
      await adminBridge(node());
      await expectPutBack(one);
    });

    test('kind 1: a put-back whose address the IPAM program does not hold any more changes nothing', async () => {
      const one = await attached();
      await theSwitch().vsctl('del-port', one.pod.portName());
      const lease = join(node().ipamDir, 'net-a', '10.56.0.2');
      rmSync(lease);
      const size = sizeOf(one.pod);
      expect(await node().recover()).toMatchObject({ exitCode: 3, json: { owed: 1, restored: 0 } });
      expect({ size: sizeOf(one.pod), there: one.application.isReachable }).toEqual({ size, there: true });
      writeFileSync(lease, `${one.pod.containerId}\r\nnet1`);
      await expectPutBack(one);
      expectNothingLeft(await node().world());
    });

    test('kind 1: a port that was put back keeps all its marks, and a second one adds nothing but its own records', async () => {
      const { pod, application } = await attached();
      const marks = async () => (await node().port(pod.portName()))?.externalIds;
      const before = await marks();
      expect(before).toMatchObject({ begun: expect.any(String) });
      const sizes: number[] = [];
      for (let time = 0; time < 3; time++) {
        await theSwitch().vsctl('del-port', pod.portName());
        expect(await node().recover()).toMatchObject({ ...ok, json: { restored: 1 } });
        expect(await marks()).toEqual(before);
        expect(application.isReachable).toBe(true);
        sizes.push(sizeOf(pod));
      }
      expect((sizes[2] ?? 0) - (sizes[1] ?? 0)).toBeLessThan(2_000);
      expect(await pod.del()).toMatchObject(ok);
      expectNothingLeft(await node().world());
    });

    test('kind 1: a DEL that comes to a pod whose put-back was refused succeeds', async () => {
      const { pod } = await attached();
      await theSwitch().vsctl('del-br', node().bridge);
      await theSwitch().vsctl('--no-wait', 'add-br', node().bridge);
      await node().recover();
      await theSwitch().vsctl('del-br', node().bridge);
      expect(await pod.del()).toMatchObject(ok);
      expectNothingLeft(await node().world());
    });
  });

  describe('of a put-back in server mode', () => {
    const serving = useNode(theSwitch, 'server');

    test('kind 1: a put-back that ovs-vswitchd refuses takes its row back and leaves a living pod’s directory and address', async () => {
      const pod = await serving().pod();
      expect(await pod.add()).toMatchObject(ok);
      writeFileSync(join(pod.socket(), '..', 'the-pods-own'), '');
      await theSwitch().vsctl('del-port', pod.portName());
      const inTheWay = join(theSwitch().rundir, pod.portName());
      writeFileSync(inTheWay, 'in the way');
      const sizes: number[] = [];
      for (let time = 0; time < 3; time++) {
        const { exitCode, json } = await serving().recover();
        expect({ exitCode, json }).toMatchObject({ exitCode: 3, json: { owed: 1, restored: 0 } });
        const { ports, addresses, files } = await serving().world();
        expect({ ports, addresses }).toEqual({ ports: [], addresses: ['net-a/10.56.0.2'] });
        expect(files.some((path) => path.endsWith('the-pods-own'))).toBe(true);
        sizes.push(sizeOf(pod));
      }
      // The time that each step took has more digits or fewer.
      expect(Math.abs((sizes[2] ?? 0) - (sizes[1] ?? 0))).toBeLessThan(40);
      rmSync(inTheWay);
      expect(await serving().recover()).toMatchObject({ ...ok, json: { restored: 1 } });
      expect(lstatSync(pod.socket()).isSocket()).toBe(true);
      rmSync(join(pod.socket(), '..', 'the-pods-own'));
      expect(await pod.del()).toMatchObject(ok);
      expectNothingLeft(await serving().world());
    });
  });

  describe('of an ADD through another data directory', () => {
    const elsewhere = () => ({ dataDir: join(node().directory, 'fresh') });

    test('kind 1: a refused ADD of a living key through a fresh data directory leaves its address, port and socket', async () => {
      const { pod, application } = await attached();
      const before = await node().world();
      expect(await pod.add('net1', elsewhere())).toMatchObject({ exitCode: 1 });
      expect(await node().world()).toEqual(before);
      expect(application.isReachable).toBe(true);
      expect(await pod.del()).toMatchObject(ok);
      expectNothingLeft(await node().world());
    });

    test('kind 1: nor does it when the switch has just lost the port', async () => {
      const { pod, application } = await attached();
      await theSwitch().vsctl('del-port', pod.portName());
      const { addresses } = await node().world();
      expect(await pod.add('net1', elsewhere())).toMatchObject({ exitCode: 1 });
      expect((await node().world()).addresses).toEqual(addresses);
      await expectPutBack({ pod, application });
      expectNothingLeft(await node().world());
    });

    test('kind 1: an ADD that host-local refuses as a duplicate releases nothing, whatever it had done before', async () => {
      const { pod, application } = await attached();
      await theSwitch().vsctl('del-port', pod.portName());
      rmSync(pod.journal());
      const { addresses } = await node().world();
      for (let time = 0; time < 2; time++) expect(await pod.add()).toMatchObject({ exitCode: 1 });
      expect((await node().world()).addresses).toEqual(addresses);
      expect(application.isReachable).toBe(true);
      expect(await pod.del()).toMatchObject(ok);
    });
  });

  describe('of a removal of the pod’s earlier sandbox', () => nextSandbox(theSwitch));
});

/** One hostPath and one `vhost.socketfile` for all sandboxes of a pod, one after the other: one path for both. */
function nextSandbox(theSwitch: () => Switch): void {
  let api: StandInApi;
  beforeAll(async () => {
    api = await StandInApi.start();
  });
  afterAll(() => api.stop());

  /** The debts of an old sandbox's DEL, and why. */
  type Owing = (home: KubeNode, impatient: () => Promise<void>) => Promise<void>;
  const debts: [string, Owing][] = [
    [
      'the annotation',
      async (_, impatient) => {
        await api.stopServer();
        await impatient();
        await api.startServer();
      },
    ],
    [
      'everything, since the switch was away and lost its rows',
      async (_, impatient) => {
        await theSwitch().stopDatabase();
        await impatient();
        await theSwitch().startDatabase();
        await theSwitch().wipeDatabase();
      },
    ],
  ];
  type Payer = (old: { del(): Promise<unknown> }, home: KubeNode) => Promise<void>;
  const payers: [string, Payer][] = [
    [
      'the DEL of an unrelated pod',
      async (_, { node }) => {
        const other = await node.pod();
        expect(await other.add()).toMatchObject(ok);
        expect(await other.del()).toMatchObject(ok);
      },
    ],
    ['recover', async (_, { node }) => void (await node.recover())],
    ['a repeated DEL of it', async (old) => void expect(await old.del()).toMatchObject(ok)],
  ];
  const cases = debts.flatMap(([debt, owing]) => payers.map(([payer, pay]) => [debt, payer, owing, pay] as const));

  test.each(cases)(
    'kind 1: with %s owed, %s leaves the socket of the next sandbox, whose port the switch has lost for a moment',
    async (_, __, owing, pay) => {
      const node = await TestNode.create(theSwitch());
      try {
        const home = new KubeNode(node, api);
        const changes = { host: { vhost: { socketfile: `s${node.bridge}` } } };
        const impatient = { ...changes, deadlines: { delMs: 2_000, reconnectMs: 200, switchMs: 500, apiMs: 500 } };
        const old = await home.pod('hostPath');
        expect(await old.add('net1', changes)).toMatchObject(ok);
        await owing(home, async () => expect(await old.del('net1', impatient)).toMatchObject(ok));
        expect(await node.list()).toMatchObject([{ state: 'owed' }]);
        const next = await home.pod('hostPath', { sandboxOf: old });
        expect(await next.add('net1', changes)).toMatchObject(ok);
        const application = await Application.listen(join(next.directory, `s${node.bridge}`));
        await theSwitch().vsctl('del-port', `s${node.bridge}`);
        await pay({ del: () => old.del('net1', changes) }, home);
        expect(application.isReachable).toBe(true);
        expect(await node.recover()).toMatchObject({ ...ok, json: { owed: 0 } });
        expect(application.isReachable).toBe(true);
        expect(await node.port(`s${node.bridge}`)).toMatchObject({ externalIds: { socket: application.path } });
        expect(await next.entries()).toMatchObject([{ containerId: next.sandbox.containerId }]);
        expect(await next.del('net1', changes)).toMatchObject(ok);
        expectNothingLeft(await node.world());
        await home.forget(old);
      } finally {
        await node.end();
      }
    },
  );
}
