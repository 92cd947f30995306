/** `userspace check`: every fault of a file, from the file alone. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runWords } from '../support/cli-run.ts';
import { host, type Json, network } from '../support/cni-requests.ts';
import { cliScene } from '../support/fake/cli-scene.ts';
import { withSeed } from '../support/seed.ts';
import { temporaryDirectory } from '../support/temporary.ts';

interface Said {
  readonly file: string;
  readonly network?: string;
  readonly key?: string;
  readonly code?: number;
  readonly message: string;
}

interface Checked {
  readonly networks: readonly { readonly network: string }[];
  readonly faults: readonly Said[];
  readonly warnings: readonly Said[];
}

async function scene() {
  const s = await cliScene();
  const directory = temporaryDirectory();
  const file = (content: string | Uint8Array | Json, name = 'network.json'): string => {
    const path = join(directory, name);
    const isText = typeof content === 'string' || content instanceof Uint8Array;
    writeFileSync(path, isText ? content : JSON.stringify(content));
    return path;
  };
  const check = async (...files: string[]) => {
    const { exitCode, out, err } = await runWords(s, ['check', '--json', ...files]);
    expect(err).toBe('');
    return { exitCode, ...(JSON.parse(out) as Checked) };
  };
  return { s, directory, file, check };
}

const list = (...plugins: Json[]): Json => ({ cniVersion: '1.0.0', name: 'listed', plugins });

const definition = (config: unknown, name = 'blue'): Json => ({
  kind: 'NetworkAttachmentDefinition',
  metadata: { name, namespace: 'tenants' },
  spec: { config: typeof config === 'string' ? config : JSON.stringify(config) },
});

describe('userspace check', () => {
  it.each([
    ['a network', network(), 'net'],
    ['a list of plugins', list({ type: 'tuning' }, network()), 'listed'],
    ['a NetworkAttachmentDefinition', definition(network({ name: undefined })), 'blue'],
    ['the output of kubectl', { kind: 'List', items: [definition(network())] }, 'net'],
    ['a network whose keys are in another case', { ...network({ type: undefined }), Type: 'userspace' }, 'net'],
  ])('takes %s: nothing to say, exit code 0', async (_, content, name) => {
    const { file, check } = await scene();
    expect(await check(file(content))).toMatchObject({
      exitCode: 0,
      networks: [{ network: name }],
      faults: [],
      warnings: [],
    });
  });

  it('names every fault at once, with code, network and key', async () => {
    const { file, check } = await scene();
    const bad = { ...host({ engine: 'vpp', mtv: 1, bridge: { vlanId: 5000 } }), sharedDir: 'here', name: 'net' };
    const { exitCode, faults } = await check(file(network(bad)));
    expect(exitCode).toBe(1);
    expect(faults.map(({ network: one, code, key }) => [one, code, key])).toEqual([
      ['net', 7, 'sharedDir'],
      ['net', 7, 'host.bridge.vlanId'],
      ['net', 2, 'host.mtv'],
      ['net', 2, 'host.engine'],
    ]);
    expect(faults[2]?.message).toContain('did you mean "host.mtu"?');
  });

  it.each([
    ['vlanId', 'host.bridge.vlanId'],
    ['shareddirs', 'sharedDir'],
    ['annotations', undefined],
    ['constructor', undefined],
  ])('says of the unknown key %s at the top that it is ignored, and that %s is near', async (key, near) => {
    const { file, check } = await scene();
    const { exitCode, warnings } = await check(file(network({ [key]: 1 })));
    const hint = near ? ` (did you mean "${near}"?)` : '';
    expect({ exitCode, warnings }).toMatchObject({
      exitCode: 0,
      warnings: [{ network: 'net', key, message: `unknown key "${key}" is ignored${hint}` }],
    });
  });

  it('gives warnings beside faults', async () => {
    const { file, check } = await scene();
    const { exitCode, faults, warnings } = await check(file(network({ mtu: 1, ...host({ memif: { role: 'a' } }) })));
    expect(exitCode).toBe(1);
    expect([faults.map(({ key }) => key), warnings.map(({ key }) => key)]).toEqual([['mtu'], ['host.memif']]);
  });

  it('reads several files, and names the fault of each file that cannot be read', async () => {
    const { directory, file, check } = await scene();
    execFileSync('mkfifo', [join(directory, 'fifo')]);
    mkdirSync(join(directory, 'directory'));
    const cases: [path: string, fault: string][] = [
      [join(directory, 'nowhere'), 'ENOENT'],
      [join(directory, 'fifo'), 'no regular file'],
      [join(directory, 'directory'), 'no regular file'],
      [file('', 'empty'), 'is empty'],
      [file('{"type":"userspace","mtu":1e400}', 'large'), 'holds a number that is too large'],
      [file(' \n', 'blank'), 'is empty'],
      [file('\uFEFF{}', 'bom'), 'byte order mark'],
      [file(new Uint8Array([0x22, 0xff, 0x22]), 'latin'), 'is not UTF-8'],
      [file('{"type": "userspace"', 'half'), 'is no JSON'],
      [file('a: [b', 'half.yaml'), 'is no YAML'],
      [file(' '.repeat(4 * 1024 * 1024 + 1), 'huge'), '4194304 is the most'],
      [file(`${'['.repeat(50_000)}${']'.repeat(50_000)}`, 'deep'), 'deeper than'],
      [file('a: &a [*a]', 'circle.yaml'), 'deeper than'],
      [file(doubled, 'doubled.yaml'), 'more than'],
      [file('[]', 'list'), 'no network of type "userspace"'],
      [file('"userspace"', 'text'), 'no network of type "userspace"'],
      [file({ type: 'bridge' }, 'other'), 'no network of type "userspace"'],
      [file(list({ type: 'bridge' }), 'others'), 'no network of type "userspace"'],
      [file({ kind: 'NetworkAttachmentDefinition', metadata: { name: 'a' } }, 'definition'), 'no spec.config'],
      [file(definition('{"type": "userspace",'), 'definition-half'), 'spec.config is no JSON'],
      [file(list(network(), network()), 'two'), '2 plugins of type "userspace"'],
    ];
    const { exitCode, faults } = await check(...cases.map(([path]) => path));
    expect(exitCode).toBe(1);
    expect(faults.map((one) => one.file)).toEqual(cases.map(([path]) => path));
    for (const [index, [, fault]] of cases.entries()) expect(faults[index]?.message).toContain(fault);
  });

  it('does not quote an object, whatever key has it (I12)', async () => {
    const { file, check } = await scene();
    const odd = { token: 'hunter2' };
    const { faults } = await check(file(network({ name: odd, cniVersion: [odd], logFile: odd, host: [odd] })));
    expect(new Set(faults.map(({ key }) => key))).toEqual(
      new Set(['name', 'cniVersion', 'logFile', 'host', 'host.engine', 'host.iftype']),
    );
    expect(JSON.stringify(faults)).not.toContain('hunter2');
  });

  it('takes the elements of a list as networks, each with its faults', async () => {
    const { file, check } = await scene();
    const { faults } = await check(
      file(`---\n${JSON.stringify(network({ name: 'one', mtu: 1 }))}\n---\n{"type": "x"}\n`),
    );
    expect(faults).toMatchObject([{ network: 'one', key: 'mtu' }]);
  });

  it('warns of a key that stands twice, in a list, and in a definition too', async () => {
    const { file, check } = await scene();
    const twice =
      '{"name":"n","type":"userspace","cniVersion":"1.0.0","host":{"engine":"a","engine":"ovs-dpdk","iftype":"vhostuser"}}';
    const plain = await check(file(twice));
    expect(plain).toMatchObject({ exitCode: 0, warnings: [{ key: 'host.engine' }] });
    const listed = await check(file(`{"name":"n","cniVersion":"1.0.0","plugins":[{"type":"a","a":"{"}, ${twice}]}`));
    expect(listed).toMatchObject({ exitCode: 0, warnings: [{ key: 'plugins.1.host.engine' }] });
    expect(await check(file(definition(twice)))).toMatchObject({ exitCode: 0, warnings: [{ key: 'host.engine' }] });
  });

  it('asks nothing of the node, and writes nothing', async () => {
    const { s, directory, file } = await scene();
    const path = file(network({ dataDir: join(directory, 'data'), kubeconfig: '/nowhere', ovsdb: 'unix:/nowhere' }));
    const before = readdirSync(directory);
    const { exitCode, out } = await runWords(s, ['check', path]);
    expect(exitCode).toBe(0);
    expect(out).toContain('net: ok: an ADD takes it');
    expect(out).toContain('This node was not looked at');
    expect([s.asked, s.looks, readdirSync(directory)]).toEqual([[], 0, before]);
  });

  it('prints a line for each fault, in the order of the files, and no control characters', async () => {
    const { s, file } = await scene();
    const first = file(network({ mtu: 1, 'a\u001b[2J': 1 }), 'first.json');
    const second = file(network({ name: 'second', ovsdb: 'x' }), 'second.json');
    const { exitCode, out } = await runWords(s, ['check', second, first]);
    expect(exitCode).toBe(1);
    expect(out.split('\n').slice(0, 4)).toEqual([
      expect.stringContaining(`${second}: second: fault (code 7): "ovsdb" is "x"`),
      expect.stringContaining(`${first}: net: fault (code 7): "mtu" is 1`),
      expect.stringContaining(`${first}: net: warning: unknown key "a [2J"`),
      '',
    ]);
    expect(out).toContain('2 faults and 1 warning in 2 networks. userspace explain KEY');
  });

  it.each([[['check']], [['check', '']], [['check', 'a', '--ovsdb', 'x']]])('%j: wrong words', async (args) => {
    const { s } = await scene();
    expect(await runWords(s, args)).toMatchObject({ exitCode: 2, out: '' });
  });

  it('reads a file as status does: their faults are the same', async () => {
    const { s, file, check } = await scene();
    const path = file(network({ ...host({ engine: 'vpp', bridge: { vlanId: 5000 } }), mtu: 1 }));
    const { findings } = JSON.parse((await s.run('status', '--json', '--config', path)).out);
    const { faults } = await check(path);
    expect(findings[0].finding).toBe(faults.map(({ message }) => message).join('; '));
  });
});

/** Each level is twice the last one: a million values in a kilobyte, which the parser lets through. */
const doubled = Array.from({ length: 20 }, (_, level) => {
  const inner = level === 0 ? 'x' : `*a${level - 1}`;
  return `a${level}: &a${level} [${inner}, ${inner}]`;
}).join('\n');

describe(withSeed('a check'), () => {
  const secret = 'hunter2-hunter2';
  const shape = fc.constantFrom<(value: string) => unknown>(
    (value) => value,
    (value) => [value],
    (value) => ({ token: value }),
    (value) => ({ type: value, token: { value } }),
    (value) => `/etc/${value}\n`,
  );
  const places = ['kubeconfig', 'ipam', 'dns', 'args', 'runtimeConfig', 'prevResult', 'password'];

  it('never prints a value that may be a secret, whatever is wrong with it (I12)', async () => {
    const { file, s } = await scene();
    const change = fc.tuple(fc.constantFrom(...places), shape).map(([key, make]) => ({ [key]: make(secret) }));
    const broken = fc.tuple(change, fc.nat()).map(([one, cut]) => {
      const text = JSON.stringify(network(one));
      return cut % 3 === 0
        ? text.slice(0, -1 - (cut % 40))
        : cut % 3 === 1
          ? text.replace(`"${secret}"`, secret)
          : text;
    });
    await fc.assert(
      fc.asyncProperty(broken, async (text) => {
        for (const more of [[], ['--json']]) {
          const { exitCode, out, err } = await runWords(s, ['check', ...more, file(text)]);
          expect([0, 1]).toContain(exitCode);
          expect(out + err).not.toContain(secret);
        }
      }),
      { numRuns: 100 },
    );
  });
});
