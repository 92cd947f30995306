import { describe, expect, it } from 'vitest';
import { formatResult, parseResult, type Result, supportedVersions } from '../../src/cni/result.ts';
import { refusal } from '../support/cni-requests.ts';

/** Two interfaces, both families, routes of both, DNS: everything a result can hold. */
const whole: Result = {
  interfaces: [
    { name: 'eth0', mac: '02:00:00:00:00:01', sandbox: '/run/netns/a' },
    { name: 'net1', sandbox: '/run/netns/a' },
  ],
  ips: [
    { address: '10.0.0.5/24', gateway: '10.0.0.1', interface: 1 },
    { address: 'fd00::5/64', gateway: 'fd00::1', interface: 1 },
    { address: '10.0.1.5/24' },
  ],
  routes: [{ dst: '0.0.0.0/0', gw: '10.0.0.1' }, { dst: 'fd01::/16', gw: 'fd00::2' }, { dst: '10.9.0.0/16' }],
  dns: { nameservers: ['10.0.0.2'], domain: 'example' },
};

const { interfaces, routes, dns } = whole;

const numbered = {
  interfaces,
  ips: [
    { version: '4', address: '10.0.0.5/24', gateway: '10.0.0.1', interface: 1 },
    { version: '6', address: 'fd00::5/64', gateway: 'fd00::1', interface: 1 },
    { version: '4', address: '10.0.1.5/24' },
  ],
  routes,
  dns,
};

const old = {
  ip4: {
    ip: '10.0.0.5/24',
    gateway: '10.0.0.1',
    routes: [{ dst: '0.0.0.0/0', gw: '10.0.0.1' }, { dst: '10.9.0.0/16' }],
  },
  ip6: { ip: 'fd00::5/64', gateway: 'fd00::1', routes: [{ dst: 'fd01::/16', gw: 'fd00::2' }] },
  dns,
};

const golden: { readonly [version: string]: object } = {
  '0.1.0': { cniVersion: '0.1.0', ...old },
  '0.2.0': { cniVersion: '0.2.0', ...old },
  '0.3.0': { cniVersion: '0.3.0', ...numbered },
  '0.3.1': { cniVersion: '0.3.1', ...numbered },
  '0.4.0': { cniVersion: '0.4.0', ...numbered },
  '1.0.0': { cniVersion: '1.0.0', interfaces, ips: whole.ips, routes, dns },
  '1.1.0': { cniVersion: '1.1.0', interfaces: whole.interfaces, ips: whole.ips, routes, dns },
};

describe('a result', () => {
  it('has socket, MTU and PCI address from 1.1.0 on, and passes on an earlier plugin’s', () => {
    const known = { name: 'net1', mtu: 2000, socketPath: '/s', pciID: '0000:00:01.0' };
    const result = { interfaces: [known], ips: [], routes: [] };
    expect(parseResult(formatResult(result, '1.1.0'))?.interfaces).toEqual([known]);
    for (const version of ['0.3.0', '0.4.0', '1.0.0']) {
      expect(formatResult(result, version)).toEqual({ cniVersion: version, interfaces: [{ name: 'net1' }] });
    }
  });

  it('can be written in every advertised version, and in no other', () => {
    expect([...supportedVersions]).toEqual(Object.keys(golden));
  });

  it.each(supportedVersions)('of version %s has exactly that version’s shape (bug B39)', (version) => {
    expect(formatResult(whole, version)).toEqual(golden[version]);
  });

  it.each(['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'])('of version %s reads back unchanged', (version) => {
    expect(parseResult(formatResult(whole, version))).toEqual(whole);
  });

  it.each(['0.1.0', '0.2.0'])('of version %s keeps the first address of each family, and no interface', (version) => {
    expect(parseResult(formatResult(whole, version))).toEqual({
      interfaces: [],
      ips: whole.ips.slice(0, 2).map(({ interface: _, ...ip }) => ip),
      routes: [routes[0], routes[2], routes[1]],
      dns,
    });
  });

  it('leaves out empty members', () => {
    const nothing: Result = { interfaces: [], ips: [], routes: [] };
    expect(formatResult(nothing, '1.0.0')).toEqual({ cniVersion: '1.0.0' });
    expect(formatResult({ ...nothing, interfaces: [{ name: 'net1' }] }, '0.4.0')).toEqual({
      cniVersion: '0.4.0',
      interfaces: [{ name: 'net1' }],
    });
    expect(formatResult({ ...nothing, ips: [{ address: '10.0.0.5/24' }] }, '0.2.0')).toEqual({
      cniVersion: '0.2.0',
      ip4: { ip: '10.0.0.5/24' },
    });
  });

  it.each(['0.1.0', '0.2.0'])(
    'without an address cannot be expressed in version %s: code 1, with the remedy',
    (version) => {
      const error = refusal(() => formatResult({ interfaces: [{ name: 'net1' }], ips: [], routes: [] }, version));
      expect(error?.code).toBe(1);
      for (const word of [version, 'ipam', '0.3.0']) expect(error?.message).toContain(word);
    },
  );

  it('of old versions may have an IPv6 address only', () => {
    const v6: Result = { interfaces: [], ips: [{ address: 'fd00::5/64' }], routes: [{ dst: '0.0.0.0/0' }] };
    expect(formatResult(v6, '0.2.0')).toEqual({ cniVersion: '0.2.0', ip6: { ip: 'fd00::5/64' } });
  });
});

describe('reading a result', () => {
  it('keeps the gateway and the routes that the IPAM plugin gave (bug B39)', () => {
    const answer = {
      cniVersion: '0.4.0',
      ips: [{ version: '4', address: '10.0.0.5/24', gateway: '10.0.0.1' }],
      routes,
    };
    expect(parseResult(answer)).toEqual({
      interfaces: [],
      ips: [{ address: '10.0.0.5/24', gateway: '10.0.0.1' }],
      routes,
    });
  });

  it.each([null, undefined, 7, 'x', true, [], [{}]])('of %j gives nothing: it is not an object', (raw) => {
    expect(parseResult(raw)).toBeUndefined();
  });

  it.each([
    { ips: [{}] },
    { ips: '10.0.0.5/24' },
    { interfaces: [{ mac: '02:00:00:00:00:01' }, { name: 'eth0' }] },
    { interfaces: 'eth0' },
    { ips: [7] },
    { ips: [{ address: 7 }] },
    { ips: [{ address: '10.0.0.5/24' }, { address: null }] },
    { ip4: {} },
    { ip4: null },
    { ip4: { ip: 7 } },
    { ip6: 'fd00::5/64' },
    { ip4: { ip: '10.0.0.5/24' }, ip6: {} },
  ])('%j gives nothing: something would be lost, or an index point at another interface', (raw) => {
    expect(parseResult(raw)).toBeUndefined();
  });

  it('ignores unknown and empty members', () => {
    expect(parseResult({ cniVersion: '1.0.0', colour: 'red', dns: {}, ips: [] })).toEqual({
      interfaces: [],
      ips: [],
      routes: [],
    });
  });
});
