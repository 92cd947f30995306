/** No secret is in an archive of `userspace sysdump`: each place of a node has one, and each is searched for. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFileSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Entry } from '../../src/drive/entry.ts';
import { attached, owing } from '../support/fake/cli-scene.ts';
import { writeProgram } from '../support/programs.ts';
import { dumpScene, unpacked } from '../support/stand-in/dump-scene.ts';
import { keyOf } from '../support/stand-in/scene.ts';

/** Distinct secrets, each with its place: too short for their shape to give them away. */
class Planted {
  readonly #all = new Map<string, string>();

  secret(place: string): string {
    const secret = `Qz${randomBytes(5).toString('hex')}X7`;
    this.#all.set(place, secret);
    return secret;
  }

  get size(): number {
    return this.#all.size;
  }

  /** The places whose secret is in a text, as it is or in base64. */
  placesIn(text: string): string[] {
    const isIn = (secret: string) =>
      [secret, ...[0, 1, 2].map((before) => base64At(secret, before))].some((form) => text.includes(form));
    return [...this.#all].flatMap(([place, secret]) => (isIn(secret) ? [place] : []));
  }
}

/** The part of a longer base64 text that its bytes alone decide. @param before how many bytes precede it, modulo 3 */
const base64At = (secret: string, before: number): string =>
  btoa(`${'x'.repeat(before)}${secret}`).slice([0, 2, 3][before], -4);

const pem = (body: string): string => `-----BEGIN PRIVATE KEY-----\n${body}\n-----END PRIVATE KEY-----\n`;

const kubeconfigOf = (planted: Planted, tokenFile: string) => ({
  'current-context': 'a',
  contexts: [{ name: 'a', context: { cluster: 'c', user: 'u' } }],
  clusters: [
    {
      name: 'c',
      cluster: {
        server: `https://admin:${planted.secret('the password in a server’s URL')}@kube.example:6443/path`,
        'certificate-authority-data': btoa(planted.secret('an authority')),
      },
    },
  ],
  users: [
    {
      name: 'u',
      user: {
        token: planted.secret('a token'),
        tokenFile,
        password: planted.secret('a password'),
        'client-key-data': btoa(pem(planted.secret('a key'))),
        exec: { command: 'aws', env: [{ name: 'AWS', value: planted.secret('the environment of a program') }] },
      },
    },
  ],
});

/** The header's call, with secrets in it. */
const withCall = (entries: readonly Entry[], planted: Planted, place: string): Entry[] =>
  entries.map((entry) => {
    if (entry.kind !== 'begin') return entry;
    const stdin = JSON.stringify({
      name: 'net',
      type: 'userspace',
      ipam: {
        type: 'pool',
        url: `https://u:${planted.secret(`${place}: a URL`)}@pool`,
        etcd: { apiKey: planted.secret(`${place}: a key`) },
      },
      vendor: { deep: [{ name: planted.secret(`${place}: an unknown key`) }] },
    });
    const env = {
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAME=app;VENDOR=${planted.secret(`${place}: CNI_ARGS`)}`,
      CNI_VENDOR: planted.secret(`${place}: a variable`),
      CNI_PATH: '/opt/cni/bin',
    };
    return { ...entry, plan: { ...entry.plan, request: { stdin, env } } };
  });

it('no planted secret is in the archive or in what is said, as it is or in base64, and what is not secret is there', async () => {
  const planted = new Planted();
  const { s, dump, here, directory, network, ovsdb, log, programs } = await dumpScene();
  const password = planted.secret('a password that a program repeats');
  const tokenFile = join(directory, 'token');
  writeFileSync(tokenFile, `${planted.secret('the file of a token')}\n`);
  const kubeconfig = join(directory, 'kubeconfig');
  writeFileSync(kubeconfig, JSON.stringify(kubeconfigOf(planted, 'token')));
  const ours = network({
    name: 'with-secrets',
    kubeconfig,
    logFile: log,
    ipam: { type: 'pool', etcd: { password }, 'x-extra': planted.secret('an unknown key of ipam') },
    vendor: { annotations: { note: planted.secret('a nested unknown key') }, n: 5 },
    secretList: [planted.secret('a list')],
  });
  const other = { type: 'other-plugin', token: planted.secret('a plugin beside ours') };
  writeFileSync(
    join(s.networkDir, '30.conflist'),
    JSON.stringify({ cniVersion: '1.0.0', name: 'list', plugins: [ours, other] }),
  );
  writeFileSync(
    join(s.networkDir, '40.conf'),
    `{"type":"userspace", "a": ${planted.secret('a file that is not JSON')}}`,
  );
  writeFileSync(
    join(s.networkDir, '50.conf'),
    JSON.stringify({ type: 'another', password: planted.secret('another plugin') }),
  );

  await s.journal(keyOf('aaaa'), here(withCall(attached(keyOf('aaaa')), planted, 'a journal')));
  const said = `pool refused "${password}", Bearer ${planted.secret('a bearer in an error')}`;
  await s.journal(keyOf('bbbb'), here(withCall(owing(keyOf('bbbb'), said), planted, 'an owed journal')), true);
  const torn = await s.journal(keyOf('cccc'), here(withCall(attached(keyOf('cccc')), planted, 'a torn journal')));
  const bytes = readFileSync(torn, 'utf8');
  writeFileSync(torn, bytes.slice(0, bytes.indexOf('\n') - 30));
  writeFileSync(`${torn}.corrupt`, bytes.replace('"seq":1', '"seq:1'));

  const logged = [
    `pool says ${password} is wrong`,
    `--header "Authorization: Bearer ${planted.secret('a log’s header')}"`,
    `etcd at https://root:${planted.secret('a log’s URL')}@10.0.0.1:2379, api_token=${planted.secret('a log’s assignment')}`,
    pem(planted.secret('a log’s key')),
  ];
  writeFileSync(log, `2025-01-17T11:00:00.000Z [info] userspace: ${logged.join('\n')}\n`);
  appendFileSync(log, '2025-01-17T11:00:01.000Z [info] userspace: ADD took 12 ms\n');
  const unit = `client_secret: ${planted.secret('a line of a unit')}`;
  writeProgram(join(programs, 'journalctl'), `echo '${unit}'; echo 'recovered 3'`);

  const map = (entries: object) => ['map', Object.entries(entries)];
  const marks = {
    owner: 'userspace-cni',
    key: 'net:aaaa:net1',
    vendor: planted.secret('an external id'),
    token: planted.secret('a token in one'),
  };
  const device = {
    name: 'aaaa-net1',
    options: map({ psk: planted.secret('an option'), 'vhost-server-path': '/pods/a' }),
  };
  const root = {
    other_config: map({ 'dpdk-init': 'true', 'vendor-note': planted.secret('a setting') }),
    external_ids: map({ 'ovn-remote': planted.secret('an external id of the switch') }),
  };
  ovsdb.database.transact(
    [
      { op: 'insert', table: 'Interface', 'uuid-name': 'i', row: device },
      {
        op: 'insert',
        table: 'Port',
        'uuid-name': 'p',
        row: { name: 'aaaa-net1', interfaces: ['named-uuid', 'i'], external_ids: map(marks) },
      },
      { op: 'insert', table: 'Bridge', 'uuid-name': 'b', row: { name: 'br-x', ports: ['named-uuid', 'p'] } },
      { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['bridges', 'insert', ['named-uuid', 'b']]] },
      { op: 'update', table: 'Open_vSwitch', where: [], row: root },
    ],
    { ownsLock: () => true, waitedMs: 0 },
  );

  const { out, err, archive } = await dump();
  expect(planted.size).toBe(40);
  const files = unpacked(archive);
  const tar = execFileSync('gzip', ['-dc', archive], { encoding: 'latin1', maxBuffer: 100_000_000 });
  const found = [...files, ['the archive', tar], ['stdout', out], ['stderr', err]].map(([name, text]) => [
    name,
    planted.placesIn(text ?? ''),
  ]);
  expect(found.filter(([, places]) => places?.length !== 0)).toEqual([]);

  expect(files.get('kubeconfigs.txt')).toMatch(
    /server https:\/\/kube\.example:6443\n {2}signs in by token, tokenFile, exec, password, client-key-data\n/,
  );
  expect(files.get('networks/2-30.conflist.json')).toContain('"type": "pool"');
  expect(files.get('journals/net:aaaa:net1.journal')).toContain('K8S_POD_NAME=app;VENDOR=[redacted]');
  expect(files.get('journals/net:cccc:net1.journal')).toMatch(/^\{"seq":1,"at":"[^"]+","kind":"begin"/);
  expect(files.get('logs/1-plugin.log')).toContain('ADD took 12 ms');
  expect(files.get('logs/units.txt')).toContain('recovered 3');
  const rows = JSON.parse(files.get('rows.json') ?? '');
  expect(rows.Port).toMatchObject([
    { external_ids: { key: 'net:aaaa:net1', vendor: '[redacted]', token: '[redacted]' } },
  ]);
  expect(rows.Interface).toMatchObject([{ options: { psk: '[redacted]', 'vhost-server-path': '/pods/a' } }]);
  expect(rows.Open_vSwitch).toMatchObject([{ other_config: { 'dpdk-init': 'true', 'vendor-note': '[redacted]' } }]);
});

it('the values of keys that are unknown or wrong are in no message, however short, long or escaped they are', async () => {
  const { s, dump, network } = await dumpScene();
  const words = ['opensesame', 'correct horse "Battery" STAPLE9', `k9${'x'.repeat(200)}`, '918273645'];
  const [short, quoted, long, number] = words;
  const bad = network({ name: 'bad', host: { engine: 'ovs-dpdk', password: short }, note: quoted, logLevel: long });
  const ipam = { type: 'pool', pin: Number(number) };
  writeFileSync(join(s.networkDir, '60.conf'), JSON.stringify({ ...bad, ipam }));
  const { archive } = await dump();
  const all = [...unpacked(archive).values()].join('\n');
  expect(all).toContain('unsupported key');
  for (const one of ['opensesame', 'Battery', 'xxxxxxxx', '918273645']) expect(all).not.toContain(one);
});

it('the first of two members of one name, which a parser drops, is not copied', async () => {
  const { s, dump, here } = await dumpScene();
  const stdin = '{"name":"net","type":"userspace","vendor":"hunter2DUP9","vendor":""}';
  const entries = attached(keyOf('dddd')).map((entry) =>
    entry.kind === 'begin' ? { ...entry, plan: { ...entry.plan, request: { stdin, env: {} } } } : entry,
  );
  await s.journal(keyOf('dddd'), here(entries));
  const { archive } = await dump();
  expect([...unpacked(archive).values()].join('\n')).not.toContain('DUP9');
});

it('a log that a network names may be any file: only our own lines of it are copied, and a symlink is not followed', async () => {
  const { s, dump, network, directory, log } = await dumpScene();
  const shadow = join(directory, 'shadow');
  writeFileSync(shadow, 'root:$6$aaaaaaaa$bbbbbbbbbbbbbbbb:1::::::\nplain words of another program\n');
  const link = join(directory, 'link.log');
  symlinkSync(shadow, link);
  writeFileSync(join(s.networkDir, '70.conf'), JSON.stringify(network({ name: 'evil', logFile: shadow })));
  writeFileSync(join(s.networkDir, '80.conf'), JSON.stringify(network({ name: 'worse', logFile: link })));
  writeFileSync(log, '2025-01-17T11:00:01.000Z [info] userspace: ADD took 12 ms\n');
  const { archive, exitCode } = await dump();
  const files = unpacked(archive);
  const all = [...files.values()].join('\n');
  expect(all).not.toContain('plain words');
  expect(all).not.toContain('$6$');
  expect(files.get('logs/2-shadow')).toBe('[2 lines that this plugin did not write: --log FILE takes them too]\n');
  expect(files.get('README.txt')).toContain(`"${link}" is not a regular file`);
  expect(exitCode).toBe(3);
});

it('a journal that is a symlink, or has lines that are no records, is not copied', async () => {
  const { s, dump, here, directory } = await dumpScene();
  const netrc = join(directory, 'netrc');
  writeFileSync(netrc, 'machine a login b password hunter2NETRC9\n');
  const path = await s.journal(keyOf('eeee'), here(attached(keyOf('eeee'))));
  symlinkSync(netrc, join(path, '..', 'net:ffff:net1.journal'));
  appendFileSync(path, '\0\0vendor\\":\\"hunter2TAIL9\\"}\n');
  const { archive } = await dump();
  const all = [...unpacked(archive).values()].join('\n');
  for (const one of ['NETRC9', 'TAIL9']) expect(all).not.toContain(one);
});

it('thousands of secrets cost no archive', async () => {
  const { s, dump, network } = await dumpScene();
  const many = Object.fromEntries(
    Array.from({ length: 3_000 }, (_, index) => [`vendor${index}`, `s3cret-${index}-${'y'.repeat(300)}`]),
  );
  writeFileSync(join(s.networkDir, '90.conf'), JSON.stringify(network({ name: 'many', ...many })));
  const { archive } = await dump();
  expect([...unpacked(archive).values()].join('\n')).not.toContain('s3cret-7-');
});
