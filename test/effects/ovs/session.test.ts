import { execFileSync } from 'node:child_process';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { now } from '../../../src/deadlines.ts';
import { readMap, readSet, readUuid, readUuids, TransactionError } from '../../../src/effects/ovs/operations.ts';
import { Session, Unreachable } from '../../../src/effects/ovs/session.ts';
import { RawSession } from '../../support/stand-in/raw-ovsdb.ts';
import { scene, soon } from '../../support/stand-in/scene.ts';
import { type Asked, reply, scriptedServer } from '../../support/stand-in/scripted-server.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

async function open(address: string, ms?: number): Promise<Session> {
  const session = await Session.open(address, soon(ms));
  onTestFinished(() => session.close());
  return session;
}

const select = { op: 'select', table: 'Bridge', where: [], columns: ['name'] };

/** The error of a failing action. */
async function failure(action: Promise<unknown>): Promise<unknown> {
  return await action.then(
    (result) => {
      throw new Error(`it succeeded: ${JSON.stringify(result)}`);
    },
    (error) => error,
  );
}

async function unreachable(action: Promise<unknown>): Promise<Unreachable> {
  const error = await failure(action);
  if (error instanceof Unreachable) return error;
  throw error;
}

/** Resolves when the other side has seen everything written so far. */
const written = (socket: Socket, bytes: Uint8Array): Promise<void> =>
  new Promise((resolve) => socket.write(bytes, () => setImmediate(resolve)));

describe('the stream of a session', () => {
  // Characters of one to four bytes, and quotes, backslashes and braces in texts, escaped in every way.
  const hard = 'a{}"\\\u0000\n\\"}{ä€😀\u2028\\\\';
  const row = { name: hard, 'key "{': ['set', ['\\', '}', '"', '\\"', '😀']] };
  /** JSON text with every character beyond ASCII escaped too. */
  const escaped = (text: string) =>
    text.replace(/[\u0080-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);

  it.each([
    ['as it is', (text: string) => text],
    ['escaped', escaped],
    ['between newlines and spaces', (text: string) => `\n  ${text}\r\n\t`],
  ])('is cut at every byte without losing or changing one: %s', async (_, dress) => {
    let cut = 0;
    const server = await scriptedServer(async ({ id }, socket) => {
      const bytes = Buffer.from(dress(reply(id, [{ rows: [row] }])));
      await written(socket, bytes.subarray(0, cut));
      await written(socket, bytes.subarray(cut));
    });
    const session = await open(server.address);
    const length = Buffer.byteLength(dress(reply(1, [{ rows: [row] }])));
    for (cut = 1; cut < length; cut++) expect(await session.transact([select], soon())).toEqual([{ rows: [row] }]);
  });

  it('may come one byte at a time', async () => {
    const server = await scriptedServer(async ({ id }, socket) => {
      for (const byte of Buffer.from(reply(id, [{ rows: [row] }]))) await written(socket, Uint8Array.of(byte));
    });
    expect(await (await open(server.address)).transact([select], soon())).toEqual([{ rows: [row] }]);
  });

  it('may bring several messages in one piece, and the beginning of a next', async () => {
    const asked: Asked[] = [];
    const server = await scriptedServer((one, socket) => {
      if (asked.push(one) < 3) return;
      const [first, second, third] = asked.map(({ id }) => reply(id, [{ count: id }]));
      socket.write(`${third}${first}${second?.slice(0, 5)}`, () =>
        setImmediate(() => socket.write(String(second?.slice(5)))),
      );
    });
    const session = await open(server.address);
    const answers = await Promise.all([1, 2, 3].map(() => session.transact([select], soon())));
    expect(answers).toEqual(asked.map(({ id }) => [{ count: id }]));
  });

  it('may bring a reply that is larger than any buffer', async () => {
    const rows = Array.from({ length: 20_000 }, (_, index) => ({ name: `port-${index}`, note: 'ä'.repeat(20) }));
    const server = await scriptedServer(({ id }, socket) => void socket.write(reply(id, [{ rows }])));
    const [answer] = await (await open(server.address)).transact([select], soon());
    expect(answer?.rows).toHaveLength(rows.length);
  });

  it('takes a request that is larger than any buffer', async () => {
    const server = await scriptedServer(({ id, params }, socket) => {
      socket.write(reply(id, [{ count: JSON.stringify(params).length }]));
    });
    const comment = 'x'.repeat(3 * 1024 * 1024);
    const [answer] = await (await open(server.address)).transact([{ op: 'comment', comment }], soon());
    expect(answer?.count).toBeGreaterThan(comment.length);
  });

  it.each([
    'HTTP/1.1 400 Bad Request\r\n\r\n',
    '[]',
    'null',
    '}',
    '{"id":}',
    '\u0000\u0001\u0002',
    '{"id": 1, "result": tru}',
  ])('that brings %j is not OVSDB, so the call ends at once and reports that', async (garbage) => {
    const server = await scriptedServer((_, socket) => void socket.write(garbage));
    const session = await open(server.address);
    const error = await unreachable(session.transact([select], soon()));
    expect(error.message).toContain(`${server.address} does not speak OVSDB`);
    expect(session.alive).toBe(false);
  });

  it('that never ends a message is given up', async () => {
    const server = await scriptedServer(
      (_, socket) => void socket.write(`{"id":1,"result":"${'x'.repeat(17 * 1024 * 1024)}`),
    );
    const error = await unreachable((await open(server.address)).transact([select], soon(10_000)));
    expect(error.message).toContain('does not speak OVSDB');
  });

  it('may bring unrequested messages, which are ignored', async () => {
    const server = await scriptedServer(({ id }, socket) => {
      const strangers = [
        reply(999, []),
        reply(null, []),
        reply('1', []),
        '{}',
        '{"id":null,"method":"update","params":[]}',
      ];
      socket.write(`${strangers.join('')}${reply(id, [{ rows: [] }])}`);
    });
    expect(await (await open(server.address)).transact([select], soon())).toEqual([{ rows: [] }]);
  });
});

describe('an echo of the server', () => {
  it('is answered, or the server would close an idle connection', async () => {
    let done: (answer: unknown) => void = () => undefined;
    const answered = new Promise((resolve) => {
      done = resolve;
    });
    const server = await scriptedServer(
      done,
      (socket) => void socket.write(JSON.stringify({ id: 'echo', method: 'echo', params: ['x', 1] })),
    );
    await open(server.address);
    expect(await answered).toEqual({ id: 'echo', result: ['x', 1], error: null });
  });
});

describe('a database that cannot be asked', () => {
  it('because the socket is missing, is reported with its address and counts as refused', async () => {
    const address = `unix:${join(temporaryDirectory(), 'db.sock')}`;
    const error = await unreachable(Session.open(address, soon()));
    expect(error.why).toBe('refused');
    expect(error.message).toContain(`"${address}": there is no such socket`);
  });

  it('because this process has no descriptor left, is reported as that, with the limit to raise', () => {
    const session = JSON.stringify(join(import.meta.dirname, '../../../src/effects/ovs/session.ts'));
    const program = `
      const { openSync } = await import('node:fs');
      const { Session } = await import(${session});
      try { for (;;) openSync('/dev/null', 'r'); } catch {}
      const error = await Session.open('unix:/db.sock', performance.now() + 1000).catch((error) => error);
      require('node:fs').writeSync(1, JSON.stringify({ message: error.message, why: error.why ?? null }));`;
    const limited = ['--nofile=64:64', process.execPath, '-e', program];
    const said = JSON.parse(execFileSync('prlimit', limited, { encoding: 'utf8' }));
    expect(said.why).toBeNull();
    expect(said.message).toMatch(/"unix:\/db.sock": EMFILE: too many open files: .*ulimit -n/);
  });

  it('because no process listens, counts as refused too', async () => {
    const s = await scene();
    await RawSession.open(s.ovsdb.ovsdb).then((session) => session.close());
    await s.ovsdb.stopDatabase();
    expect((await unreachable(Session.open(s.ovsdb.ovsdb, soon()))).why).toBe('refused');
  });

  it('because it never answers, is given up at the set moment (bug B38)', async () => {
    const s = await scene();
    s.ovsdb.faults.request = () => ({ kind: 'silence' });
    const session = await open(s.ovsdb.ovsdb);
    const end = soon(30);
    const error = await unreachable(session.transact([select], end));
    // A timer counts whole milliseconds.
    expect(now()).toBeGreaterThanOrEqual(end - 1);
    const message = `ovsdb-server at "${s.ovsdb.ovsdb}" took the connection and did not answer in 0.1 s: is it stopped, or busy?`;
    expect(error).toMatchObject({ why: 'silent', message });
  });

  it('is sent nothing after the session was closed', async () => {
    const session = await open((await scene()).ovsdb.ovsdb);
    session.close();
    expect((await unreachable(session.transact([select], soon()))).message).toBe('the session was closed');
  });

  it.each(['drop-before-commit', 'drop-after-commit'] as const)(
    'because the connection dropped (%s), is reported at once: the fate of the transaction is unknown',
    async (kind) => {
      const s = await scene();
      s.ovsdb.faults.request = (method) => (method === 'transact' ? { kind } : undefined);
      const session = await open(s.ovsdb.ovsdb);
      const error = await unreachable(session.transact([select], soon(60_000)));
      expect(error.why).not.toBe('refused');
      expect(session.alive).toBe(false);
    },
  );

  it('because it answers with an error, is reported with that error', async () => {
    const s = await scene();
    s.ovsdb.faults.request = () => ({ kind: 'error', error: 'unknown database' });
    const error = await unreachable((await open(s.ovsdb.ovsdb)).transact([select], soon()));
    expect(error.message).toContain('unknown database');
  });

  it('because its answer is not a list, is reported', async () => {
    const server = await scriptedServer(({ id }, socket) => void socket.write(reply(id, { rows: [] })));
    expect((await unreachable((await open(server.address)).transact([select], soon()))).message).toContain('no list');
  });
});

describe('a transaction that fails', () => {
  const session = async () => await open((await scene()).ovsdb.ovsdb);
  const wrong = { op: 'select', table: 'Nothing', where: [] };

  it('is an error with the database’s words and the number of the operation', async () => {
    const error = await failure((await session()).transact([select, wrong, select], soon()));
    expect(error).toBeInstanceOf(TransactionError);
    expect(error).toMatchObject({ error: 'syntax error', operation: 1, details: 'No table named Nothing.' });
  });

  it('under the fence has the numbers of the caller: the fence’s own operation is not counted', async () => {
    expect(await failure((await session()).fenced('fence', [wrong], soon()))).toMatchObject({ operation: 0 });
  });

  it('at its commit has the number after the last operation', async () => {
    const row = { name: 'br0', ports: ['uuid', '00000000-0000-4000-8000-000000000000'] };
    const operations = [
      { op: 'insert', table: 'Bridge', row, 'uuid-name': 'b' },
      { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['bridges', 'insert', ['named-uuid', 'b']]] },
    ];
    const error = await failure((await session()).fenced('fence', operations, soon()));
    expect(error).toMatchObject({ error: 'referential integrity violation', operation: 2 });
  });

  it('leaves the session usable', async () => {
    const one = await session();
    await failure(one.transact([wrong], soon()));
    expect(await one.transact([select], soon())).toEqual([{ rows: [] }]);
  });
});

describe('the fence', () => {
  const count = { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['next_cfg', '+=', 1]] };
  const generation = (s: Awaited<ReturnType<typeof scene>>) => s.ovsdb.dump('Open_vSwitch')[0]?.next_cfg;

  it('is asserted by every transaction that changes something, the first in it', async () => {
    const server = await scriptedServer(({ id, method }, socket) => {
      socket.write(reply(id, method === 'lock' ? { locked: true } : [{}, { count: 1 }]));
    });
    const session = await open(server.address);
    for (let round = 0; round < 2; round++)
      expect(await session.fenced('fence', [count], soon())).toEqual([{ count: 1 }]);
    const asserted = { method: 'transact', params: ['Open_vSwitch', { op: 'assert', lock: 'fence' }, count] };
    expect(server.received).toMatchObject([{ method: 'lock', params: ['fence'] }, asserted, asserted]);
  });

  it('makes a second session wait until the first is gone', async () => {
    const s = await scene();
    const [first, second] = [await open(s.ovsdb.ovsdb), await open(s.ovsdb.ovsdb)];
    await first.fenced('fence', [count], soon());
    let transactions = 0;
    let refused: () => void = () => undefined;
    const firstRefusal = new Promise<void>((resolve) => {
      refused = resolve;
    });
    s.ovsdb.faults.request = (method) => {
      if (method === 'transact' && ++transactions === 1) setImmediate(refused);
      return undefined;
    };
    const waiting = second.fenced('fence', [count], soon());
    await firstRefusal;
    // Another key's fence is another lock.
    const third = await open(s.ovsdb.ovsdb);
    await third.fenced('other_fence', [count], soon());
    expect(generation(s)).toBe(2);
    first.close();
    expect(await waiting).toEqual([{ count: 1 }]);
    expect(generation(s)).toBe(3);
  });

  it('refuses a killed call’s transaction while its successor holds the lock', async () => {
    const s = await scene();
    const successor = await open(s.ovsdb.ovsdb);
    await successor.fenced('fence', [count], soon());
    const late = await RawSession.open(s.ovsdb.ovsdb);
    onTestFinished(() => late.close());
    await late.call('lock', ['fence']);
    const answer = await late.transact({ op: 'assert', lock: 'fence' }, count);
    expect(answer).toMatchObject([{ error: 'not owner' }, null]);
    expect(generation(s)).toBe(1);
  });

  it('is waited for until the set moment; the error tells that another process is at work', async () => {
    const s = await scene();
    const [first, second] = [await open(s.ovsdb.ovsdb), await open(s.ovsdb.ovsdb)];
    await first.fenced('fence', [count], soon());
    const error = await unreachable(second.fenced('fence', [count], soon(30)));
    expect(error.message).toContain('another process works on this attachment');
    expect(generation(s)).toBe(1);
  });

  it('is not waited for when the connection ends meanwhile', async () => {
    const s = await scene();
    const [first, second] = [await open(s.ovsdb.ovsdb), await open(s.ovsdb.ovsdb)];
    await first.fenced('fence', [count], soon());
    const waiting = unreachable(second.fenced('fence', [count], soon(60_000)));
    // Answered after the refusal of the transaction before it: from here on the session waits for the lock.
    await second.transact([select], soon());
    await s.ovsdb.stopDatabase();
    expect((await waiting).why).not.toBe('refused');
  });

  it('that another client stole ends the call instead of spinning', async () => {
    const server = await scriptedServer(({ id, method }, socket) => {
      socket.write(reply(id, method === 'lock' ? { locked: true } : [{ error: 'not owner' }, null]));
    });
    const error = await unreachable((await open(server.address)).fenced('fence', [count], soon(60_000)));
    expect(error.message).toContain('was stolen');
  });

  it('whose grant crosses the transaction lets it be sent once more', async () => {
    let transactions = 0;
    const server = await scriptedServer(({ id, method }, socket) => {
      if (method === 'lock') return void socket.write(reply(id, { locked: false }));
      if (++transactions > 1) return void socket.write(reply(id, [{}, { count: 1 }]));
      socket.write(`{"id":null,"method":"locked","params":["fence"]}${reply(id, [{ error: 'not owner' }, null])}`);
    });
    expect(await (await open(server.address)).fenced('fence', [count], soon())).toEqual([{ count: 1 }]);
  });

  it('belongs to one attachment: two never share a session', async () => {
    const session = await open((await scene()).ovsdb.ovsdb);
    await session.fenced('fence', [count], soon());
    expect(String(await failure(session.fenced('other', [count], soon())))).toContain('one attachment');
  });
});

describe('values as OVSDB writes them', () => {
  it('of maps, sets and references are read, one element without its set too', () => {
    expect(readMap(['map', [['a', 'b']]])).toEqual({ a: 'b' });
    for (const none of [undefined, null, 7, ['set', []], {}]) expect(readMap(none)).toEqual({});
    expect(readSet(['set', [1, 2]])).toEqual([1, 2]);
    expect(readSet(['set', []])).toEqual([]);
    expect(readSet(7)).toEqual([7]);
    expect(readSet(undefined)).toEqual([]);
    expect(readUuid(['uuid', 'x'])).toBe('x');
    expect(readUuid(['set', []])).toBe('');
    expect(readUuids(['uuid', 'x'])).toEqual(['x']);
    expect(
      readUuids([
        'set',
        [
          ['uuid', 'x'],
          ['uuid', 'y'],
        ],
      ]),
    ).toEqual(['x', 'y']);
  });
});
