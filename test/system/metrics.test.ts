/** `userspace agent --metrics` on a real switch: its figures are what happened, and nothing that asks for them delays a call. */
import { closeSync, copyFileSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { flock } from '../../src/os/native.ts';
import { Agent } from '../support/real/agent.ts';
import { cni, run } from '../support/real/cni.ts';
import { killedAt } from '../support/real/kill-at-syscall.ts';
import { Metered } from '../support/real/metered.ts';
import type { Changes, TestNode } from '../support/real/node.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft } from '../support/real/world.ts';
import { executable } from '../support/requirements.ts';

const ok = { exitCode: 0 };
const impatient: Changes = { deadlines: { delMs: 1_500, reconnectMs: 200, switchMs: 500, ipamMs: 500 } };

/** Connections that say this, and stay. @returns a function that ends them */
async function connections(port: number, count: number, text: string): Promise<() => void> {
  const sockets = await Promise.all(
    Array.from({ length: count }, async () => {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => undefined);
      await new Promise((resolve) => socket.once('connect', resolve));
      if (text !== '') socket.write(text);
      return socket;
    }),
  );
  return () => {
    for (const socket of sockets) socket.destroy();
  };
}

const recoverHere = (node: TestNode, { agent }: Metered) =>
  run(['recover', '--data-dir', node.dataDir, '--ovsdb', node.theSwitch.ovsdb], {
    USERSPACE_CNI_AGENT: agent.directory,
  });

onRealSwitch(
  'the figures of an agent',
  (theSwitch) => {
    const node = useNode(theSwitch);
    /** Another file: its calls find no agent of theirs, so they are made alone. */
    let anotherRelease: string;
    beforeAll(() => {
      anotherRelease = join(mkdtempSync(join(tmpdir(), 'usw-x-')), 'userspace');
      copyFileSync(executable, anotherRelease);
    });
    afterAll(() => rmSync(join(anotherRelease, '..'), { recursive: true, force: true }));

    test('are those of the calls, whether an agent makes them or their own process, and of the journals', async () => {
      const metered = await Metered.start(node());
      const ways = [metered.through, { ...metered.through, program: anotherRelease }];
      for (const [index, way] of ways.entries()) {
        const done = index + 1;
        const [pod, failing] = [await node().pod(), await node().pod()];
        expect(await pod.add('net1', {}, way)).toMatchObject(ok);
        await metered.expectValues({ 'attachments{network="net-a",state="attached"}': 1 });
        node().program('refuses', 'echo \'{"code": 123, "msg": "no"}\'; exit 1');
        expect(await failing.add('net1', { ipam: { type: 'refuses' } }, way)).toMatchObject({ exitCode: 1 });
        expect(await failing.add('net1', { mtu: 'wide' }, way)).toMatchObject({ exitCode: 1, json: { code: 7 } });
        expect(await pod.del('net1', {}, way)).toMatchObject(ok);
        const status = { config: node().config({ cniVersion: '1.1.0', ipam: undefined }), path: node().path };
        expect((await cni('STATUS', status, way)).stdout).toBe('');
        expect(await cni('VERSION', pod.call(), way)).toMatchObject(ok);
        await metered.expectValues({
          'calls_total{verb="ADD",code="0"}': done,
          'calls_total{verb="ADD",code="7"}': done,
          'calls_total{verb="DEL",code="0"}': done,
          'calls_total{verb="STATUS",code="0"}': done,
          'failed_steps_total{verb="ADD",step="address"}': done,
          'failed_steps_total{verb="ADD",step="none"}': done,
          'call_seconds_count{verb="ADD"}': 3 * done,
          'call_seconds_count{verb="DEL"}': done,
          'step_seconds_count{step="port",direction="ensure"}': done,
          'step_seconds_count{step="port",direction="remove"}': done,
          figures_refused_total: 0,
          owed: 0,
        });
      }
      expectNothingLeft(await node().world());
    });

    test('tell what is owed, and whether the switch is there', async () => {
      const metered = await Metered.start(node());
      const pod = await node().pod();
      const { ovsdb } = theSwitch();
      expect(await pod.add('net1', {}, metered.through)).toMatchObject(ok);
      await metered.expectValues({ [`switch_up{ovsdb="${ovsdb}"}`]: 1, [`switch_dpdk{ovsdb="${ovsdb}"}`]: 1 });
      expect(await metered.get('/healthz')).toEqual({ status: 200, text: 'ok\n' });
      await theSwitch().stopDatabase();
      try {
        expect(await pod.del('net1', impatient, metered.through)).toMatchObject(ok);
        await metered.expectValues({
          owed: 1,
          'attachments{network="net-a",state="owed"}': 1,
          'failed_steps_total{verb="DEL",step="port"}': 1,
          'calls_total{verb="DEL",code="0"}': 1,
          [`switch_up{ovsdb="${ovsdb}"}`]: 0,
        });
        expect(await metered.value('owed_oldest_seconds')).toBeGreaterThan(0);
        const { status, text } = await metered.get('/healthz');
        expect(status).toBe(503);
        const said = await run(['status', '--json', '--data-dir', node().dataDir, '--ovsdb', ovsdb]);
        const sick = said.json.findings.filter(({ health }: { health: string }) => health === 'sick');
        expect(text.trimEnd().split('\n')).toEqual(
          sick.map(
            ({ check, subject, finding, remedy }: Record<string, string>) =>
              `${check}: ${subject}: ${finding} -> ${remedy}`,
          ),
        );
      } finally {
        await theSwitch().startDatabase();
      }
      expect(await recoverHere(node(), metered)).toMatchObject(ok);
      await metered.expectValues({ owed: 0, owed_oldest_seconds: 0, recovery_removed_total: 1 });
      expectNothingLeft(await node().world());
    });

    test('tell what recoveries did', async () => {
      const metered = await Metered.start(node());
      const [pod, killed] = [await node().pod(), await node().pod()];
      expect(await pod.add('net1', {}, metered.through)).toMatchObject(ok);
      expect(await killedAt('ADD', killed.call(), { call: 'fsync', n: 4 })).toBe(true);
      await theSwitch().vsctl('del-port', pod.portName());
      expect(
        await run(
          ['recover', '--dry-run', '--data-dir', node().dataDir, '--ovsdb', theSwitch().ovsdb],
          metered.through.env,
        ),
      ).toMatchObject({ exitCode: 3 });
      expect(await recoverHere(node(), metered)).toMatchObject(ok);
      const once = { 'recoveries_total{result="done"}': 1, recovery_put_back_total: 1, interrupted_journals_total: 1 };
      await metered.expectValues({ ...once, recovery_removed_total: 1, recovery_unreachable_total: 0 });
      expect(await metered.value('last_recovery_timestamp_seconds')).toBeGreaterThan(0);
      expect(await pod.del()).toMatchObject(ok);
      expectNothingLeft(await node().world());
    });

    test('tell of the first recovery too, however short it is', async () => {
      const directory = mkdtempSync(join(tmpdir(), 'usw-a-'));
      onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
      // The meter has to wait for another one, for longer than a recovery takes that finds nothing.
      const lock = openSync(join(directory, 'figures.lock'), 'a', 0o600);
      expect(flock(lock)).toBe(true);
      const starting = Metered.start(node(), { directory, words: ['--recover'] });
      await delay(1_000);
      closeSync(lock);
      await (await starting).expectValues({ 'recoveries_total{result="done"}': 1 });
    });

    test('outlive the agent, however it ends, and the meter but for the last seconds', async () => {
      const call = (metered: Metered) => run([], { CNI_COMMAND: 'ADD', USERSPACE_CNI_AGENT: metered.agent.directory });
      const series = 'calls_total{verb="ADD",code="4"}';
      const directory = mkdtempSync(join(tmpdir(), 'usw-a-'));
      onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
      const first = await Metered.start(node(), { directory });
      await call(first);
      await first.expectValues({ [series]: 1 });
      await first.agent.stop();
      const second = await Metered.start(node(), { directory, port: first.port });
      await second.expectValues({ [series]: 1 });
      await call(second);
      await second.expectValues({ [series]: 2 });
      second.agent.signal('SIGKILL');
      await second.agent.ended;
      const third = await Metered.start(node(), { directory, port: first.port });
      await third.expectValues({ [series]: 2 });
      await call(third);
      await third.expectValues({ [series]: 3 });
      const { meter } = third;
      process.kill(meter, 'SIGKILL');
      await third.until(async () => third.meter !== meter);
      await third.answers();
      expect(await third.value(series)).toBeGreaterThanOrEqual(2);
      expect(await third.value(series)).toBeLessThanOrEqual(3);
      // Another agent takes the place of this one, and goes on from its figures (ME1).
      const written = ((await third.value(series)) ?? 0) + 1;
      await call(third);
      await third.expectValues({ [series]: written });
      const fourth = await Metered.start(node(), { directory, port: first.port });
      await third.agent.ended;
      await fourth.expectValues({ [series]: written });
    });

    test('begin with 0 where their file is none, and count what is no report', async () => {
      const directory = mkdtempSync(join(tmpdir(), 'usw-a-'));
      onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
      writeFileSync(join(directory, 'figures.json'), '{"format":0}');
      const metered = await Metered.start(node(), { directory });
      expect(metered.agent.said.join('\n')).toContain('is not of this release: the counters begin with 0');
      for (const text of ['', 'nonsense', '{"kind":"call"}', `{${'x'.repeat(100_000)}`]) {
        const socket = connect(join(directory, 'figures'));
        socket.on('error', () => undefined);
        await new Promise<void>((resolve) => socket.end(text, resolve));
      }
      await metered.expectValues({ figures_refused_total: 4 });
      expect(statSync(join(directory, 'figures')).mode & 0o777).toBe(0o600);
    });

    test('are served while every worker is busy, and serve only what they are', async () => {
      const metered = await Metered.start(node(), { workers: 1 });
      const file = join(node().directory, 'goes-on');
      node().program('waits', `while [ ! -e ${file} ]; do sleep 0.05; done; echo '{"code": 11, "msg": "no"}'; exit 1`);
      const pod = await node().pod();
      const adding = pod.add('net1', { ipam: { type: 'waits' } }, metered.through);
      await metered.expectValues({ 'agent_workers{state="busy"}': 1, agent_queue: 0 });
      expect(await metered.get('/healthz')).toMatchObject({ status: 200 });
      writeFileSync(file, '');
      expect(await adding).toMatchObject({ exitCode: 1 });
      await metered.expectValues({ 'agent_workers{state="idle"}': 1 });
      expect(await metered.get('/')).toMatchObject({ status: 404 });
      expect(await metered.get('/metrics', 'POST')).toMatchObject({ status: 405 });
      expect(await metered.get('/metrics', 'HEAD')).toEqual({ status: 200, text: '' });
    });

    test('are served beside hostile scrapers: silent, endless, many; and calls go on', async () => {
      const metered = await Metered.start(node());
      const header = `GET /metrics HTTP/1.1\r\nHost: x\r\n`;
      const ends = await Promise.all([
        connections(metered.port, 300, ''),
        connections(metered.port, 100, 'GET /met'),
        connections(metered.port, 50, `${header}X: ${'x'.repeat(1_000_000)}`),
        connections(metered.port, 50, `${header}Content-Length: 1000000000\r\n\r\n${'x'.repeat(1_000_000)}`),
        connections(metered.port, 50, `${header}\r\n`.repeat(200)),
      ]);
      try {
        for (let count = 0; count < 3; count++) {
          const pod = await node().pod();
          expect(await pod.add('net1', {}, metered.through)).toMatchObject(ok);
          expect(await pod.del('net1', {}, metered.through)).toMatchObject(ok);
        }
        await metered.expectValues({ 'calls_total{verb="ADD",code="0"}': 3, 'calls_total{verb="DEL",code="0"}': 3 });
      } finally {
        for (const end of ends) end();
      }
      expectNothingLeft(await node().world());
    });

    test('are served at the path of a socket, for its user alone', async () => {
      const path = join(node().directory, 'metrics');
      const agent = await Agent.start({ words: ['--metrics', `unix:${path}`, '--data-dir', node().dataDir] });
      onTestFinished(() => agent.stop());
      const get = () => fetch('http://localhost/metrics', { unix: path } as RequestInit);
      let text = '';
      for (let tries = 0; tries < 500 && text === ''; tries++) {
        await delay(20);
        text = await get().then(
          (response) => response.text(),
          () => '',
        );
      }
      expect(text).toContain('userspace_build_info');
      expect(statSync(path).mode & 0o777).toBe(0o600);
    });

    test('are not served at an address that others could reach', async () => {
      const { exitCode, stderr } = await run(['agent', '--metrics', '0.0.0.0:9468'], {
        USERSPACE_CNI_AGENT: node().directory,
      });
      expect(exitCode).toBe(2);
      expect(stderr).toContain('a proxy that authenticates');
    });
  },
  { parts: ['strace'] },
);
