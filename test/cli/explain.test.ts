/** `userspace explain`: every key of the configuration, from the schema. */
import { describe, expect, it } from 'vitest';
import { knownArgs } from '../../src/cni/args.ts';
import { networkSchema } from '../../src/cni/config/network-schema.ts';
import { schemaKeys } from '../../src/cni/config/paths.ts';
import { defaultDeadlines } from '../../src/deadlines.ts';
import { runWords } from '../support/cli-run.ts';
import { cliScene } from '../support/fake/cli-scene.ts';

const explain = async (...args: string[]) => runWords(await cliScene(), ['explain', ...args], 80);

describe('userspace explain', () => {
  it('has a line of at most 80 columns for each key, below its object', async () => {
    const { exitCode, out, err } = await explain();
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' });
    const lines = out.split('\n');
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
    const count = 1 + schemaKeys.length + 1 + knownArgs.size;
    expect(lines.indexOf('')).toBe(count);
    expect(lines.findIndex((line) => /^ {4}mode +string +the switch's side/.test(line))).toBeGreaterThan(
      lines.findIndex((line) => /^ {2}vhost +object/.test(line)),
    );
  });

  it.each(schemaKeys.map(({ path }) => path))(
    '%s: a page that fits 80 columns, in any case of letters',
    async (path) => {
      const { exitCode, out } = await explain(path);
      expect(exitCode).toBe(0);
      expect(out.startsWith(`${path}  `)).toBe(true);
      expect(out).toMatch(/^ {2}key of {3}\S/m);
      for (const line of out.split('\n')) {
        // An example stands on one line, to be copied.
        if (!/^ {2}example|^ {11}\S+$/.test(line)) expect(line.length, line).toBeLessThanOrEqual(80);
      }
      expect((await explain(path.toUpperCase())).out).toBe(out);
    },
  );

  it('says type, values, default, origin, first version, an example and the codes of a key', async () => {
    const { out } = await explain('host.vhost.mode');
    for (const line of [
      'host.vhost.mode  string',
      '  values   client, server',
      '  not set  "", like no key at all',
      '  default  server',
      '  errors   7 (invalid config)',
      '  key of   predecessor: intel/userspace-cni-network-plugin',
      '  since    0.1.0',
      '  example  {"host":{"vhost":{"mode":"client"}}}',
    ])
      expect(out.split('\n')).toContain(line);
  });

  it('says the limits of a number, and which keys do nothing', async () => {
    expect((await explain('host.bridge.vlanId')).out).toContain('  limits   1 to 4094\n');
    expect((await explain('host.bridge.trunks')).out).toContain('  limits   each an integer, 0 to 4095\n');
    expect((await explain('sharedDir')).out).toContain('  limits   an absolute path, without "..", printable\n');
    expect((await explain('host.memif')).out).toContain('  effect   none with engine "ovs-dpdk"');
    expect((await explain('container.memif')).out).not.toContain('  effect ');
  });

  it('shows the keys of an object', async () => {
    const { out } = await explain('deadlines');
    for (const key of Object.keys(defaultDeadlines)) expect(out).toMatch(new RegExp(`^${key} +integer `, 'm'));
  });

  it.each([
    ['host.vhost.mod', 'host.vhost.mode'],
    ['vlanid', 'host.bridge.vlanId'],
    ['vlanmod', 'host.bridge.vlanMode'],
    ['HOST.MTV', 'host.mtu'],
    ['k8s_pod_nam', 'CNI_ARGS.K8S_POD_NAME'],
    ['nothing.like.it', undefined],
    ['__proto__', undefined],
    ['constructor', undefined],
    ['host.toString', undefined],
  ])('%s is no key, and %s is near: exit code 2', async (word, near) => {
    const { exitCode, out, err } = await explain(word);
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' });
    expect(err.startsWith(`userspace: there is no key "${word}"`)).toBe(true);
    expect(/did you mean (\S+)\?/.exec(err)?.[1]).toBe(near);
  });

  it('a very long word is no key, and is not repeated whole', async () => {
    const { exitCode, err } = await explain('x'.repeat(100_000));
    expect(exitCode).toBe(2);
    expect(err.length).toBeLessThan(250);
  });

  it('--json: all keys, or one with the keys below it', async () => {
    const all = JSON.parse((await explain('--json')).out) as { keys: { key: string }[] };
    expect(all.keys.map(({ key }) => key)).toEqual(expect.arrayContaining(schemaKeys.map(({ path }) => path)));
    expect(JSON.parse((await explain('host.mtu', '--json')).out)).toEqual({
      key: 'host.mtu',
      type: 'integer',
      limits: '68 to 65535',
      unset: 0,
      absent: "the switch's own",
      meaning: expect.stringContaining('mtu_request'),
      hasEffect: true,
      whose: 'fork',
      project: expect.stringContaining('fivetime/userspace-cni'),
      since: '0.1.0',
      example: 9000,
      codes: [7],
      schema: { anyOf: [{ type: 'integer', minimum: 68, maximum: 65535 }, { const: 0 }] },
      keys: [],
    });
    expect(JSON.parse((await explain('runtimeConfig', '--json')).out)).toMatchObject({
      keys: ['runtimeConfig.mac', 'runtimeConfig.CNIDeviceInfoFile'],
    });
  });

  it('--schema: the JSON Schema of this version, and no KEY', async () => {
    expect(JSON.parse((await explain('--schema')).out)).toEqual(networkSchema('1.2.3'));
    expect(await explain('--schema', 'mtu')).toMatchObject({ exitCode: 2, out: '' });
  });
});
