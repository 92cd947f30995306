/** Nothing is owed that no retry could pay; for the rest, things are looked for where the caller says that they are now. */
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { describe, expect, onTestFinished, test } from 'vitest';
import { socketOf, whileAway } from '../support/real/away.ts';
import { type Answer, cni, run } from '../support/real/cni.ts';
import type { Changes, Mode, Pod } from '../support/real/node.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { type Switch, startSwitch } from '../support/real/switch.ts';
import { expectNothingLeft, tree } from '../support/real/world.ts';

const ok = { exitCode: 0 };
const impatient = { deadlines: { delMs: 1_500, reconnectMs: 200, switchMs: 500 } };
const hostLocal = '/usr/lib/cni/host-local';

onRealSwitch('a debt', (theSwitch) => {
  const node = useNode(theSwitch);
  const journals = async () => (await tree(node().dataDir)).filter((name) => name.endsWith('.journal'));

  describe('of an address that was never given', () => {
    const slip: Changes = { ipam: { ranges: [[{ subnet: '10.56.0.0/33' }]] } };
    const args: [string, string][] = [
      ['two addresses, as Multus joins them', 'IgnoreUnknown=true;IP=10.56.0.9,fd00::9'],
      ['an argument that host-local does not know', 'IgnoreUnknown=true;IP=nowhere'],
      ['an argument that we do not know', 'FOO=bar'],
      ['half an argument', 'IgnoreUnknown=true;K8S_POD_NAME'],
    ];

    test('kind 5: twenty ADDs that host-local refuses for a slip, and their DELs, leave no journal, and recover owes nothing', async () => {
      const rounds = Array.from({ length: 20 }, async () => {
        const pod = await node().pod();
        expect(await pod.add('net1', slip)).toMatchObject({ exitCode: 1 });
        expect(await pod.del('net1', slip)).toMatchObject({ ...ok, stdout: '' });
      });
      await Promise.all(rounds);
      expect(await journals()).toEqual([]);
      expect(await node().recover()).toMatchObject({ ...ok, json: { owed: 0 } });
      expectNothingLeft(await node().world());
    });

    test('kind 5: an ADD that is refused for a slip leaves no journal by itself, without any DEL', async () => {
      const pod = await node().pod();
      expect(await pod.add('net1', slip)).toMatchObject({ exitCode: 1 });
      expect(await journals()).toEqual([]);
    });

    test('kind 5: a DEL with a slip, of a sandbox that had no ADD, leaves no journal', async () => {
      const pod = await node().pod();
      expect(await pod.del('net1', slip)).toMatchObject({ ...ok, stdout: '' });
      expectNothingLeft(await node().world());
    });

    test.each(args)(
      'kind 5: an ADD that is refused for %s in CNI_ARGS, and its DEL, leave no journal',
      async (_, text) => {
        const pod = await node().pod();
        const call = { ...pod.call(), args: text };
        expect(await cni('ADD', call)).toMatchObject({ exitCode: 1 });
        expect(await cni('DEL', call)).toMatchObject({ ...ok, stdout: '' });
        expect(await journals()).toEqual([]);
        expectNothingLeft(await node().world());
      },
    );

    test('kind 5: an ADD of another kind after a refused one succeeds', async () => {
      const pod = await node().pod();
      expect(await pod.add('net1', slip)).toMatchObject({ exitCode: 1 });
      expect(await pod.add()).toMatchObject(ok);
      expect(await pod.del()).toMatchObject(ok);
      expectNothingLeft(await node().world());
    });
  });

  describe('of an address that was given', () => {
    const moody: Changes = { ipam: { type: 'bad-local' } };
    const broken = () => join(node().binDir, 'bad-local.broken');
    /** Its DEL fails while a file is there. */
    const badLocal = (more = '') =>
      node().program(
        'bad-local',
        `[ -e "$0.broken" ] && [ "$CNI_COMMAND" = DEL ] && { echo '{"code":7,"msg":"store is away"}'; exit 1; }\n${more}\nexec ${hostLocal}`,
      );
    const paid = async (times = 1) => {
      expect(await node().recover()).toMatchObject({ exitCode: 3, json: { owed: times } });
      rmSync(broken());
      expect(await node().recover()).toMatchObject({ ...ok, json: { removed: times, owed: 0 } });
      expectNothingLeft(await node().world());
    };

    test('kind 5: whose IPAM DEL fails is owed and paid later', async () => {
      await badLocal();
      const pod = await node().pod();
      expect(await pod.add('net1', moody)).toMatchObject(ok);
      writeFileSync(broken(), '');
      expect(await pod.del('net1', moody)).toMatchObject(ok);
      expect(await node().world()).toMatchObject({ ports: [], addresses: ['net-a/10.56.0.2'] });
      await paid();
    });

    test('kind 5: to an ADD that failed after it, and whose IPAM DEL fails, is owed and paid later', async () => {
      await badLocal();
      writeFileSync(broken(), '');
      const pod = await node().pod();
      theSwitch().pauseVswitchd();
      try {
        const slow = { ...moody, deadlines: { switchMs: 300 } };
        expect(await pod.add('net1', slow)).toMatchObject({ exitCode: 1, json: { code: 11 } });
      } finally {
        theSwitch().resumeVswitchd();
      }
      expect((await node().world()).addresses).toEqual(['net-a/10.56.0.2']);
      await paid();
    });

    test('kind 5: by a program that then says that it failed is released by the ADD itself', async () => {
      await badLocal(
        `[ "$CNI_COMMAND" = ADD ] && { ${hostLocal} > /dev/null; echo '{"code":999,"msg":"too late"}'; exit 1; }`,
      );
      const pod = await node().pod();
      expect(await pod.add('net1', moody)).toMatchObject({ exitCode: 1 });
      expectNothingLeft(await node().world());
    });

    test('kind 5: by a program that did not end in time, and whose DEL fails, is owed and paid later', async () => {
      await badLocal(`[ "$CNI_COMMAND" = ADD ] && { ${hostLocal} > /dev/null; exec sleep 60; }`);
      writeFileSync(broken(), '');
      const pod = await node().pod();
      expect(await pod.add('net1', { ...moody, deadlines: { ipamMs: 500 } })).toMatchObject({ exitCode: 1 });
      expect((await node().world()).addresses).toEqual(['net-a/10.56.0.2']);
      await paid();
    });
  });

  describe('whose IPAM program moved', () => {
    const moved: Changes = { ipam: { type: 'moved' } };
    const place = () => join(node().directory, 'opt', 'b2f0', 'bin');
    const called = (command: string, pod: Pod, path: string): Promise<Answer> =>
      cni(command, { ...pod.call('net1', { ...moved, ...impatient }), path });

    /** An attachment, and where its program is after an upgrade of the distribution. */
    async function upgraded(): Promise<Pod> {
      await node().program('moved', `exec ${hostLocal}`);
      const pod = await node().pod();
      expect(await called('ADD', pod, node().binDir)).toMatchObject(ok);
      await execa('mkdir', ['-p', join(place(), '..')]);
      await rename(node().binDir, place());
      return pod;
    }
    const withPath = (...path: string[]) =>
      run(['recover', '--json', '--data-dir', node().dataDir, '--ovsdb', theSwitch().ovsdb], {
        CNI_PATH: path.join(':'),
      });

    test('kind 5: is found in the CNI_PATH of the DEL', async () => {
      const pod = await upgraded();
      expect(await called('DEL', pod, place())).toMatchObject(ok);
      expectNothingLeft(await node().world());
    });

    test('kind 5: is found in the CNI_PATH of recover’s environment, and only there', async () => {
      const pod = await upgraded();
      await pod.removeNetns();
      expect(await withPath('/nowhere')).toMatchObject({ exitCode: 3, json: { owed: 1 } });
      expect((await node().world()).addresses).toEqual(['net-a/10.56.0.2']);
      expect(await withPath('/nowhere', place())).toMatchObject({ ...ok, json: { removed: 1, owed: 0 } });
      expectNothingLeft(await node().world());
    });

    test('kind 5: is found in the CNI_PATH of the DEL of another pod, once an older DEL owes it', async () => {
      const [pod, other] = [await upgraded(), await node().pod()];
      expect(await called('DEL', pod, '/nowhere')).toMatchObject(ok);
      expect(await node().list()).toMatchObject([{ state: 'owed' }]);
      for (const command of ['ADD', 'DEL']) expect(await called(command, other, place())).toMatchObject(ok);
      expectNothingLeft(await node().world());
    });

    test('kind 5: is found in /opt/cni/bin, where distributions have them', async () => {
      const pod = await upgraded();
      await pod.removeNetns();
      const machine = `mount -t tmpfs none /opt && mkdir -p /opt/cni/bin && cp "${place()}/moved" /opt/cni/bin`;
      const under = ['unshare', '--mount', 'sh', '-c', `${machine} && exec "$0" "$@"`];
      expect(await node().recoverUnder(under)).toMatchObject({ ...ok, json: { removed: 1, owed: 0 } });
      expectNothingLeft(await node().world());
    });

    test('kind 5: and came back to its own place is taken from there', async () => {
      const pod = await upgraded();
      await rename(place(), node().binDir);
      expect(await called('DEL', pod, '/nowhere')).toMatchObject(ok);
      expectNothingLeft(await node().world());
    });
  });

  describe.each(['client', 'server'] satisfies Mode[])('of a database that moved, in %s mode', (mode) => {
    const own = useNode(theSwitch, mode);
    const attached = async () => {
      const pod = await own().pod();
      expect(await pod.add()).toMatchObject(ok);
      return pod;
    };

    test('kind 5: is paid by a DEL whose configuration names the new place', async () => {
      const pod = await attached();
      await moved(theSwitch(), async (ovsdb) => expect(await pod.del('net1', { ovsdb })).toMatchObject(ok));
      expectNothingLeft(await own().world());
    });

    test('kind 5: is paid by recover --ovsdb NEW, and living attachments are kept there', async () => {
      const [dead, living] = [await attached(), await attached()];
      await dead.removeNetns();
      await moved(theSwitch(), async (ovsdb) => {
        const { exitCode, json } = await own().recover('--ovsdb', ovsdb);
        expect({ exitCode, json }).toMatchObject({ ...ok, json: { removed: 1, kept: 1, owed: 0 } });
      });
      expect((await own().world()).ports).toEqual([living.portName()]);
      expect(await living.del()).toMatchObject(ok);
      expectNothingLeft(await own().world());
    });

    test('kind 5: is put back there by recover --ovsdb NEW when it is lost', async () => {
      const pod = await attached();
      await theSwitch().vsctl('del-port', pod.portName());
      await moved(theSwitch(), async (ovsdb) => {
        expect(await own().recover('--ovsdb', ovsdb)).toMatchObject({ ...ok, json: { restored: 1, owed: 0 } });
      });
      expect(await pod.del()).toMatchObject(ok);
      expectNothingLeft(await own().world());
    });

    test('kind 5: and that a DEL with the old place owes, is paid by the DEL of another pod at the new place', async () => {
      const [pod, other] = [await attached(), await own().pod()];
      await moved(theSwitch(), async (ovsdb) => {
        expect(await pod.del('net1', impatient)).toMatchObject(ok);
        expect((await own().list()).filter(({ state }) => state === 'owed')).toHaveLength(1);
        expect(await other.add('net1', { ovsdb })).toMatchObject(ok);
        expect(await other.del('net1', { ovsdb })).toMatchObject(ok);
      });
      expectNothingLeft(await own().world());
    });
  });

  test('kind 5: of an ADD that died before it had a port is paid at the place that a database moved to', async () => {
    await node().program('sleepy', `[ "$CNI_COMMAND" = ADD ] && { ${hostLocal}; sleep 2; exit 1; }\nexec ${hostLocal}`);
    const pod = await node().pod();
    const under = ['timeout', '--signal=KILL', '1'];
    expect((await pod.add('net1', { ipam: { type: 'sleepy' } }, { under })).exitCode).not.toBe(0);
    // The processes that it started end by themselves.
    await delay(1_500);
    await moved(theSwitch(), async (ovsdb) => {
      expect(await node().recover('--ovsdb', ovsdb)).toMatchObject({ ...ok, json: { removed: 1, owed: 0 } });
    });
    expectNothingLeft(await node().world());
  });

  test('kind 5: whose program is there and can no longer be run is paid by the caller’s program', async () => {
    await node().program('moved', `exec ${hostLocal}`);
    const pod = await node().pod();
    expect(await pod.add('net1', { ipam: { type: 'moved' } })).toMatchObject(ok);
    const other = join(node().directory, 'other-bin');
    await execa('cp', ['-r', node().binDir, other]);
    await execa('chmod', ['644', join(node().binDir, 'moved')]);
    expect(await cni('DEL', { ...pod.call('net1', { ipam: { type: 'moved' } }), path: other })).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });

  describe('of a database that moved, when another switch is', () => {
    const attached = async () => {
      const pod = await node().pod();
      expect(await pod.add()).toMatchObject(ok);
      return pod;
    };
    async function stranger(): Promise<Switch> {
      const other = await startSwitch({ dpdk: false });
      onTestFinished(() => other.stop());
      return other;
    }

    test('kind 5: at the new place is not believed: DEL and recover owe, the address is held', async () => {
      const [other, pod] = [await stranger(), await attached()];
      const before = await node().world();
      // One that has come farther than ours: what is gone there is not gone here.
      for (let change = 0; change < 3; change++)
        await other.vsctl('set', 'Open_vSwitch', '.', `external_ids:n=${change}`);
      await whileAway(theSwitch(), async () => {
        expect(await pod.del('net1', { ...impatient, ovsdb: other.ovsdb })).toMatchObject(ok);
        expect(await node().recover('--ovsdb', other.ovsdb)).toMatchObject({ exitCode: 3, json: { removed: 0 } });
      });
      const { ports, addresses } = await node().world();
      expect({ ports, addresses }).toEqual({ ports: before.ports, addresses: before.addresses });
      expect(await pod.del()).toMatchObject(ok);
      expectNothingLeft(await node().world());
    });

    test('kind 5: at the old place is not believed either where the caller knows the new one', async () => {
      const [other, pod] = [await stranger(), await attached()];
      await moved(theSwitch(), async (ovsdb) => {
        await rename(socketOf(other), socketOf(theSwitch()));
        try {
          expect(await pod.del('net1', { ovsdb })).toMatchObject(ok);
        } finally {
          await rename(socketOf(theSwitch()), socketOf(other));
        }
      });
      const { ports, addresses } = await node().world();
      expect({ ports, addresses }).toEqual({ ports: [], addresses: [] });
    });
  });
});

/** The same database at another path alone, for as long as `action` lasts. */
async function moved(theSwitch: Switch, action: (ovsdb: string) => Promise<void>): Promise<void> {
  // The ending is one of those that a world takes for the daemons' own.
  const path = join(theSwitch.rundir, 'moved.mgmt');
  const control = ['-t', join(theSwitch.directory, 'ovsdb-server.ctl'), '-T', '10'];
  await execa('ovs-appctl', [...control, 'ovsdb-server/add-remote', `punix:${path}`]);
  try {
    await whileAway(theSwitch, () => action(`unix:${path}`));
  } finally {
    await execa('ovs-appctl', [...control, 'ovsdb-server/remove-remote', `punix:${path}`]);
    if (existsSync(path)) rmSync(path);
  }
}
