/** IPAM programs as the field has them: moved by an upgrade, asked for two families at once, with a range that is used up. */
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Answer, cni } from '../support/real/cni.ts';
import type { Changes, Pod } from '../support/real/node.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft, tree } from '../support/real/world.ts';
import { cniPath } from '../support/requirements.ts';

const ok = { exitCode: 0 };
const hostLocal = join(cniPath, 'host-local');

onRealSwitch('an IPAM program', (theSwitch) => {
  const node = useNode(theSwitch);
  const journals = async () => (await tree(node().dataDir)).filter((name) => name.endsWith('.journal'));

  describe('of a CNI bin directory that is renamed', () => {
    /** Programs as a distribution has them: beside each other in one directory, which the runtime names. */
    const moved: Changes = { ipam: { type: 'moved' } };
    const place = () => join(node().directory, 'after');
    const called = (command: string, pod: Pod, path: string, changes = moved): Promise<Answer> =>
      cni(command, { ...pod.call('net1', changes), path });
    async function upgraded(): Promise<{ pod: Pod; result: unknown }> {
      await node().program('moved', `exec ${hostLocal}`);
      const pod = await node().pod();
      const added = await called('ADD', pod, node().binDir);
      expect(added).toMatchObject(ok);
      await rename(node().binDir, place());
      return { pod, result: added.json };
    }

    test('is found by CHECK and by DEL in the directory that the runtime names then (need N3)', async () => {
      const { pod, result } = await upgraded();
      const changes = { ...moved, prevResult: result };
      expect(await called('CHECK', pod, place(), changes)).toMatchObject(ok);
      expect(await called('DEL', pod, place())).toMatchObject(ok);
      expectNothingLeft(await node().world());
      expect(await node().recover()).toMatchObject({ ...ok, json: { owed: 0 } });
    });

    test('is found by a repeated ADD too: one address is held after it, and none after the DEL (need N3)', async () => {
      const { pod } = await upgraded();
      expect(await called('ADD', pod, place())).toMatchObject(ok);
      expect((await node().world()).addresses).toHaveLength(1);
      expect(await called('DEL', pod, place())).toMatchObject(ok);
      expectNothingLeft(await node().world());
    });
  });

  describe('that is asked for two addresses by "IP=a,b" in CNI_ARGS', () => {
    const dual = 'IgnoreUnknown=true;IP=10.56.0.9,fd00::9';

    test('and reads one alone (host-local) refuses the ADD in its own words; nothing is left, and DEL is success (need N3)', async () => {
      const pod = await node().pod();
      const call = { ...pod.call(), args: dual };
      const { exitCode, json } = await cni('ADD', call);
      expect({ exitCode, msg: json.msg }).toEqual({ exitCode: 1, msg: expect.stringContaining('10.56.0.9,fd00::9') });
      expectNothingLeft(await node().world());
      expect(await cni('DEL', call)).toMatchObject({ ...ok, stdout: '' });
      expectNothingLeft(await node().world());
    });

    test('and was killed before it could refuse is asked again to release, without "IP=": nothing is owed (need N3)', async () => {
      await node().program('slow', `[ "$CNI_COMMAND" = ADD ] && exec sleep 60\nexec ${hostLocal}`);
      const pod = await node().pod();
      const call = { ...pod.call('net1', { ipam: { type: 'slow' }, deadlines: { ipamMs: 400 } }), args: dual };
      expect(await cni('ADD', call)).toMatchObject({ exitCode: 1, json: { code: 11 } });
      expect(await journals()).toEqual([]);
      expect(await cni('DEL', call)).toMatchObject({ ...ok, stdout: '' });
      expectNothingLeft(await node().world());
    });

    test('and gave an address before its upgrade no longer reads them: its address is released without "IP=" (need N3)', async () => {
      await node().program(
        'lenient',
        `[ "$CNI_COMMAND" = ADD ] && export CNI_ARGS=IgnoreUnknown=true\nexec ${hostLocal}`,
      );
      const pod = await node().pod();
      const call = { ...pod.call('net1', { ipam: { type: 'lenient' } }), args: dual };
      expect(await cni('ADD', call)).toMatchObject(ok);
      expect((await node().world()).addresses).toEqual(['net-a/10.56.0.2']);
      expect(await cni('DEL', call)).toMatchObject({ ...ok, stdout: '' });
      expectNothingLeft(await node().world());
    });

    test('and gives both (static) has both in the result; CHECK and DEL are success (need N3)', async () => {
      const pod = await node().pod();
      const ipam = { ipam: { type: 'static', ranges: undefined, dataDir: undefined } };
      const args = 'IgnoreUnknown=true;IP=10.56.0.9/24,fd00::9/64;GATEWAY=10.56.0.1,fd00::1';
      const { exitCode, json } = await cni('ADD', { ...pod.call('net1', ipam), args });
      expect({ exitCode, ips: json.ips }).toEqual({
        exitCode: 0,
        ips: [
          { interface: 0, address: '10.56.0.9/24', gateway: '10.56.0.1' },
          { interface: 0, address: 'fd00::9/64', gateway: 'fd00::1' },
        ],
      });
      expect(await cni('CHECK', { ...pod.call('net1', { ...ipam, prevResult: json }), args })).toMatchObject(ok);
      expect(await cni('DEL', { ...pod.call('net1', ipam), args })).toMatchObject({ ...ok, stdout: '' });
      expectNothingLeft(await node().world());
    });
  });

  describe('with a range that is used up', () => {
    /** Five addresses for pods: eight less network, gateway and broadcast. */
    const small = (subnet = '10.56.0.0/29'): Changes => ({ ipam: { ranges: [[{ subnet }]] } });

    test('passes its code on, and the message says how many addresses of the network this node holds (need N9)', async () => {
      const pods = await Promise.all(Array.from({ length: 5 }, () => node().pod()));
      for (const pod of pods) expect(await pod.add('net1', small())).toMatchObject(ok);
      // One of another network, and one of this network without an address.
      const [other, bare, late] = [await node().pod(), await node().pod(), await node().pod()];
      expect(await other.add('net1', { name: 'net-b' })).toMatchObject(ok);
      expect(await bare.add('net1', { ipam: undefined })).toMatchObject(ok);
      const { exitCode, json } = await late.add('net1', small());
      expect({ exitCode, code: json.code }).toEqual({ exitCode: 1, code: 999 });
      for (const word of ['no IP addresses available', '"net-a"', ' 5 attachments', 'userspace list']) {
        expect(json.msg).toContain(word);
      }
      expect((await journals()).filter((name) => name.includes(late.containerId))).toEqual([]);
      await pods[0]?.del('net1', small());
      expect(await late.add('net1', small())).toMatchObject(ok);
    });

    test('says that no attachment here holds one, where others do (need N9)', async () => {
      await node().program(
        'poor',
        `[ "$CNI_COMMAND" = ADD ] || exit 0
echo '{"code":999,"msg":"failed to allocate for range 0: no IP addresses available in range set: 10.0.0.1-10.0.0.9"}'; exit 1`,
      );
      const pod = await node().pod();
      const { json } = await pod.add('net1', { ipam: { type: 'poor' } });
      expect(json.msg).toContain(' 0 attachments');
    });

    test('is the only refusal that counts addresses (need N9)', async () => {
      const pod = await node().pod();
      const { json } = await pod.add('net1', small('10.56.0.0/33'));
      expect(json.msg).not.toContain('userspace list');
    });
  });
});
