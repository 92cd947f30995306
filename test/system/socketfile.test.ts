/**
 * `vhost.socketfile`: a name that the user gives, next to files of others, and handed from one sandbox to the next.
 */
import { lstat, mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { Answer } from '../support/real/cni.ts';
import type { Changes, TestNode } from '../support/real/node.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft, tree } from '../support/real/world.ts';

onRealSwitch('a socket file named by the user', (theSwitch) => {
  describe.each(['client', 'server'] as const)('in %s mode', (mode) => {
    const node = useNode(theSwitch, mode);
    /** Unique on the switch: port names are. */
    const named = (one: TestNode): Changes => ({ host: { vhost: { socketfile: `s${one.bridge}` } } });

    test('is the name of port and socket, and goes alone: db.sock and its like stay (bug B14)', async () => {
      const pod = await node().pod();
      const file = `s${node().bridge}`;
      const own = join(node().sharedDir, pod.shortId);
      await mkdir(own, { recursive: true });
      const foreign = ['db.sock', `${file}2`, `x${file}`, 's'].flatMap((name) => [
        join(node().sharedDir, name),
        join(own, name),
      ]);
      for (const path of foreign) await writeFile(path, 'foreign');
      expect(await pod.add('net1', named(node()))).toMatchObject({ exitCode: 0 });
      expect(await node().port(file)).toMatchObject({ bridge: node().bridge });
      if (mode === 'server') expect((await lstat(join(own, file))).isSocket()).toBe(true);
      expect(await pod.del('net1', named(node()))).toMatchObject({ exitCode: 0 });
      const left = (await tree(node().sharedDir)).filter((path) => !path.endsWith('/'));
      expect(left.map((path) => join(node().sharedDir, path)).sort()).toEqual(foreign.sort());
    });

    test('that another pod holds is refused, naming the holder, which is not disturbed (bug B28)', async () => {
      const [holder, late] = [await node().pod(), await node().pod()];
      await holder.add('net1', named(node()));
      const refused = await late.add('net1', named(node()));
      expect(refused).toMatchObject({
        exitCode: 1,
        json: { code: 7, msg: expect.stringContaining(`net-a:${holder.containerId}:net1`) },
      });
      expect(await late.del('net1', named(node()))).toMatchObject({ exitCode: 0 });
      expect(await node().port(`s${node().bridge}`)).toMatchObject({
        externalIds: { key: `net-a:${holder.containerId}:net1` },
      });
      await holder.del('net1', named(node()));
      expectNothingLeft(await node().world());
    });

    test('handed to the next sandbox is left alone by every late DEL of the old one', async () => {
      const [old, next] = [await node().pod(), await node().pod()];
      await old.add('net1', named(node()));
      await old.del('net1', named(node()));
      expect(await next.add('net1', named(node()))).toMatchObject({ exitCode: 0 });
      expect(await old.del('net1', named(node()))).toMatchObject({ exitCode: 0 });
      expect(await node().port(`s${node().bridge}`)).toMatchObject({
        externalIds: { key: `net-a:${next.containerId}:net1` },
      });
      if (mode === 'server') await lstat(join(node().sharedDir, next.shortId, `s${node().bridge}`));
      await next.del('net1', named(node()));
      expectNothingLeft(await node().world());
    });

    test('handed over by an administrator who deleted the old port is left alone by the first DEL of the old sandbox', async () => {
      const [old, next] = [await node().pod(), await node().pod()];
      await old.add('net1', named(node()));
      await theSwitch().vsctl('del-port', `s${node().bridge}`);
      const added = await next.add('net1', named(node()));
      expect(added).toMatchObject({ exitCode: 0 });
      expect(await old.del('net1', named(node()))).toMatchObject({ exitCode: 0 });
      expect(await node().port(`s${node().bridge}`)).toMatchObject({
        externalIds: { key: `net-a:${next.containerId}:net1` },
        error: undefined,
      });
      expect(await next.check(added.json, 'net1', named(node()))).toMatchObject({ exitCode: 0 });
      await next.del('net1', named(node()));
      expectNothingLeft(await node().world());
    });

    test.each([
      ['an IPAM plugin', {}],
      ['none', { ipam: undefined }],
    ])(
      'handed on with %s while ovs-vswitchd is behind leads to the new sandbox, not to the old one',
      async (_, ipam) => {
        const changes = { ...named(node()), ...ipam };
        const impatient = { ...changes, deadlines: { switchMs: 300 } };
        const [old, next] = [await node().pod(), await node().pod()];
        expect(await old.add('net1', changes)).toMatchObject({ exitCode: 0 });
        theSwitch().pauseVswitchd();
        let adding: Promise<Answer>;
        try {
          expect(await old.del('net1', impatient)).toMatchObject({ exitCode: 0 });
          adding = next.add('net1', changes);
          while (!(await node().port(`s${node().bridge}`))) await delay(20);
          // When it goes on, it sees the two changes as one.
          await delay(100);
        } finally {
          theSwitch().resumeVswitchd();
        }
        expect(await adding).toMatchObject({ exitCode: 0 });
        const socket = join(node().sharedDir, next.shortId, `s${node().bridge}`);
        if (mode === 'server') expect((await lstat(socket)).isSocket()).toBe(true);
        else expect(await connectionTo(socket)).toBe('connected');
        for (const pod of [next, old]) expect(await pod.del('net1', changes)).toMatchObject({ exitCode: 0 });
        expectNothingLeft(await node().world());
      },
    );

    test('wanted by many at once, while ovs-vswitchd stops and goes on, is one pod’s at a time, and leads to its socket', async () => {
      const changes = { ...named(node()), ipam: undefined };
      const name = `s${node().bridge}`;
      const seen = { attached: 0, refused: 0 };
      const live = async () => {
        const pod = await node().pod();
        const { exitCode, json } = await pod.add('net1', changes);
        if (exitCode === 0) {
          seen.attached++;
          const socket = join(node().sharedDir, pod.shortId, name);
          if (mode === 'server') expect((await lstat(socket)).isSocket()).toBe(true);
          expect((await node().port(name))?.externalIds).toMatchObject({ socket });
        } else {
          seen.refused++;
          expect([7, 11]).toContain(json.code);
        }
        expect(await pod.del('net1', changes)).toMatchObject({ exitCode: 0 });
      };
      let busy = true;
      const stopsAndGoes = async () => {
        for (; busy; await delay(90)) {
          theSwitch().pauseVswitchd();
          await delay(30);
          theSwitch().resumeVswitchd();
        }
      };
      const lives = Array.from({ length: 4 }, async () => {
        for (let round = 0; round < 10; round++) await live();
      });
      const stopping = stopsAndGoes();
      await Promise.all(lives).finally(() => {
        busy = false;
      });
      await stopping;
      expect(seen.attached).toBeGreaterThan(3);
      expectNothingLeft(await node().world());
    });
  });
});

/** Whether the switch comes to a socket that an application listens at; DPDK tries once a second. */
async function connectionTo(path: string): Promise<'connected' | 'nobody came'> {
  const server = createServer();
  try {
    return await new Promise((resolve) => {
      server.once('connection', (socket) => {
        socket.destroy();
        resolve('connected');
      });
      server.listen(path);
      setTimeout(() => resolve('nobody came'), 8_000);
    });
  } finally {
    server.close();
  }
}
