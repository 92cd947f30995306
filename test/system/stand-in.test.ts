/**
 * The stand-in database answers as the real one: the same requests to both, the same shapes of replies. The in-process
 * tests and the demo's fallback rely on it.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { onRealSwitch } from '../support/real/suite.ts';
import { RawSession, shape } from '../support/stand-in/raw-ovsdb.ts';
import { StandInOvsdb } from '../support/stand-in/stand-in-ovsdb.ts';

const map = (entries: Record<string, string>) => ['map', Object.entries(entries)];
const absent = (bridge: string) => ({
  op: 'wait',
  table: 'Bridge',
  where: [['name', '==', bridge]],
  columns: ['name'],
  until: '==',
  rows: [],
  timeout: 0,
});
const createBridge = (bridge: string) => [
  absent(bridge),
  { op: 'insert', table: 'Interface', 'uuid-name': 'i', row: { name: bridge, type: 'internal' } },
  { op: 'insert', table: 'Port', 'uuid-name': 'p', row: { name: bridge, interfaces: ['named-uuid', 'i'] } },
  {
    op: 'insert',
    table: 'Bridge',
    'uuid-name': 'b',
    row: {
      name: bridge,
      ports: ['named-uuid', 'p'],
      datapath_type: 'netdev',
      fail_mode: 'standalone',
      external_ids: map({ owner: 'tester', instance: '1' }),
    },
  },
  {
    op: 'mutate',
    table: 'Open_vSwitch',
    where: [],
    mutations: [
      ['bridges', 'insert', ['named-uuid', 'b']],
      ['next_cfg', '+=', 1],
    ],
  },
];
const addPort = (bridge: string, name: string, row: object = {}, port: object = {}) => [
  {
    op: 'insert',
    table: 'Interface',
    'uuid-name': 'i',
    row: { name, type: 'dpdkvhostuserclient', options: map({ 'vhost-server-path': `/nowhere/${name}` }), ...row },
  },
  {
    op: 'insert',
    table: 'Port',
    'uuid-name': 'p',
    row: { name, interfaces: ['named-uuid', 'i'], external_ids: map({ owner: 'tester', key: name }), ...port },
  },
  {
    op: 'mutate',
    table: 'Bridge',
    where: [['name', '==', bridge]],
    mutations: [['ports', 'insert', ['named-uuid', 'p']]],
  },
  { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['next_cfg', '+=', 1]] },
];
const byName = (table: string, name: string, ...columns: string[]) => ({
  op: 'select',
  table,
  where: [['name', '==', name]],
  columns,
});
const numbered = (name: string, timeout = 10_000) => ({
  op: 'wait',
  table: 'Interface',
  where: [['name', '==', name]],
  columns: ['ofport'],
  until: '!=',
  rows: [{ ofport: ['set', []] }],
  timeout,
});

onRealSwitch('the stand-in database answers as ovsdb-server does', (theSwitch) => {
  let standIn: StandInOvsdb;
  let directory: string;
  const sessions: RawSession[] = [];
  const open = async () => {
    const pair = await Promise.all([RawSession.open(theSwitch().ovsdb), RawSession.open(standIn.ovsdb)]);
    sessions.push(...pair);
    return pair;
  };
  let both: RawSession[] = [];

  /** Asks both, and returns the answer of the real one. */
  const compare = async (ask: (session: RawSession) => Promise<unknown>, pair = both): Promise<unknown> => {
    const [real, pretended] = await Promise.all(pair.map(async (session) => shape(await ask(session))));
    expect(pretended).toEqual(real);
    return real;
  };
  const transact = (...operations: object[]) => compare((session) => session.transact(...operations));
  const uuidOf = async (session: RawSession, table: string, name: string) => {
    const [reply] = (await session.transact(byName(table, name, '_uuid'))) as { rows: { _uuid: unknown }[] }[];
    return reply?.rows[0]?._uuid;
  };

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'usw-o-'));
    standIn = await StandInOvsdb.start(directory);
    both = await open();
  });
  afterAll(async () => {
    for (const session of sessions) session.close();
    await standIn?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  test('to an echo, an unknown database and an unknown method', async () => {
    expect(await compare((session) => session.call('echo', [1, 'a']))).toMatchObject({ result: [1, 'a'] });
    await compare(async (session) => Boolean((await session.call('transact', ['Other'])).error));
    await compare(async (session) => Boolean((await session.call('dance', [])).error));
  });

  test('to creating a bridge, and to creating it a second time', async () => {
    await transact(...createBridge('s-br'));
    expect(await transact(...createBridge('s-br'))).toEqual([{ error: 'timed out' }, null, null, null, null]);
    expect(
      await transact(byName('Bridge', 's-br', 'name', 'fail_mode', 'external_ids', 'ports', '_uuid')),
    ).toMatchObject([{ rows: [{ fail_mode: 'standalone' }] }]);
  });

  test('to adding a port, a second one of its name, and one to a bridge that is not there', async () => {
    await transact(
      ...addPort('s-br', 's-p1', { mtu_request: 9000 }, { tag: 5, trunks: ['set', [1, 2]], vlan_mode: 'trunk' }),
    );
    expect(await transact(...addPort('s-br', 's-p1'))).toMatchObject({
      length: 5,
      4: { error: 'constraint violation' },
    });
    expect(await transact(...addPort('s-none', 's-p2'))).toMatchObject({ 2: { count: 0 } });
    expect(await transact(byName('Port', 's-p2', 'name'), byName('Interface', 's-p2', 'name'))).toEqual([
      { rows: [] },
      { rows: [] },
    ]);
  });

  test('to a wait for the port to be applied, and to one that is in vain', async () => {
    expect(await transact(numbered('s-p1'))).toEqual([{}]);
    const never = { ...numbered('s-p1', 20), until: '==' };
    expect(await transact(never, byName('Port', 's-p1', 'name'))).toEqual([{ error: 'timed out' }, null]);
    const confirmed = (session: RawSession) =>
      session.transact({ op: 'select', table: 'Open_vSwitch', where: [], columns: ['next_cfg'] });
    await compare(async (session) => {
      const [{ rows }] = (await confirmed(session)) as [{ rows: [{ next_cfg: number }] }];
      const rest = { until: '==', rows: [{ cur_cfg: rows[0].next_cfg }], timeout: 10_000 };
      return session.transact({ op: 'wait', table: 'Open_vSwitch', where: [], columns: ['cur_cfg'], ...rest });
    });
  });

  test('to finding rows by marks, by options, by uuid and by set columns', async () => {
    const where = (table: string, clause: unknown[], ...columns: string[]) => ({
      op: 'select',
      table,
      where: [clause],
      columns,
    });
    expect(
      await transact(
        where(
          'Port',
          ['external_ids', 'includes', map({ owner: 'tester' })],
          'name',
          'tag',
          'trunks',
          'vlan_mode',
          'external_ids',
        ),
      ),
    ).toMatchObject([{ rows: [{ name: 's-p1', tag: 5 }] }]);
    await transact(where('Port', ['external_ids', 'includes', map({ owner: 'other' })], 'name'));
    await transact(where('Port', ['tag', '==', 5], 'name'), where('Port', ['trunks', 'includes', 2], 'name'));
    await transact(where('Port', ['external_ids', 'excludes', map({ owner: 'tester' })], 'name', 'external_ids'));
    await transact(
      where(
        'Interface',
        ['options', 'includes', map({ 'vhost-server-path': '/nowhere/s-p1' })],
        'name',
        'type',
        'options',
        'mtu_request',
        'error',
        'ingress_policing_rate',
      ),
    );
    await compare(async (session) => {
      const port = await uuidOf(session, 'Port', 's-p1');
      return session.transact(
        where('Bridge', ['ports', 'includes', port], 'name'),
        where('Port', ['_uuid', '==', port], 'name', '_uuid'),
      );
    });
  });

  test('to waits for a row that bears a mark, by its uuid, as the product guards what it deletes', async () => {
    for (const [owner, waits] of [
      ['tester', 'for a row'],
      ['nobody', 'in vain'],
    ] as const) {
      const reply = await compare(async (session) => {
        const port = await uuidOf(session, 'Port', 's-p1');
        const where = [
          ['_uuid', '==', port],
          ['external_ids', 'includes', map({ owner })],
        ];
        const wait = { op: 'wait', table: 'Port', where, columns: ['_uuid'], until: '==', timeout: 0 };
        return session.transact({ ...wait, rows: [{ _uuid: port }] }, byName('Port', 's-p1', 'name'));
      });
      expect(reply).toMatchObject(
        waits === 'in vain' ? [{ error: 'timed out' }, null] : [{}, { rows: [{ name: 's-p1' }] }],
      );
    }
  });

  test('to updates, comments, aborts and operations with an error in them', async () => {
    const tag = (value: unknown) => ({
      op: 'update',
      table: 'Port',
      where: [['name', '==', 's-p1']],
      row: { tag: value },
    });
    await transact(tag(7), { op: 'comment', comment: 'said' }, byName('Port', 's-p1', 'tag'));
    await transact(tag(8), { op: 'abort' }, byName('Port', 's-p1', 'tag'));
    expect(await transact(byName('Port', 's-p1', 'tag'))).toEqual([{ rows: [{ tag: 7 }] }]);
    await transact(tag(['set', []]), byName('Port', 's-p1', 'tag'));
    await transact(tag('seven'));
    await transact({ op: 'select', table: 'Port', where: [['nothing', '==', 1]] });
    await transact({ op: 'select', table: 'Nothing', where: [] });
    await transact({ op: 'select', table: 'Port', where: [], columns: ['nothing'] });
    await transact({ op: 'insert', table: 'Port', row: { nothing: 1 } });
    await transact({ op: 'select', table: 'Port', where: [['name', 'resembles', 'x']] });
    await transact({ op: 'dance' });
    await transact({ op: 'insert', table: 'Port', row: { interfaces: ['named-uuid', 'nobody'] } });
    const marks = (mutator: string, value: unknown) => ({
      op: 'mutate',
      table: 'Port',
      where: [['name', '==', 's-p1']],
      mutations: [['external_ids', mutator, value]],
    });
    await transact(marks('insert', map({ owner: 'second', more: 'x' })), byName('Port', 's-p1', 'external_ids'));
    await transact(marks('delete', ['set', ['more']]), byName('Port', 's-p1', 'external_ids'));
  });

  test('to locks: granted, waited for, asserted, inherited from the dead', async () => {
    const [first, second] = [await open(), await open()];
    const lock = (session: RawSession) => session.call('lock', ['s_lock']);
    const asserted = (session: RawSession) =>
      session.transact({ op: 'assert', lock: 's_lock' }, byName('Port', 's-p1', 'name'));
    expect(await compare(lock, first)).toMatchObject({ result: { locked: true } });
    expect(await compare(lock, second)).toMatchObject({ result: { locked: false } });
    expect(await compare(asserted, first)).toMatchObject([{}, { rows: [{}] }]);
    expect(await compare(asserted, second)).toEqual([{ error: 'not owner' }, null]);
    for (const session of first) session.close();
    await compare((session) => session.locked, second);
    expect(await compare(asserted, second)).toMatchObject([{}, { rows: [{}] }]);
    await compare(async (session) => Boolean((await session.call('lock', ['s-no-good'])).error));
  });

  test('to deleting a bridge only when it is empty, and to deleting a port', async () => {
    const deletion = async (session: RawSession, local: string) => {
      const bridge = await uuidOf(session, 'Bridge', 's-br');
      const own = await uuidOf(session, 'Port', local);
      const alone = { until: '==', rows: [{ ports: own }], timeout: 0 };
      return session.transact(
        { op: 'wait', table: 'Bridge', where: [['_uuid', '==', bridge]], columns: ['ports'], ...alone },
        {
          op: 'mutate',
          table: 'Open_vSwitch',
          where: [],
          mutations: [
            ['bridges', 'delete', bridge],
            ['next_cfg', '+=', 1],
          ],
        },
      );
    };
    expect(await compare((session) => deletion(session, 's-br'))).toMatchObject([{ error: 'timed out' }, null]);
    await compare(async (session) =>
      session.transact({
        op: 'delete',
        table: 'Port',
        where: [['_uuid', '==', await uuidOf(session, 'Port', 's-p1')]],
      }),
    );
    await compare(async (session) => {
      const port = await uuidOf(session, 'Port', 's-p1');
      return session.transact(
        { op: 'mutate', table: 'Bridge', where: [['ports', 'includes', port]], mutations: [['ports', 'delete', port]] },
        { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['next_cfg', '+=', 1]] },
      );
    });
    expect(await transact(byName('Port', 's-p1', 'name'), byName('Interface', 's-p1', 'name'))).toEqual([
      { rows: [] },
      { rows: [] },
    ]);
    expect(await compare((session) => deletion(session, 's-br'))).toMatchObject([{}, { count: 1 }]);
    expect(await transact(byName('Bridge', 's-br', 'name'), byName('Interface', 's-br', 'name'))).toEqual([
      { rows: [] },
      { rows: [] },
    ]);
  });

  test('to an interface of a type that the switch does not know', async () => {
    await transact(...createBridge('s-br2'));
    await transact(...addPort('s-br2', 's-odd', { type: 'no-such-type', options: map({}) }));
    await transact(numbered('s-odd'));
    const odd = (session: RawSession) =>
      session.transact(byName('Interface', 's-odd', 'ofport', 'error')) as Promise<
        [{ rows: [{ ofport: number; error: unknown }] }]
      >;
    expect(
      await compare(async (session) => {
        const [{ rows }] = await odd(session);
        return { ofport: rows[0].ofport, error: typeof rows[0].error };
      }),
    ).toEqual({ ofport: -1, error: 'string' });
    await compare((session) =>
      session.transact({
        op: 'mutate',
        table: 'Open_vSwitch',
        where: [],
        mutations: [['bridges', 'delete', ['set', []]]],
      }),
    );
  });
});
