/** Every key of the schema has its words, and no word says what schema, defaults or arguments do not. */
import { readFileSync } from 'node:fs';
import { describe, expect, it, test } from 'vitest';
import { logLevels, vlanModes } from '../../../src/attachment.ts';
import { takesOf } from '../../../src/cli/explain.ts';
import { knownArgs } from '../../../src/cni/args.ts';
import { salvageConfig } from '../../../src/cni/config/config.ts';
import { schemaKeys } from '../../../src/cni/config/paths.ts';
import { type ConfigKey, configKeys, meaningOf } from '../../../src/cni/config/reference.ts';
import { keyWords } from '../../../src/cni/config/words.ts';
import { readAdd } from '../../../src/cni/request.ts';
import { supportedVersions } from '../../../src/cni/result.ts';
import { defaultDeadlines } from '../../../src/deadlines.ts';
import { environment, network } from '../../support/cni-requests.ts';

const keys = configKeys();
const keyAt = (path: string): ConfigKey => {
  const key = keys.find((one) => one.path === path);
  if (!key) throw new Error(`no key ${path}`);
  return key;
};
const ofConfiguration = keys.filter(({ path }) => !path.startsWith('CNI_ARGS'));

describe('the reference has', () => {
  it('each key of the schema once, and no other', () => {
    const paths = ofConfiguration.map(({ path }) => path);
    expect([...paths].sort()).toEqual(schemaKeys.map(({ path }) => path).sort());
    expect(new Set(paths).size).toBe(paths.length);
  });

  it('each argument that CNI_ARGS may have, and no other', () => {
    const said = keys.flatMap(({ path }) => (path.startsWith('CNI_ARGS.') ? [path.slice('CNI_ARGS.'.length)] : []));
    expect(said.sort()).toEqual([...knownArgs].sort());
  });

  it('no words on a key that is none', () => {
    const known = new Set(keys.map(({ path }) => path));
    expect(Object.keys(keyWords).filter((path) => !known.has(path))).toEqual([]);
  });

  it('the members of an object right behind it', () => {
    for (const [index, { path }] of keys.entries()) {
      const parent = path.slice(0, Math.max(0, path.lastIndexOf('.')));
      const before = keys[index - 1]?.path ?? '';
      if (parent !== '') expect(before === parent || before.startsWith(`${parent}.`), path).toBe(true);
    }
  });

  it('titles of one line, and a meaning that is a sentence', () => {
    for (const key of keys) {
      expect(key.title.length, key.path).toBeLessThanOrEqual(44);
      expect(meaningOf(key), key.path).toMatch(/^\P{Ll}[^`]*\.$/u);
    }
  });

  it('a version that the changelog or the package knows', () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
    const known = [
      version,
      ...[...readFileSync('CHANGELOG.md', 'utf8').matchAll(/^## \[([\d.]+)\]/gm)].map(([, one]) => one),
    ];
    for (const { path, since } of keys) expect(known, path).toContain(since);
  });
});

describe('a default is the one that a call takes', () => {
  const basics = salvageConfig({});
  test.each<[string, unknown]>([
    ['sharedDir', basics.sharedDir],
    ['kubeletRootDir', basics.kubeletRootDir],
    ['shortDir', basics.shortDir],
    ['grantAccess', basics.grantAccess],
    ['predecessorDir', basics.predecessorDir],
    ['dataDir', basics.dataDir],
    ['ovsdb', basics.ovsdb],
    ['logLevel', basics.logLevel],
    ['host.vhost.mode', basics.mode],
    ['host.bridge.bridgeName', basics.bridge],
    ['container.netType', readAdd(environment(), JSON.stringify(network())).request?.config.container.netType],
    ...Object.entries(defaultDeadlines).map(([key, value]) => [`deadlines.${key}`, value] as [string, unknown]),
  ])('of %s', (path, value) => {
    expect(value).toBeDefined();
    expect(keyAt(path).default).toBe(value);
  });

  test('and these are all, beside two that mean no limit and the one type of network', () => {
    const others = ofConfiguration.filter((key) => key.default !== undefined).map(({ path }) => path);
    const zero = ['host.vhost.ingressPolicingRate', 'host.vhost.ingressPolicingBurst'];
    for (const path of zero) expect(keyAt(path).default).toBe(takesOf(keyAt(path).shape).unset);
    expect(keyAt('host.netType').default).toBe(takesOf(keyAt('host.netType').shape).values?.[0]);
    expect(others).toHaveLength(11 + Object.keys(defaultDeadlines).length + zero.length + 1);
  });
});

describe('the values of', () => {
  it.each([
    ['host.bridge.vlanMode', vlanModes],
    ['logLevel', logLevels],
    ['cniVersion', supportedVersions],
    ['host.vhost.mode', ['client', 'server']],
    ['host.engine', ['ovs-dpdk']],
  ])('%s are those that are read', (path, values) => {
    expect(takesOf(keyAt(path).shape).values).toEqual(values);
  });
});

/** The members that a key needs in `host` beside it. */
const beside: { readonly [path: string]: object } = {
  'host.vhost.ingressPolicingBurst': { vhost: { ingressPolicingRate: 1 } },
  'host.bridge.vlanMode': { bridge: { vlanId: 1 } },
};

/** The smallest network, and this key with its example. */
function withExample({ path, example }: ConfigKey): object {
  const client = path.startsWith('container') ? { vhost: { mode: 'client' } } : {};
  const host = structuredClone({ engine: 'ovs-dpdk', iftype: 'vhostuser', ...client, ...beside[path] });
  const made: { [key: string]: unknown } = { ...network(), host };
  const [last = '', ...outer] = path.split('.').reverse();
  const holder = outer.reverse().reduce((at, name) => {
    at[name] ??= {};
    return at[name] as { [key: string]: unknown };
  }, made);
  holder[last] = example;
  return made;
}

const pod = 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=pod';

describe('an example is one that an ADD takes', () => {
  const shown = ofConfiguration.filter(({ example }) => example !== undefined);
  it.each(shown.map((key) => [key.path, key] as const))('of %s', (_, key) => {
    const { troubles, remarks } = readAdd(environment({ CNI_ARGS: pod }), JSON.stringify(withExample(key)));
    expect(troubles).toEqual([]);
    expect(remarks).toEqual([]);
  });

  it('of each argument of CNI_ARGS', () => {
    for (const { path, example } of keys) {
      if (!path.startsWith('CNI_ARGS.')) continue;
      const text = `${path.slice('CNI_ARGS.'.length)}=${example}`;
      expect(readAdd(environment({ CNI_ARGS: text }), JSON.stringify(network())).troubles, text).toEqual([]);
    }
  });

  it('and only keys that a person does not write have none', () => {
    const silent = ofConfiguration.filter(({ example, hasEffect }) => hasEffect && example === undefined);
    expect(silent.map(({ path }) => path)).toEqual(['host', 'prevResult', 'ipMasq', 'deviceID', 'pciBusID']);
  });
});
