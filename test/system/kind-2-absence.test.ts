/** "My question found nothing" is not "it is not there": a lost identity, cleared marks, another data directory, long names. */
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { whileAway } from '../support/real/away.ts';
import { type Answer, cni, run } from '../support/real/cni.ts';
import type { Mode, Pod } from '../support/real/node.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { emptyWorld, expectNothingLeft, tree, withoutLease } from '../support/real/world.ts';

const ok = { exitCode: 0 };
const impatient = { deadlines: { delMs: 1_500, reconnectMs: 200, switchMs: 500 } };

/** Ways in which the file with the data directory's id gets lost or changed. */
const identities: [string, (path: string) => void][] = [
  ['empty', (path) => writeFileSync(path, '')],
  ['garbage', (path) => writeFileSync(path, 'hello\n\0\0\0')],
  ['another id', (path) => writeFileSync(path, '0123456789abcdef\n')],
  ['missing', (path) => rmSync(path)],
];

onRealSwitch('absence is proved', (theSwitch) => {
  describe.each(['client', 'server'] satisfies Mode[])('in %s mode', (mode) => {
    const node = useNode(theSwitch, mode);

    async function attached(changes = {}): Promise<{ pod: Pod; added: Answer }> {
      const pod = await node().pod();
      const added = await pod.add('net1', changes);
      expect(added).toMatchObject(ok);
      return { pod, added };
    }
    const clearMarks = (pod: Pod) => theSwitch().vsctl('clear', 'Port', pod.portName(), 'external_ids');

    describe.each(identities)('with an instance file that is %s', (_, spoil) => {
      const spoilt = async () => {
        const one = await attached();
        spoil(join(node().dataDir, 'instance'));
        return one;
      };

      test('kind 2: DEL takes the port away', async () => {
        const { pod } = await spoilt();
        expect(await pod.del()).toMatchObject(ok);
        expectNothingLeft(await node().world());
      });

      test('kind 2: CHECK finds the port, a repeated ADD answers the same, and there is one port', async () => {
        const { pod, added } = await spoilt();
        expect(await pod.check(added.json)).toMatchObject(ok);
        const again = await pod.add();
        expect({ exitCode: again.exitCode, json: again.json }).toEqual({ exitCode: 0, json: added.json });
        expect((await node().world()).ports).toEqual([pod.portName()]);
        expect(await pod.del()).toMatchObject(ok);
        expectNothingLeft(await node().world());
      });

      test('kind 2: recover keeps the living, removes the dead, with a journal or without one, and a dry run says the same', async () => {
        const { pod } = await attached();
        const [dead, orphan] = [(await attached()).pod, (await attached({ ipam: undefined })).pod];
        for (const one of [dead, orphan]) await one.removeNetns();
        rmSync(orphan.journal());
        spoil(join(node().dataDir, 'instance'));
        const dry = await node().recover('--dry-run');
        expect(dry).toMatchObject({ exitCode: 3, json: { removed: 2, kept: 1, owed: 0, others: [] } });
        expect((await node().world()).ports).toHaveLength(3);
        expect(await node().recover()).toMatchObject({ ...ok, json: { removed: 2, kept: 1, owed: 0, others: [] } });
        expect((await node().world()).ports).toEqual([pod.portName()]);
        expect(await pod.del()).toMatchObject(ok);
        expectNothingLeft(await node().world());
      });
    });

    test('kind 2: a data directory whose every file was lost is known by its path: DEL takes its ports away, and recover lists them', async () => {
      const [one, other] = [(await attached({ ipam: undefined })).pod, (await attached({ ipam: undefined })).pod];
      rmSync(node().dataDir, { recursive: true });
      expect(await one.del('net1', { ipam: undefined })).toMatchObject(ok);
      expect((await node().world()).ports).toEqual([other.portName()]);
      rmSync(node().dataDir, { recursive: true });
      mkdirSync(node().dataDir);
      const others = [{ name: other.portName() }];
      expect(await node().recover()).toMatchObject({ ...ok, json: { removed: 0, others } });
      expect(await other.del('net1', { ipam: undefined })).toMatchObject(ok);
      expectNothingLeft(await node().world());
    });

    test('kind 2: a port whose marks another tool cleared is found by its row: DEL takes it away', async () => {
      const { pod } = await attached();
      await clearMarks(pod);
      expect(await pod.del()).toMatchObject(ok);
      expectNothingLeft(await node().world());
    });

    test('kind 2: a port that lost one of its marks, or has another value there, goes with its DEL', async () => {
      const { pod } = await attached();
      const marks = Object.keys((await node().port(pod.portName()))?.externalIds ?? {});
      expect(await pod.del()).toMatchObject(ok);
      for (const mark of marks) {
        for (const change of [
          ['remove', 'Port', 'external_ids', mark],
          ['set', 'Port', `external_ids:${mark}=other`],
        ]) {
          if (change[0] === 'set' && mark === 'owner') continue; // that is how it is given to another
          const one = (await attached()).pod;
          const [verb = '', table = '', ...rest] = change;
          await theSwitch().vsctl(verb, table, one.portName(), ...rest);
          expect(await one.del(), change.join(' ')).toMatchObject(ok);
          expect({ change, world: await node().world() }).toEqual({ change, world: emptyWorld });
        }
      }
    });

    test('kind 2: a port of ours whose key cannot be read is not passed over: without a journal recover owes it and says so', async () => {
      const [living, orphan] = [(await attached()).pod, (await attached({ ipam: undefined })).pod];
      for (const pod of [living, orphan]) await theSwitch().vsctl('set', 'Port', pod.portName(), 'external_ids:key=x');
      rmSync(orphan.journal());
      const { exitCode, json } = await node().recover();
      expect({ exitCode, json }).toMatchObject({ exitCode: 3, json: { kept: 1, owed: 1, removed: 0, restored: 0 } });
      expect(JSON.stringify(json)).toContain(`del-port ${orphan.portName()}`);
      await theSwitch().vsctl('del-port', orphan.portName());
      expect(await node().recover()).toMatchObject({ ...ok, json: { kept: 1, owed: 0 } });
      expect(await living.del()).toMatchObject(ok);
      expect((await node().world()).ports).toEqual([]);
    });

    test('kind 2: CHECK says that the marks were cleared, recover keeps the port, a repeated ADD changes nothing, and DEL takes it away', async () => {
      const { pod, added } = await attached();
      await clearMarks(pod);
      const { exitCode, json } = await pod.check(added.json);
      expect({ exitCode, json }).toMatchObject({ exitCode: 1, json: { msg: expect.stringContaining('external_ids') } });
      expect(await node().recover()).toMatchObject({ ...ok, json: { kept: 1, restored: 0, removed: 0 } });
      // By its name alone it is not ours to take over; what a refused ADD leaves is what there was.
      const before = await node().world();
      expect(await pod.add()).toMatchObject({ exitCode: 1, json: { code: 7 } });
      expect(withoutLease(await node().world())).toEqual(withoutLease(before));
      expect(await pod.del()).toMatchObject(ok);
      expectNothingLeft(await node().world());
    });

    test('kind 2: recover takes away the port without marks of a namespace that is gone', async () => {
      const { pod } = await attached();
      await clearMarks(pod);
      await pod.removeNetns();
      expect(await node().recover()).toMatchObject({ ...ok, json: { removed: 1 } });
      expectNothingLeft(await node().world());
    });

    test('kind 2: marks cleared, and the end of the journal lost: the port goes, or is owed with its address', async () => {
      const { pod } = await attached();
      await clearMarks(pod);
      const bytes = readFileSync(pod.journal());
      // Its header is left.
      writeFileSync(pod.journal(), bytes.subarray(0, bytes.indexOf('\n') + 1));
      expect(await pod.del()).toMatchObject(ok);
      const { ports, addresses } = await node().world();
      expect({ ports: ports.length, addresses: addresses.length }).toEqual(
        mode === 'client' ? { ports: 0, addresses: 0 } : { ports: 1, addresses: 1 },
      );
      if (mode === 'client') return expectNothingLeft(await node().world());
      expect(JSON.stringify(await node().list())).toContain('del-port');
      await theSwitch().vsctl('del-port', pod.portName());
      expect(await pod.del()).toMatchObject(ok);
    });

    test('kind 2: a port with another owner’s marks in the place of ours stays when ours is deleted', async () => {
      const { pod } = await attached();
      const name = pod.portName();
      await theSwitch().vsctl('del-port', name);
      await theSwitch().vsctl('add-port', node().bridge, name, '--', 'set', 'Interface', name, 'type=dpdkvhostuserclient', `options:vhost-server-path=${join(node().directory, 'theirs')}`, '--', 'set', 'Port', name, 'external_ids:owner=another'); // biome-ignore format: one command
      expect(await pod.del()).toMatchObject(ok);
      expect(await node().port(name)).toMatchObject({ externalIds: { owner: 'another' } });
      await theSwitch().vsctl('del-port', name);
    });
  });

  describe('through another data directory', () => {
    const node = useNode(theSwitch);
    const other = () => ({ dataDir: join(node().directory, 'other') });
    const attached = async () => {
      const pod = await node().pod();
      expect(await pod.add()).toMatchObject(ok);
      return pod;
    };
    const everything = async () => ({ ...(await node().world()), other: await tree(other().dataDir) });

    test('kind 2: DEL is refused with code 7, names the directory, and touches nothing', async () => {
      const pod = await attached();
      const before = await node().world();
      const { exitCode, json } = await pod.del('net1', other());
      expect({ exitCode, json }).toMatchObject({ exitCode: 1, json: { code: 7 } });
      expect(json.msg).toContain(node().dataDir);
      expect(await node().world()).toEqual(before);
      expect((await tree(other().dataDir)).filter((name) => name !== 'instance')).toEqual([]);
      expect(await pod.del()).toMatchObject(ok);
      expect(await pod.del('net1', other())).toMatchObject(ok);
      expectNothingLeft(await node().world());
    });

    test('kind 2: ADD is refused with code 7, and touches nothing', async () => {
      const pod = await attached();
      const before = await node().world();
      const { exitCode, json } = await pod.add('net1', other());
      expect({ exitCode, json }).toMatchObject({ exitCode: 1, json: { code: 7 } });
      expect(json.msg).toContain(node().dataDir);
      expect(await node().world()).toEqual(before);
      expect((await tree(other().dataDir)).filter((name) => name !== 'instance')).toEqual([]);
      expect(await pod.del()).toMatchObject(ok);
    });

    test('kind 2: with the switch down DEL owes and touches nothing; recover leaves the port, and ends when the right DEL has come', async () => {
      const pod = await attached();
      const before = await node().world();
      expect(await whileAway(theSwitch(), () => pod.del('net1', { ...other(), ...impatient }))).toMatchObject(ok);
      expect(await node().world()).toEqual(before);
      const elsewhere = ['--data-dir', other().dataDir];
      const { exitCode, json } = await node().recover(...elsewhere);
      expect({ exitCode, json }).toMatchObject({ exitCode: 3, json: { owed: 1, removed: 0 } });
      expect(JSON.stringify(json)).toContain(node().dataDir);
      expect(await node().world()).toEqual(before);
      expect(await pod.del()).toMatchObject(ok);
      expect(await node().recover(...elsewhere)).toMatchObject({ ...ok, json: { owed: 0, removed: 1 } });
      expect(await everything()).toMatchObject({ ports: [], addresses: [], other: ['instance'] });
    });

    test('kind 2: a DEL of Multus with three keys, and so with the default directory, touches nothing', async () => {
      const pod = await attached();
      const before = await node().world();
      const { cniVersion, name, type } = node().config();
      const machine = `mount -t tmpfs none /run && mkdir /run/openvswitch && mount --bind "${theSwitch().rundir}" /run/openvswitch`;
      const under = ['unshare', '--mount', 'sh', '-c', `${machine} && mount -t tmpfs none /var/lib && exec "$0" "$@"`];
      const call = { ...pod.call(), config: { cniVersion, name, type } };
      const { exitCode, json } = await cni('DEL', call, { under });
      expect({ exitCode, json }).toMatchObject({ exitCode: 1, json: { code: 7 } });
      expect(json.msg).toContain(node().dataDir);
      expect(await node().world()).toEqual(before);
      expect(await pod.del()).toMatchObject(ok);
    });

    test('kind 2: the same directory through a symlink is the same one, also without its id', async () => {
      const [one, other] = [await attached(), await attached()];
      const link = join(node().directory, 'link');
      symlinkSync(node().dataDir, link);
      expect(await one.del('net1', { dataDir: link })).toMatchObject(ok);
      rmSync(join(node().dataDir, 'instance'));
      expect(await other.del('net1', { dataDir: link })).toMatchObject(ok);
      expectNothingLeft(await node().world());
    });
  });

  describe('of a network with a name of 180 characters', () => {
    const node = useNode(theSwitch);
    const name = `n${'a'.repeat(178)}z`;
    const attached = async () => {
      const pod = await node().pod();
      expect(await pod.add('net1', { name, ipam: undefined })).toMatchObject(ok);
      return pod;
    };
    const journals = async () => (await node().world()).journals.filter((file) => file.endsWith('.journal'));

    test('kind 2: a port without a journal that is reported as removed is removed', async () => {
      const pod = await attached();
      for (const file of await journals()) rmSync(join(node().dataDir, file));
      await pod.removeNetns();
      const { exitCode, json } = await node().recover();
      expect({ exitCode, json }).toMatchObject({ ...ok, json: { removed: 1 } });
      expect(json.attachments).toMatchObject([{ key: `${name}:${pod.containerId}:net1`, found: 'orphan' }]);
      expectNothingLeft(await node().world());
      expect(await node().recover()).toMatchObject({ ...ok, json: { removed: 0 } });
    });

    test('kind 2: an attachment whose namespace is gone, whose journal is empty, or that DEL owes, is removed', async () => {
      const [gone, empty, owed] = [await attached(), await attached(), await attached()];
      await gone.removeNetns();
      const ofEmpty = (await journals()).find((file) => file.includes(empty.shortId));
      expect((await run(['list', '--json', '--data-dir', node().dataDir])).json.attachments).toHaveLength(3);
      const owing = { name, ipam: undefined, ...impatient };
      expect(await whileAway(theSwitch(), () => owed.del('net1', owing))).toMatchObject(ok);
      writeFileSync(join(node().dataDir, String(ofEmpty)), '');
      expect(await node().recover()).toMatchObject({ json: { removed: 2, owed: 0 } });
      expect((await node().world()).ports).toEqual([empty.portName()]);
      expect(await empty.del('net1', { name, ipam: undefined })).toMatchObject(ok);
      expectNothingLeft(await node().world());
    });
  });
});
