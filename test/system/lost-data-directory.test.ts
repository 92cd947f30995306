/**
 * The data directory restored, copied, moved, emptied, read-only, with unexpected names in it. Each test here failed when it was written,
 * or stands beside one that did.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { describe, expect, test } from 'vitest';
import { run } from '../support/real/cni.ts';
import type { TestNode } from '../support/real/node.ts';
import { startPeer } from '../support/real/peer.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft } from '../support/real/world.ts';
import { executable } from '../support/requirements.ts';

const ok = { exitCode: 0 };
const sh = (command: string) => execFileSync('sh', ['-c', command], { encoding: 'utf8' });

onRealSwitch('the data directory, lost or spoilt', (theSwitch) => {
  const node = useNode(theSwitch);

  describe('kind 2: a living pod’s port without a journal is not an orphan: its marks name its namespace, which lives', () => {
    /** How the journal of a living attachment gets lost. */
    const losses: [string, (node: TestNode) => void][] = [
      ['its journal was deleted', (one) => sh(`rm ${one.dataDir}/*.journal`)],
      ['the directory was emptied', (one) => sh(`rm -r ${one.dataDir}/*`)],
      [
        'the directory was moved elsewhere, and the timer still looks at the old place',
        (one) => {
          renameSync(one.dataDir, `${one.dataDir}.new`);
          mkdirSync(one.dataDir);
        },
      ],
    ];
    test.each(losses)('%s, then recover', async (_, lose) => {
      const pod = await node().pod();
      expect(await pod.add()).toMatchObject(ok);
      lose(node());
      await node().recover();
      expect((await node().world()).ports).toEqual([pod.portName()]);
    });

    test('the directory was restored from a backup of before its ADD, then recover; its application goes on', async () => {
      const [before, since] = [await node().pod(), await node().pod()];
      expect(await before.add()).toMatchObject(ok);
      cpSync(node().dataDir, `${node().dataDir}.backup`, { recursive: true, preserveTimestamps: true });
      expect(await since.add()).toMatchObject(ok);
      const peer = await startPeer(since.socket(), 'server');
      try {
        await theSwitch().vsctl('wait-until', 'Interface', since.portName(), 'link_state=up');
        rmSync(node().dataDir, { recursive: true });
        renameSync(`${node().dataDir}.backup`, node().dataDir);
        await node().recover();
        expect((await node().world()).ports.sort()).toEqual([before.portName(), since.portName()].sort());
        expect(existsSync(since.socket())).toBe(true);
      } finally {
        await peer.stop();
      }
    });

    test.each([
      ['whole', '.'],
      ['one journal of it, to look at it', '*.journal'],
    ])('the directory was copied (%s), and recover is run on the copy', async (_, what) => {
      const [copied, since] = [await node().pod(), await node().pod()];
      expect(await copied.add()).toMatchObject(ok);
      sh(`mkdir ${node().directory}/copy; cp -a ${node().dataDir}/${what} ${node().directory}/copy/`);
      expect(await since.add()).toMatchObject(ok);
      await run(['recover', '--data-dir', join(node().directory, 'copy'), '--ovsdb', theSwitch().ovsdb]);
      expect((await node().world()).ports.sort()).toEqual([copied.portName(), since.portName()].sort());
    });

    test('the whole directory was lost; the next ADD makes a new one, then recover', async () => {
      const [old, next] = [await node().pod(), await node().pod()];
      expect(await old.add()).toMatchObject(ok);
      rmSync(node().dataDir, { recursive: true });
      expect(await next.add()).toMatchObject(ok);
      await node().recover();
      expect((await node().world()).ports.sort()).toEqual([old.portName(), next.portName()].sort());
    });
  });

  test('kind 5: DEL removes an attachment of a lost data directory, without "a session is fenced for one attachment"', async () => {
    const pod = await node().pod();
    expect(await pod.add()).toMatchObject(ok);
    rmSync(node().dataDir, { recursive: true });
    expect(await pod.del()).toMatchObject({ ...ok, stderr: '' });
    await node().recover();
    expectNothingLeft(await node().world());
  });

  test('kind 2: a path that is spelt otherwise (a slash at its end, a symlink) leads a DEL to the same directory', async () => {
    mkdirSync(join(node().directory, 'real'));
    symlinkSync(join(node().directory, 'real'), node().dataDir);
    const pods = [await node().pod(), await node().pod()];
    for (const pod of pods) expect(await pod.add()).toMatchObject(ok);
    sh(`rm -rf ${node().directory}/real/*`);
    const answers = [
      await pods[0]?.del('net1', { dataDir: `${node().dataDir}/` }),
      await pods[1]?.del('net1', { dataDir: join(node().directory, 'real') }),
    ];
    expect(answers).toMatchObject([ok, ok]);
  });

  test('kind 2: recover where the directory is gone says that, not that an ADD was interrupted', async () => {
    const pod = await node().pod();
    expect(await pod.add()).toMatchObject(ok);
    rmSync(node().dataDir, { recursive: true });
    const { json } = await node().recover();
    expect(json.attachments).not.toContainEqual(expect.objectContaining({ found: 'interrupted' }));
    expect((await node().world()).ports).toEqual([pod.portName()]);
  });

  test('kind 2: a copy of a journal under another name is listed, in each state of its original, and nothing is removed by it', async () => {
    const pod = await node().pod();
    expect(await pod.add()).toMatchObject(ok);
    const copy = join(node().dataDir, 'copy.journal');
    cpSync(pod.journal(), copy);
    const told = { found: 'damaged', result: 'kept', note: expect.stringContaining(pod.containerId) };
    const attached = await node().recover();
    expect(attached.json.attachments).toMatchObject([told, { found: 'attached', result: 'kept' }]);
    expect(await pod.del()).toMatchObject(ok);
    const gone = await node().recover();
    expect({ exitCode: gone.exitCode, attachments: gone.json.attachments }).toMatchObject({
      ...ok,
      attachments: [told],
    });
    rmSync(copy);
    expectNothingLeft(await node().world());
  });

  test('kind 1: a DEL does not remove by a journal that is of another attachment, and has its name', async () => {
    const [living, other] = [await node().pod(), await node().pod()];
    expect(await living.add()).toMatchObject(ok);
    sh(`cp -a ${living.journal()} ${other.journal()}`);
    await other.del();
    expect(await node().world()).toMatchObject({ ports: [living.portName()], addresses: ['net-a/10.56.0.2'] });
  });

  describe('kind 2: an ADD whose journal was taken away while it waited fails', () => {
    test.each(['rm -r D', 'rm D/*.journal', 'mv D D.moved && mkdir D'])('%s', async (command) => {
      await node().program('slow-local', 'sleep 1\nexec /usr/lib/cni/host-local');
      const changes = { ipam: { type: 'slow-local' } };
      const pod = await node().pod();
      const adding = pod.add('net1', changes);
      await delay(500);
      sh(command.replaceAll('D', node().dataDir));
      const { exitCode } = await adding;
      const isRemembered = existsSync(node().dataDir) && readdirSync(node().dataDir).some((name) => name.includes(':'));
      expect({ exitCode, isRemembered }).not.toEqual({ exitCode: 0, isRemembered: false });
    });
  });

  test('a journal that cannot be opened (chattr +i) is not listed as an interrupted ADD', async () => {
    const pod = await node().pod();
    expect(await pod.add()).toMatchObject(ok);
    sh(`chattr +i ${pod.journal()}`);
    try {
      const { json } = await node().recover();
      expect(json.attachments[0].found).not.toBe('interrupted');
    } finally {
      sh(`chattr -i ${pod.journal()}`);
    }
  });

  test('kind 2: a DEL whose journal is immutable (chattr +i) removes everything else, and fails', async () => {
    const pod = await node().pod();
    expect(await pod.add()).toMatchObject(ok);
    sh(`chattr +i ${pod.journal()}`);
    try {
      const { exitCode, json } = await pod.del();
      expect({ exitCode, code: json.code }).toEqual({ exitCode: 1, code: 5 });
      const { ports, addresses } = await node().world();
      expect({ ports, addresses }).toEqual({ ports: [], addresses: [] });
    } finally {
      sh(`chattr -i ${pod.journal()}`);
    }
    expect(await pod.del()).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });

  describe('kind 6: names that are not journals of ours', () => {
    const bounded = (...args: string[]) =>
      execa(executable, [...args, '--data-dir', node().dataDir], {
        reject: false,
        timeout: 8_000,
        killSignal: 'SIGKILL',
      });

    test('a FIFO holds neither list nor recover nor GC', async () => {
      const pod = await node().pod();
      expect(await pod.add()).toMatchObject(ok);
      sh(`mkfifo ${node().dataDir}/p:p:p.journal`);
      const listed = await bounded('list');
      const recovered = await bounded('recover', '--ovsdb', theSwitch().ovsdb);
      expect([listed.timedOut, recovered.timedOut]).toEqual([false, false]);
    });

    test('a FIFO at the name of the instance file holds no recover', async () => {
      const pod = await node().pod();
      expect(await pod.add()).toMatchObject(ok);
      sh(`rm ${node().dataDir}/instance; mkfifo ${node().dataDir}/instance`);
      expect((await bounded('recover', '--ovsdb', theSwitch().ovsdb)).timedOut).toBe(false);
    });

    test('a directory keeps list and show from no other attachment', async () => {
      const pod = await node().pod();
      expect(await pod.add()).toMatchObject(ok);
      mkdirSync(join(node().dataDir, 'd:e:f.journal'));
      expect(await run(['list', '-o', 'wide', '--data-dir', node().dataDir])).toMatchObject({
        // A journal that cannot be read may owe a removal.
        exitCode: 3,
        stdout: expect.stringContaining(pod.portName()),
      });
      expect(await run(['show', pod.shortId, 'net1', '--data-dir', node().dataDir])).toMatchObject(ok);
    });

    test('a file of 6 GB (sparse) keeps recover from no other attachment', async () => {
      const pod = await node().pod();
      expect(await pod.add()).toMatchObject(ok);
      await pod.removeNetns();
      sh(`truncate -s 6G ${node().dataDir}/h:h:h.journal`);
      const { stderr } = await node().recover();
      expect(stderr).not.toContain('Out of memory');
      expect((await node().world()).ports).toEqual([]);
    });
  });

  test('under a umask of 077 (a hardened service) the group of the configuration gets to socket and file', async () => {
    const changes = { host: { vhost: { group: 'nogroup' } } };
    const pod = await node().pod();
    const under = ['sh', '-c', 'umask 077; exec "$@"', 'sh'];
    expect(await pod.add('net1', changes, { under })).toMatchObject(ok);
    sh(`chmod 755 ${node().directory}`);
    const file = join(node().sharedDir, pod.shortId, `configData-${pod.shortId}-net1.json`);
    const asMember = ['--reuid', '1234', '--regid', 'nogroup', '--clear-groups', 'cat', file];
    expect((await execa('setpriv', asMember, { reject: false })).stderr).toBe('');
  });
});
