/** Questions to a switch that change nothing, on every engine. */
import { expect } from 'vitest';
import { EngineFailure } from '../../../src/effects/engine.ts';
import { instance } from '../instance.ts';
import type { WholePlan } from '../stand-in/scene.ts';
import {
  attach,
  bridgeIn,
  callOf,
  done,
  type EngineCase,
  namesOf,
  otherInstance,
  outcomeOf,
  perform,
  planIn,
  preflightOf,
  refused,
  socketOf,
} from './scene.ts';

const nothingMade = { kind: 'failed', code: 7, made: 'nothing' } as const;
const textOf = ({ key }: WholePlan): string => `${key.network}:${key.containerId}:${key.ifName}`;

const holderCases: readonly EngineCase[] = [
  {
    title: 'a free name, and one that is our own, are no trouble for the pre-flight',
    run: async (engine, scene) => {
      for (const mode of ['client', 'server'] as const) {
        const plan = planIn(scene, { port: { mode } });
        expect(await preflightOf(engine, plan)).toEqual({ codes: [], words: '' });
        const facts = await attach(engine, scene, plan);
        expect(await preflightOf(engine, plan)).toEqual({ codes: [], words: '' });
        await perform(engine, 'remove port', plan, { facts });
      }
    },
  },
  {
    title: 'a name that another attachment has is refused by the pre-flight (code 7) with its key, and by the step',
    run: async (engine, scene) => {
      const [other, plan] = [planIn(scene, { letter: 'b' }), planIn(scene)];
      const taken = { ...plan, port: { ...plan.port, name: other.port.name } };
      await attach(engine, scene, other);
      const { codes, words } = await preflightOf(engine, taken);
      expect(codes).toEqual([7]);
      expect(words).toContain(textOf(other));
      expect(await outcomeOf(perform(engine, 'ensure port', taken))).toEqual(nothingMade);
    },
  },
  {
    title: 'a name that a stranger has is refused by the pre-flight (code 7), and by the step',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      await scene.makeBridge(bridgeIn(scene));
      await scene.makePort(bridgeIn(scene), plan.port.name, `${scene.sharedDir}/another`);
      const { codes, words } = await preflightOf(engine, plan);
      expect(codes).toEqual([7]);
      expect(words).toContain('not ours');
      expect(await outcomeOf(perform(engine, 'ensure port', plan))).toEqual(nothingMade);
    },
  },
  {
    title: 'a socket that another attachment has under another name is refused by the pre-flight (code 7) with its key',
    run: async (engine, scene) => {
      for (const mode of ['client', 'server'] as const) {
        const other = planIn(scene, { letter: 'b', port: { mode } });
        const { directory, file } = other.port;
        const plan = planIn(scene, { port: { mode, directory, file } });
        await attach(engine, scene, other);
        const { codes, words } = await preflightOf(engine, plan);
        expect(codes).toEqual([7]);
        expect(words).toContain(textOf(other));
        expect(await outcomeOf(perform(engine, 'ensure port', plan))).toEqual(nothingMade);
        await perform(engine, 'remove port', other);
      }
    },
  },
  {
    title: 'a socket to which a stranger’s port leads is refused by the pre-flight (code 7), and by the step',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      await scene.makeBridge(bridgeIn(scene));
      await scene.makePort(bridgeIn(scene), `${scene.prefix}-other`, socketOf(plan));
      const { codes, words } = await preflightOf(engine, plan);
      expect(codes).toEqual([7]);
      expect(words).toContain('not ours');
      expect(await outcomeOf(perform(engine, 'ensure port', plan))).toEqual(nothingMade);
    },
  },
  {
    title:
      'a socket that lies where the switch would make one is refused by the pre-flight (code 7), unless it is our own',
    run: async (engine, scene) => {
      const plan = planIn(scene, { port: { mode: 'server' } });
      const again = scene.switchSocketOf(plan.port.name);
      await scene.makeSocket(again);
      expect((await preflightOf(engine, plan)).codes).toEqual([7]);
      scene.remove(again);
      await attach(engine, scene, plan);
      await scene.makeSocket(again);
      expect((await preflightOf(engine, plan)).codes).toEqual([]);
    },
  },
  {
    title:
      'an attachment that was made through another data directory is refused by the pre-flight (code 7), which names it',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      const dataDir = `${scene.sharedDir}/data`;
      await attach(engine, scene, plan, callOf({ instance: otherInstance, dataDir }));
      const { codes, words } = await preflightOf(engine, plan);
      expect(codes).toEqual([7]);
      expect(words).toContain(dataDir);
      expect((await preflightOf(engine, plan, callOf({ dataDir }))).codes).toEqual([]);
    },
  },
  {
    title: 'a socket path that is too long is refused in client mode, and is the switch’s own affair in server mode',
    run: async (engine, scene) => {
      const file = 'x'.repeat(108);
      const codes = (mode: 'client' | 'server') =>
        engine.preflight.pathTroubles(planIn(scene, { port: { mode, file } })).map(({ code }) => code);
      expect([codes('client'), codes('server')]).toEqual([[7], []]);
      expect(engine.preflight.pathTroubles(planIn(scene))).toEqual([]);
    },
  },
  {
    title: 'a switch of the same user and the same files has nothing to be opened, and nothing is missing',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      scene.makeDirectory(plan.port.directory);
      const { end } = callOf();
      expect(await engine.preflight.viewTroubles(plan, () => end)).toEqual([]);
      expect(await engine.preflight.wayTroubles(plan, end)).toEqual([]);
      expect(await outcomeOf(engine.way.open(plan, end))).toEqual(done);
      expect(await outcomeOf(engine.way.find(plan, end))).toEqual(done);
      expect(await engine.way.isLost(plan, end)).toBe(false);
    },
  },
];

const recallCases: readonly EngineCase[] = [
  {
    title: 'an attachment without a journal is recalled from its marks',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      await attach(engine, scene, plan);
      const { port: _, socketDir: __, publication: ___, ...known } = plan;
      expect(await engine.recall(known, callOf())).toEqual({
        kind: 'own',
        instance,
        plan: { bridge: plan.bridge, socketDir: plan.socketDir, publication: { ...plan.publication, data: {} } },
      });
    },
  },
  {
    title:
      'a directory that is not ours by its name is recalled as one that stays, with its link, and a pod as annotated',
    run: async (engine, scene) => {
      const marks = { kubeconfig: '/etc/kubeconfig', pod: 'pods/app', 'pod-uid': 'uid' };
      const directory = `${scene.sharedDir}/named`;
      const link = `${scene.sharedDir}/link`;
      const plan = planIn(scene, { port: { directory, link, marks } });
      await attach(engine, scene, plan);
      const { port: _, socketDir: __, publication: ___, ...known } = plan;
      expect(await engine.recall(known, callOf())).toEqual({
        kind: 'own',
        instance,
        plan: {
          bridge: plan.bridge,
          socketDir: { base: directory, hold: namesOf(plan).hold, link },
          publication: {
            kubeconfig: '/etc/kubeconfig',
            pod: { namespace: 'pods', name: 'app', uid: 'uid' },
            mappedDir: '',
            data: {},
          },
        },
      });
    },
  },
  {
    title: 'an attachment of which the switch has nothing is recalled as none',
    run: async (engine, scene) => {
      await attach(engine, scene, planIn(scene, { letter: 'b' }));
      expect(await engine.recall(planIn(scene), callOf())).toEqual({ kind: 'none' });
    },
  },
  {
    title: 'an attachment of another data directory is recalled as elsewhere (code 7)',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      const dataDir = `${scene.sharedDir}/data`;
      await attach(engine, scene, plan, callOf({ instance: otherInstance, dataDir }));
      const recalled = await engine.recall(plan, callOf());
      expect(recalled).toMatchObject({ kind: 'elsewhere', trouble: { code: 7 } });
      expect(JSON.stringify(recalled)).toContain(dataDir);
      expect(await engine.recall(plan, callOf({ dataDir }))).toMatchObject({ kind: 'own', instance: otherInstance });
    },
  },
  {
    title: 'ports of this plugin are listed with what their marks tell, whichever data directory they are of',
    run: async (engine, scene) => {
      const one = planIn(scene, { port: { marks: { netns: '/run/netns/a' } } });
      const other = planIn(scene, { letter: 'b', port: { marks: {} } });
      const netns = { file: '4:1', directory: '5:2' };
      await attach(engine, scene, one, callOf({ begun: 'boot 1', netns }));
      await attach(engine, scene, other, callOf({ instance: otherInstance }));
      await scene.makePort(bridgeIn(scene), `${scene.prefix}-other`, `${scene.sharedDir}/another`);
      const listed = await engine.listPorts({ ovsdb: scene.ovsdb }, callOf().end);
      expect(listed).toHaveLength(2);
      expect(listed).toEqual(
        expect.arrayContaining([
          {
            name: one.port.name,
            key: textOf(one),
            instance,
            netns: { path: '/run/netns/a', ...netns },
            begun: 'boot 1',
          },
          { name: other.port.name, key: textOf(other), instance: otherInstance },
        ]),
      );
    },
  },
  {
    title:
      'ports are told to be there in the order that they are asked for: by marks, row or socket, and not by name alone',
    run: async (engine, scene) => {
      const [none, marked] = [planIn(scene, { letter: 'a' }), planIn(scene, { letter: 'b' })];
      const [strangers, bySocket] = [planIn(scene, { letter: 'c' }), planIn(scene, { letter: 'd' })];
      const byRow = planIn(scene, { letter: 'e', port: { mode: 'server' } });
      for (const plan of [marked, bySocket]) await attach(engine, scene, plan);
      const recorded = await attach(engine, scene, byRow);
      for (const { port } of [bySocket, byRow]) await scene.writePort(port.name, { marks: {} });
      await scene.makePort(bridgeIn(scene), strangers.port.name, `${scene.sharedDir}/another`);
      const call = { instance, dataDir: `${scene.sharedDir}/data` };
      const unrecorded = [none, marked, strangers, bySocket].map((plan) => ({ plan, facts: {}, call }));
      const asked = [...unrecorded, { plan: byRow, facts: recorded, call }];
      const there = await engine.portsThere({ ovsdb: scene.ovsdb }, asked, callOf().end);
      expect(there).toEqual([false, true, false, true, true]);
    },
  },
  {
    title:
      'the rows of this plugin are told with their marks, and those of other tools are not, but for the bridge of our port',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      await scene.makeBridge(bridgeIn(scene));
      await scene.makeBridge(`${scene.prefix}no`);
      await attach(engine, scene, plan);
      await scene.makePort(bridgeIn(scene), `${scene.prefix}-other`, `${scene.sharedDir}/another`);
      const rows = await engine.ownRows({ ovsdb: scene.ovsdb }, callOf().end);
      const namesIn = (table: string) =>
        (rows[table] ?? [])
          .map(({ name }) => String(name))
          .filter((name) => name.startsWith(scene.prefix) || name === plan.port.name);
      expect(namesIn('Bridge')).toEqual([bridgeIn(scene)]);
      expect(namesIn('Port')).toEqual([plan.port.name]);
      expect(namesIn('Interface')).toEqual([plan.port.name]);
      expect(rows.Port?.find(({ name }) => name === plan.port.name)).toMatchObject({
        external_ids: { key: textOf(plan), instance },
      });
      expect(rows.Open_vSwitch).toMatchObject([{ next_cfg: expect.any(Number) }]);
    },
  },
  {
    title:
      'another holder of a name is told: a key, or a port that is not ours; and none of a free name, or of our own',
    run: async (engine, scene) => {
      const [plan, other] = [planIn(scene), planIn(scene, { letter: 'b' })];
      await attach(engine, scene, plan);
      await attach(engine, scene, other);
      await scene.makePort(bridgeIn(scene), `${scene.prefix}-other`, `${scene.sharedDir}/another`);
      const findHolder = engine.otherHolder(plan, callOf());
      expect(await findHolder(`${scene.prefix}-none`)).toBeUndefined();
      expect(await findHolder(plan.port.name)).toBeUndefined();
      expect(await findHolder(other.port.name)).toBe(`attachment "${textOf(other)}"`);
      expect(await findHolder(`${scene.prefix}-other`)).toBe(`port "${scene.prefix}-other", which is not ours`);
    },
  },
  {
    title: 'the later one of two sandboxes began later in the same boot, and its namespace lives',
    run: async (engine, scene) => {
      const moments: readonly [string, string, boolean][] = [
        ['boot 2', scene.liveNetns, true],
        ['boot 0', scene.liveNetns, false],
        ['other 2', scene.liveNetns, false],
        ['boot 2', scene.goneNetns, false],
      ];
      for (const [begun, netns, expected] of moments) {
        const other = planIn(scene, { letter: 'b', port: { marks: { netns } } });
        await attach(engine, scene, other, callOf({ begun }));
        const sandbox = { containerId: other.key.containerId, moment: 'boot 1' };
        expect(await engine.isLaterSandbox(planIn(scene), sandbox, callOf())).toBe(expected);
        await perform(engine, 'remove port', other);
      }
      const none = { containerId: 'none', moment: 'boot 1' };
      expect(await engine.isLaterSandbox(planIn(scene), none, callOf())).toBe(false);
    },
  },
  {
    title: 'a pre-flight tells which database it looked at, which is the one of the ports',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      expect(engine.databaseAt(scene.ovsdb)).toBeUndefined();
      await preflightOf(engine, plan);
      const { port } = await attach(engine, scene, plan);
      expect(engine.databaseAt(scene.ovsdb)).toEqual(expect.any(String));
      expect(port).toMatchObject({ database: engine.databaseAt(scene.ovsdb) });
      expect(engine.databaseAt('unix:/nowhere')).toBeUndefined();
    },
  },
  {
    title: 'the predecessor’s attachment is known by its state file',
    run: async (engine, scene) => {
      const stateFile = `${scene.sharedDir}/state`;
      expect(engine.isPredecessors({ stateFile, directories: [] })).toBe(false);
      scene.makeFile(stateFile);
      expect(engine.isPredecessors({ stateFile, directories: [] })).toBe(true);
    },
  },
  {
    title: 'a switch that cannot be asked is said (code 11), and is never taken for one that has nothing',
    notForFake: 'a world in memory always answers: its silence is FakeHost’s to inject',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      const facts = await attach(engine, scene, plan);
      await scene.setDatabase('away');
      const { end } = callOf({}, 500);
      const call = callOf({}, 500);
      try {
        for (const verb of ['ensure', 'remove', 'find'] as const) {
          expect(await outcomeOf(perform(engine, `${verb} port`, plan, { facts, call }))).toMatchObject(refused(11));
        }
        expect((await preflightOf(engine, plan, call)).codes).toEqual([11]);
        expect(await engine.restoreTrouble({ plan, facts }, call)).toMatchObject({ code: 11 });
        for (const question of [
          () => engine.recall(plan, call),
          () => engine.isPortLost({ plan, facts }, call),
          () => engine.listPorts({ ovsdb: scene.ovsdb }, end),
          () => engine.portsThere({ ovsdb: scene.ovsdb }, [{ plan, facts, call }], end),
          () => engine.released(plan, { goneAt: 1 }, end),
        ]) {
          await expect(question()).rejects.toBeInstanceOf(EngineFailure);
        }
      } finally {
        await scene.setDatabase('running');
      }
    },
  },
];

export const sightCases: readonly EngineCase[] = [...holderCases, ...recallCases];
