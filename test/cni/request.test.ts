import { describe, expect, it } from 'vitest';
import { type Environment, parseAdd, parseCheck, parseDel } from '../../src/cni/request.ts';
import { supportedVersions } from '../../src/cni/result.ts';
import { added, environment, network, refusal, textOf } from '../support/cni-requests.ts';

const config = textOf(network());
const addWith = (env: Environment, stdin = config) => refusal(() => parseAdd(environment(env), stdin));

describe('the environment of an ADD', () => {
  it('is taken as it is when nothing is wrong with it', () => {
    const request = added({}, { CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=blue;K8S_POD_NAME=pod-0', HOME: '/root' });
    expect(request).toMatchObject({
      key: { network: 'net', containerId: '0123456789abcdef', ifName: 'net1' },
      netns: '/run/netns/a',
      path: ['/opt/cni/bin', '/usr/lib/cni'],
      pod: { namespace: 'blue', name: 'pod-0' },
    });
    const { CNI_COMMAND: _, ...handedOn } = environment();
    expect(request.env).toEqual({ ...handedOn, CNI_ARGS: expect.any(String) });
  });

  it.each([[['CNI_CONTAINERID']], [['CNI_NETNS']], [['CNI_IFNAME']], [['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME']]])(
    'without %j is refused once, naming every variable that is missing',
    (names) => {
      for (const nothing of [undefined, '']) {
        const error = addWith(Object.fromEntries(names.map((name) => [name, nothing])));
        expect(error).toMatchObject({ code: 4, message: `required env variables [${names.join(',')}] missing` });
      }
    },
  );

  it('needs CNI_PATH only if an IPAM program has to be found in it', () => {
    expect(addWith({ CNI_PATH: undefined })).toBeUndefined();
    const withIpam = textOf(network({ ipam: { type: 'host-local' } }));
    expect(addWith({ CNI_PATH: undefined }, withIpam)).toMatchObject({
      code: 4,
      message: expect.stringContaining('CNI_PATH'),
    });
  });

  it('loses relative directories of CNI_PATH: a program in the working directory must not become the IPAM plugin', () => {
    expect(added({}, { CNI_PATH: ':.:bin:/opt/cni/bin:../x:' }).path).toEqual(['/opt/cni/bin']);
  });

  it('names a pod only if both halves of its name are there', () => {
    expect(added({}, { CNI_ARGS: 'K8S_POD_NAME=pod-0' })).not.toHaveProperty('pod');
  });
});

describe('a container id', () => {
  it.each([1, 2, 11, 12, 13, 64, 200])('of %d characters is taken whole (bug B26)', (length) => {
    const containerId = 'a'.repeat(length);
    expect(added({}, { CNI_CONTAINERID: containerId }).key.containerId).toBe(containerId);
  });

  it('differs from another one that shares its first 12 characters (bug B27)', () => {
    const [one, two] = ['1', '2'].map((end) => added({}, { CNI_CONTAINERID: `0123456789ab${end}` }).key);
    expect(one).not.toEqual(two);
  });

  it.each(['../etc', 'a/b', '-rf', '.hidden', '_x', 'a b', 'a:b', 'ä', 'a\n', 'a;b', 'a=b'])(
    '%j is refused with code 4, and shown',
    (containerId) => {
      expect(addWith({ CNI_CONTAINERID: containerId })).toMatchObject({
        code: 4,
        message: expect.stringContaining('CNI_CONTAINERID'),
        details: containerId,
      });
    },
  );
});

describe('an interface name', () => {
  it.each(['e', 'net1', 'net1.100', 'a-b_c', 'x'.repeat(15), 'äö'])('%j is taken', (ifName) => {
    expect(added({}, { CNI_IFNAME: ifName }).key.ifName).toBe(ifName);
  });

  it.each([
    'x'.repeat(16),
    'ä'.repeat(8),
    '.',
    '..',
    'a/b',
    '../x',
    '/',
    'a:b',
    'a b',
    'a\tb',
    '-x',
    '--help',
    'a=b',
    'a"b',
    'a\\b',
    'a\u0000b',
  ])('%j is refused with code 4, and shown', (ifName) => {
    expect(addWith({ CNI_IFNAME: ifName })).toMatchObject({
      code: 4,
      message: expect.stringContaining('CNI_IFNAME'),
      details: ifName,
    });
  });
});

describe('CNI_ARGS', () => {
  it('may hold Multus’s pairs, such as two addresses joined by a comma (bug B37)', () => {
    const args =
      'IgnoreUnknown=true;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=p;K8S_POD_INFRA_CONTAINER_ID=c;K8S_POD_UID=u;IP=10.0.0.1,fd00::1;MAC=02:00:00:00:00:01';
    expect(added({}, { CNI_ARGS: args })).toMatchObject({
      pod: { namespace: 'ns', name: 'p', uid: 'u' },
      config: { mac: '02:00:00:00:00:01' },
    });
  });

  it.each(['1', 'true', 'TRUE', 'True'])('with IgnoreUnknown=%s may hold anything of the right shape', (yes) => {
    expect(addWith({ CNI_ARGS: `IgnoreUnknown=${yes};COLOUR=red` })).toBeUndefined();
  });

  it.each(['COLOUR=red', 'IgnoreUnknown=0;COLOUR=red', 'IgnoreUnknown=;COLOUR=red'])(
    '%j is refused, naming the unknown argument',
    (args) => {
      expect(addWith({ CNI_ARGS: args })).toMatchObject({ code: 4, message: expect.stringContaining('"COLOUR"') });
    },
  );

  it.each(['IgnoreUnknown', 'MAC', 'A=b=c', '=;=a=', 'IgnoreUnknown=1;K8S_POD_NAME'])(
    '%j is refused: it is not a list of pairs',
    (args) => {
      expect(addWith({ CNI_ARGS: args })).toMatchObject({ code: 4, message: expect.stringContaining('invalid pair') });
    },
  );

  it.each(['no-mac', '02:00:00:00:00', '02-00-00-00-00-01', '02:00:00:00:00:0g', '02:00:00:00:00:01 '])(
    'with MAC %j is refused, naming it',
    (mac) => {
      expect(addWith({ CNI_ARGS: `MAC=${mac}` })).toMatchObject({
        code: 4,
        message: `CNI_ARGS: MAC "${mac}" is no MAC address`,
      });
    },
  );

  it('may be empty or end in a semicolon', () => {
    for (const args of ['', ';', 'MAC=02:00:00:00:00:01;']) expect(addWith({ CNI_ARGS: args })).toBeUndefined();
  });
});

describe('the configuration on stdin', () => {
  it.each(['', ' ', '{', '{"cniVersion":', 'null', '[]', '7', '"text"', 'undefined', '{} {}'])(
    '%j is refused with code 6: it is not a JSON object',
    (stdin) => {
      for (const parse of [parseAdd, parseCheck, parseDel]) {
        expect(refusal(() => parse(environment(), stdin))).toMatchObject({
          code: 6,
          message: expect.stringContaining('JSON'),
        });
      }
    },
  );

  it('over a mebibyte is refused with code 6: the journal would have to keep it', () => {
    const stdin = textOf(network({ note: 'x'.repeat(1024 * 1024) }));
    expect(addWith({}, stdin)).toMatchObject({ code: 6 });
  });

  it.each(['{"password": hunter2}', 'hunter2', '{"a" hunter2: 1}', '{"a": "hunter2'])(
    '%s is not quoted: its word may be a secret (I12)',
    (stdin) => {
      expect(addWith({}, stdin)).toMatchObject({ code: 6, message: expect.not.stringContaining('hunter2') });
    },
  );

  it.each([undefined, '', null])('without a name (%j) is refused with code 7 for every verb', (name) => {
    for (const parse of [parseAdd, parseCheck, parseDel]) {
      const error = refusal(() => parse(environment(), textOf(network({ name }))));
      expect(error).toMatchObject({ code: 7, message: expect.stringContaining('missing network name') });
    }
  });

  it.each(['../x', 'a/b', '-net', '.net', 'a b', 'a:b', 7])(
    'with the name %j is refused with code 7, and the name shown',
    (name) => {
      expect(addWith({}, textOf(network({ name })))).toMatchObject({
        code: 7,
        message: expect.stringContaining(JSON.stringify(name)),
      });
    },
  );

  it.each([
    [{ token: 'hunter2' }, '(an object of 1 keys)'],
    [['hunter2'], '(a list of 1)'],
  ])('with %j as a name or a version, it is refused and not quoted (I12)', (value, described) => {
    for (const key of ['name', 'cniVersion']) {
      const { message } = addWith({}, textOf(network({ [key]: value }))) as { message: string };
      expect(message).toContain(described);
      expect(message).not.toContain('hunter2');
    }
  });

  it.each(['4.0.0', '0.3', '1.2.0', '1', ' 1.0.0', 1])(
    'with the version %j is refused with code 1, naming the known versions',
    (cniVersion) => {
      const error = addWith({}, textOf(network({ cniVersion })));
      expect(error?.code).toBe(1);
      for (const version of [JSON.stringify(cniVersion), ...supportedVersions])
        expect(error?.message).toContain(version);
    },
  );

  it.each(['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'])(
    'of version %s is taken, and the version kept',
    (cniVersion) => {
      expect(added({ cniVersion }).config.cniVersion).toBe(cniVersion);
    },
  );

  it.each(['0.1.0', '0.2.0', '', undefined])(
    'of version %j is taken with IPAM only: without an address it has no answer',
    (cniVersion) => {
      expect(addWith({}, textOf(network({ cniVersion, ipam: { type: 'static' } })))).toBeUndefined();
      expect(addWith({}, textOf(network({ cniVersion })))).toMatchObject({
        code: 1,
        message: expect.stringContaining('"ipam"'),
      });
    },
  );

  it('is kept byte for byte, for the IPAM plugin', () => {
    const stdin = `  ${textOf(network({ unknown: 'ä\u2028 "' })).replaceAll(',', ' ,\n\t')}\n`;
    expect(parseAdd(environment(), stdin).stdin).toBe(stdin);
    expect(parseDel(environment(), stdin).stdin).toBe(stdin);
  });
});

describe('several faults at once', () => {
  it('are all named in one error, those of the environment first: their code wins', () => {
    const stdin = textOf(
      network({ cniVersion: '9.9.9', name: '../x', host: { engine: 'bess', bridge: { vlanId: 5000 } } }),
    );
    const error = addWith({ CNI_NETNS: '', CNI_IFNAME: 'a/b', CNI_CONTAINERID: '-x', CNI_ARGS: 'Z' }, stdin);
    expect(error?.code).toBe(4);
    const named = ['CNI_NETNS', 'CNI_IFNAME', 'CNI_CONTAINERID', '"Z"', '../x', '9.9.9', '5000', 'bess'];
    for (const word of named) expect(error?.message).toContain(word);
    expect(error?.details?.split('\n')).toEqual(['-x', 'a/b']);
  });

  it.each([
    ['undecodable text wins over nothing else', '{', 6],
    ['the name wins over the version', { name: '', cniVersion: '9' }, 7],
    ['the version wins over the shape', { cniVersion: '9', host: 7 }, 1],
    ['the shape wins over what is unsupported', { host: { engine: 'bess', bridge: { vlanId: -1 } } }, 7],
    ['what is unsupported wins over contradictions', { host: { engine: 'bess', bridge: { vlanMode: 'access' } } }, 2],
  ])('%s', (_, changes, code) => {
    const stdin = typeof changes === 'string' ? changes : textOf(network(changes));
    expect(addWith({}, stdin)?.code).toBe(code);
  });

  it('in the environment do not hide that stdin is not JSON', () => {
    const error = addWith({ CNI_IFNAME: undefined }, '{');
    expect(error?.code).toBe(4);
    expect(error?.message).toContain('JSON');
  });
});

describe('a CHECK', () => {
  const check = (changes: object, env: Environment = {}) =>
    refusal(() => parseCheck(environment(env), textOf(network({ prevResult: { ips: [] }, ...changes }))));

  it('needs ADD’s answer', () => {
    expect(check({})).toBeUndefined();
    expect(check({ prevResult: undefined })).toMatchObject({ code: 7, message: expect.stringContaining('prevResult') });
  });

  it.each(['0.3.0', '0.3.1'])('is unknown to version %s: code 1', (cniVersion) => {
    expect(check({ cniVersion })).toMatchObject({ code: 1, message: expect.stringContaining('CHECK') });
  });

  it.each(['0.1.0', '0.2.0'])('is unknown to version %s too, IPAM or not', (cniVersion) => {
    expect(check({ cniVersion, ipam: { type: 'static' } })).toMatchObject({
      code: 1,
      message: expect.stringContaining('CHECK'),
    });
  });

  it('has to obey the rules of ADD', () => {
    expect(check({}, { CNI_NETNS: '' })?.code).toBe(4);
    expect(check({ host: { engine: 'bess', iftype: 'vhostuser' } })?.code).toBe(2);
  });
});

describe('a DEL', () => {
  const del = (config: unknown, env: Environment = {}) =>
    parseDel(environment({ CNI_COMMAND: 'DEL', ...env }), textOf(config));

  it('needs no network namespace, no CNI_PATH and no readable arguments (case A16)', () => {
    const request = del(network(), { CNI_NETNS: '', CNI_PATH: undefined, CNI_ARGS: 'garbage;MAC=none' });
    expect(request).toMatchObject({ netns: '', path: [], key: { ifName: 'net1' } });
  });

  it('takes a stripped configuration: the name is all it must have', () => {
    expect(del({ name: 'net' }).config).toMatchObject({ bridge: 'br0', dataDir: '/var/lib/cni/userspace' });
  });

  it.each([
    [{ host: { engine: 'bess' } }],
    [{ host: { engine: 'vpp', iftype: 'memif' } }],
    [{ host: { iftype: 'typo', netType: 'interface' } }],
    [{ host: 7, container: 'x', ipam: [], deadlines: 'never', args: 1 }],
    [{ cniVersion: '9.9.9' }],
    [{ prevResult: 'none', kubeconfig: '/etc/kubeconfig' }],
  ])('takes %j, which ADD refuses: a pod must be able to go (bug B22)', (changes) => {
    expect(addWith({}, textOf(network(changes)))).toBeDefined();
    expect(del(network(changes)).key.network).toBe('net');
  });

  it('keeps the usable keys of a configuration whose rest is broken', () => {
    const changes = {
      dataDir: '/data',
      ovsdb: 'unix:/run/x.sock',
      sharedDir: '/pods',
      ipam: { type: 'host-local' },
      deadlines: { delMs: 5 },
      logLevel: 'debug',
      logFile: '/log',
      host: { engine: 'bess', bridge: { bridgeName: 'br7', vlanId: 'x' } },
      mtu: -5,
    };
    const { config: kept } = del(network(changes));
    expect(kept).toMatchObject({
      dataDir: '/data',
      ovsdb: 'unix:/run/x.sock',
      sharedDir: '/pods',
      ipam: 'host-local',
      bridge: 'br7',
      logLevel: 'debug',
      logFile: '/log',
    });
    expect(kept.deadlines.delMs).toBe(5);
  });

  it('falls back to the default of every unusable key', () => {
    const spoilt = {
      dataDir: 'x',
      ovsdb: 7,
      sharedDir: '../',
      ipam: { type: 'a/b' },
      deadlines: { delMs: -1 },
      logLevel: 1,
    };
    expect(del(network({ ...spoilt, host: { bridge: { bridgeName: '-x' } } })).config).toEqual(
      del({ name: 'net' }).config,
    );
  });

  it.each([
    [{ CNI_CONTAINERID: '' }],
    [{ CNI_IFNAME: undefined }],
    [{ CNI_CONTAINERID: '../x' }],
    [{ CNI_IFNAME: '..' }],
  ])('with %j is refused with code 4: its meaning is unknown', (env) => {
    expect(refusal(() => del(network(), env))?.code).toBe(4);
  });
});
