/** A network as the field writes it, for programs that read JSON as Go does. */
import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { cni } from '../support/real/cni.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft } from '../support/real/world.ts';

onRealSwitch('a network in any case, with nulls', (theSwitch) => {
  const node = useNode(theSwitch);

  test('is attached and removed as it says; stderr names each odd key once (need N6, need N7)', async () => {
    const { sharedDir, dataDir, ovsdb, ipam, bridge } = { ...node().config(), bridge: node().bridge };
    const config = {
      CNIVersion: '1.0.0',
      NAME: 'net-a',
      type: 'userspace',
      shareddir: sharedDir,
      DataDir: dataDir,
      OVSDB: ovsdb,
      LogFile: null,
      LogLevel: 'LOUD',
      colour: 'red',
      Host: {
        Engine: 'ovs-dpdk',
        ifType: 'vhostuser',
        nettype: null,
        VHost: { Mode: 'client', group: null },
        Bridge: { bridgename: bridge, BridgeId: 4 },
      },
      container: null,
      IPAM: ipam,
    };
    const pod = await node().pod();
    const call = { ...pod.call(), config };
    const { exitCode, json, stderr } = await cni('ADD', call);
    expect({ exitCode, ips: json.ips }).toMatchObject({ exitCode: 0, ips: [{ address: '10.56.0.2/24' }] });
    expect((await node().port(pod.portName()))?.bridge).toBe(bridge);
    expect(existsSync(`${sharedDir}/${pod.shortId}`)).toBe(true);
    const lines = stderr.trim().split('\n');
    expect(lines).toHaveLength(3);
    for (const word of ['"logLevel" is "LOUD"', 'unknown key "colour"', '"host.bridge.bridgeId" has no effect'])
      expect(lines.filter((line) => line.includes(word))).toHaveLength(1);
    expect(await cni('CHECK', { ...call, config: { ...config, prevResult: json } })).toMatchObject({ exitCode: 0 });
    expect(await cni('DEL', call)).toMatchObject({ exitCode: 0, stderr: '' });
    expectNothingLeft(await node().world());
  });
});
