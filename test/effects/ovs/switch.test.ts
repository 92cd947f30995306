import { describe, expect, it, onTestFinished } from 'vitest';
import type { Deadlines } from '../../../src/deadlines.ts';
import { Away } from '../../../src/effects/away.ts';
import { isGuardFailure, select, TransactionError, unless, withMarks } from '../../../src/effects/ovs/operations.ts';
import { selectSwitch, switchSocketDirectory } from '../../../src/effects/ovs/root-row.ts';
import { Unreachable } from '../../../src/effects/ovs/session.ts';
import { Switch } from '../../../src/effects/ovs/switch.ts';
import { call, type Scene, scene, soon } from '../../support/stand-in/scene.ts';

describe('the session of a call', () => {
  it('is opened when first needed: a call without questions does not connect', async () => {
    const s = await scene();
    let connections = 0;
    s.ovsdb.faults.request = () => {
      connections++;
      return undefined;
    };
    s.ovs.close();
    expect(connections).toBe(0);
    await s.another().read(s.plan(), [selectSwitch], soon());
    expect(connections).toBe(1);
  });

  it('is opened again when it broke', async () => {
    const s = await scene();
    let asked = 0;
    s.ovsdb.faults.request = () => (++asked === 1 ? { kind: 'drop-before-commit' } : undefined);
    await expect(s.ovs.read(s.plan(), [selectSwitch], soon())).rejects.toBeInstanceOf(Unreachable);
    expect(await s.ovs.read(s.plan(), [selectSwitch], soon())).toHaveLength(1);
  });

  it('mutates under the fence of its attachment and its instance', async () => {
    const s = await scene();
    const asked: unknown[] = [];
    s.ovsdb.faults.request = (method, params) => {
      asked.push([method, method === 'lock' ? params[0] : (params[1] as { op: string }).op]);
      return undefined;
    };
    await s.ovs.fenced(s.plan(), [select('Bridge', [], ['name'])], call());
    expect(asked).toEqual([
      ['lock', expect.stringMatching(/^userspace_cni_0123456789abcdef_[0-9a-f]{16}$/)],
      ['transact', 'assert'],
    ]);
  });

  it('hands the fence on when it is closed: a successor need not wait', async () => {
    const s = await scene();
    const change = [{ op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['next_cfg', '+=', 1]] }];
    await s.ovs.fenced(s.plan(), change, call());
    s.ovs.close();
    expect(await s.another().fenced(s.plan(), change, call())).toEqual([{ count: 1 }]);
  });
});

describe('patience', () => {
  it('tries again while the connection is refused, until the action succeeds', async () => {
    const s = await scene();
    let tries = 0;
    const action = () => (++tries < 3 ? Promise.reject(new Unreachable('x', 'refused')) : Promise.resolve('done'));
    expect(await s.ovs.patiently(action, soon())).toBe('done');
  });

  it.each([
    ['a hang', new Unreachable('x')],
    ['a refused transaction', new TransactionError('constraint violation', 0, '')],
    ['a bug', new TypeError('x')],
  ])('does not last for %s, which is tried once', async (_, error) => {
    const s = await scene();
    let tries = 0;
    const action = () => {
      tries++;
      return Promise.reject(error);
    };
    await expect(s.ovs.patiently(action, soon())).rejects.toBe(error);
    expect(tries).toBe(1);
  });

  it('ends with its own time, and with the call’s', async () => {
    const refused = () => Promise.reject(new Unreachable('x', 'refused'));
    const short = await scene({ reconnectMs: 0 });
    await expect(short.ovs.patiently(refused, soon())).rejects.toBeInstanceOf(Unreachable);
    const long = await scene({ reconnectMs: 60_000 });
    await expect(long.ovs.patiently(refused, soon(0))).rejects.toBeInstanceOf(Unreachable);
  });
});

describe('a database that did not answer', () => {
  const remembering = (s: Scene, deadlines: Partial<Deadlines> = {}) => {
    const ovs = new Switch({ ...s.deadlines, ...deadlines }, new Away({ remembers: true }));
    onTestFinished(() => ovs.close());
    return ovs;
  };
  const timed = async (action: () => Promise<unknown>) => {
    const began = performance.now();
    const error = await action().then(
      () => new Error('it succeeded'),
      (thrown: Error) => thrown,
    );
    return { error, ms: performance.now() - began };
  };

  it('kind 7: being silent, is not waited for again by a host that remembers, whichever way it is asked', async () => {
    const s = await scene();
    const ovs = remembering(s);
    s.ovsdb.faults.request = () => ({ kind: 'silence' });
    const { error, ms } = await timed(() => ovs.read(s.plan(), [selectSwitch], soon(1_100)));
    expect(ms).toBeGreaterThan(1_000);
    // Recovery does this between two attachments.
    ovs.close();
    const ways = [
      () => ovs.read(s.plan(), [selectSwitch], soon()),
      () => ovs.fenced(s.plan(), [selectSwitch], call()),
      () => ovs.patiently(() => ovs.read(s.plan(), [selectSwitch], soon()), soon()),
    ];
    for (const way of ways) {
      const again = await timed(way);
      expect(again.ms).toBeLessThan(200);
      expect(again.error).toBeInstanceOf(Unreachable);
      expect(again.error.message).toBe(`${error.message} (asked a moment ago)`);
    }
  });

  it('kind 7: and refused for as long as a restart takes, is not waited for again', async () => {
    const s = await scene();
    const ovs = remembering(s, { reconnectMs: 400 });
    await s.ovsdb.stop();
    const asked = () => timed(() => ovs.patiently(() => ovs.read(s.plan(), [selectSwitch], soon()), soon()));
    const first = await asked();
    expect(first.ms).toBeGreaterThan(350);
    const again = await asked();
    expect(again.ms).toBeLessThan(100);
    expect(again.error.message).toBe(`${first.error.message} (asked a moment ago)`);
  });

  it('in a short time is asked again, and so is any by a host that does not remember', async () => {
    const s = await scene();
    const ovs = remembering(s);
    s.ovsdb.faults.request = () => ({ kind: 'silence' });
    await timed(() => ovs.read(s.plan(), [selectSwitch], soon(100)));
    await timed(() => s.ovs.read(s.plan(), [selectSwitch], soon(1_100)));
    s.ovsdb.faults.request = () => undefined;
    for (const one of [ovs, s.ovs]) expect(await one.read(s.plan(), [selectSwitch], soon())).toHaveLength(1);
  });
});

describe('a guard', () => {
  it('holds while the rows are exactly these, and fails the transaction at once if they are not', async () => {
    const s = await scene();
    const none = unless('Bridge', [['name', '==', 'br0']], []);
    expect(await s.ovs.read(s.plan(), [none], soon())).toEqual([{}]);
    const some = unless('Bridge', [], [{ name: 'br0' }]);
    const error = await s.ovs.read(s.plan(), [some], soon()).catch((thrown) => thrown);
    expect(isGuardFailure(error)).toBe(true);
    expect(isGuardFailure(new TransactionError('constraint violation', 0, ''))).toBe(false);
    expect(isGuardFailure(new Error('timed out'))).toBe(false);
  });

  it('by marks asks for every one of them', () => {
    expect(withMarks({ owner: 'x', key: 'a:b:c' })).toEqual([
      'external_ids',
      'includes',
      [
        'map',
        [
          ['owner', 'x'],
          ['key', 'a:b:c'],
        ],
      ],
    ]);
  });
});

describe('the directory in which the switch makes its sockets', () => {
  const root = (external: object, config: object = {}) => ({
    external_ids: ['map', Object.entries(external)],
    other_config: ['map', Object.entries(config)],
  });

  it.each([
    ['beside the database, if it does not say', root({}), '/run/a'],
    ['in its run directory', root({ rundir: '/run/b' }), '/run/b'],
    ['below it, if so configured', root({ rundir: '/run/b' }, { 'vhost-sock-dir': 'vhost' }), '/run/b/vhost'],
    ['below the database’s directory', root({}, { 'vhost-sock-dir': 'vhost' }), '/run/a/vhost'],
    ['beside the database, if there is no row', undefined, '/run/a'],
  ])('is %s', (_, row, directory) => {
    expect(switchSocketDirectory('unix:/run/a/db.sock', row)).toBe(directory);
  });
});
