/** Configurations as Go reads them: keys in any case, null for an absent value, a log level in any case. */
import { describe, expect, it } from 'vitest';
import { memberOf } from '../../src/cni/leniency.ts';
import { parseAdd, parseDel } from '../../src/cni/request.ts';
import { parseGc } from '../../src/cni/upkeep.ts';
import { runCniCommand } from '../support/cni-command.ts';
import { added, environment, type Json, network, textOf } from '../support/cni-requests.ts';

/** Every key of every object in another case; lists and their elements stay. */
function inCase(value: unknown, turn: (key: string) => string): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [turn(key), inCase(one, turn)]));
}

const whole = network({
  sharedDir: '/pods',
  dataDir: '/data',
  ovsdb: 'unix:/db.sock',
  logFile: '/log',
  logLevel: 'debug',
  kubeconfig: '/kube',
  kubeletRootDir: '/kubelet',
  deadlines: { delMs: 7_000 },
  host: {
    engine: 'ovs-dpdk',
    iftype: 'vhostuser',
    netType: 'bridge',
    mtu: 1400,
    vhost: { mode: 'client', group: 'kvm', socketfile: 'own.sock' },
    bridge: { bridgeName: 'br1', vlanId: 7, vlanMode: 'access' },
  },
  container: { engine: 'ovs-dpdk', iftype: 'vhostuser', vhost: { mode: 'server' } },
  ipam: { type: 'host-local' },
  runtimeConfig: { CNIDeviceInfoFile: '/info' },
  args: { cni: { mac: '02:00:00:00:00:01', OvnPort: 'lsp' } },
});
const pod = { CNI_ARGS: 'K8S_POD_NAMESPACE=a;K8S_POD_NAME=b' };

/** The values read from a configuration, without its bytes. */
const readOf = <T extends { readonly stdin: string }>({ stdin: _, ...read }: T) => read;
const addOf = (config: unknown) => readOf(parseAdd(environment(pod), textOf(config)));
const delOf = (config: unknown) => readOf(parseDel(environment(pod), textOf(config)));

describe('a key', () => {
  it.each([
    ['LOWER', (key: string) => key.toUpperCase()],
    ['lower', (key: string) => key.toLowerCase()],
    ['Camel', (key: string) => `${key.charAt(0).toUpperCase()}${key.slice(1)}`],
  ])('of %s case means at every level what the documented one means, to ADD and to DEL (need N6)', (_, turn) => {
    expect(addOf(inCase(whole, turn))).toEqual(addOf(whole));
    expect(delOf(inCase(whole, turn))).toEqual(delOf(whole));
  });

  it('that differs from another one in case only yields to the exact spelling, and a warning names both (need N6)', () => {
    const { config } = added({
      SharedDir: '/wrong',
      sharedDir: '/right',
      SHAREDDIR: '/wrong',
      LogFile: '/a',
      logfile: '/b',
    });
    expect(config).toMatchObject({ sharedDir: '/right', logFile: '/b' });
    expect(config.warnings).toEqual([
      '"SharedDir" and "sharedDir" and "SHAREDDIR" differ in case only: "sharedDir" is taken',
      '"LogFile" and "logfile" differ in case only: "logfile" is taken',
    ]);
    const inner = added({
      host: { engine: 'ovs-dpdk', iftype: 'vhostuser', vhost: { mode: 'client', Mode: 'server' } },
    });
    expect(inner.config.mode).toBe('client');
    expect(inner.config.warnings).toEqual([
      '"host.vhost.mode" and "host.vhost.Mode" differ in case only: "host.vhost.mode" is taken',
    ]);
  });

  it('that is null yields without a warning to a spelling in another case that is not null (need N6)', () => {
    expect(added({ sharedDir: null, SharedDir: '/pods' }).config).toMatchObject({ sharedDir: '/pods', warnings: [] });
  });

  it('in a free-form object stays as it is: memif, dns, prevResult (need N6)', () => {
    const dns = { Nameservers: ['192.0.2.1'], domain: null };
    const prevResult = { cniVersion: '1.0.0', interfaces: [{ name: 'eth0', Mac: null }] };
    const container = { memif: { Role: 'master', mode: null } };
    expect(added({ DNS: dns, PrevResult: prevResult, container }).config).toMatchObject({ dns, prevResult, container });
  });
});

describe('null', () => {
  const emptied = (value: unknown): unknown =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.keys(value).map((key) => [key, null]))
      : value;

  it('counts as absent at every level, for ADD and for DEL (need N6)', () => {
    const { host: _, name, cniVersion, type, ...rest } = whole as Json;
    const host = {
      engine: 'ovs-dpdk',
      iftype: 'vhostuser',
      netType: null,
      mtu: null,
      mac: null,
      vhost: null,
      bridge: null,
    };
    const outer = network({ ...(emptied(rest) as Json), host });
    const inner = network({
      ...(Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, emptied(value)])) as Json),
      ...(Object.fromEntries(
        ['sharedDir', 'dataDir', 'ovsdb', 'logFile', 'logLevel', 'kubeconfig', 'kubeletRootDir'].map((key) => [
          key,
          null,
        ]),
      ) as Json),
      host: { ...host, vhost: { mode: null, group: null, unknown: null }, bridge: { bridgeName: null, trunks: null } },
    });
    for (const config of [outer, inner]) {
      expect(addOf(config)).toEqual(addOf(network()));
      expect(delOf(config)).toEqual(delOf(network()));
    }
  });

  it('under an unknown key gives no warning; in place of GC’s list it is an empty list (need N6)', () => {
    expect(added({ colour: null }).config.warnings).toEqual([]);
    const config = network({ cniVersion: '1.1.0', 'cni.dev/valid-attachments': null });
    expect(parseGc(environment(), textOf(config)).isValid('a', 'net1')).toBe(false);
  });

  it('in a list of numbers is refused (need N6)', () => {
    expect(() => added({ host: { engine: 'ovs-dpdk', iftype: 'vhostuser', bridge: { trunks: [null] } } })).toThrow(
      'trunks',
    );
  });
});

describe('a log level', () => {
  it.each([
    ['DEBUG', 'debug'],
    ['Warning', 'warning'],
    ['', 'warning'],
    [null, 'warning'],
  ])('%j is %j (need N6)', (logLevel, meant) => {
    expect(added({ logLevel }).config).toMatchObject({ logLevel: meant, warnings: [] });
  });

  it.each(['loud', 'warn', 7, {}])(
    '%j does not refuse a pod: it gives a warning, and the default is taken (need N6)',
    (logLevel) => {
      expect(added({ logLevel }).config).toMatchObject({
        logLevel: 'warning',
        warnings: [
          expect.stringContaining(
            `"logLevel" is ${typeof logLevel === 'object' ? '(an object of 0 keys)' : JSON.stringify(logLevel)}`,
          ),
        ],
      });
      expect(parseDel(environment(), textOf(network({ logLevel }))).config.logLevel).toBe('warning');
    },
  );
});

describe('a key in another case', () => {
  it('reaches an IPAM program byte for byte (need N6)', () => {
    const stdin =
      '{"CNIVersion":"1.0.0","Name":"net","Host":{"Engine":"ovs-dpdk","IfType":"vhostuser"},"IPAM":{"Type":"host-local","x":1.0}}';
    for (const parse of [parseAdd, parseDel]) {
      const request = parse(environment(), stdin);
      expect(request).toMatchObject({ stdin, key: { network: 'net' }, config: { ipam: 'host-local' } });
    }
  });

  it('gives an error its version (need N6)', async () => {
    let said = '';
    const streams = {
      env: environment(),
      stdin: () => '{"CniVersion":"0.4.0","Name":"net"}',
      stdout: async (text: string) => {
        said = text;
        return true;
      },
      stderr: () => undefined,
    };
    const none = () => Promise.reject(new Error('no handler is needed'));
    expect(await runCniCommand(streams, none, none)).toBe(1);
    expect(JSON.parse(said)).toMatchObject({ cniVersion: '0.4.0', code: 2 });
  });

  it('is taken as Go takes it: the exact spelling, else the last (need N6)', () => {
    expect(memberOf({ Name: 1, name: 2, NAME: 3 }, 'name')).toBe(2);
    expect(memberOf({ Name: 1, NAME: 3 }, 'name')).toBe(3);
    expect(memberOf({ Name: 1, NAME: null }, 'name')).toBe(1);
    expect(memberOf({}, 'name')).toBeUndefined();
  });
});
