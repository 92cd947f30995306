/** A dump shows no secret, wherever it was planted; and it shows what is not one. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Redactor } from '../../src/cli/sysdump/redact.ts';
import { withSeed } from '../support/seed.ts';

const letters = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'];

/** As a person or a program makes them. The mark in its middle is in no other text, so that a part of it would be seen too. */
const secret = fc
  .tuple(...[1, 2].map(() => fc.string({ unit: fc.constantFrom(...letters), minLength: 4, maxLength: 30 })))
  .map(([before, after]) => `${before}QzX7${after}`);

const secretName = fc
  .tuple(
    fc.constantFrom('', 'api', 'etcd-', 'X_', 'my.'),
    fc.constantFrom(
      'token',
      'Password',
      'secret',
      'apiKey',
      'client-key-data',
      'Authorization',
      'certificate-authority-data',
      'credentials',
    ),
  )
  .map((parts) => parts.join(''));

const innocentName = fc.constantFrom('vendor', 'a', 'mode2', 'annotations', 'x-extra');

/** A secret in data: below a name that says so, in any shape. */
const secretMember = fc
  .tuple(secretName, secret, fc.constantFrom('text', 'list', 'object'))
  .map(([name, value, shape]) => ({
    [name]: shape === 'text' ? value : shape === 'list' ? [value] : { inner: [value] },
  }));

const nested = (depth: number): fc.Arbitrary<unknown> =>
  depth === 0
    ? secretMember
    : fc.tuple(innocentName, nested(depth - 1)).map(([name, value]) => ({ [name]: value, n: 1 }));

const seen = (text: string): boolean => text.includes('QzX7');

describe(withSeed('a redactor'), () => {
  it('hides a value below the name of a secret, at any depth, in data and in JSON text within text', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 3 }).chain(nested), (data) => {
        const redactor = new Redactor();
        expect(seen(JSON.stringify(redactor.value(data)))).toBe(false);
        expect(seen(JSON.stringify(redactor.value({ message: JSON.stringify(data) })))).toBe(false);
        expect(seen(redactor.line(`{"seq":1,${JSON.stringify(data).slice(1)}`))).toBe(false);
        const stdin = JSON.stringify({ name: 'n', type: 'userspace', ipam: data });
        expect(seen(JSON.stringify(redactor.value({ plan: { request: { stdin } } })))).toBe(false);
        // A line that was cut off in its middle.
        const torn = JSON.stringify({ plan: { key: 7, request: { stdin } } });
        expect(seen(redactor.line(torn.slice(0, -4)))).toBe(false);
      }),
    );
  });

  it('hides any text below a key of a network configuration that is not known, and pairs of CNI_ARGS and maps', () => {
    fc.assert(
      fc.property(innocentName, secret, (name, value) => {
        const redactor = new Redactor();
        const network = {
          name: 'n',
          type: 'userspace',
          [name]: { deep: [{ name: value }], value },
          ipam: { type: 'p', [name]: value },
        };
        expect(seen(JSON.stringify(redactor.network(network)))).toBe(false);
        expect(seen(redactor.arguments(`IgnoreUnknown=1;${name}=${value};K8S_POD_NAME=pod`))).toBe(false);
        expect(seen(JSON.stringify(redactor.map({ [name]: value }, new Set(['owner']))))).toBe(false);
      }),
    );
  });

  it.each<[string, (name: string, value: string) => string]>([
    ['NAME=VALUE', (name, value) => `at=1 ${name}=${value} port=2`],
    ['NAME: VALUE', (name, value) => `${name}: ${value}`],
    ['"NAME": "VALUE"', (name, value) => `x "${name}" : "${value}" y`],
    ["'NAME': 'VALUE'", (name, value) => `{'a': 1, '${name}': '${value}'}`],
    ['quotes in the value', (name, value) => `{"${name}":"a\\"${value}\\\\\\"${value}","b":2}`],
    ['JSON in JSON', (name, value) => JSON.stringify(JSON.stringify({ [name]: `a"${value}` }))],
    ['JSON in JSON in JSON', (name, value) => JSON.stringify(JSON.stringify(JSON.stringify({ [name]: value })))],
    ['a list', (name, value) => `"${name}":["a","${value}"],"b":1`],
    ['an option', (name, value) => `exec prog --${name} ${value} --other`],
    ['a URL', (_, value) => `connect https://user:${value}@host:6443/path`],
    ['a URL without a password', (_, value) => `connect etcd+https://${value}@host`],
    ['a header', (_, value) => `> Authorization: Bearer ${value}`],
    ['a bearer alone', (_, value) => `got bearer ${value}, gone`],
    ['a query', (name, value) => `GET /x?a=1&${name}=${value}&b=2`],
    ['PEM', (_, value) => `a\n-----BEGIN EC PRIVATE KEY-----\n${value}\n${value}\n-----END EC PRIVATE KEY-----\nb`],
    ['PEM in one line', (_, value) => `a "-----BEGIN PRIVATE KEY-----\\n${value}\\n-----END PRIVATE KEY-----\\n"`],
    ['the beginning of PEM', (_, value) => `-----BEGIN CERTIFICATE-----\n${value}`],
    ['a JWT', (_, value) => `t eyJhbGciOiJSUzI1NiJ9.${value}abc.${value}_-x`],
    ['base64 of PEM', (_, value) => `d LS0tLS1CRUdJTi${value}==`],
    ['a block of YAML', (name, value) => `${name}: |\n  first\n  ${value}\nnext: 1`],
    ['an unquoted value in two lines', (name, value) => `${name}:\n  ${value}\n`],
  ])('hides a secret in text: %s', (_, planted) => {
    fc.assert(
      fc.property(secretName, secret, (name, value) => {
        expect(new Redactor().text(planted(name, value))).not.toContain('QzX7');
      }),
    );
  });

  it('hides in every other text what it hid once, also in base64', () => {
    fc.assert(
      fc.property(secret, fc.constantFrom('password', 'token'), (value, name) => {
        const redactor = new Redactor();
        redactor.value({ [name]: value });
        const forms = [value, btoa(value), btoa(value).replace(/=+$/, ''), encodeURIComponent(value)];
        const scrubbed = redactor.scrubber()(forms.map((form) => `the pool said ${form}!`).join('\n'));
        for (const form of forms) expect(scrubbed).not.toContain(form);
      }),
    );
  });

  it('leaves attachments, addresses, paths, versions, identifiers and journals without a secret as they are', () => {
    const redactor = new Redactor();
    const texts = [
      'net-a:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef:net1: attached, kept',
      '2026-01-31T12:00:00.000Z [info] userspace: ADD net-a:0123:net1 took 12 ms; port "0123456789ab-net1" on br-dpdk',
      '/var/lib/kubelet/pods/8b1f6a56-44f2-4b0b-9d6d-3c0f1f6f1d2e/volumes/kubernetes.io~empty-dir/shared-dir',
      'configData-0123456789ab-net1.json 10.56.0.2/16 fd00::2/64 02:00:00:00:00:01 unix:/var/run/openvswitch/db.sock',
      '"key": "net-a:c0ffee:net1", key=net-a:c0ffee:net1',
      'the bridge netdev has fail_mode: secure',
    ];
    for (const text of texts) expect(redactor.text(text)).toBe(text);
    const network = {
      cniVersion: '1.0.0',
      name: 'n',
      type: 'userspace',
      extra: ['10.0.0.1/24', '/etc/cni/x', true, 7],
      ipam: { type: 'host-local' },
    };
    expect(redactor.network(network)).toEqual(network);
    const key = { network: 'n', containerId: 'c', ifName: 'net1' };
    const line = JSON.stringify({
      seq: 1,
      plan: { key, request: { stdin: JSON.stringify(network), env: { CNI_ARGS: 'K8S_POD_NAME=app', CNI_PATH: '/a' } } },
    });
    expect(redactor.line(line)).toBe(line);
    expect(redactor.map({ owner: 'userspace-cni', other: '10.0.0.1' }, new Set(['owner']))).toEqual({
      owner: 'userspace-cni',
      other: '10.0.0.1',
    });
    expect(redactor.scrubber()(texts.join('\n'))).toBe(texts.join('\n'));
  });
});
