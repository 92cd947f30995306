/** install and uninstall, killed at every system call that changes a file, starved of room and of the right to write. */
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { describe, expect, test } from 'vitest';
import { type OwnPlaces, ownPlaces } from '../support/real/own-places.ts';
import { executable, missing } from '../support/requirements.ts';
import { skippedTitle } from '../support/skip-reporter.ts';

const lacking = process.env.CI ? [] : missing(['executable', 'root', 'strace']);
const title = 'install and uninstall';

const kubeconfig = `apiVersion: v1
kind: Config
current-context: here
contexts: [{ name: here, context: { cluster: one, user: plugin } }]
clusters: [{ name: one, cluster: { server: "https://127.0.0.1:6443" } }]
users: [{ name: plugin, user: { token: secret } }]
`;

const paths = [
  '/opt/cni/bin/userspace',
  '/etc/systemd/system/userspace-agent.service',
  '/etc/cni/net.d/50-userspace.conflist',
  '/etc/cni/net.d/userspace.d/kubeconfig',
] as const;

/** The calls that make, rename or remove a name, or make a change durable. */
const changing = ['rename', 'unlink', 'rmdir', 'mkdir', 'fsync'];

const installWords = ['install', '--units', '--conflist', '--kubeconfig', '/etc/given'];

function node(): OwnPlaces {
  const places = ownPlaces();
  writeFileSync(places.outside('/etc/given'), kubeconfig);
  return places;
}

async function run(places: OwnPlaces, words: readonly string[], before: readonly string[] = []) {
  const [program = '', ...more] = [...places.under, ...before, executable, ...words];
  return await execa(program, more, { reject: false, extendEnv: false, env: { PATH: process.env.PATH } });
}

/** Each file as it is: its size, which tells the executable of an earlier release from this one, or its text. */
const seen = (places: OwnPlaces): (string | number | undefined)[] =>
  paths.map((path) => {
    const file = places.outside(path);
    if (!existsSync(file)) return undefined;
    return path === paths[0] ? statSync(file).size : readFileSync(file, 'utf8');
  });

/** Every file of ours, leftovers included. */
const left = (places: OwnPlaces): string[] =>
  ['/opt', '/etc/cni', '/etc/systemd'].flatMap((path) =>
    existsSync(places.outside(path))
      ? readdirSync(places.outside(path), { recursive: true })
          .map((name) => join(path, String(name)))
          .filter((name) => !lstatSync(places.outside(name)).isDirectory())
      : [],
  );

/** How often a run makes each of these calls. */
async function countsOf(places: OwnPlaces, words: readonly string[]): Promise<Map<string, number>> {
  const trace = places.outside('/etc/trace');
  const ran = await run(places, words, [
    'strace',
    '-f',
    '-qq',
    '-e',
    `trace=${changing.join(',')}`,
    '-e',
    'signal=none',
    '-o',
    '/etc/trace',
  ]);
  expect(ran.exitCode, ran.stderr).toBe(0);
  const counts = new Map<string, number>();
  for (const [, name = ''] of readFileSync(trace, 'utf8').matchAll(/^\d+ +([a-z]+)\(/gm))
    counts.set(name, (counts.get(name) ?? 0) + 1);
  rmSync(trace);
  return counts;
}

const killedAt = (call: string, n: number): string[] => [
  'strace',
  '-f',
  '-qq',
  '-o',
  '/dev/null',
  '-e',
  `trace=${call}`,
  '-e',
  `inject=${call}:signal=SIGKILL:when=${n}`,
];

/** Prepares a node, kills a run at each of its changes, looks, and completes it. @returns how many kills there were */
async function sweep(
  words: readonly string[],
  prepare: () => Promise<OwnPlaces>,
  look: (places: OwnPlaces, where: string) => Promise<void>,
  step = 1,
) {
  let kills = 0;
  for (const [call, count] of await countsOf(await prepare(), words)) {
    for (let n = 1; n <= count; n += step) {
      const places = await prepare();
      const ran = await run(places, words, killedAt(call, n));
      if (ran.signal === 'SIGKILL' || ran.exitCode === 137) kills++;
      await look(places, `${call} ${n}`);
      rmSync(dirname(places.outside('/etc')), { recursive: true, force: true });
    }
  }
  return kills;
}

describe.skipIf(lacking.length > 0)(lacking.length > 0 ? skippedTitle(title, lacking.join('; ')) : title, () => {
  test('an install that is killed at any change leaves each file whole or absent, and the next one completes it (need N28)', async () => {
    const whole = node();
    await run(whole, installWords);
    const expected = seen(whole);
    expect(expected).not.toContain(undefined);
    const complete = left(whole);
    const kills = await sweep(
      installWords,
      async () => node(),
      async (places, where) => {
        for (const [index, one] of seen(places).entries()) expect([undefined, expected[index]], where).toContain(one);
        expect(await run(places, installWords), where).toMatchObject({ exitCode: 0 });
        expect(seen(places), where).toEqual(expected);
        expect(left(places), where).toEqual(complete);
      },
    );
    expect(kills).toBeGreaterThan(15);
  });

  test('manual pages of an install that is killed are taken away, with the directories that were made for them', async () => {
    const directories = (places: OwnPlaces) =>
      ['/etc', '/usr/local/share'].flatMap((path) =>
        readdirSync(places.outside(path), { recursive: true }).filter(
          (name) => !/^trace$|userspace\.d/.test(String(name)),
        ),
      );
    const before = directories(node()).sort();
    const prepare = async () => {
      const places = node();
      mkdirSync(places.outside('/etc/cni/net.d'), { recursive: true });
      return places;
    };
    // Each file is made by the same five calls.
    const kills = await sweep(
      ['install', '--manual'],
      prepare,
      async (places, where) => {
        expect(await run(places, ['uninstall']), where).toMatchObject({ exitCode: 0 });
        expect(directories(places).sort(), where).toEqual([...before, 'cni', 'cni/net.d'].sort());
      },
      4,
    );
    expect(kills).toBeGreaterThan(10);
  });

  test("an upgrade that is killed at any change leaves each file old or new, and none is taken for a person's (need N28)", async () => {
    const old = [statSync('/bin/true').size, ...Array(3).fill('of an earlier release')];
    const fresh = node();
    await run(fresh, installWords);
    const expected = seen(fresh);
    const earlier = async () => {
      const places = node();
      await run(places, installWords);
      copyFileSync('/bin/true', places.outside(paths[0]));
      const record = places.outside('/etc/cni/net.d/userspace.d/installed.json');
      const sum = (await execa('sha256sum', { input: String(old[1]) })).stdout.split(' ')[0] ?? '';
      for (const [index, path] of paths.entries())
        if (index > 0) writeFileSync(places.outside(path), String(old[index]));
      writeFileSync(record, readFileSync(record, 'utf8').replace(/[0-9a-f]{64}/g, sum));
      return places;
    };
    const kills = await sweep(installWords, earlier, async (places, where) => {
      for (const [index, one] of seen(places).entries()) expect([old[index], expected[index]], where).toContain(one);
      expect(await run(places, installWords), where).toMatchObject({ exitCode: 0 });
      expect(seen(places), where).toEqual(expected);
      expect(await run(places, ['uninstall']), where).toMatchObject({ exitCode: 0 });
      expect(left(places), where).toEqual([]);
    });
    expect(kills).toBeGreaterThan(10);
  });

  test('an uninstall that is killed at any change leaves each file whole or gone, and the next one completes it (need N27)', async () => {
    const whole = node();
    await run(whole, installWords);
    const expected = seen(whole);
    const kills = await sweep(
      ['uninstall'],
      async () => {
        const places = node();
        await run(places, installWords);
        mkdirSync(places.outside('/var/lib/cni/userspace'), { recursive: true });
        writeFileSync(places.outside('/var/lib/cni/userspace/instance'), '0123456789abcdef\n', { mode: 0o700 });
        return places;
      },
      async (places, where) => {
        for (const [index, one] of seen(places).entries()) expect([undefined, expected[index]], where).toContain(one);
        expect(await run(places, ['uninstall']), where).toMatchObject({ exitCode: 0 });
        expect(left(places), where).toEqual([]);
        expect(existsSync(places.outside('/var/lib/cni/userspace')), where).toBe(false);
      },
    );
    expect(kills).toBeGreaterThan(8);
  });

  test('on directories that cannot be written, both name one and touch nothing (need N28)', async () => {
    for (const [directory, word] of [
      ['/etc/systemd/system', 'userspace-agent.service'],
      ['/etc/cni', 'userspace.d'],
      ['/opt/cni/bin', 'userspace'],
    ] as const) {
      const places = node();
      mkdirSync(places.outside('/etc/cni/net.d'), { recursive: true });
      const readOnly = ['sh', '-c', `mount --bind -o ro ${directory} ${directory} && exec "$@"`, 'sh'];
      const first = await run(places, installWords, readOnly);
      expect(first).toMatchObject({ exitCode: 1, stdout: '' });
      expect(first.stderr).toContain(word);
      expect(left(places)).toEqual([]);
      await run(places, installWords);
      const before = left(places);
      const second = await run(places, ['uninstall'], readOnly);
      expect(second).toMatchObject({ exitCode: 1, stdout: '' });
      expect(second.stderr).toMatch(new RegExp(`"${directory}.*EROFS`));
      expect(left(places)).toEqual(before);
    }
  });

  test('a full disk is named, leaves whole files alone, and the next install completes it (need N28)', async () => {
    const places = node();
    mkdirSync(places.outside('/etc/cni'), { recursive: true });
    const full = ['sh', '-c', 'mount -t tmpfs -o size=4k none /etc/systemd/system && exec "$@"', 'sh'];
    const filled = ['sh', '-c', 'echo full > /etc/systemd/system/filler; exec "$@"', 'sh'];
    const ran = await run(places, installWords, [...full, ...filled]);
    expect(ran.exitCode).toBe(1);
    expect(ran.stderr).toMatch(/userspace-agent\.service" cannot be written \(ENOSPC.*run install once more/);
    expect(await run(places, installWords)).toMatchObject({ exitCode: 0 });
    expect(seen(places)).not.toContain(undefined);
  });
});
