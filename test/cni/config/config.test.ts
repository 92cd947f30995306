/**
 * Keys of the configuration that are refused, with their codes, and keys that only give a warning. Values taken over:
 * values.test.ts.
 */
import { describe, expect, it } from 'vitest';
import { parseAdd, parseDel } from '../../../src/cni/request.ts';
import { added, environment, host, type Json, network, refusal, textOf } from '../../support/cni-requests.ts';

const refused = (changes: Json) => refusal(() => parseAdd(environment(), textOf(network(changes))));

/** `host` and the rest, from a dotted path: `host.vhost.mode` and a value. */
function at(path: string, value: unknown): Json {
  const [first = '', ...rest] = path.split('.');
  const inner = rest.reduceRight<unknown>((below, key) => ({ [key]: below }), value);
  return first === 'host' ? host(inner as Json) : { [first]: inner };
}

describe('an "ipam"', () => {
  it.each([
    [{ ranges: [[{ subnet: '10.56.0.0/16' }]], dataDir: '/x' }, '"ranges", "dataDir"'],
    [{ type: '', subnet: '10.56.0.0/16' }, '"subnet"'],
    [{ type: null, subnet: '10.56.0.0/16' }, '"subnet"'],
  ])(
    'with content and no type is refused with code 7, because the pod would have no address: %j (need N7)',
    (ipam, keys) => {
      expect(refused({ ipam })).toMatchObject({
        code: 7,
        message: expect.stringContaining(`"ipam" has ${keys} and no "type"`),
      });
    },
  );

  it.each([{}, { type: '' }, { type: null }, { ranges: null }, null])(
    'that is empty counts as absent: %j (need N7)',
    (ipam) => {
      expect(added({ ipam }).config).not.toHaveProperty('ipam');
    },
  );

  it('I11 with content and no type is named beside a fault of shape, but not if the type itself is that fault', () => {
    const content = { subnet: '10.56.0.0/16' };
    const message = refused({ ipam: content, sharedDir: 'pods' })?.message;
    for (const words of ['"ipam" has "subnet" and no "type"', '"sharedDir" is "pods"'])
      expect(message).toContain(words);
    expect(refused({ ipam: { ...content, type: 7 } })?.message).not.toContain('no "type"');
  });

  it('with content and no type does not prevent a DEL (need N7)', () => {
    const config = network({ ipam: { subnet: '10.56.0.0/16' } });
    expect(parseDel(environment(), textOf(config)).config).not.toHaveProperty('ipam');
  });
});

describe('a feature of the predecessor that this engine lacks', () => {
  it.each([
    ['host.engine', 'vpp'],
    ['host.engine', 'bess'],
    ['host.engine', ''],
    ['host.iftype', 'memif'],
    ['host.iftype', 'typo'],
    ['host.iftype', ''],
    ['host.netType', 'interface'],
    ['host.netType', 'typo'],
    ['container.iftype', 'memif'],
  ])('%s "%s" is refused with code 2 before anything is made, naming key and value (bug B3)', (path, value) => {
    expect(refused(at(path, value))).toMatchObject({
      code: 2,
      message: expect.stringContaining(`unsupported "${path}" with value ${JSON.stringify(value)}: `),
    });
  });

  it('is refused if the key is left out: there is no default engine', () => {
    const error = refused({ host: undefined });
    expect(error?.code).toBe(2);
    expect(error?.message).toContain('host.engine');
    expect(error?.message).toContain('host.iftype');
  });

  it('I11 is reported as missing if it is left out, and a list of plugins is reported as a list', () => {
    const missing = refused({ host: {} })?.message;
    expect(missing).toContain('"host.engine" is missing and needed: only "ovs-dpdk"');
    expect(missing).not.toContain('plugins');
    const list = refused({ host: undefined, plugins: [network({})] })?.message;
    expect(list).toContain('a runtime hands over one plugin of it');
  });

  it.each([undefined, '', 'bridge'])('is not netType %j: that is the bridge', (netType) => {
    expect(added(host({ netType })).config.bridge).toBe('br0');
  });

  it('is shown in one line, however long the value', () => {
    const message = refused(host({ engine: 'x'.repeat(10_000) }))?.message ?? '';
    expect(message.length).toBeLessThan(400);
  });
});

describe('names that reach the switch or the file system', () => {
  it.each(['../x', 'a/b', '/abs', '-x', '.x', 'a b', 'a=b', 'a\nb', 'ä', "'", 'x'.repeat(101)])(
    'socketfile %j is refused with code 7, shown (bug B28)',
    (socketfile) => {
      expect(refused(at('host.vhost.socketfile', socketfile))).toMatchObject({
        code: 7,
        message: expect.stringContaining(`"host.vhost.socketfile" is ${JSON.stringify(socketfile)}`),
      });
    },
  );

  it.each(['sock', 'a.sock', 'A-1_2:3@4+5', 'x'.repeat(100)])('socketfile %j is taken', (socketfile) => {
    expect(added(at('host.vhost.socketfile', socketfile)).config.socketfile).toBe(socketfile);
  });

  it.each(['-br', 'a/b', '../br', 'br 0', 'name="x"', "br'0", '.br', 'b'.repeat(16), 'br\u00000'])(
    'bridgeName %j is refused with code 7, shown: it must be a device name, and not an option (bug B29)',
    (bridgeName) => {
      const error = refused(at('host.bridge.bridgeName', bridgeName));
      expect(error?.code).toBe(7);
      expect(error?.message).toContain(`"host.bridge.bridgeName" is ${JSON.stringify(bridgeName)}`);
    },
  );

  it('a bridgeName that is too long is refused with the limit (bug B29)', () => {
    const error = refused(at('host.bridge.bridgeName', 'b'.repeat(16)));
    expect(error?.message).toContain('expected at most 15 bytes');
  });

  it.each(['b', 'br-dpdk_0.1', 'b'.repeat(15)])('bridgeName %j is taken', (bridgeName) => {
    expect(added(at('host.bridge.bridgeName', bridgeName)).config.bridge).toBe(bridgeName);
  });

  it.each(
    ['sharedDir', 'dataDir', 'runtimeConfig.CNIDeviceInfoFile'].flatMap((path) =>
      ['pods', './x', '../x', '/a/../b', '/..', '/a/..', '/a\u0000b', '/a\nb', '/\n/../x'].map((value) => [
        path,
        value,
      ]),
    ),
  )('%s %j is refused with code 7: an absolute path without detours (bug B30)', (path, value) => {
    expect(refused(at(path, value))).toMatchObject({
      code: 7,
      message: expect.stringContaining(`"${path}" is ${JSON.stringify(value)}`),
    });
  });

  it.each(['/pods', '/a..b/..c/d..', '/var/lib/cni/usrspcni/', '/a b/ä'])('a path like %j is taken', (path) => {
    expect(added({ sharedDir: path }).config.sharedDir).toBe(path);
  });

  it.each(['db.sock', '/run/db.sock', 'tcp:127.0.0.1:6640', 'unix:db.sock', 'unix:', 'ssl:x:1', 'unix:/a\u0000'])(
    'ovsdb %j is refused with code 7: one connection, over a unix socket',
    (ovsdb) => {
      expect(refused({ ovsdb })).toMatchObject({ code: 7, message: expect.stringContaining('"ovsdb"') });
    },
  );

  it('an IPAM type with a separator is refused: programs are looked for in CNI_PATH only', () => {
    expect(refused({ ipam: { type: '../../bin/true' } })).toMatchObject({
      code: 7,
      message: expect.stringContaining('"ipam.type" is "../../bin/true"'),
    });
  });
});

describe('a MAC address', () => {
  it.each(['runtimeConfig.mac', 'args.cni.mac', 'host.mac'])(
    'at %s that is malformed is refused with code 7, shown',
    (path) => {
      for (const mac of ['garbage', '02:00:00:00:00', '02:00:00:00:00:01=', 7])
        expect(refused(at(path, mac))).toMatchObject({
          code: 7,
          message: expect.stringContaining(`"${path}" is ${JSON.stringify(mac)}`),
        });
    },
  );
});

describe('a result of an earlier plugin', () => {
  it.each([[{ ips: [{}] }], [{ ips: 'x' }], [{ interfaces: [{ mac: '02:00:00:00:00:01' }] }], [{ ip4: {} }]])(
    'like %j is refused with code 7: it could not be passed on',
    (prevResult) => {
      expect(refused({ prevResult })).toMatchObject({ code: 7, message: expect.stringContaining('"prevResult"') });
    },
  );
});

describe('numbers beyond their limits (case A7)', () => {
  it.each([
    ['host.bridge.vlanId', [1, 4094], [-1, 4095, 5000]],
    ['mtu', [68, 1500, 65535], [-1, 1, 67, 65536]],
    ['host.mtu', [68, 65535], [67, 65536]],
    ['host.vhost.ingressPolicingRate', [1, 0xffffffff], [-1, 0x100000000]],
    ['deadlines.rollbackMs', [1, 59_999], [0, -1, 60_000, 600_001]],
  ])('%s takes %j and refuses %j', (path, good, bad) => {
    for (const value of good) expect(refused(at(path, value))).toBeUndefined();
    for (const value of bad) {
      const error = refused(at(path, value));
      expect({ value, code: error?.code }).toEqual({ value, code: 7 });
      expect(error?.message).toContain(`"${path}" is ${value}`);
    }
  });

  it.each([[[0, 4095]], [[]], [[7]]])('trunks %j are taken', (trunks) => {
    expect(refused(at('host.bridge.trunks', trunks))).toBeUndefined();
  });

  it.each([[[-1]], [[4096]], [[1, 'x']], [[1.5]]])('trunks %j are refused with code 7', (trunks) => {
    expect(refused(at('host.bridge.trunks', trunks))?.code).toBe(7);
  });

  it.each(['vlan', 'Access', 'none'])('vlanMode %j is refused, naming the valid ones', (vlanMode) => {
    const error = refused(at('host.bridge.vlanMode', vlanMode));
    expect(error?.code).toBe(7);
    for (const word of [vlanMode, 'access', 'native-tagged', 'native-untagged', 'trunk', 'dot1q-tunnel'])
      expect(error?.message).toContain(word);
  });
});

describe('keys that contradict each other', () => {
  it.each([
    [
      'two servers',
      { ...host({ vhost: { mode: 'server' } }), container: { vhost: { mode: 'server' } } },
      ['host.vhost.mode', 'container.vhost.mode', 'server'],
    ],
    [
      'two servers, one by default',
      { ...host({}), container: { vhost: { mode: 'server' } } },
      ['host.vhost.mode', 'container.vhost.mode', 'server'],
    ],
    ['an access port without a VLAN', host({ bridge: { vlanMode: 'access' } }), ['vlanMode', 'access', 'vlanId']],
    ['a tunnel without a VLAN', host({ bridge: { vlanMode: 'dot1q-tunnel' } }), ['dot1q-tunnel', 'vlanId']],
    ['a native VLAN that is not said', host({ bridge: { vlanMode: 'native-tagged' } }), ['native-tagged', 'vlanId']],
    ['a trunk port with a VLAN', host({ bridge: { vlanMode: 'trunk', vlanId: 5 } }), ['vlanId', 'trunk']],
    [
      'a VLAN and trunks without a mode',
      host({ bridge: { vlanId: 5, trunks: [1] } }),
      ['vlanId', 'trunks', 'vlanMode'],
    ],
    [
      'a socket named like a published file',
      host({ vhost: { socketfile: 'configData-a-net1.json' } }),
      ['socketfile', 'configData-a-net1.json'],
    ],
    [
      'an access port with trunks',
      host({ bridge: { vlanMode: 'access', vlanId: 5, trunks: [1] } }),
      ['trunks', 'access'],
    ],
    [
      'a burst without a rate',
      host({ vhost: { ingressPolicingBurst: 5 } }),
      ['ingressPolicingBurst', 'ingressPolicingRate'],
    ],
    [
      'a log in a journal',
      { logFile: '/data//net:c:net1.journal', dataDir: '/data/' },
      ['logFile', 'net:c:net1.journal'],
    ],
    ['a log in the id of the data directory', { logFile: '/var/lib/cni/userspace/instance' }, ['logFile', 'instance']],
    ['no time for an ADD', { deadlines: { addMs: 5_000 } }, ['addMs', '5000', 'rollbackMs', '20000']],
    ['two MTUs', { ...host({ mtu: 1400 }), mtu: 1500 }, ['mtu', '1400', '1500']],
  ])('%s: refused with code 7, naming both', (_, changes, words) => {
    const error = refused(changes);
    expect(error?.code).toBe(7);
    for (const word of words) expect(error?.message).toContain(word);
  });

  it('I11 are named beside a fault of another key, but not if one of their own keys has the fault', () => {
    const named = refused({ ...host({ mtu: 1400, speed: 1, bridge: { vlanMode: 'access' } }), mtu: 1500 })?.message;
    for (const word of ['"host.speed"', '"mtu" is 1500', 'needs "host.bridge.vlanId"']) expect(named).toContain(word);
    const unread = refused(host({ bridge: { vlanMode: 'access', vlanId: 'x' } }))?.message;
    expect(unread).not.toContain('needs "host.bridge.vlanId"');
  });

  it('are all named at once', () => {
    const error = refused({
      ...host({ mtu: 1400, bridge: { vlanMode: 'access' }, vhost: { ingressPolicingBurst: 5 } }),
      mtu: 1500,
    });
    for (const word of ['vlanMode', 'ingressPolicingBurst', '1400']) expect(error?.message).toContain(word);
  });
});

describe('a key that is accepted and has no effect (bug B44)', () => {
  it.each([
    ['host.bridge.bridgeId', 4],
    ['host.memif', { role: 'master' }],
    ['container.vhost.socketfile', 'own.sock'],
    ['host.vhost.enableGso', true],
    ['host.vhost.enablePacked', true],
    ['host.vhost.enableEventIdx', true],
    ['container.vhost.ingressPolicingRate', 5],
  ])('%s is warned of by name', (path, value) => {
    const { warnings } = added(at(path, value)).config;
    expect(warnings).toEqual([`"${path}" has no effect with engine "ovs-dpdk"`]);
  });

  it('gives no warning if it is empty, and neither does a key that is honoured', () => {
    const quiet = host({
      memif: {},
      mtu: 1400,
      bridge: { bridgeName: 'br1', vlanId: 7, trunks: [], vlanMode: 'access' },
      vhost: { mode: 'client', group: 'kvm', ingressPolicingRate: 1 },
    });
    expect(added({ ...quiet, container: { vhost: { socketfile: '' } } }).config.warnings).toEqual([]);
  });
});
