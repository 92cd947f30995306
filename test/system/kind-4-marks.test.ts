/** A mark comes before the first wait of the call that it is for, and is a value that nothing sets by accident. */
import { chmodSync, copyFileSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { emptyKubeWorld, KubeNode, type KubePod } from '../support/cluster/kube-node.ts';
import { whileAway } from '../support/real/away.ts';
import type { Answer } from '../support/real/cni.ts';
import type { Pod } from '../support/real/node.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft, tree, withoutLease } from '../support/real/world.ts';
import { StandInApi } from '../support/stand-in/stand-in-api.ts';

const ok = { exitCode: 0 };
const impatient = { deadlines: { delMs: 1_500, reconnectMs: 200, switchMs: 500 } };

onRealSwitch('a going mark', (theSwitch) => {
  const node = useNode(theSwitch);

  describe('of an ADD that waits', () => {
    let api: StandInApi;
    let home: KubeNode;
    beforeAll(async () => {
      api = await StandInApi.start();
    });
    afterAll(() => api.stop());
    beforeEach(() => {
      home = new KubeNode(node(), api);
    });
    const nothingLeft = async () => expect(await home.world()).toEqual(emptyKubeWorld);

    /** A DEL in the middle of an ADD whose API server is slow. */
    async function overlap(
      pod: KubePod,
      verb: 'GET' | 'PATCH',
      changes = {},
    ): Promise<{ added: Answer; first: string }> {
      const slow = api.inject({ kind: 'slow', ms: 1_500 }, { verb });
      const ends: string[] = [];
      const adding = pod.add().finally(() => ends.push('ADD'));
      await slow.happened;
      const deleting = pod.del('net1', changes).finally(() => ends.push('DEL'));
      const [added, deleted] = await Promise.all([adding, deleting]);
      expect(deleted).toMatchObject({ ...ok, stdout: '' });
      return { added, first: String(ends[0]) };
    }

    test.each(['GET', 'PATCH'] as const)(
      'kind 4: a DEL that comes while an ADD waits for the answer to a %s, and outlasts it, leaves nothing, and the ADD fails',
      async (verb) => {
        const { added, first } = await overlap(await home.pod(), verb);
        expect(added).toMatchObject({ exitCode: 1, json: { code: 11 } });
        expect(first).toBe('ADD');
        await nothingLeft();
      },
    );

    test.each(['GET', 'PATCH'] as const)(
      'kind 4: a DEL that answers while an ADD still waits for the answer to a %s is obeyed by the ADD when it goes on',
      async (verb) => {
        const { added, first } = await overlap(await home.pod(), verb, { deadlines: { lockMs: 200 } });
        expect(added).toMatchObject({ exitCode: 1, json: { code: 11 } });
        expect(first).toBe('DEL');
        await nothingLeft();
      },
    );

    test('kind 4: a DEL without a kubeconfig, as stripped configurations are, stops the waiting ADD too', async () => {
      const pod = await home.pod();
      const slow = api.inject({ kind: 'slow', ms: 1_500 }, { verb: 'GET' });
      const adding = pod.add();
      await slow.happened;
      expect(await pod.sandbox.del()).toMatchObject(ok);
      expect(await adding).toMatchObject({ exitCode: 1, json: { code: 11 } });
      await nothingLeft();
    });

    test('kind 4: after a DEL that stopped a waiting ADD the next ADD of the sandbox attaches', async () => {
      const pod = await home.pod();
      await overlap(pod, 'GET');
      expect(await pod.add()).toMatchObject(ok);
      expect(await pod.del()).toMatchObject(ok);
      await nothingLeft();
    });

    test('kind 4: an ADD that is killed while it waits for its pod leaves nothing after recover', async () => {
      const pod = await home.pod();
      const hung = api.inject({ kind: 'hang' }, { verb: 'GET' });
      const killed = pod.add('net1', {}, { under: ['timeout', '--signal=KILL', '1'] });
      await hung.happened;
      await killed;
      expect(await node().recover()).toMatchObject({ ...ok, json: { owed: 0 } });
      await nothingLeft();
    });

    test.each([
      ['its pod is not there', 0],
      ['its pod is not there, and a DEL waits for it', 300],
    ])('kind 4: an ADD that is refused in pre-flight since %s leaves no journal', async (_, waitMs) => {
      const pod = await home.pod();
      await api.deletePod(pod.name);
      const slow = api.inject({ kind: 'slow', ms: waitMs }, { verb: 'GET' });
      const adding = pod.add();
      await slow.happened;
      const deleted = waitMs > 0 ? await pod.del() : undefined;
      expect(await adding).toMatchObject({ exitCode: 1 });
      if (deleted) expect(deleted).toMatchObject(ok);
      home.pods.splice(0);
      await nothingLeft();
    });
  });

  test.each([
    [
      'a bridge of the wrong type',
      async () => void (await theSwitch().vsctl('--no-wait', 'add-br', node().bridge)),
      {},
    ],
    ['an IPAM plugin that is not there', async () => undefined, { ipam: { type: 'absent' } }],
    ['a directory that is none', async () => writeFileSync(node().sharedDir, ''), {}],
  ])('kind 4: an ADD that is refused in pre-flight for %s leaves no journal', async (_, prepare, changes) => {
    await prepare();
    const pod = await node().pod();
    expect(await pod.add('net1', changes)).toMatchObject({ exitCode: 1 });
    expect((await tree(node().dataDir)).filter((name) => name !== 'instance')).toEqual([]);
    await theSwitch().removeBridge(node().bridge);
  });

  test('kind 4: two ADDs of one key at once: one answers, or both answer the same, and one DEL leaves nothing', async () => {
    const pod = await node().pod();
    const added = await Promise.all([pod.add(), pod.add(), pod.add()]);
    expect(new Set(added.map(({ stdout }) => stdout)).size).toBe(1);
    expect(added.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0]);
    expect(await pod.del()).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });

  describe('and a chmod of the whole data directory', () => {
    async function twoLiving(): Promise<Pod[]> {
      const pods = [await node().pod(), await node().pod()];
      for (const pod of pods) expect(await pod.add()).toMatchObject(ok);
      return pods;
    }
    /** One whose DEL was owed. */
    async function oneGoing(): Promise<Pod> {
      const pod = await node().pod();
      expect(await pod.add()).toMatchObject(ok);
      expect(await whileAway(theSwitch(), () => pod.del('net1', impatient))).toMatchObject(ok);
      return pod;
    }
    async function anotherDel(): Promise<void> {
      const pod = await node().pod();
      expect(await pod.add()).toMatchObject(ok);
      expect(await pod.del()).toMatchObject(ok);
    }
    const portsOf = (pods: readonly Pod[]) => pods.map((pod) => pod.portName()).sort();

    const modes = ['700', '755', '600', '750', '644', '777', 'u+x', 'a+x', '+t', 'u=rwX,go=', 'g+s', '1700'];
    test.each(modes)('kind 4: to %s takes no living attachment, and loses no debt', async (mode) => {
      const living = await twoLiving();
      await oneGoing();
      await execa('chmod', ['-R', mode, node().dataDir]);
      await anotherDel();
      expect(await node().world()).toMatchObject({ ports: expect.arrayContaining(portsOf(living)) });
      const { exitCode, json } = await node().recover();
      expect({ exitCode, json }).toMatchObject({ ...ok, json: { kept: 2, owed: 0 } });
      await anotherDel();
      const world = await node().world();
      expect(withoutLease(world)).toMatchObject({
        ports: portsOf(living),
        addresses: [expect.any(String), expect.any(String)],
      });
      expect(world.journals).toHaveLength(2);
      for (const pod of living) expect(await pod.del()).toMatchObject(ok);
      expectNothingLeft(await node().world());
    });

    test('kind 4: a journal with a mode that is neither alive nor going is kept, and its line says so', async () => {
      const [pod] = await twoLiving();
      if (pod) chmodSync(pod.journal(), 0o755);
      const { json } = await node().recover();
      expect(JSON.stringify(json)).toContain('0755');
      expect(JSON.stringify(await node().list())).toContain('0755');
    });

    test('kind 4: a data directory that came back from a backup, without modes and attributes, keeps the living and pays the debts', async () => {
      const living = await twoLiving();
      await oneGoing();
      const backup = join(node().directory, 'backup');
      await execa('mkdir', [backup]);
      for (const name of readdirSync(node().dataDir))
        writeFileSync(join(backup, name), readFileSync(join(node().dataDir, name)));
      renameSync(node().dataDir, join(node().directory, 'before'));
      renameSync(backup, node().dataDir);
      await anotherDel();
      expect(await node().recover()).toMatchObject({ ...ok, json: { kept: 2, owed: 0 } });
      expect((await node().world()).ports).toEqual(portsOf(living));
      for (const pod of living) expect(await pod.del()).toMatchObject(ok);
      expectNothingLeft(await node().world());
    });

    test('kind 4: a mark that is set is not lost to a repeated DEL, and no call but DEL sets it', async () => {
      const [one] = await twoLiving();
      const before = statSync(one?.journal() ?? '').mode & 0o7777;
      await node().recover();
      await one?.add();
      expect(statSync(one?.journal() ?? '').mode & 0o7777).toBe(before);
      const going = await oneGoing();
      const mark = statSync(going.journal()).mode & 0o7777;
      expect(mark).not.toBe(before);
      expect([0o600, 0o644, 0o700, 0o755]).not.toContain(mark);
      expect(await whileAway(theSwitch(), () => going.del('net1', impatient))).toMatchObject(ok);
      expect(statSync(going.journal()).mode & 0o7777).toBe(mark);
    });
  });

  describe('of an earlier release, the mode 0700', () => {
    /** The file as that release leaves it: no attribute, a mode. */
    function asOfOld(path: string, mode: number): void {
      copyFileSync(path, `${path}.old`);
      renameSync(`${path}.old`, path);
      chmodSync(path, mode);
    }

    test('kind 4: completes a removal that was begun, by recover and by the next DEL', async () => {
      for (const complete of ['recover', 'DEL']) {
        const pod = await node().pod();
        expect(await pod.add()).toMatchObject(ok);
        expect(await whileAway(theSwitch(), () => pod.del('net1', impatient))).toMatchObject(ok);
        asOfOld(pod.journal(), 0o700);
        if (complete === 'DEL') expect(await pod.del()).toMatchObject(ok);
        else expect(await node().recover()).toMatchObject({ ...ok, json: { removed: 1 } });
        expectNothingLeft(await node().world());
      }
    });

    test('kind 4: takes an ADD back that came to no end', async () => {
      const pod = await node().pod();
      expect(await pod.add()).toMatchObject(ok);
      const bytes = readFileSync(pod.journal());
      const last = bytes.lastIndexOf('\n', bytes.length - 2) + 1;
      asOfOld(pod.journal(), 0o700);
      writeFileSync(pod.journal(), bytes.subarray(0, bytes.lastIndexOf('\n', last - 2) + 1));
      expect(await node().recover()).toMatchObject({ ...ok, json: { removed: 1 } });
      expectNothingLeft(await node().world());
    });

    test('kind 4: on an attachment whose records say that it is at rest means nothing, and its line says so', async () => {
      const pod = await node().pod();
      expect(await pod.add()).toMatchObject(ok);
      asOfOld(pod.journal(), 0o700);
      const other = await node().pod();
      await other.add();
      expect(await other.del()).toMatchObject(ok);
      const { exitCode, json } = await node().recover();
      expect({ exitCode, json }).toMatchObject({ ...ok, json: { kept: 1 } });
      expect(JSON.stringify(json)).toContain('0700');
      expect((await node().world()).ports).toEqual([pod.portName()]);
      expect(await pod.del()).toMatchObject(ok);
      expectNothingLeft(await node().world());
    });

    test('kind 4: the mode 0600 of an attachment at rest is kept', async () => {
      const pod = await node().pod();
      expect(await pod.add()).toMatchObject(ok);
      asOfOld(pod.journal(), 0o600);
      expect(await node().recover()).toMatchObject({ ...ok, json: { kept: 1 } });
      await delay(10);
      expect(await pod.del()).toMatchObject(ok);
      expectNothingLeft(await node().world());
    });
  });
});
