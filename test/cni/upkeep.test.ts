import { describe, expect, it } from 'vitest';
import { parseGc, parseStatus, withValid } from '../../src/cni/upkeep.ts';
import { environment, network, refusal, textOf } from '../support/cni-requests.ts';

const newest = (more: object = {}) => textOf(network({ cniVersion: '1.1.0', ...more }));
const listed = (value: unknown, key = 'cni.dev/valid-attachments') => newest({ [key]: value });

describe('GC', () => {
  it('knows the runtime’s attachments, by container and interface', () => {
    const request = parseGc(
      environment(),
      listed([
        { containerID: 'a', ifname: 'net1' },
        { containerID: 'b', ifname: 'net1' },
      ]),
    );
    expect(request.network).toBe('net');
    expect([request.isValid('a', 'net1'), request.isValid('a', 'net2'), request.isValid('c', 'net1')]).toEqual([
      true,
      false,
      false,
    ]);
  });

  it('reads the list under the specification’s first name too, but prefers the other name', () => {
    const one = [{ containerID: 'a', ifname: 'net1' }];
    expect(parseGc(environment(), listed(one, 'cni.dev/attachments')).isValid('a', 'net1')).toBe(true);
    const both = newest({ 'cni.dev/valid-attachments': [], 'cni.dev/attachments': one });
    expect(parseGc(environment(), both).isValid('a', 'net1')).toBe(false);
  });

  it.each([[[]], [null]])('with the list %j knows that no attachment is valid', (list) => {
    expect(parseGc(environment(), listed(list)).isValid('a', 'net1')).toBe(false);
  });

  it('without a list is refused with code 7: nothing may be removed then', () => {
    expect(refusal(() => parseGc(environment(), newest()))).toMatchObject({
      code: 7,
      message: expect.stringContaining('valid-attachments'),
    });
  });

  it.each([[{}], ['x'], [[1]], [[{ containerID: 'a' }]], [[{ containerId: 'a', ifname: 'net1' }]], [[null]]])(
    'with the list %j is refused with code 7',
    (list) => {
      expect(refusal(() => parseGc(environment(), listed(list)))).toMatchObject({ code: 7 });
    },
  );
});

describe('the GC that an IPAM plugin is given', () => {
  const more = [
    { network: 'net', containerId: 'a', ifName: 'net1' },
    { network: 'net', containerId: 'b', ifName: 'net1' },
  ];
  const one = { containerID: 'a', ifname: 'net1', extra: 1 };
  const two = { containerID: 'b', ifname: 'net1' };

  it.each([
    ['a list', [one], [one, two]],
    ['an empty list', [], [{ containerID: 'a', ifname: 'net1' }, two]],
    ['null', null, [{ containerID: 'a', ifname: 'net1' }, two]],
  ])('is %s and what there is beside it, under every name that it came with', (_, list, told) => {
    for (const names of [['cni.dev/valid-attachments'], ['cni.dev/attachments'], Object.keys(bothOf([]))]) {
      const stdin = newest(Object.fromEntries(names.map((name) => [name, list])));
      const raw = JSON.parse(withValid(stdin, more));
      for (const name of names) expect(raw[name]).toEqual(told);
      const others = (text: object) => Object.entries(text).filter(([name]) => !names.includes(name));
      expect(others(raw)).toEqual(others(JSON.parse(stdin)));
    }
  });
});

const bothOf = (list: unknown) => ({ 'cni.dev/valid-attachments': list, 'cni.dev/attachments': list });

describe.each([
  ['GC', parseGc],
  ['STATUS', parseStatus],
] as const)('%s', (verb, parse) => {
  it.each([undefined, '', '0.4.0', '1.0.0', '1.2.0'])('of cniVersion %j is refused with code 1', (cniVersion) => {
    const config = textOf(network({ cniVersion, 'cni.dev/valid-attachments': [] }));
    expect(refusal(() => parse(environment(), config))).toMatchObject({
      code: 1,
      message: expect.stringContaining(verb),
    });
  });

  it('needs CNI_PATH, and no sandbox', () => {
    const none = { CNI_CONTAINERID: undefined, CNI_NETNS: undefined, CNI_IFNAME: undefined };
    expect(refusal(() => parse(environment(none), listed([])))).toBeUndefined();
    expect(refusal(() => parse(environment({ ...none, CNI_PATH: '' }), listed([])))).toMatchObject({ code: 4 });
  });

  it('of a configuration that an ADD would refuse is served as far as possible', () => {
    const { config } = parse(
      environment(),
      newest({ host: { engine: 'toaster' }, dataDir: 7, 'cni.dev/valid-attachments': [] }),
    );
    expect(config.dataDir).toBe('/var/lib/cni/userspace');
  });
});
