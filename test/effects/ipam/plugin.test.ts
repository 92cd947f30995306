import { closeSync, openSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { AttachmentKey } from '../../../src/attachment.ts';
import { defaultDeadlines } from '../../../src/deadlines.ts';
import type { IpamCall } from '../../../src/effects/ipam/delegate.ts';
import { checkAddress, ensureAddress, removeAddress } from '../../../src/effects/ipam/plugin.ts';
import { findProgram, programTroubles } from '../../../src/effects/program.ts';
import type { AddressPlan, Call, CallText, Outcome } from '../../../src/machines/protocol.ts';
import { ownKey, type Programs, programs } from '../../support/programs.ts';
import { call, troubleOf } from '../../support/stand-in/scene.ts';

const text: CallText = {
  stdin: ' {"name": "net",\n "ipam": {"type": "pool"}, "ä": "€"}\n',
  env: { CNI_CONTAINERID: 'c0ffee', CNI_IFNAME: 'net1', CNI_NETNS: '', CNI_ARGS: 'A=b', CNI_PATH: '/opt/cni/bin' },
};

const answer =
  '{"cniVersion":"0.4.0","ips":[{"version":"4","address":"10.0.0.5/24","gateway":"10.0.0.1"}],"routes":[{"dst":"0.0.0.0/0"}]}';

const key = ownKey();

const given = { isGiven: true, isDoubtful: false };

type Question = IpamCall & { readonly key: AttachmentKey };

const verbs = {
  ADD: (asked: Question) => ensureAddress(asked),
  DEL: (asked: Question) => removeAddress(asked, given),
  CHECK: (asked: Question) => checkAddress(asked),
} as const;

type Verb = keyof typeof verbs;

/** A program called `pool`, and a function that asks for one of the three verbs. */
function pool(body: string, name = 'pool') {
  const own = programs();
  own.write(name, body);
  const plan: AddressPlan = { program: name, path: [own.directory] };
  const ask = (verb: Verb, ours: Call = call(), deadlines = {}): Promise<Outcome> =>
    verbs[verb]({ plan, text, key, call: ours, deadlines: { ...defaultDeadlines, ...deadlines } });
  return { own, plan, ask };
}

const failing = (verb: Verb, body: string, name?: string) => pool(body, name).ask(verb).then(troubleOf);

describe('an address', () => {
  it('is the program’s answer, in the shape of 1.0.0', async () => {
    expect(await pool(`echo '${answer}'`).ask('ADD')).toEqual({
      kind: 'ok',
      facts: { ips: [{ address: '10.0.0.5/24', gateway: '10.0.0.1' }], routes: [{ dst: '0.0.0.0/0' }] },
    });
  });

  it('may be answered in the shape of any version, with DNS', async () => {
    const old = '{"ip4":{"ip":"10.0.0.5/24","routes":[{"dst":"0.0.0.0/0"}]},"dns":{"domain":"x"}}';
    expect(await pool(`echo '${old}'`).ask('ADD')).toEqual({
      kind: 'ok',
      facts: { ips: [{ address: '10.0.0.5/24' }], routes: [{ dst: '0.0.0.0/0' }], dns: { domain: 'x' } },
    });
  });

  it('never names its interface, because this plugin does that', async () => {
    const odd = '{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.5/24","interface":7}]}';
    expect(await pool(`echo '${odd}'`).ask('ADD')).toMatchObject({ facts: { ips: [{ address: '10.0.0.5/24' }] } });
    expect(JSON.stringify(await pool(`echo '${odd}'`).ask('ADD'))).not.toContain('interface');
  });

  it.each(['', 'no JSON', '{', '{}', '{"ips":[]}', '{"ips":[{}]}', 'null', '[]', '{"ips":"10.0.0.5"}'])(
    'is missing from %j: the answer is refused and quoted',
    async (stdout) => {
      const trouble = await failing('ADD', `printf '%s' '${stdout}'`);
      expect(trouble).toMatchObject({
        code: 7,
        message: expect.stringContaining('"pool" answered ADD without an address'),
      });
      expect(trouble.details).toBe(stdout);
    },
  );

  it('is missing from ten mebibytes of text: the error quotes little of it', async () => {
    const trouble = await failing('ADD', 'head -c 10485760 /dev/zero | tr "\\0" x');
    expect(trouble.message).toContain('without an address');
    expect(trouble.details?.length).toBeLessThan(1000);
  });
});

describe.each(Object.keys(verbs) as Verb[])('the program’s %s', (verb) => {
  it('gets our standard input byte for byte, and our environment with CNI_COMMAND changed alone', async () => {
    const { own, ask } = pool(`cat > $D/stdin; env > $D/env; echo '${answer}'`);
    expect((await ask(verb)).kind).toBe('ok');
    expect(own.read('stdin')).toBe(text.stdin);
    const seen = own
      .read('env')
      .split('\n')
      .filter((line) => line.startsWith('CNI_'));
    const { CNI_COMMAND: _, ...rest } = { CNI_COMMAND: '', ...text.env };
    expect(seen.sort()).toEqual(
      [...Object.entries(rest).map(([name, value]) => `${name}=${value}`), `CNI_COMMAND=${verb}`].sort(),
    );
  });

  it('fails with the program’s error: code, words and details unchanged', async () => {
    const body = `echo '{"cniVersion":"1.0.0","code":110,"msg":"pool is empty","details":"10.0.0.0/24"}'; exit 1`;
    expect(await failing(verb, body)).toEqual({
      code: 110,
      message: `IPAM plugin "pool" ${verb}: pool is empty`,
      details: '10.0.0.0/24',
    });
  });

  it('never passes code 3 on: the runtime would think that no DEL is needed', async () => {
    const trouble = await failing(verb, `echo '{"code":3,"msg":"unknown container"}'; exit 1`);
    expect(trouble).toMatchObject({ code: 999, message: expect.stringContaining('unknown container') });
  });

  it('fails with its stderr if stdout is not an error object (bug B38)', async () => {
    for (const stdout of ['', 'oops', '{}', '{"code":"7","msg":"x"}', '{"code":7}', 'null'])
      expect(await failing(verb, `printf '%s' '${stdout}'; echo 'cannot open lock' >&2; exit 1`)).toEqual({
        code: 999,
        message: `IPAM plugin "pool" ${verb}: cannot open lock`,
      });
  });

  it.each([
    ['exit 9', 'exit status 9'],
    ['kill -KILL $$', 'killed by SIGKILL'],
    ['kill -SEGV $$', 'killed by SIGSEGV'],
  ])('that ends by "%s" without a word fails with how it ended', async (body, words) => {
    expect(await failing(verb, body)).toEqual({ code: 999, message: `IPAM plugin "pool" ${verb}: ${words}` });
  });

  it('that hangs is killed past its deadline: code 11 (case A44, bug B38)', async () => {
    const { ask } = pool('mkfifo $D/never; read x < $D/never');
    for (const [ours, deadlines] of [
      [call(), { ipamMs: 40 }],
      [call(40), {}],
    ] as const)
      expect(troubleOf(await ask(verb, ours, deadlines))).toEqual({
        code: 11,
        message: `IPAM plugin "pool" ${verb}: no answer in time; it was killed`,
      });
  });

  it('may end without reading its standard input', async () => {
    expect((await pool(`exec <&-; echo '${answer}'`).ask(verb)).kind).toBe('ok');
  });

  it('that is not installed is code 7, naming it and the searched directories', async () => {
    const { own } = pool('');
    const plan = { program: 'no-such-ipam', path: [own.directory, '/nowhere'] };
    const trouble = troubleOf(await verbs[verb]({ plan, text, key, call: call(), deadlines: defaultDeadlines }));
    expect(trouble.code).toBe(7);
    for (const word of ['"no-such-ipam"', own.directory, '/nowhere']) expect(trouble.message).toContain(word);
  });

  it('is tried again while the program is being replaced on disk', async () => {
    const { own, ask } = pool(`echo '${answer}'`);
    const writer = openSync(join(own.directory, 'pool'), 'r+');
    // The first attempt is made before this returns, and is refused: the file is open for writing.
    const asked = ask(verb);
    closeSync(writer);
    expect((await asked).kind).toBe('ok');
  });
});

describe('a program that is being replaced for ever', () => {
  it('is given up: code 11 with the errno', async () => {
    const { own, ask } = pool(`echo '${answer}'`);
    const writer = openSync(join(own.directory, 'pool'), 'r+');
    expect(troubleOf(await ask('ADD'))).toEqual({
      code: 11,
      message: 'IPAM plugin "pool" ADD: cannot be run: ETXTBSY',
    });
    closeSync(writer);
  });
});

describe('a DEL of an address that is not held', () => {
  it.each([
    'Did not find reserved IP for container c0ffee',
    'error deleting: address 10.0.0.5 not found',
    'allocation for c0ffee was not found',
    'no lease found for c0ffee',
  ])('is done: “%s” (case A13)', async (message) => {
    expect(await pool(`echo '{"code":999,"msg":"${message}"}'; exit 1`).ask('DEL')).toEqual({ kind: 'ok' });
    expect(await pool(`echo '${message}' >&2; exit 1`).ask('DEL')).toEqual({ kind: 'ok' });
  });

  it.each([
    'config file not found',
    'datastore unreachable',
    'permission denied',
    'lock not found; try again',
    'there is no lease server',
    'address of the server: host db.example not found',
  ])('is not “%s”: the address is still held', async (message) => {
    expect((await failing('DEL', `echo '${message}' >&2; exit 1`)).message).toContain(message);
  });

  it('is told by the program’s words, never by its name', async () => {
    for (const name of ['address-manager', 'no-lease', 'ip'])
      expect((await failing('DEL', "echo 'config file not found' >&2; exit 1", name)).message).toContain(name);
  });

  it('is a failure of ADD and of CHECK, because they need the address', async () => {
    for (const verb of ['ADD', 'CHECK'] as const)
      expect((await failing(verb, "echo 'Did not find reserved IP' >&2; exit 1")).message).toContain('reserved IP');
  });
});

describe('finding a program', () => {
  const found = (own: Programs, ...path: string[]) => findProgram({ program: 'pool', path: [...path, own.directory] });

  it('takes the first in the order of CNI_PATH', () => {
    const [first, second] = [programs(), programs()];
    const path = second.write('pool', '');
    expect(found(second, first.directory)).toBe(path);
    expect(found(second, first.directory)).not.toBe(first.write('pool', ''));
    expect(found(second, first.directory)).toBe(join(first.directory, 'pool'));
  });

  it('passes over directories, files that cannot be run, and links to nothing', () => {
    const [a, b, c, good] = [programs(), programs(), programs(), programs()];
    symlinkSync('/usr', join(a.directory, 'pool'));
    closeSync(openSync(join(b.directory, 'pool'), 'w', 0o644));
    symlinkSync('/nowhere', join(c.directory, 'pool'));
    const path = good.write('pool', '');
    expect(found(good, a.directory, b.directory, c.directory)).toBe(path);
  });

  it('reports a missing program before anything is made', () => {
    const own = programs();
    expect(programTroubles({ program: 'pool', path: [own.directory] })).toEqual([
      { code: 7, message: expect.stringContaining('install it or correct "ipam.type"') },
    ]);
    own.write('pool', '');
    expect(programTroubles({ program: 'pool', path: [own.directory] })).toEqual([]);
  });
});

describe('CHECK of an address', () => {
  const error = (number: number, message = 'no') => `echo '{"code":${number},"msg":"${message}"}'; exit 1`;

  it.each([
    ['host-local', error(999, 'host-local: Failed to find address added by container c0ffee')],
    ['a program with its own code', error(121, 'no allocation found')],
  ])('that is not there, by %s, is a finding (need N24)', async (_, body) => {
    const outcome = await pool(body).ask('CHECK');
    expect(outcome.kind).toBe('failed');
    expect(outcome).not.toHaveProperty('unjudged');
  });

  it.each([
    ['unknown CNI_COMMAND: CHECK', 4],
    ['CNI CHECK method is not implemented', 999],
    ['config version does not allow CHECK', 1],
  ])('by a program that has none, “%s”, takes what it gave as it is (need N24)', async (message, number) => {
    expect(await pool(error(number, message)).ask('CHECK')).toEqual({ kind: 'ok' });
  });

  it.each([
    ['asks to come again', error(11)],
    ['cannot lock its store', error(999, 'is a directory')],
    ['fails with a code of its own', error(121)],
    ['lacks a variable', error(4, 'required env variables [CNI_IFNAME] missing')],
    ['ends without a word', 'exit 1'],
    ['is killed', 'kill -9 $$'],
    ['does not end in time', 'sleep 60'],
  ])('by a program that %s tells nothing of the address (need N24)', async (_, body) => {
    expect(await pool(body).ask('CHECK', call(), { ipamMs: 300 })).toMatchObject({ kind: 'failed', unjudged: true });
  });

  it('by a program that is gone does not judge the address (need N24)', async () => {
    const { own, ask } = pool('exit 0');
    rmSync(join(own.directory, 'pool'));
    expect(await ask('CHECK')).toMatchObject({ kind: 'failed', trouble: { code: 7 }, unjudged: true });
  });
});
