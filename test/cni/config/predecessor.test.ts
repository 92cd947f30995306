/** The predecessor's faults in protocol and configuration: each case by its number. */
import { describe, expect, test } from 'vitest';
import { CniError } from '../../../src/cni/error.ts';
import { parseAdd, parseDel } from '../../../src/cni/request.ts';
import { formatResult, parseResult, supportedVersions } from '../../../src/cni/result.ts';
import { planOf } from '../../../src/plan/attach.ts';
import { removalPlan } from '../../../src/plan/removal.ts';
import { runCniCommand } from '../../support/cni-command.ts';

const env = {
  CNI_CONTAINERID: '0123456789abcdef',
  CNI_NETNS: '/run/netns/a',
  CNI_IFNAME: 'net1',
  CNI_PATH: '/opt/cni/bin',
};

const network = {
  cniVersion: '1.0.0',
  name: 'net-a',
  type: 'userspace',
  sharedDir: '/shared',
  host: { engine: 'ovs-dpdk', iftype: 'vhostuser', vhost: { mode: 'client' }, bridge: { bridgeName: 'br-a' } },
  container: { engine: 'ovs-dpdk' },
};

const add = (more: object = {}, variables: object = {}) =>
  parseAdd({ ...env, ...variables }, JSON.stringify({ ...network, ...more }));

function refusal(action: () => unknown): { code: number; message: string } {
  try {
    action();
  } catch (error) {
    if (error instanceof CniError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('it was not refused');
}

const host = (more: object) => ({ host: { ...network.host, ...more } });

describe('the predecessor', () => {
  test.each([
    ['a leading "-"', '-x'],
    ['a quote', 'br"0'],
    ['a slash', 'br/0'],
    ['sixteen bytes', 'b'.repeat(16)],
  ])('handed a bridge name with %s to a program: it is refused by name and value (bug B29)', (_, bridgeName) => {
    const { code, message } = refusal(() => add(host({ bridge: { bridgeName } })));
    expect(code).toBe(7);
    expect(message).toContain('host.bridge.bridgeName');
    expect(message).toContain(JSON.stringify(bridgeName));
  });

  test.each(['../x', 'a/b', '-x', '.', '..', 'a b', 'a=b'])(
    'took the socketfile %j as a name (bug B28)',
    (socketfile) => {
      const { code, message } = refusal(() => add(host({ vhost: { mode: 'client', socketfile } })));
      expect(code).toBe(7);
      expect(message).toContain('host.vhost.socketfile');
    },
  );

  test('found out about netType after the port was made: it is refused before anything, with key and value (bug B3)', () => {
    const { code, message } = refusal(() => add(host({ netType: 'interface' })));
    expect(code).toBe(2);
    expect(message).toContain('"host.netType" with value "interface"');
  });

  test.each(supportedVersions.filter((version) => !version.startsWith('0.1') && !version.startsWith('0.2')))(
    'answered in the newest version: %s is answered in %s (bug B39)',
    (version) => {
      const result = { interfaces: [{ name: 'net1' }], ips: [{ address: '10.0.0.2/24', interface: 0 }], routes: [] };
      const written = formatResult(result, version);
      expect(written.cniVersion).toBe(version);
      expect(JSON.stringify(written).includes('"version":"4"')).toBe(!version.startsWith('1.'));
      expect(parseResult(written)).toEqual(result);
    },
  );

  test('lost the gateway and the prevResult: both are in the plan and the result (bug B39)', () => {
    const read = parseResult({ ips: [{ address: '10.0.0.2/24', gateway: '10.0.0.1' }] });
    expect(read?.ips).toEqual([{ address: '10.0.0.2/24', gateway: '10.0.0.1' }]);
    expect(add({ prevResult: { interfaces: [{ name: 'eth0' }] } }).config.prevResult).toEqual({
      interfaces: [{ name: 'eth0' }],
    });
  });

  test.each([
    [
      'runtimeConfig.mac',
      { runtimeConfig: { mac: '02:00:00:00:00:01' }, args: { cni: { mac: '02:00:00:00:00:02' } } },
      '01',
    ],
    ['args.cni', { args: { cni: { mac: '02:00:00:00:00:02' } } }, '02'],
    ['CNI_ARGS', {}, '03'],
  ])('made a random MAC that no device got: %s decides, and the port bears it as a mark (bug B41)', (_, more, last) => {
    const request = add(more, { CNI_ARGS: 'IgnoreUnknown=1;MAC=02:00:00:00:00:03' });
    expect(planOf(request).port?.marks.mac).toBe(`02:00:00:00:00:${last}`);
  });

  test('accepted keys without using them: the VLAN is in the plan, a key without effect gives a warning (bug B44)', () => {
    const request = add({
      ...host({ bridge: { bridgeName: 'br-a', vlanId: 100, bridgeId: 4 } }),
      container: { vhost: { socketfile: 'other' } },
    });
    expect(planOf(request).port?.vlan).toEqual({ tag: 100 });
    expect(request.config.warnings.join()).toMatch(/bridgeId.*container\.vhost\.socketfile/);
  });

  test.each(['a', '0'.repeat(200)])('died of a short id: the id %j gives every name (bug B26)', (id) => {
    const plan = planOf(add({}, { CNI_CONTAINERID: id }));
    expect(plan.port?.name).toBe(`${id.slice(0, 12)}-net1`);
  });

  test('refused to delete an attachment that it had refused to add: DEL takes any configuration with a name (bug B22)', () => {
    const request = parseDel(env, '{"cniVersion":"9.9.9","name":"net-a","host":{"engine":"toaster"},"kubeconfig":7}');
    expect(removalPlan(request).port).toBeUndefined();
    expect(request.config.sharedDir).toBe('/usr/local/var/run/openvswitch');
  });

  test('wrote into its answer: a call that fails writes one JSON document and its text to stderr (case A9, bug B45)', async () => {
    const out: string[] = [];
    const err: string[] = [];
    const streams = {
      env: { ...env, CNI_COMMAND: 'ADD' },
      stdin: () => 'no JSON',
      stdout: async (text: string) => out.push(text) > 0,
      stderr: (text: string) => void err.push(text),
    };
    const never = () => Promise.reject(new Error('no handler is needed to refuse'));
    expect(await runCniCommand(streams, never, never)).toBe(1);
    expect(out).toHaveLength(1);
    expect(JSON.parse(out.join(''))).toMatchObject({ cniVersion: '1.1.0', code: 6 });
    expect(err.join('')).toContain('no JSON');
  });
});

describe('a request', () => {
  test('with many faults is refused with all of them in one error (I11)', () => {
    const { code, message } = refusal(() =>
      parseAdd({ CNI_CONTAINERID: '/x' }, JSON.stringify({ ...network, ...host({ engine: 'vpp', mtu: 1 }), name: '' })),
    );
    expect(code).toBe(4);
    for (const part of ['CNI_NETNS,CNI_IFNAME', 'CNI_CONTAINERID', 'network name', 'host.engine', 'host.mtu']) {
      expect(message).toContain(part);
    }
  });

  test.each([
    ['an unknown key in host', host({ colour: 'red' }), 2, 'host.colour'],
    ['an unknown key in container', { container: { colour: 'red' } }, 2, 'container.colour'],
    ['memif', host({ iftype: 'memif' }), 2, '"memif"'],
    ['kubeconfig', { kubeconfig: '/etc/k' }, 7, 'K8S_POD_NAMESPACE'],
    ['the same mode twice', { container: { vhost: { mode: 'client' } } }, 7, 'container.vhost.mode'],
    ['an unknown version', { cniVersion: '4.0.0' }, 1, '4.0.0'],
    ['a version that needs an address', { cniVersion: '0.2.0' }, 1, 'ipam'],
    ['a database that is not a unix socket', { ovsdb: 'tcp:127.0.0.1:6640' }, 7, 'ovsdb'],
    ['access without a VLAN', host({ bridge: { vlanMode: 'access' } }), 7, 'vlanId'],
    ['two MTUs', { ...host({ mtu: 9000 }), mtu: 1500 }, 7, 'mtu'],
    ['a directory with ".."', { sharedDir: '/a/../b' }, 7, 'sharedDir'],
    ['a deadline of no length', { deadlines: { addMs: 0 } }, 7, 'deadlines.addMs'],
  ])('with %s is refused by name', (_, more, code, name) => {
    const refused = refusal(() => add(more));
    expect(refused.code).toBe(code);
    expect(refused.message).toContain(name);
  });

  test('publishes the same data as the predecessor, key for key', () => {
    const plan = planOf(add({ container: { engine: 'ovs-dpdk', vhost: { mode: 'server' } } }));
    expect(JSON.stringify(plan.publication?.data)).toBe(
      '{"containerId":"0123456789abcdef","ifName":"net1","name":"net-a","config":{"engine":"ovs-dpdk","iftype":"vhostuser",' +
        '"netType":"interface","memif":{},"vhost":{"mode":"server","socketfile":"0123456789ab-net1"},"bridge":{}}}',
    );
  });
});
