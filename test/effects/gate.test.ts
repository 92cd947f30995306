import { closeSync, openSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { defaultDeadlines, sleep } from '../../src/deadlines.ts';
import { collectAddresses, ensureAddress } from '../../src/effects/ipam.ts';
import { flock } from '../../src/native.ts';
import { call, soon, troubleOf } from '../support/effect-parts.ts';
import { until } from '../support/gate.ts';
import { programs } from '../support/programs.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const text = { stdin: '{"name": "net"}', env: { CNI_CONTAINERID: 'c0ffee' } };
const modern = 'if [ "$CNI_COMMAND" = VERSION ]; then echo \'{"supportedVersions":["1.1.0"]}\'; exit 0; fi';
const answer = 'echo \'{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.5/24"}]}\'';

/** An IPAM program that stays in a command until the file `go` is there, and says so by a file of the command's name. */
function scene() {
  const dataDir = temporaryDirectory();
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
    add: (more: object = {}) => ensureAddress(plan, text, ours, { ...defaultDeadlines, ...more }),
    gc: (toldOf = (stdin: string) => stdin, end = soon()) =>
      collectAddresses(plan, text, toldOf, { ...ours, end }, defaultDeadlines),
  };
}

/** Held by another process, as far as the kernel can tell. */
function held(dataDir: string, isShared: boolean): () => void {
  const fd = openSync(dataDir, 'r');
  expect(flock(fd, isShared)).toBe(true);
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

  it('lets no ADD ask for an address while a GC hands its list on: it waits for it', async () => {
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

  it('lets a GC through when no ADD asks any more, and what it is told is of that moment', async () => {
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

  it('is code 11 for an ADD that is not let through in time, and for a GC', async () => {
    const s = scene();
    const leave = held(s.dataDir, false);
    expect(troubleOf(await s.add({ lockMs: 30 }))).toMatchObject({ code: 11, message: expect.stringContaining('GC') });
    leave();
    onTestFinished(held(s.dataDir, true));
    expect(await s.gc(undefined, soon(300))).toMatchObject([{ code: 11, message: expect.stringContaining('ADD') }]);
    expect(s.own.has('ADD') || s.own.has('GC')).toBe(false);
  });

  it.each(['ADD', 'GC'])(
    'is kept by the program that was asked, whatever becomes of who asked (%s)',
    async (command) => {
      const s = scene();
      // Its child stays, as it does itself when the call is killed.
      const child = '(while [ -d $D ] && [ ! -e $D/go ]; do sleep 0.01; done) > /dev/null 2>&1 &';
      s.own.write('pool', `${modern}\n${child}\n${answer}`);
      expect(await (command === 'ADD' ? s.add() : s.gc())).toEqual(command === 'ADD' ? expect.anything() : []);
      const other = openSync(s.dataDir, 'r');
      onTestFinished(() => closeSync(other));
      // A GC keeps out whoever wants to share, an ADD whoever wants it alone.
      const isShared = command === 'GC';
      expect(flock(other, isShared)).toBe(false);
      s.goOn();
      await until(() => flock(other, isShared));
    },
  );
});
