/**
 * An upgrade and the way back while pods live: what one release has made another one finds, checks, finishes and removes. Each pair is
 * played both ways on a real switch, with pods of an API server too.
 */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { describe, expect, onTestFinished, test } from 'vitest';
import { usePodGround } from '../support/cluster/pod-ground.ts';
import { Agent } from '../support/real/agent.ts';
import { earlierReleases, hasHistory, laterRelease, releaseOf } from '../support/real/another-release.ts';
import { type Answer, type Call, cni, type Json } from '../support/real/cni.ts';
import { gcConfig } from '../support/real/gc-among-living.ts';
import type { Pod, TestNode } from '../support/real/node.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { byItself, through } from '../support/real/way.ts';
import { expectNothingLeft } from '../support/real/world.ts';
import { executable } from '../support/requirements.ts';
import { skippedTitle } from '../support/skip-reporter.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const ok = { exitCode: 0 };
const earlier = earlierReleases();

/** The newest of the earlier releases that has an agent. */
const withAgent = earlier.find(([title]) => !title.includes('before the agent'));

const noHistory = 'this clone is shallow: git fetch --unshallow';
const hasAll = hasHistory();
const agents = 'an agent of another release';

test.skipIf(!hasAll)(hasAll ? 'there is an earlier release' : skippedTitle('earlier releases', noHistory), () => {
  expect(earlier.length).toBeGreaterThan(0);
});

/** A command for people of one release. */
async function people(program: string, node: TestNode, command: string, ...more: string[]): Promise<Answer> {
  const places = ['--data-dir', node.dataDir, ...(command === 'recover' ? ['--ovsdb', node.theSwitch.ovsdb] : [])];
  const ended = await execa(program, [command, ...(command === 'show' ? more : ['--json', ...more]), ...places], {
    env: { PATH: process.env.PATH ?? '' },
    extendEnv: false,
    reject: false,
    stdin: 'ignore',
    stripFinalNewline: false,
  });
  const { exitCode, signal, stdout, stderr } = ended;
  return {
    exitCode,
    signal,
    stdout,
    stderr,
    get json() {
      return JSON.parse(stdout);
    },
  };
}

const call = (program: string, command: string, one: Call) => cni(command, one, { program, ...byItself });

/** SIGKILL as it enters its nth fsync. @returns whether it was killed: after the last one it ends by itself */
async function isKilled(program: string, command: string, one: Call, nth: number): Promise<boolean> {
  const injected = ['-e', 'trace=fsync,fdatasync', '-e', `inject=fsync,fdatasync:signal=SIGKILL:when=${nth}`];
  const { signal } = await cni(command, one, {
    program,
    under: ['strace', '-qq', '-o', '/dev/null', ...injected],
  });
  return signal === 'SIGKILL';
}

const fsyncsMax = 40;

onRealSwitch('another release', (theSwitch) => {
  describe.each(earlier)('%s', (_, commit) => {
    const programs = { old: () => releaseOf(commit), young: () => executable };
    const ways = [
      ['an upgrade', programs.old, programs.young],
      ['the way back', programs.young, programs.old],
    ] as const;

    describe.each(ways)('%s', (_way, maker, taker) => {
      const nodes = { client: useNode(theSwitch, 'client'), server: useNode(theSwitch, 'server') };
      const node = nodes.client;

      test.each(['client', 'server'] as const)(
        'strands nothing of %s mode: CHECK, list, show, recover, a repeated ADD and DEL take what ADD made',
        async (mode) => {
          const own = nodes[mode]();
          const pod = await own.pod();
          const added = await call(maker(), 'ADD', pod.call());
          expect(added).toMatchObject(ok);
          const world = await own.world();
          expect(await call(taker(), 'CHECK', pod.call('net1', { prevResult: added.json }))).toMatchObject(ok);
          const { attachments } = (await people(taker(), own, 'list')).json;
          expect(attachments).toMatchObject([{ containerId: pod.containerId, state: 'attached', owed: [] }]);
          expect(await people(taker(), own, 'show', pod.containerId)).toMatchObject(ok);
          expect(await people(taker(), own, 'recover')).toMatchObject({
            ...ok,
            json: { kept: 1, owed: 0, removed: 0 },
          });
          expect(await own.world()).toEqual(world);
          const again = await call(taker(), 'ADD', pod.call());
          expect(again).toMatchObject(ok);
          expect(again.json).toEqual(added.json);
          expect(await call(taker(), 'DEL', pod.call())).toMatchObject({ ...ok, stdout: '' });
          expectNothingLeft(await own.world());
        },
      );

      test('a port that the switch lost meanwhile is put back', async () => {
        const pod = await node().pod();
        expect(await call(maker(), 'ADD', pod.call())).toMatchObject(ok);
        await theSwitch().vsctl('del-port', pod.portName());
        expect(await people(taker(), node(), 'recover')).toMatchObject({ ...ok, json: { restored: 1, owed: 0 } });
        expect((await node().world()).ports).toEqual([pod.portName()]);
        // The put-back is read by the release of before too: the node may go back.
        expect(await people(maker(), node(), 'recover')).toMatchObject({ ...ok, json: { kept: 1, restored: 0 } });
        expect(await call(maker(), 'DEL', pod.call())).toMatchObject(ok);
        expectNothingLeft(await node().world());
      });

      test('GC removes what the runtime no longer lists, and recover what no sandbox uses', async () => {
        const [listed, stale, gone] = [await node().pod(), await node().pod(), await node().pod()];
        for (const pod of [listed, stale]) expect(await call(maker(), 'ADD', pod.call())).toMatchObject(ok);
        const gc = { config: node().config(gcConfig([listed])), path: node().path };
        expect(await call(taker(), 'GC', gc)).toMatchObject({ ...ok, stdout: '' });
        expect((await node().world()).ports).toEqual([listed.portName()]);
        expect(await call(maker(), 'ADD', gone.call())).toMatchObject(ok);
        await gone.removeNetns();
        expect(await people(taker(), node(), 'recover')).toMatchObject({ ...ok, json: { removed: 1, kept: 1 } });
        expect(await call(taker(), 'DEL', listed.call())).toMatchObject(ok);
        expectNothingLeft(await node().world());
      });

      test('a DEL that is owed is paid by the other release', async () => {
        const pod = await node().pod();
        expect(await call(maker(), 'ADD', pod.call())).toMatchObject(ok);
        const deadlines = { delMs: 400, reconnectMs: 50, switchMs: 200, ipamMs: 200 };
        await theSwitch().stopDatabase();
        try {
          expect(await call(maker(), 'DEL', pod.call('net1', { deadlines }))).toMatchObject(ok);
        } finally {
          await theSwitch().startDatabase();
        }
        expect((await people(taker(), node(), 'list')).json.attachments).toMatchObject([{ state: 'owed' }]);
        expect(await people(taker(), node(), 'recover')).toMatchObject({ ...ok, json: { removed: 1, owed: 0 } });
        expectNothingLeft(await node().world());
      });

      test.each(['DEL', 'recover'] as const)(
        'an ADD killed at any of its fsyncs leaves nothing after %s',
        async (how) => {
          let nth = 1;
          for (; nth <= fsyncsMax; nth++) {
            const pod = await node().pod();
            if (!(await isKilled(maker(), 'ADD', pod.call(), nth))) {
              expect(await call(taker(), 'DEL', pod.call())).toMatchObject(ok);
              break;
            }
            const recovered = how === 'recover' && (await people(taker(), node(), 'recover'));
            if (recovered) expect(recovered).toMatchObject({ ...ok, json: { owed: 0, held: 0 } });
            // Killed after its last record it was attached, and its DEL follows.
            if (!recovered || recovered.json.kept > 0) expect(await call(taker(), 'DEL', pod.call())).toMatchObject(ok);
            expectNothingLeft(await node().world());
          }
          expect(nth).toBeGreaterThan(5);
          expect(nth).toBeLessThan(fsyncsMax);
          expectNothingLeft(await node().world());
        },
      );

      test('a DEL killed at any of its fsyncs is finished by the other release', async () => {
        let nth = 1;
        for (; nth <= fsyncsMax; nth++) {
          const pod = await node().pod();
          expect(await call(maker(), 'ADD', pod.call())).toMatchObject(ok);
          const killed = await isKilled(maker(), 'DEL', pod.call(), nth);
          expect(await call(taker(), 'DEL', pod.call())).toMatchObject(ok);
          expectNothingLeft(await node().world());
          if (!killed) break;
        }
        expect(nth).toBeGreaterThan(1);
        expect(nth).toBeLessThan(fsyncsMax);
      });

      test('with attachments living through both, twice: nothing is stranded', async () => {
        const directory = temporaryDirectory();
        const installed = join(directory, 'userspace');
        const results = new Map<Pod, Json>();
        for (const program of [maker(), taker(), maker(), taker()]) {
          expect(await execa(program, ['install', directory])).toMatchObject(ok);
          expect(await people(installed, node(), 'recover')).toMatchObject({ ...ok, json: { owed: 0, removed: 0 } });
          for (const [pod, prevResult] of results)
            expect(await call(installed, 'CHECK', pod.call('net1', { prevResult }))).toMatchObject(ok);
          // The oldest half goes, and as many come.
          for (const [pod] of [...results].slice(0, 2)) {
            expect(await call(installed, 'DEL', pod.call())).toMatchObject(ok);
            results.delete(pod);
          }
          for (let count = 0; count < 3; count++) {
            const pod = await node().pod();
            const { json, exitCode } = await call(installed, 'ADD', pod.call());
            expect(exitCode).toBe(0);
            results.set(pod, json);
          }
        }
        expect((await node().world()).ports).toHaveLength(results.size);
        for (const [pod] of results) expect(await call(installed, 'DEL', pod.call())).toMatchObject(ok);
        expectNothingLeft(await node().world());
      });

      describe('in a pod of an API server', () => {
        const ground = usePodGround(node);

        test('its annotations and its emptyDir are taken over as well', async () => {
          const pod = await ground().target();
          const added = await call(maker(), 'ADD', pod.call('net1', {}));
          expect(added).toMatchObject(ok);
          const check = pod.call('net1', { prevResult: added.json });
          expect(await call(taker(), 'CHECK', check)).toMatchObject(ok);
          expect(await people(taker(), node(), 'recover')).toMatchObject({ ...ok, json: { kept: 1 } });
          expect(await call(taker(), 'DEL', pod.call('net1', {}))).toMatchObject(ok);
          await ground().expectNothingLeft();
        });
      });
    });
  });

  describe.skipIf(!withAgent)(withAgent ? agents : skippedTitle(agents, noHistory), () => {
    const node = useNode(theSwitch);
    const old = () => releaseOf(withAgent?.[1] ?? '');

    test('is asked by no call of this one, and the reverse; both agents work side by side in one directory', async () => {
      const first = await Agent.start({ program: old() });
      onTestFinished(() => first.stop());
      const second = await Agent.start({ directory: first.directory });
      onTestFinished(() => second.stop());
      expect(second.socket).not.toBe(first.socket);
      for (const [adding, deleting] of [
        [old(), executable],
        [executable, old()],
      ] as const) {
        const pod = await node().pod();
        const ask = through(first.directory);
        expect(await cni('ADD', pod.call(), { program: adding, ...ask })).toMatchObject(ok);
        expect(await cni('DEL', pod.call(), { program: deleting, ...ask })).toMatchObject(ok);
      }
      expect([first.isAlive, second.isAlive]).toEqual([true, true]);
      expectNothingLeft(await node().world());
    });

    test.each([
      ['an upgrade', old, () => executable],
      ['the way back', () => executable, old],
    ] as const)(
      '%s by install over its file: it ends when its calls are done, and no call fails',
      async (_, from, to) => {
        const directory = temporaryDirectory();
        const installed = join(directory, 'userspace');
        expect(await execa(from(), ['install', directory])).toMatchObject(ok);
        const agent = await Agent.start({ program: installed });
        onTestFinished(() => agent.stop());
        const ask = { program: installed, ...through(agent.directory) };
        const living = await node().pod();
        const { json, exitCode } = await cni('ADD', living.call(), ask);
        expect(exitCode).toBe(0);
        const before = statSync(installed).ino;
        expect(await execa(to(), ['install', directory])).toMatchObject(ok);
        expect(statSync(installed).ino).not.toBe(before);
        // Calls come before the agent has noticed, and after.
        let isEnded = false;
        void agent.ended.then(() => {
          isEnded = true;
        });
        do {
          const pod = await node().pod();
          expect(await cni('ADD', pod.call(), ask)).toMatchObject(ok);
          expect(await cni('DEL', pod.call(), ask)).toMatchObject(ok);
          await delay(100);
        } while (!isEnded);
        expect(await agent.ended).toBe(0);
        const next = await Agent.start({ program: installed, directory: agent.directory });
        onTestFinished(() => next.stop());
        expect(await cni('CHECK', living.call('net1', { prevResult: json }), ask)).toMatchObject(ok);
        expect(await cni('DEL', living.call(), ask)).toMatchObject(ok);
        expectNothingLeft(await node().world());
      },
    );
  });

  describe('a later release with another format of journals', () => {
    const inHeader = [
      'src/drive/entry.ts',
      'export const formatVersion = 1;',
      'export const formatVersion = 2;',
    ] as const;

    const node = useNode(theSwitch);

    test('is named and kept: no call damages what it made, and DEL removes it by its marks', async () => {
      const later = laterRelease(temporaryDirectory(), ...inHeader);
      const [kept, gone] = [await node().pod(), await node().pod()];
      const added = await call(later, 'ADD', kept.call());
      expect(added).toMatchObject(ok);
      expect(await call(later, 'ADD', gone.call())).toMatchObject(ok);
      const world = await node().world();
      const { attachments } = (await people(executable, node(), 'list')).json;
      expect(attachments.map(({ state }: Json) => state)).toEqual(['newer', 'newer']);
      const recovered = await people(executable, node(), 'recover');
      expect(recovered).toMatchObject({ ...ok, json: { kept: 2, removed: 0, owed: 0 } });
      expect(await call(executable, 'ADD', kept.call())).toMatchObject({ exitCode: 1, json: { code: 11 } });
      expect(await call(executable, 'CHECK', kept.call('net1', { prevResult: added.json }))).toMatchObject({
        exitCode: 1,
        json: { code: 100 },
      });
      expect(await node().world()).toEqual(world);
      // The way back to the later release: nothing has happened to what it made.
      expect(await call(later, 'CHECK', kept.call('net1', { prevResult: added.json }))).toMatchObject(ok);
      expect(await call(later, 'DEL', kept.call())).toMatchObject(ok);
      expect(await call(executable, 'DEL', gone.call())).toMatchObject({ ...ok, stdout: '' });
      expectNothingLeft(await node().world());
      expect(existsSync(gone.journal())).toBe(false);
    });
  });
});
