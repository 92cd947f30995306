import { closeSync, openSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { defaultDeadlines, sleep } from '../../../src/deadlines.ts';
import { collectAddresses, ensureAddress } from '../../../src/effects/ipam/plugin.ts';
import { crc32, lockByte } from '../../../src/os/native.ts';
import { until } from '../../support/fake/held-call.ts';
import { ownKey, programs } from '../../support/programs.ts';
import { startChild } from '../../support/real/child.ts';
import { call, soon, troubleOf } from '../../support/stand-in/scene.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const text = { stdin: '{"name": "net"}', env: { CNI_CONTAINERID: 'c0ffee' } };
const modern = 'if [ "$CNI_COMMAND" = VERSION ]; then echo \'{"supportedVersions":["1.1.0"]}\'; exit 0; fi';
const answer = 'echo \'{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.5/24"}]}\'';

const network = 'net';

function dataDirectory(): string {
  const dataDir = temporaryDirectory();
  writeFileSync(join(dataDir, 'instance'), '0123456789abcdef\n');
  return dataDir;
}

/** An IPAM program that makes a file of the command's name and waits until the file `go` exists. */
function scene() {
  const dataDir = dataDirectory();
  const own = programs();
  own.write(
    'pool',
    `${modern}\ntouch $D/$CNI_COMMAND; while [ -d $D ] && [ ! -e $D/go ]; do sleep 0.01; done; ${answer}`,
  );
  const plan = { program: 'pool', path: [own.directory] };
  const ours = { ...call(), dataDir };
  return {
    dataDir,
    own,
    goOn: () => own.write('go', ''),
    add: (more: object = {}, key = ownKey(network)) =>
      ensureAddress({ plan, text, key, call: ours, deadlines: { ...defaultDeadlines, ...more } }),
    gc: (toldOf = (stdin: string) => stdin, end = soon()) =>
      collectAddresses({ plan, text, network, call: { ...ours, end }, deadlines: defaultDeadlines }, toldOf),
  };
}

const byte = crc32(new TextEncoder().encode(`${network}\0pool`));

const open = (dataDir: string): number => openSync(join(dataDir, 'instance'), 'r+');

/** Holds the lock as another process would. */
function held(dataDir: string, how: 'shared' | 'alone'): () => void {
  const fd = open(dataDir);
  expect(lockByte(fd, byte, how)).toBe(true);
  return () => closeSync(fd);
}

describe('the gate between ADDs and GC', () => {
  it('lets ADDs through together', async () => {
    const s = scene();
    const adds = [s.add(), s.add()];
    await until(() => s.own.has('ADD'));
    s.goOn();
    expect(await Promise.all(adds)).toMatchObject([{ kind: 'ok' }, { kind: 'ok' }]);
  });

  it('makes an ADD wait before it asks for an address, while a GC hands its list over', async () => {
    const s = scene();
    const collecting = s.gc();
    await until(() => s.own.has('GC'));
    const adding = s.add();
    await sleep(60);
    expect(s.own.has('ADD')).toBe(false);
    s.goOn();
    expect(await collecting).toEqual([]);
    expect(await adding).toMatchObject({ kind: 'ok' });
  });

  it('lets a GC through when no ADD asks, and its list is made at that moment', async () => {
    const s = scene();
    const adding = s.add();
    await until(() => s.own.has('ADD'));
    let isAdded = false;
    let told: boolean | undefined;
    const collecting = s.gc((stdin) => {
      told = isAdded;
      return stdin;
    });
    await sleep(60);
    expect({ told, gc: s.own.has('GC') }).toEqual({ told: undefined, gc: false });
    isAdded = true;
    s.goOn();
    await Promise.all([adding, collecting]);
    expect(told).toBe(true);
  });

  it('is code 11 for an ADD or a GC that is not let through in time', async () => {
    const s = scene();
    const leave = held(s.dataDir, 'alone');
    expect(troubleOf(await s.add({ lockMs: 30 }))).toMatchObject({ code: 11, message: expect.stringContaining('GC') });
    leave();
    onTestFinished(held(s.dataDir, 'shared'));
    expect(await s.gc(undefined, soon(300))).toMatchObject([{ code: 11, message: expect.stringContaining('ADD') }]);
    expect(s.own.has('ADD') || s.own.has('GC')).toBe(false);
  });

  it.each(['ADD', 'GC'])(
    'is kept by the program that was asked, whatever becomes of the call (%s)',
    async (command) => {
      const s = scene();
      const lock = open(s.dataDir);
      // A killed call ends without an unlock, while its program holds a copy of the descriptor.
      expect(lockByte(lock, byte, command === 'ADD' ? 'shared' : 'alone')).toBe(true);
      const orphan = startChild('sh', ['-c', 'echo started; exec cat'], [lock]);
      expect(await orphan.line()).toBe('started');
      closeSync(lock);
      const other = open(s.dataDir);
      onTestFinished(() => closeSync(other));
      // A GC keeps out callers that would share the gate, an ADD a caller that wants it alone.
      const how = command === 'GC' ? 'shared' : 'alone';
      expect(lockByte(other, byte, how)).toBe(false);
      await orphan.kill();
      expect(lockByte(other, byte, how)).toBe(true);
    },
  );

  it.each(['ADD', 'GC'])(
    'kind 3: is not kept by what a program leaves behind that has answered (%s)',
    async (command) => {
      const s = scene();
      const child = '(while [ -d $D ] && [ ! -e $D/go ]; do sleep 0.01; done) > /dev/null 2>&1 &';
      s.own.write('pool', `${modern}\n${child}\n${answer}`);
      expect(await (command === 'ADD' ? s.add() : s.gc())).toEqual(command === 'ADD' ? expect.anything() : []);
      held(s.dataDir, 'alone')();
      s.goOn();
    },
  );

  it('kind 3: is free again after a program that overran its time, because no process of it is left', async () => {
    const s = scene();
    s.own.write('pool', `${modern}\nsetsid sleep 60 &\nexec sleep 60`);
    expect(troubleOf(await s.add({ ipamMs: 250 })).message).toContain('it was killed');
    held(s.dataDir, 'alone')();
  });

  it('kind 3: is separate for each network: a hanging GC keeps no other network’s ADD waiting', async () => {
    const s = scene();
    onTestFinished(held(s.dataDir, 'alone'));
    s.goOn();
    expect(await s.add({ lockMs: 30 }, ownKey('other'))).toMatchObject({ kind: 'ok' });
    expect(troubleOf(await s.add({ lockMs: 30 }))).toMatchObject({ code: 11 });
  });

  it('kind 3: leaves nothing in the data directory', async () => {
    const s = scene();
    s.goOn();
    await s.add();
    await s.gc();
    expect(readdirSync(s.dataDir)).toEqual(['instance']);
  });
});
