/** Each wait is bounded, and so is their sum: a server that is away is waited for once, however many attachments need it. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { copyDebt } from '../../scripts/bench/copies.ts';
import { emptyKubeWorld, KubeNode } from '../support/cluster/kube-node.ts';
import { whileAway } from '../support/real/away.ts';
import type { Answer } from '../support/real/cni.ts';
import { newId, type Pod } from '../support/real/node.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft, withoutLease } from '../support/real/world.ts';
import { StandInApi } from '../support/stand-in/stand-in-api.ts';

const ok = { exitCode: 0 };
const impatient = { deadlines: { delMs: 1_500, reconnectMs: 200, switchMs: 500 } };

onRealSwitch('a sum of waits', (theSwitch) => {
  const node = useNode(theSwitch);

  async function attached(count: number, changes = {}): Promise<Pod[]> {
    const pods = await Promise.all(Array.from({ length: count }, () => node().pod()));
    for (const pod of pods) expect(await pod.add('net1', changes)).toMatchObject(ok);
    return pods;
  }
  async function owed(count: number): Promise<void> {
    const pods = await attached(count);
    await whileAway(theSwitch(), async () => {
      const deleted = await Promise.all(pods.map((pod) => pod.del('net1', impatient)));
      expect(deleted.map(({ exitCode }) => exitCode)).toEqual(pods.map(() => 0));
    });
  }
  /** One real debt, and copies of it. */
  async function manyOwed(count: number): Promise<void> {
    const [pod] = await attached(1);
    if (!pod) throw new Error('there is no pod');
    await whileAway(theSwitch(), () => pod.del('net1', impatient));
    const key = { network: 'net-a', containerId: pod.containerId, ifName: 'net1' };
    copyDebt(node().dataDir, key, Array.from({ length: count - 1 }, newId));
  }

  /** How often a call connects to the switch's database, answered or not. */
  async function connects(
    call: (under: readonly string[]) => Promise<Answer>,
  ): Promise<{ answer: Answer; count: number }> {
    const told = join(node().directory, `connects-${newId().slice(0, 8)}`);
    const answer = await call(['strace', '-f', '-qq', '-e', 'trace=connect', '-o', told]);
    const count = readFileSync(told, 'utf8')
      .split('\n')
      .filter((line) => line.includes('db.sock"')).length;
    return { answer, count };
  }
  const recovering = (...more: string[]) => connects((under) => node().recoverUnder(under, ...more));
  async function whilePaused<T>(action: () => Promise<T>): Promise<T> {
    theSwitch().pauseDatabase();
    try {
      return await action();
    } finally {
      theSwitch().resumeDatabase();
    }
  }

  describe('at a switch', () => {
    test('kind 7: recover asks a database that hangs less often than there are debts', async () => {
      await owed(6);
      const { answer, count } = await whilePaused(recovering);
      expect(answer).toMatchObject({ exitCode: 3 });
      expect(answer.json.attachments.filter(({ found }: { found: string }) => found === 'going')).toHaveLength(6);
      // For all at once, and once more at the end.
      expect(count).toBeLessThan(6);
      expect(await node().recover()).toMatchObject({ ...ok, json: { removed: 6, owed: 0 } });
      expectNothingLeft(await node().world());
    });

    test('kind 7: recover asks a database that is away as often for 300 debts as for three, and pays all when it is back', async () => {
      await owed(3);
      const three = await whileAway(theSwitch(), recovering);
      await manyOwed(297);
      const all = await whileAway(theSwitch(), recovering);
      expect(all.answer).toMatchObject({ exitCode: 3 });
      // A refusal is tried again for a while, in case it is a restart: so often in that time as the machine allows.
      expect(all.count).toBeLessThan(2 * three.count + 10);
      expect(await node().recover()).toMatchObject({ ...ok, json: { removed: 300, owed: 0 } });
      expectNothingLeft(await node().world());
    });

    test('kind 7: living attachments are kept while a database hangs, which is asked once for all of them', async () => {
      const pods = await attached(4);
      const { answer, count } = await whilePaused(recovering);
      expect(answer).toMatchObject({ exitCode: 3, json: { notLookedAt: 4, kept: 0, removed: 0 } });
      expect(count).toBeLessThan(4);
      for (const pod of pods) expect(await pod.del()).toMatchObject(ok);
      expectNothingLeft(await node().world());
    });

    test('kind 7: a DEL at a switch that is away asks as often beside 200 debts as beside none', async () => {
      const [first, second] = await attached(2);
      const deleting = (pod: Pod | undefined) =>
        connects(async (under) => (await pod?.del('net1', impatient, { under })) as Answer);
      const alone = await whileAway(theSwitch(), () => deleting(first));
      await manyOwed(200);
      const beside = await whileAway(theSwitch(), () => deleting(second));
      for (const { answer } of [alone, beside]) expect(answer).toMatchObject(ok);
      expect(beside.count).toBeLessThan(2 * alone.count + 5);
      expect(await node().recover()).toMatchObject({ ...ok, json: { removed: 202, owed: 0 } });
      expectNothingLeft(await node().world());
    });
  });

  describe('at an API server', () => {
    let api: StandInApi;
    beforeAll(async () => {
      api = await StandInApi.start();
    });
    afterAll(() => api.stop());

    const away: [string, () => Promise<void> | void, () => Promise<void> | void][] = [
      ['is silent', () => api.pauseServer(), () => api.resumeServer()],
      ['is not there', () => api.stopServer(), () => api.startServer()],
    ];
    test.each(away)(
      'kind 7: that %s, recover asks once for four pods; ports and addresses go, and the annotations when it is back',
      async (_, leave, comeBack) => {
        const home = new KubeNode(node(), api);
        const pods = await Promise.all(Array.from({ length: 4 }, () => home.pod()));
        for (const pod of pods) expect(await pod.add()).toMatchObject(ok);
        for (const pod of pods) await pod.sandbox.removeNetns();
        await leave();
        const before = api.connections;
        try {
          expect(await node().recover()).toMatchObject({ exitCode: 3, json: { owed: 4 } });
        } finally {
          await comeBack();
        }
        expect(api.connections - before).toBeLessThanOrEqual(3);
        const { ports, addresses } = await node().world();
        expect({ ports, addresses }).toEqual({ ports: [], addresses: [] });
        expect(await node().recover()).toMatchObject({ ...ok, json: { removed: 4, owed: 0 } });
        expect(await home.world()).toEqual(emptyKubeWorld);
      },
    );
  });

  describe('of debts that fail', () => {
    test('kind 7: an IPAM program that fails for ever is run less and less for the DELs of others', async () => {
      const log = join(node().directory, 'runs');
      await node().program(
        'failing',
        `[ "$CNI_COMMAND" = DEL ] && [ ! -e "$0.mended" ] && { echo x >> ${log}; exit 1; }\nexec /usr/lib/cni/host-local`,
      );
      const failing = { ipam: { type: 'failing' } };
      for (const pod of await attached(6, failing)) expect(await pod.del('net1', failing)).toMatchObject(ok);
      const runs = () => readFileSync(log, 'utf8').split('\n').length - 1;
      const before = runs();
      const dels = 10;
      for (const pod of await attached(dels)) expect(await pod.del()).toMatchObject(ok);
      // Once, and again after a second or two: not once for each.
      expect(runs() - before).toBeLessThan((6 * dels) / 2);
      writeFileSync(join(node().binDir, 'failing.mended'), '');
      expect(await node().recover()).toMatchObject({ ...ok, json: { removed: 6, owed: 0 } });
      expectNothingLeft(await node().world());
    });
  });

  describe('of a recovery that is at work', () => {
    /** Its first round waits in an IPAM program; what it looked at before that is `seen`. */
    async function atWork() {
      await node().program('slow', `[ "$CNI_COMMAND" = DEL ] && while [ ! -e "$0.go" ]; do sleep 0.1; [ -e "$0.here" ] || : > "$0.here"; done\nexec /usr/lib/cni/host-local`); // biome-ignore format: a script
      const seen = await node().pod(`0${newId().slice(1)}`);
      const slow = await node().pod(`f${newId().slice(1)}`);
      expect(await seen.add()).toMatchObject(ok);
      expect(await slow.add('net1', { ipam: { type: 'slow' } })).toMatchObject(ok);
      await slow.removeNetns();
      const first = node().recover();
      while (!existsSync(join(node().binDir, 'slow.here'))) await delay(50);
      return { seen, first, go: () => writeFileSync(join(node().binDir, 'slow.go'), '') };
    }

    test('kind 7: one that is refused leaves a note and succeeds, and the one at work makes another round for it', async () => {
      const { seen, first, go } = await atWork();
      await seen.removeNetns();
      const second = await node().recover();
      expect(second).toMatchObject(ok);
      expect(second.json.left).toContain('another recovery is at work');
      go();
      const { exitCode, json } = await first;
      expect({ exitCode, json }).toMatchObject({ ...ok, json: { removed: 2, kept: 0, owed: 0 } });
      expectNothingLeft(await node().world());
    });

    test('kind 7: three that are refused are served by one round, and each says one JSON document', async () => {
      const { seen, first, go } = await atWork();
      await seen.removeNetns();
      const others = await Promise.all([node().recover(), node().recover(), node().recover()]);
      for (const other of others) expect(other).toMatchObject({ ...ok, json: { left: expect.any(String) } });
      go();
      expect(await first).toMatchObject({ ...ok, json: { owed: 0 } });
      expectNothingLeft(await node().world());
    });

    test('kind 7: a note that was left for a recovery that died costs the next one nothing', async () => {
      const [pod] = await attached(1);
      writeFileSync(join(node().dataDir, 'recover.again'), '{}\n');
      expect(await node().recover()).toMatchObject({ ...ok, json: { kept: 1 } });
      expect(withoutLease(await node().world()).journals).toHaveLength(1);
      expect(await pod?.del()).toMatchObject(ok);
      rmSync(join(node().dataDir, 'recover.again'), { force: true });
      expectNothingLeft(await node().world());
    });
  });
});
