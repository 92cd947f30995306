/** Ports of OVN: marked with the logical port that they are, on a bridge that OVN makes. */
import { afterEach, expect, test } from 'vitest';
import { cni } from '../support/real/cni.ts';
import type { Changes } from '../support/real/node.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft } from '../support/real/world.ts';

const ok = { exitCode: 0 };
const noBridge: Changes = { host: { bridge: { bridgeName: undefined } } };
const asked: Changes = { ...noBridge, args: { cni: { OvnPort: 'blue/lsp-1' } } };

onRealSwitch('an OVN port', (theSwitch) => {
  const node = useNode(theSwitch);
  const ovnStarts = async () => {
    await theSwitch().vsctl('add-br', 'br-int', '--', 'set', 'Bridge', 'br-int', 'datapath_type=netdev');
    await node().takeBaseline();
  };
  const idOf = async (port: string) =>
    (await theSwitch().vsctl('--if-exists', 'get', 'Interface', port, 'external_ids:iface-id')).trim();

  afterEach(async () => void (await theSwitch().vsctl('--if-exists', 'del-br', 'br-int')));

  test('is refused with code 7 while br-int is not there, which is not made (need N5)', async () => {
    const pod = await node().pod();
    const { exitCode, json } = await pod.add('net1', asked);
    expect({ exitCode, code: json.code }).toEqual({ exitCode: 1, code: 7 });
    expect(json.msg).toContain('bridge "br-int" is not there');
    expectNothingLeft(await node().world());
  });

  test('on a bridge that is named and not there is refused with code 7: with OvnPort none is ever made (need N5)', async () => {
    const pod = await node().pod();
    const { exitCode, json } = await pod.add('net1', { args: asked.args });
    expect({ exitCode, code: json.code }).toEqual({ exitCode: 1, code: 7 });
    expect(json.msg).toContain(`bridge "${node().bridge}" is not there`);
    expectNothingLeft(await node().world());
  });

  test('bears iface-id on br-int, by args.cni or by CNI_ARGS, and leaves the bridge as it was (need N5)', async () => {
    await ovnStarts();
    const pod = await node().pod();
    expect(await pod.add('net1', asked)).toMatchObject(ok);
    expect(await idOf(pod.portName())).toBe('"blue/lsp-1"');
    expect((await node().port(pod.portName()))?.bridge).toBe('br-int');
    expect(await pod.del('net1', asked)).toMatchObject(ok);
    const call = { ...pod.call('net2', noBridge), args: 'IgnoreUnknown=1;OvnPort=lsp-2' };
    expect(await cni('ADD', call)).toMatchObject(ok);
    expect(await idOf(pod.portName('net2'))).toBe('lsp-2');
    expect(await cni('DEL', call)).toMatchObject(ok);
    expectNothingLeft(await node().world());
    expect((await theSwitch().vsctl('br-exists', 'br-int')).trim()).toBe('');
  });

  test('that another tool renamed is drift: CHECK names both (need N5)', async () => {
    await ovnStarts();
    const pod = await node().pod();
    const { json } = await pod.add('net1', asked);
    expect(await pod.check(json, 'net1', asked)).toMatchObject(ok);
    await theSwitch().vsctl('set', 'Interface', pod.portName(), 'external_ids:iface-id=other');
    const { json: error } = await pod.check(json, 'net1', asked);
    expect(error).toMatchObject({
      code: 100,
      msg: expect.stringContaining('iface-id is "other" instead of "blue/lsp-1"'),
    });
    expect(await pod.del('net1', asked)).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });

  test('that the switch lost is put back with its iface-id, once OVN has made its bridge again (need N5)', async () => {
    await ovnStarts();
    const pod = await node().pod();
    expect(await pod.add('net1', asked)).toMatchObject(ok);
    await theSwitch().vsctl('del-br', 'br-int');
    expect((await node().recover()).json).toMatchObject({
      attachments: [
        {
          found: 'lost',
          result: 'owed',
          owed: [{ message: expect.stringContaining('"br-int" is gone, and not ours') }],
        },
      ],
    });
    await ovnStarts();
    expect((await node().recover()).json).toMatchObject({ attachments: [{ found: 'lost', result: 'restored' }] });
    expect(await idOf(pod.portName())).toBe('"blue/lsp-1"');
    expect(await pod.del('net1', asked)).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });
});
