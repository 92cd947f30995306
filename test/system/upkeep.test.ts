/** GC and STATUS of CNI 1.1.0 on a real switch, and against servers that fail. */
import { existsSync, rmSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { cni } from '../support/real/cni.ts';
import { gcConfig, halfIsCollected } from '../support/real/gc-among-living.ts';
import type { Changes, Pod } from '../support/real/node.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft } from '../support/real/world.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const ok = { exitCode: 0, stdout: '' };
const newest = { cniVersion: '1.1.0' };

onRealSwitch('upkeep', (theSwitch) => {
  const node = useNode(theSwitch);

  const call = (command: string, changes: Changes = {}) =>
    cni(command, { config: node().config({ ...newest, ...changes }), path: node().path });
  const gc = (valid: readonly Pod[], changes: Changes = {}) => call('GC', gcConfig(valid, changes));
  /** An IPAM program that knows 1.1.0, and notes what it was asked. */
  const modernIpam = () =>
    node().program(
      'modern',
      `echo "$CNI_COMMAND" >> ${join(node().directory, 'asked')}
if [ "$CNI_COMMAND" = VERSION ]; then echo '{"cniVersion":"1.1.0","supportedVersions":["1.0.0","1.1.0"]}'; exit 0; fi
if [ -e ${join(node().directory, 'broken')} ]; then echo '{"code":50,"msg":"pool is empty"}'; exit 1; fi
if [ "$CNI_COMMAND" = ADD ]; then echo '{"cniVersion":"1.1.0","ips":[{"address":"10.56.0.9/24"}]}'; fi
cat > /dev/null`,
    );
  const asked = async () => (await Bun.file(join(node().directory, 'asked')).text()).trim().split('\n');

  test('GC removes half of 50 attachments while 10 ADDs run: just the half is gone, the ADDs succeed (case A30)', async () => {
    await halfIsCollected(node());
  });

  test('GC of one network leaves those of another, and [] means that none is valid', async () => {
    const [one, other] = [await node().pod(), await node().pod()];
    expect(await one.add()).toMatchObject({ exitCode: 0 });
    expect(await other.add('net1', { name: 'net-b' })).toMatchObject({ exitCode: 0 });
    expect(await gc([])).toMatchObject(ok);
    expect((await node().world()).ports).toEqual([other.portName()]);
    expect(await gc([], { name: 'net-b' })).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });

  test('GC without a list removes nothing: code 7 (case A33)', async () => {
    const pod = await node().pod();
    expect(await pod.add()).toMatchObject({ exitCode: 0 });
    expect(await call('GC')).toMatchObject({ exitCode: 1, json: { code: 7 } });
    expect((await node().world()).ports).toEqual([pod.portName()]);
    expect(await pod.del()).toMatchObject(ok);
  });

  test('GC and STATUS are handed to an IPAM program that knows them, and its errors are passed on', async () => {
    await modernIpam();
    const ipam = { ipam: { type: 'modern' } };
    expect(await gc([], ipam)).toMatchObject(ok);
    expect(await call('STATUS', ipam)).toMatchObject(ok);
    expect(await asked()).toEqual(['VERSION', 'GC', 'VERSION', 'STATUS']);
    await Bun.write(join(node().directory, 'broken'), '');
    for (const command of ['STATUS', 'GC']) {
      const { json } = await call(command, { ...ipam, 'cni.dev/valid-attachments': [] });
      expect(json).toMatchObject({ code: 50, msg: expect.stringContaining('pool is empty') });
    }
  });

  test.each(['made after GC was called', 'that runs when GC is called'])('an ADD %s is left by it', async (when) => {
    const gates = ['begun', 'running'].map((name) => join(node().directory, name));
    const [gcWaits, addWaits] = gates as [string, string];
    const wait = (gate: string) => `touch ${gate}; while [ -e ${gate} ]; do sleep 0.02; done`;
    const reached = async (gate: string) => {
      for (let tries = 0; tries < 500 && !existsSync(gate); tries++) await Bun.sleep(10);
    };
    const answer = '{"cniVersion":"1.0.0","ips":[{"address":"10.56.0.99/24"}]}';
    await node().program('slow', `if [ "$CNI_COMMAND" = ADD ]; then ${wait(addWaits)}; echo '${answer}'; fi`);
    const [listed, later] = [await node().pod(), await node().pod()];
    expect(await listed.add()).toMatchObject({ exitCode: 0 });
    const runs = when.includes('runs');
    const running = runs ? later.add('net1', { ipam: { type: 'slow' } }) : undefined;
    if (runs) await reached(addWaits);
    // A process can have waited long for a processor: the moment of the call is its fork.
    const under = ['sh', '-c', `${wait(gcWaits)}; exec "$0" "$@"`];
    const collected = cni('GC', { config: node().config(gcConfig([listed])), path: node().path }, { under });
    await reached(gcWaits);
    if (runs) rmSync(addWaits);
    expect(await (running ?? later.add())).toMatchObject({ exitCode: 0 });
    rmSync(gcWaits);
    expect(await collected).toMatchObject(ok);
    expect((await node().world()).ports).toEqual([listed, later].map((pod) => pod.portName()).sort());
    // A GC that is called now has the newer list.
    expect(await gc([listed])).toMatchObject(ok);
    expect((await node().world()).ports).toEqual([listed.portName()]);
    expect(await listed.del()).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });

  /** An IPAM program whose GC releases each address that is not in the list. While the file `stay` is there, it stays in its GC. */
  const tidyIpam = async () => {
    const [store, stay, staying] = [
      join(node().ipamDir, 'net-a'),
      ...['stay', 'staying'].map((name) => join(node().directory, name)),
    ] as [string, string, string];
    await node().program(
      'tidy',
      `mkdir -p ${store}
case $CNI_COMMAND in
VERSION) echo '{"cniVersion":"1.1.0","supportedVersions":["1.0.0","1.1.0"]}';;
ADD) n=2; until (set -C; echo $CNI_CONTAINERID > ${store}/10.56.0.$n) 2> /dev/null; do n=$((n+1)); done
  echo '{"cniVersion":"1.0.0","ips":[{"address":"10.56.0.'$n'/24"}]}';;
DEL) for one in ${store}/*; do grep -qs $CNI_CONTAINERID $one && rm $one; done; exit 0;;
GC) told=$(cat); touch ${staying}; while [ -e ${stay} ]; do sleep 0.02; done
  for one in ${store}/*; do case $told in *$(cat $one)*) ;; *) rm $one;; esac; done;;
esac`,
    );
    return { ipam: { ipam: { type: 'tidy' } }, stay, staying };
  };

  test('GC of an IPAM program that releases what it is not told of: the ADDs beside it keep their addresses (case A30)', async () => {
    const { ipam } = await tidyIpam();
    await halfIsCollected(node(), ipam);
  });

  test('an ADD waits for an IPAM program that is at its GC, although the call that asked it was killed', async () => {
    const { ipam, stay, staying } = await tidyIpam();
    const [listed, later] = [await node().pod(), await node().pod()];
    expect(await listed.add('net1', ipam)).toMatchObject({ exitCode: 0 });
    await Bun.write(stay, '');
    const under = ['timeout', '--signal=KILL', '0.5'];
    const killed = cni('GC', { config: node().config(gcConfig([listed], ipam)), path: node().path }, { under });
    while (!existsSync(staying)) await Bun.sleep(10);
    const adding = later.add('net1', ipam);
    expect((await killed).exitCode).not.toBe(0);
    expect((await node().world()).addresses).toEqual(['net-a/10.56.0.2']);
    rmSync(stay);
    expect(await adding).toMatchObject({ exitCode: 0 });
    expect((await node().world()).addresses).toEqual(['net-a/10.56.0.2', 'net-a/10.56.0.3']);
    for (const pod of [listed, later]) expect(await pod.del('net1', ipam)).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });

  test('the result of 1.1.0 says socket and MTU', async () => {
    await modernIpam();
    const pod = await node().pod();
    const changes = { ...newest, ipam: { type: 'modern' }, host: { mtu: 2000 } };
    const { json } = await pod.add('net1', changes);
    expect(json).toMatchObject({
      cniVersion: '1.1.0',
      interfaces: [{ name: 'net1', sandbox: pod.netns, mtu: 2000, socketPath: pod.socket() }],
    });
    expect(await pod.check(json, 'net1', changes)).toMatchObject(ok);
    expect(await pod.del('net1', changes)).toMatchObject(ok);
  });

  test('STATUS is 50 where each ADD would fail: Debian’s host-local takes no configuration of 1.1.0 (bug B40)', async () => {
    const pod = await node().pod();
    expect(await pod.add('net1', newest)).toMatchObject({ exitCode: 1, json: { code: 1 } });
    expectNothingLeft(await node().world());
    const { exitCode, json } = await call('STATUS');
    expect({ exitCode, code: json.code }).toEqual({ exitCode: 1, code: 50 });
    for (const word of ['"host-local"', '0.4.0, 1.0.0', '"cniVersion" is 1.1.0']) expect(json.msg).toContain(word);
  });

  test('STATUS is fine where an ADD would be: with an IPAM program that knows 1.1.0, and without one (bug B40)', async () => {
    await modernIpam();
    for (const ipam of [{ type: 'modern' }, undefined]) expect(await call('STATUS', { ipam })).toMatchObject(ok);
  });

  test.each([
    [
      'a database that is not there: case A17: 50, naming its socket',
      { ovsdb: 'unix:/nowhere/db.sock' },
      50,
      '/nowhere/db.sock',
    ],
    ['a data directory that cannot be written: 50', { dataDir: '/proc/data' }, 50, '/proc/data'],
    ['an IPAM program that is missing: 50', { ipam: { type: 'no-such' } }, 50, 'no-such'],
  ])('STATUS with %s', async (_, changes, code, words) => {
    expect(await call('STATUS', changes)).toMatchObject({
      exitCode: 1,
      json: { code, msg: expect.stringContaining(words) },
    });
  });

  test('STATUS of a switch without DPDK is 51, with its remedy', async () => {
    await theSwitch().vsctl('--no-wait', 'set', 'Open_vSwitch', '.', 'dpdk_initialized=false');
    try {
      expect((await call('STATUS')).json).toMatchObject({ code: 51, msg: expect.stringContaining('dpdk-init') });
    } finally {
      await theSwitch().vsctl('--no-wait', 'set', 'Open_vSwitch', '.', 'dpdk_initialized=true');
    }
  });

  test.each([
    ['accepts and never answers', () => undefined],
    ['answers a byte a second', (write: (text: string) => void) => void setInterval(() => write('{'), 1000).unref()],
  ])('STATUS of a database that %s is 50 within its deadline (bug B40)', async (_, talk) => {
    const path = join(temporaryDirectory(), 'db.sock');
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      talk((text) => void socket.write(text));
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    onTestFinished(() => void server.close());
    const began = performance.now();
    expect(await call('STATUS', { ovsdb: `unix:${path}` })).toMatchObject({ exitCode: 1, json: { code: 50 } });
    expect(performance.now() - began).toBeLessThan(3_000);
  });

  test('STATUS of a stopped database is 50, and waits for no lock', async () => {
    const pod = await node().pod();
    expect(await pod.add()).toMatchObject({ exitCode: 0 });
    const without = { ipam: undefined };
    theSwitch().pauseDatabase();
    try {
      expect(await call('STATUS', without)).toMatchObject({ exitCode: 1, json: { code: 50 } });
    } finally {
      theSwitch().resumeDatabase();
    }
    expect(await call('STATUS', without)).toMatchObject(ok);
    expect(await pod.del()).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });

  test('GC with the switch away reports what it owes, and the next one pays', async () => {
    const pod = await node().pod();
    expect(await pod.add()).toMatchObject({ exitCode: 0 });
    const socket = join(theSwitch().rundir, 'db.sock');
    await rename(socket, `${socket}.away`);
    try {
      const impatient = { deadlines: { delMs: 1_000, reconnectMs: 100 } };
      expect(await gc([], impatient)).toMatchObject({
        exitCode: 1,
        json: { code: 11, msg: expect.stringContaining(pod.containerId) },
      });
    } finally {
      await rename(`${socket}.away`, socket);
    }
    expect(await gc([])).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });
});
