/** A value of the wrong type and a key that is not known: refused, and quoted only where the value can be no secret. */
import { describe, expect, it } from 'vitest';
import { parseAdd } from '../../../src/cni/request.ts';
import { added, environment, host, type Json, network, refusal, textOf } from '../../support/cni-requests.ts';

const refused = (changes: Json) => refusal(() => parseAdd(environment(), textOf(network(changes))));

/** `host` and the rest, from a dotted path: `host.vhost.mode` and a value. */
function at(path: string, value: unknown): Json {
  const [first = '', ...rest] = path.split('.');
  const inner = rest.reduceRight<unknown>((below, key) => ({ [key]: below }), value);
  return first === 'host' ? host(inner as Json) : { [first]: inner };
}

/** A value as an error shows it: a list, an object, and what may be a secret is only described (I12). */
function asQuoted(path: string, value: unknown): string {
  const mayBeSecret = /^(kubeconfig|ipam|dns|args|args\.cni|runtimeConfig|prevResult|.*\.memif)$/.test(path);
  if (Array.isArray(value)) return `(a list of ${value.length})`;
  if (typeof value === 'object') return `(an object of ${Object.keys(value ?? {}).length} keys)`;
  if (!mayBeSecret) return JSON.stringify(value);
  return typeof value === 'string' ? `(a text of ${value.length} characters)` : `(a ${typeof value})`;
}

describe('a value of the wrong type', () => {
  const texts = ['type', 'sharedDir', 'logFile', 'dataDir', 'ovsdb', 'kubeconfig', 'ipam.type'].concat(
    ['mode', 'group', 'socketfile'].flatMap((key) => [`host.vhost.${key}`, `container.vhost.${key}`]),
    ['engine', 'iftype', 'netType', 'mac'].flatMap((key) => [`host.${key}`, `container.${key}`]),
    ['bridgeName', 'vlanMode'].flatMap((key) => [`host.bridge.${key}`, `container.bridge.${key}`]),
    ['runtimeConfig.mac', 'runtimeConfig.CNIDeviceInfoFile', 'args.cni.mac', 'args.cni.OvnPort'],
  );
  const numbers = ['mtu', 'host.mtu', 'host.bridge.vlanId', 'host.bridge.bridgeId', 'deadlines.addMs'].concat([
    'host.vhost.ingressPolicingRate',
    'host.vhost.ingressPolicingBurst',
    'container.bridge.vlanId',
  ]);
  const objects = ['host', 'container', 'ipam', 'dns', 'prevResult', 'deadlines'].concat(
    ['memif', 'vhost', 'bridge'].flatMap((key) => [`host.${key}`, `container.${key}`]),
  );

  const cases = (paths: string[], values: unknown[]): [string, unknown][] =>
    paths.flatMap((path) => values.map((value): [string, unknown] => [path, value]));

  it.each([
    ...cases(texts, [7, true, {}, ['x']]),
    ...cases(numbers, ['7', true, {}, [7], 1.5]),
    ...cases(objects, [7, 'x', true, ['x']]),
    ...cases(['host.bridge.trunks', 'container.bridge.trunks'], [7, '1', {}, ['1'], [1.5], [null]]),
    ...cases(['host.vhost.enableGso', 'host.vhost.enablePacked', 'host.vhost.enableEventIdx'], [1, 'true']),
  ])('at %s: %j is refused, naming the key and the value', (path, value) => {
    const changes = path === 'host' ? { host: value } : at(path, value);
    const error = refused(changes);
    expect([2, 7]).toContain(error?.code);
    expect(error?.message).toContain(`"${path}`);
    expect(error?.message).toContain(
      Array.isArray(value) && path.endsWith('trunks') ? String(value[0]) : asQuoted(path, value),
    );
  });

  it.each(cases(['runtimeConfig', 'args', 'args.cni'], [7, 'x', true, ['x']]))(
    'at %s: %j is refused, naming the key and the value',
    (path, value) => {
      const error = refused(at(path, value));
      expect(error?.code).toBe(7);
      expect(error?.message).toContain(`"${path}" is ${asQuoted(path, value)}`);
    },
  );
});

describe('an unknown key', () => {
  it.each([
    'host.speed',
    'host.vhost.queues',
    'host.bridge.vlan',
    'container.speed',
    'container.vhost.queues',
    'container.bridge.vlan',
    'deadlines.forever',
  ])('%s is refused with code 2, naming the key, and of its value no more than its kind (I12)', (path) => {
    for (const [value, kind] of [
      ['hunter2', 'a text of 7 characters'],
      [['hunter2'], 'a list of 1'],
      [{ hunter2: 'hunter2' }, 'an object of 1 keys'],
      [4711, 'a number'],
      [true, 'a boolean'],
    ])
      expect(refused(at(path, value))).toMatchObject({
        code: 2,
        message: `unsupported key "${path}" with value (${kind})`,
      });
  });

  it('with a password at every place of a network is refused or ignored, and quoted nowhere (I12)', () => {
    const said = (changes: Json): string => refused(changes)?.message ?? String(added(changes).config.warnings);
    const nested = [['hunter2'], { password: 'hunter2' }, [{ password: 'hunter2' }]];
    const parts = [
      'host',
      'host.vhost',
      'host.bridge',
      'container',
      'container.vhost',
      'container.bridge',
      'deadlines',
    ];
    for (const part of [...parts, 'ipam', 'dns', 'args', 'args.cni', 'runtimeConfig', 'prevResult', 'container.memif'])
      for (const value of ['hunter2', ...nested]) {
        expect(said(at(`${part}.password`, value))).not.toContain('hunter2');
        if (value !== 'hunter2') expect(said(at(part, value))).not.toContain('hunter2');
      }
    for (const key of ['kubeconfig', 'ipam', 'dns', 'args', 'runtimeConfig', 'prevResult', 'colour'])
      for (const value of ['hunter2', ...nested]) expect(said(at(key, value))).not.toContain('hunter2');
  });

  it('I11 is named with every other one of its object and of all others', () => {
    const both = { one: 1, two: 2 };
    const { code, message } =
      refused({
        ...host({ ...both, vhost: both, bridge: both }),
        container: { ...both, vhost: both, bridge: both },
        deadlines: both,
      }) ?? {};
    expect(code).toBe(2);
    const places = ['host', 'container'].flatMap((side) => [side, `${side}.vhost`, `${side}.bridge`]);
    for (const place of [...places, 'deadlines'])
      for (const key of Object.keys(both))
        expect(message).toContain(`unsupported key "${place}.${key}" with value (a number)`);
  });

  it('at the top level gives a warning, unless runtimes or Multus put it there (need N7)', () => {
    const { warnings } = added({
      colour: 'red',
      'cni.dev/x': 1,
      capabilities: { mac: true },
      disableCheck: true,
      deviceID: '0000:00:00.0',
      pciBusID: '0000:00:00.0',
      disableGC: false,
      ipMasq: false,
      loadOnlyInlinedPlugins: true,
    }).config;
    expect(warnings).toEqual(['unknown key "colour" is ignored']);
  });
});

describe('a key with a name of prototypes', () => {
  it.each(['host', 'host.vhost', 'host.bridge', 'container', 'deadlines'])('is refused in %s, as any other', (path) => {
    for (const name of ['constructor', 'prototype', '__proto__']) {
      const inner = JSON.parse(`{ "${name}": "secret" }`);
      const text = textOf(network(at(path, inner)));
      const said = refusal(() => parseAdd(environment(), text));
      expect(said).toMatchObject({ code: 2 });
      expect(said?.message).toContain(`unsupported key "${path}.${name}" with value (a text of 6 characters)`);
    }
  });
});

describe('a number', () => {
  it('of a group that chown(2) does not know is refused before anything is made', () => {
    expect(refused(host({ vhost: { group: '4294967295' } }))).toMatchObject({ code: 7 });
    expect(refused(host({ vhost: { group: '99999999999' } }))?.message).toContain('4294967294 is the greatest number');
  });

  it('that is too large is told as such', () => {
    const text = textOf(network({ mtu: 1500 })).replace('1500', '1e400');
    const said = refusal(() => parseAdd(environment(), text));
    expect(said?.message).toContain('"mtu" is (a number that is too large): expected a whole number');
  });
});
