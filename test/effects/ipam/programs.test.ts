/** IPAM programs that refuse, have moved, are this plugin itself, or end unseen. */
import { closeSync, linkSync, mkdtempSync, openSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { keyText } from '../../../src/attachment.ts';
import { defaultDeadlines } from '../../../src/deadlines.ts';
import { Away } from '../../../src/effects/away.ts';
import {
  addressStatus,
  checkAddress,
  collectAddresses,
  ensureAddress,
  type Release,
  removeAddress,
} from '../../../src/effects/ipam/plugin.ts';
import { findProgram, programTroubles } from '../../../src/effects/program.ts';
import type { CallText } from '../../../src/machines/protocol.ts';
import { sinceBootMs } from '../../../src/os/bare.ts';
import { until } from '../../support/fake/held-call.ts';
import { ownKey, programs } from '../../support/programs.ts';
import { startChild } from '../../support/real/child.ts';
import { call } from '../../support/stand-in/scene.ts';

const text: CallText = {
  stdin: '{"name": "net", "ipam": {"type": "pool"}}',
  env: { CNI_CONTAINERID: 'c0ffee', CNI_IFNAME: 'net1', CNI_PATH: '/opt/cni/bin' },
};

const key = ownKey();

const given = { isGiven: true, isDoubtful: false };

/** A program called `pool`, and a function that asks it. */
function pool(body: string) {
  const own = programs();
  own.write('pool', body);
  const plan = { program: 'pool', path: [own.directory] };
  const asked = (more = {}) => ({ plan, text, key, call: call(), deadlines: { ...defaultDeadlines, ...more } });
  return { own, plan, asked };
}

describe('an ADD that failed', () => {
  const made = async (body: string, deadlines = {}) => {
    const outcome = await ensureAddress(pool(body).asked(deadlines));
    if (outcome.kind !== 'failed') throw new Error(JSON.stringify(outcome));
    return outcome.made;
  };
  const error = (message: string) => `echo '{"cniVersion":"1.0.0","code":999,"msg":"${message}"}'; exit 1`;

  it.each([
    error('invalid CIDR address: 10.9.0.0/33'),
    error('ARGS: error parsing value of pair IP=10.9.0.3,fd00::1'),
    error('failed to allocate for range 0: no IP addresses available in range set: 10.9.0.1-10.9.0.254'),
    "echo 'cannot open lock' >&2; exit 9",
  ])('kind 5: by the program’s own answer is doubtful: one DEL more, and no debt (%s)', async (body) => {
    expect(await made(body)).toBe('doubtful');
  });

  it.each([
    'failed to allocate for range 0: 10.9.0.2 has been allocated to c0ffee, duplicate allocation is not allowed',
    'failed to allocate for range 0: requested IP address 10.9.0.2 is not available in range set 10.9.0.1-10.9.0.254',
  ])(
    'kind 1: has made nothing if this id may hold one already: a DEL would release a living one (%s)',
    async (said) => {
      expect(await made(error(said))).toBe('nothing');
      expect(await made(`echo '${said}' >&2; exit 1`)).toBe('nothing');
    },
  );

  it.each(['kill -KILL $$', 'sh -c "kill -KILL \\$\\$"; exit $?', 'exit 143'])(
    'kind 5: by a signal is not known, and is owed until its DEL is done (%s)',
    async (body) => {
      expect(await made(body)).toBeUndefined();
    },
  );

  it('kind 5: by its deadline is not known either', async () => {
    expect(await made('mkfifo $D/never; read x < $D/never', { ipamMs: 40 })).toBeUndefined();
  });

  it('kind 5: before the program ran has made nothing', async () => {
    const { own, asked } = pool('');
    const writer = openSync(join(own.directory, 'pool'), 'r+');
    expect(await ensureAddress(asked())).toMatchObject({ kind: 'failed', made: 'nothing' });
    closeSync(writer);
  });
});

describe('a DEL after an ADD that was refused', () => {
  const remove = (body: string, release: Release, deadlines = {}) =>
    removeAddress(pool(body).asked(deadlines), release);
  const doubtful = { isGiven: false, isDoubtful: true };

  it.each(['echo "invalid IP address" >&2; exit 1', 'kill -KILL $$', 'sleep 60'])(
    'kind 5: is never a debt: it warns, naming the program and its answer (%s)',
    async (body) => {
      const outcome = await remove(body, doubtful, { ipamMs: 200 });
      expect(outcome).toEqual({ kind: 'ok', warning: expect.stringContaining('IPAM plugin "pool" DEL: ') });
      if (body.startsWith('echo')) expect(JSON.stringify(outcome)).toContain('invalid IP address');
    },
  );

  it('kind 5: does not warn if it succeeds', async () => {
    expect(await remove('exit 0', doubtful)).toEqual({ kind: 'ok' });
  });

  it('kind 5: is a debt if the address was given, or if that is not known', async () => {
    for (const isGiven of [true, false])
      expect(await remove('exit 1', { isGiven, isDoubtful: false })).toMatchObject({ kind: 'failed' });
  });
});

describe('a DEL of an ADD that ended unseen', () => {
  it('kind 3: first ends processes that its program left without our descriptors, because they could allocate after the DEL', async () => {
    const { own, plan } = pool(
      'if [ $CNI_COMMAND = DEL ]; then kill -0 $(cat $D/pid) 2> /dev/null; echo $? > $D/seen; exit 0; fi\n' +
        'exec 3>&- 4>&- 5>&-; echo $$ > $D/pid; exec sleep 60',
    );
    const lease = `USERSPACE_CNI_CALL=${Math.ceil(sinceBootMs() + 60_000)} ${keyText(key)}`;
    const orphan = startChild('env', [lease, 'CNI_COMMAND=ADD', join(own.directory, 'pool')]);
    await until(() => own.has('pid') && own.read('pid') !== '');
    const asked = { plan, text, key, call: call(), deadlines: defaultDeadlines };
    expect(await removeAddress(asked, { isGiven: true, isDoubtful: false })).toEqual({ kind: 'ok' });
    expect(own.read('seen')).toBe('0\n');
    expect(await removeAddress(asked, { isGiven: false, isDoubtful: false })).toEqual({ kind: 'ok' });
    expect(own.read('seen')).toBe('1\n');
    expect(await orphan.ended()).toBe('SIGKILL');
  });
});

describe('ipam.type that names this plugin itself', () => {
  /** In a test, this executable is Bun. */
  const links = {
    'by a hard link': (path: string) => linkSync(realpathSync(process.execPath), path),
    'by a symlink': (path: string) => symlinkSync(process.execPath, path),
  };

  it.each(Object.entries(links))('kind 6: %s is refused before anything is made, naming the key', (_, link) => {
    const directory = mkdtempSync(join(dirname(realpathSync(process.execPath)), '.userspace-cni-test-'));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    link(join(directory, 'pool'));
    expect(programTroubles({ program: 'pool', path: [directory] })).toEqual([
      { code: 7, message: expect.stringContaining('"ipam.type" "pool" is this plugin itself') },
    ]);
  });

  it('kind 6: is never run for any command, and has given no address', async () => {
    const plan = { program: basename(process.execPath), path: [dirname(process.execPath)] };
    const asked = { plan, text, key, network: 'net', call: call(), deadlines: defaultDeadlines };
    const troubles = [await ensureAddress(asked), ...(await collectAddresses(asked, (stdin) => stdin))];
    expect(troubles).toMatchObject([
      { kind: 'failed', made: 'nothing', trouble: { code: 7 } },
      { code: 7, message: expect.stringContaining('this plugin itself') },
    ]);
    expect(await addressStatus(asked)).toMatchObject([
      { code: 50, message: expect.stringContaining('this plugin itself') },
    ]);
    expect(await removeAddress(asked, given)).toEqual({
      kind: 'ok',
      warning: expect.stringContaining('this plugin itself'),
    });
  });
});

describe('a program that has moved since its ADD', () => {
  const moved = () => {
    const now = programs();
    now.write('pool', 'echo "$CNI_COMMAND $CNI_PATH" >> $D/asked');
    const plan = { program: 'pool', path: [join(now.directory, 'gone')] };
    const asked = { plan, text, key, call: call(), deadlines: defaultDeadlines };
    return { now, asked };
  };

  it('kind 5: is found in the caller’s directories, by DEL and by CHECK', async () => {
    const { now, asked } = moved();
    const elsewhere = [now.directory];
    expect(await removeAddress({ ...asked, elsewhere }, given)).toEqual({ kind: 'ok' });
    expect(await checkAddress({ ...asked, elsewhere })).toEqual({ kind: 'ok' });
    // The programs that it calls itself have moved with it.
    const path = `${now.directory}:/opt/cni/bin`;
    expect(now.read('asked')).toBe(`DEL ${path}\nCHECK ${path}\n`);
  });

  it('kind 5: is taken by an ADD from its own CNI_PATH alone', async () => {
    const { now, asked } = moved();
    expect(await ensureAddress({ ...asked, elsewhere: [now.directory] })).toMatchObject({
      kind: 'failed',
      made: 'nothing',
      trouble: { code: 7 },
    });
    expect(now.has('asked')).toBe(false);
  });

  it('kind 5: is not looked for while it is in the ADD’s directory', async () => {
    const [own, other] = [programs(), programs()];
    const path = own.write('pool', '');
    other.write('pool', '');
    expect(findProgram({ program: 'pool', path: [own.directory] }, [other.directory])).toBe(path);
  });
});

describe('a program that does not answer', () => {
  it('kind 7: is waited for once by a recovery, for all its commands, until the recovery forgets that', async () => {
    const { own, asked } = pool('echo $CNI_COMMAND >> $D/asked; exec sleep 60');
    const away = new Away({ remembers: true });
    const silent = { ...asked({ ipamMs: 50 }), away };
    for (const again of ['', ' (asked a moment ago)']) {
      const message = expect.stringContaining(`no answer in time; it was killed${again}`);
      expect(await removeAddress(silent, given)).toMatchObject({ kind: 'failed', trouble: { code: 11, message } });
    }
    expect(own.read('asked')).toBe('DEL\n');
    expect(away.forget()).toBe(true);
    expect(await removeAddress(silent, given)).toMatchObject({ kind: 'failed' });
    expect(own.read('asked')).toBe('DEL\nDEL\n');
  });
});
