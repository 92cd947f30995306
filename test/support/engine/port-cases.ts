/** Making the port of an attachment, finding it and putting it back, on every engine. */
import { expect } from 'vitest';
import type { Facts } from '../../../src/machines/protocol.ts';
import {
  attach,
  bridgeIn,
  callOf,
  done,
  type EngineCase,
  factsOf,
  type Mode,
  outcomeOf,
  perform,
  planIn,
  refused,
  type Seen,
  socketOf,
} from './scene.ts';

const made = ['database', 'ofport', 'uuid'];
const told: Record<Mode, string[]> = { client: made, server: [...made, 'switchSocket'].sort() };
const nothingMade: Seen = { kind: 'failed', code: 7, made: 'nothing' };

const ofMode = (mode: Mode): readonly EngineCase[] => [
  {
    title: `a port in ${mode} mode is made with its socket where its mode has it, and found`,
    run: async (engine, scene) => {
      const plan = planIn(scene, { port: { mode } });
      scene.makeDirectory(plan.port.directory);
      await perform(engine, 'ensure bridge', plan);
      expect(await outcomeOf(perform(engine, 'find port', plan))).toEqual(refused(100));
      const port = await factsOf<Facts['port']>(perform(engine, 'ensure port', plan));
      expect(Object.keys(port ?? {}).sort()).toEqual(told[mode]);
      expect(port).toMatchObject({
        ofport: expect.any(Number),
        uuid: expect.any(String),
        database: expect.any(String),
      });
      expect(scene.hasSocket(socketOf(plan))).toBe(mode === 'server');
      expect(scene.hasSocket(scene.switchSocketOf(plan.port.name))).toBe(false);
      expect(await outcomeOf(perform(engine, 'find port', plan, { facts: port ? { port } : {} }))).toEqual(done);
      expect(await outcomeOf(perform(engine, 'find port', plan))).toEqual(done);
    },
  },
  {
    title: `a second port in ${mode} mode on the socket of the first is refused, and nothing is made`,
    run: async (engine, scene) => {
      const plan = planIn(scene, { port: { mode } });
      const facts = await attach(engine, scene, plan);
      expect(await outcomeOf(perform(engine, 'ensure port', plan))).toEqual(nothingMade);
      expect(await outcomeOf(perform(engine, 'find port', plan, { facts }))).toEqual(done);
    },
  },
  {
    title: `a port in ${mode} mode whose bridge went away between the two steps is displaced, and nothing is made`,
    run: async (engine, scene) => {
      const plan = planIn(scene, { port: { mode } });
      scene.makeDirectory(plan.port.directory);
      await perform(engine, 'ensure bridge', plan);
      await scene.removeBridge(bridgeIn(scene));
      expect(await outcomeOf(perform(engine, 'ensure port', plan))).toEqual({ kind: 'displaced', code: 11 });
      expect(await scene.ports()).not.toContain(plan.port.name);
    },
  },
  {
    title: `a port in ${mode} mode that was deleted is lost, and is put back; one that is there stays`,
    run: async (engine, scene) => {
      const plan = planIn(scene, { port: { mode } });
      const facts = await attach(engine, scene, plan);
      expect(await engine.isPortLost({ plan, facts }, callOf())).toBe(false);
      await scene.removePort(plan.port.name);
      expect(await engine.isPortLost({ plan, facts }, callOf())).toBe(true);
      expect(await engine.restoreTrouble({ plan, facts }, callOf())).toBeUndefined();
      const port = await factsOf<Facts['port']>(perform(engine, 'restore port', plan, { facts }));
      expect(Object.keys(port ?? {}).sort()).toEqual(told[mode]);
      expect(await outcomeOf(perform(engine, 'restore port', plan, { facts: port ? { port } : {} }))).toEqual(
        mode === 'client' ? done : refused(5),
      );
      expect(await outcomeOf(perform(engine, 'find port', plan, { facts: port ? { port } : {} }))).toEqual(done);
    },
  },
  {
    title: `a port in ${mode} mode that the daemon does not take in time is told with its failure`,
    run: async (engine, scene) => {
      const plan = planIn(scene, { port: { mode } });
      scene.makeDirectory(plan.port.directory);
      await perform(engine, 'ensure bridge', plan);
      scene.setDaemon('away');
      const outcome = await outcomeOf(perform(engine, 'ensure port', plan, { call: callOf({}, 1_000) }));
      expect(outcome).toEqual({ kind: 'failed', code: 11, facts: made });
      scene.setDaemon('running');
      expect(await scene.ports()).toContain(plan.port.name);
    },
  },
];

export const portCases: readonly EngineCase[] = [
  ...ofMode('client'),
  ...ofMode('server'),
  {
    title: 'a socket whose directory went away is told with its failure, and its removal takes what the switch made',
    run: async (engine, scene) => {
      const plan = planIn(scene, { port: { mode: 'server' } });
      await perform(engine, 'ensure bridge', plan);
      expect(await outcomeOf(perform(engine, 'ensure port', plan))).toEqual({ kind: 'failed', code: 5, facts: made });
      expect(scene.hasSocket(scene.switchSocketOf(plan.port.name))).toBe(true);
      expect(await outcomeOf(perform(engine, 'remove port', plan))).toEqual({ kind: 'ok', facts: ['goneAt'] });
      expect(scene.hasSocket(scene.switchSocketOf(plan.port.name))).toBe(false);
    },
  },
  {
    title: 'a port on which another tool wrote another tag is drift, and not lost',
    run: async (engine, scene) => {
      const plan = planIn(scene, { port: { vlan: { tag: 7 } } });
      const facts = await attach(engine, scene, plan);
      await scene.writePort(plan.port.name, { tag: 8 });
      expect(await outcomeOf(perform(engine, 'find port', plan, { facts }))).toEqual(refused(100));
      expect(await engine.isPortLost({ plan, facts }, callOf())).toBe(false);
    },
  },
  {
    title: 'a port that another tool led to another socket is drift, and not lost',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      const facts = await attach(engine, scene, plan);
      await scene.writePort(plan.port.name, { path: `${plan.port.directory}/another` });
      expect(await outcomeOf(perform(engine, 'find port', plan, { facts }))).toEqual(refused(100));
      expect(await engine.isPortLost({ plan, facts }, callOf())).toBe(false);
    },
  },
  {
    title:
      'a port whose marks another tool cleared is drift, and not lost: its row is recorded, or its socket is its own',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      const facts = await attach(engine, scene, plan);
      await scene.writePort(plan.port.name, { marks: {} });
      for (const known of [facts, {}]) {
        expect(await outcomeOf(perform(engine, 'find port', plan, { facts: known }))).toEqual(refused(100));
        expect(await engine.isPortLost({ plan, facts: known }, callOf())).toBe(false);
      }
    },
  },
  {
    title: 'a port of our name that bears another owner’s mark is none of ours',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      const facts = await attach(engine, scene, plan);
      await scene.writePort(plan.port.name, { marks: { owner: 'another' } });
      expect(await outcomeOf(perform(engine, 'find port', plan, { facts }))).toEqual(refused(100));
      expect(await engine.isPortLost({ plan, facts }, callOf())).toBe(true);
      expect(await outcomeOf(perform(engine, 'remove port', plan, { facts }))).toEqual({
        kind: 'ok',
        facts: ['goneAt'],
      });
      expect(await scene.ports()).toContain(plan.port.name);
    },
  },
  {
    title: 'the socket of server mode is lost when it is gone, and that of client mode is the application’s',
    run: async (engine, scene) => {
      const [server, client] = [planIn(scene, { port: { mode: 'server' } }), planIn(scene, { letter: 'b' })];
      for (const plan of [server, client]) {
        const facts = await attach(engine, scene, plan);
        scene.remove(socketOf(plan));
        const isLost = plan === server;
        expect(await outcomeOf(perform(engine, 'find port', plan, { facts }))).toEqual(isLost ? refused(100) : done);
        expect(await engine.isPortLost({ plan, facts }, callOf())).toBe(isLost);
      }
    },
  },
  {
    title: 'a socket that the switch made again is lost, and a restore moves it',
    run: async (engine, scene) => {
      const plan = planIn(scene, { port: { mode: 'server' } });
      const facts = await attach(engine, scene, plan);
      const again = scene.switchSocketOf(plan.port.name);
      await scene.makeSocket(again);
      expect(await outcomeOf(perform(engine, 'find port', plan, { facts }))).toEqual(refused(100));
      expect(await engine.isPortLost({ plan, facts }, callOf())).toBe(true);
      expect(await outcomeOf(perform(engine, 'restore port', plan, { facts }))).toEqual(done);
      expect(scene.hasSocket(again)).toBe(false);
      expect(await outcomeOf(perform(engine, 'find port', plan, { facts }))).toEqual(done);
    },
  },
  {
    title: 'a port of which the daemon does nothing cannot be judged',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      const facts = await attach(engine, scene, plan);
      scene.setDaemon('away');
      const outcome = await outcomeOf(perform(engine, 'find port', plan, { facts, call: callOf({}, 1_000) }));
      expect(outcome).toEqual({ kind: 'failed', code: 11, unjudged: true });
    },
  },
  {
    title: 'a lost port cannot be put back on a bridge that is gone and not ours to make, and can where it is ours',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      const facts = await attach(engine, scene, plan);
      await scene.removeBridge(bridgeIn(scene));
      const bridge = { created: false, ours: false };
      expect(await engine.restoreTrouble({ plan, facts: { ...facts, bridge } }, callOf())).toMatchObject({ code: 11 });
      expect(await engine.restoreTrouble({ plan, facts }, callOf())).toBeUndefined();
    },
  },
  {
    title:
      'a lost port cannot be put back while its name or its socket is another’s, its bridge no "netdev", or the daemon away',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      const facts = await attach(engine, scene, plan);
      const trouble = (ms?: number) => engine.restoreTrouble({ plan, facts }, callOf({}, ms));
      await scene.removePort(plan.port.name);
      await scene.makePort(bridgeIn(scene), plan.port.name, `${plan.port.directory}/another`);
      expect(await trouble()).toMatchObject({ code: 7 });
      await scene.removePort(plan.port.name);
      await scene.makePort(bridgeIn(scene), `${scene.prefix}-other`, socketOf(plan));
      expect(await trouble()).toMatchObject({ code: 7 });
      await scene.removePort(`${scene.prefix}-other`);
      scene.setDaemon('away');
      expect(await trouble(1_000)).toMatchObject({ code: 11 });
      scene.setDaemon('running');
      await scene.removeBridge(bridgeIn(scene));
      await scene.makeBridge(bridgeIn(scene), 'system');
      expect(await trouble()).toMatchObject({ code: 7 });
    },
  },
  {
    title: 'withdrawing takes back the recorded row, and neither another’s nor the socket',
    run: async (engine, scene) => {
      const [plan, sibling] = [planIn(scene), planIn(scene, { letter: 'b' })];
      const facts = await attach(engine, scene, plan);
      await attach(engine, scene, sibling);
      expect(await outcomeOf(perform(engine, 'withdraw port', plan))).toEqual(done);
      expect(await scene.ports()).toContain(plan.port.name);
      for (let round = 0; round < 2; round++) {
        expect(await outcomeOf(perform(engine, 'withdraw port', plan, { facts }))).toEqual(done);
        expect(await scene.ports()).not.toContain(plan.port.name);
      }
      expect(await scene.ports()).toContain(sibling.port.name);
      expect(scene.hasSocket(socketOf(plan))).toBe(true);
    },
  },
];
