/** Taking the port of an attachment away, on every engine. */
import { expect } from 'vitest';
import { type Facts, isGonePort } from '../../../src/machines/protocol.ts';
import { instance } from '../instance.ts';
import type { WholePlan } from '../stand-in/scene.ts';
import {
  attach,
  callOf,
  done,
  type EngineCase,
  factsOf,
  type Mode,
  otherInstance,
  outcomeOf,
  perform,
  planIn,
  refused,
  socketOf,
} from './scene.ts';

const gone = { kind: 'ok', facts: ['goneAt'] } as const;

const goneAtOf = (port: Facts['port']): number => (isGonePort(port) ? port.goneAt : Number.NaN);

const ofMode = (mode: Mode): readonly EngineCase[] => [
  {
    title: `a port in ${mode} mode goes with its socket, and a second removal finds nothing`,
    run: async (engine, scene) => {
      const plan = planIn(scene, { port: { mode } });
      const facts = await attach(engine, scene, plan);
      for (let round = 0; round < 2; round++) {
        expect(await outcomeOf(perform(engine, 'remove port', plan, { facts }))).toEqual(gone);
        expect(await scene.ports()).not.toContain(plan.port.name);
        expect(scene.hasSocket(socketOf(plan))).toBe(false);
        expect(await outcomeOf(perform(engine, 'find port', plan, { facts }))).toEqual(refused(100));
      }
    },
  },
  {
    title: `a port in ${mode} mode of which there is no plan goes by its marks, with its socket`,
    run: async (engine, scene) => {
      const whole = planIn(scene, { port: { mode } });
      await attach(engine, scene, whole);
      const { port: _, ...plan } = whole;
      expect(await outcomeOf(perform(engine, 'remove port', plan as WholePlan))).toEqual(gone);
      expect(await scene.ports()).not.toContain(whole.port.name);
      expect(scene.hasSocket(socketOf(whole))).toBe(false);
      expect(await outcomeOf(perform(engine, 'remove port', plan as WholePlan))).toEqual(done);
    },
  },
];

export const removalCases: readonly EngineCase[] = [
  ...ofMode('client'),
  ...ofMode('server'),
  {
    title: 'a removal that is tried again tells the same, and takes a row that came back with our marks',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      await attach(engine, scene, plan);
      const first = await factsOf<Facts['port']>(perform(engine, 'remove port', plan));
      const facts: Facts = first ? { port: first } : {};
      expect(await factsOf(perform(engine, 'remove port', plan, { facts }))).toEqual(first);
      await attach(engine, scene, plan);
      const again = await factsOf<Facts['port']>(perform(engine, 'remove port', plan, { facts }));
      expect(goneAtOf(again)).toBeGreaterThan(goneAtOf(first));
      expect(await scene.ports()).not.toContain(plan.port.name);
      expect(scene.hasSocket(socketOf(plan))).toBe(true);
    },
  },
  {
    title:
      'a removal that is tried again leaves a port of its name and socket that bears no mark of ours: it is another’s by now',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      await attach(engine, scene, plan);
      const port = await factsOf<Facts['port']>(perform(engine, 'remove port', plan));
      await scene.makePort(plan.port.bridge, plan.port.name, socketOf(plan));
      await scene.makeSocket(socketOf(plan));
      expect(await factsOf(perform(engine, 'remove port', plan, { facts: port ? { port } : {} }))).toEqual(port);
      expect(await scene.ports()).toContain(plan.port.name);
      expect(scene.hasSocket(socketOf(plan))).toBe(true);
    },
  },
  {
    title: 'a sibling’s port stays, with its socket',
    run: async (engine, scene) => {
      const [plan, sibling] = [planIn(scene), planIn(scene, { letter: 'b', port: { mode: 'server' } })];
      await attach(engine, scene, plan);
      const facts = await attach(engine, scene, sibling);
      expect(await outcomeOf(perform(engine, 'remove port', plan))).toEqual(gone);
      expect(await outcomeOf(perform(engine, 'find port', sibling, { facts }))).toEqual(done);
    },
  },
  {
    title: 'another data directory’s port of the same key stays; one whose data directory lost its id is its own',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      const dataDir = `${scene.sharedDir}/data`;
      await attach(engine, scene, plan, callOf({ instance: otherInstance, dataDir }));
      await perform(engine, 'remove port', plan);
      expect(await scene.ports()).toContain(plan.port.name);
      const call = callOf({ instance, dataDir });
      expect(await outcomeOf(perform(engine, 'find port', plan, { call }))).toEqual(done);
      expect(await outcomeOf(perform(engine, 'remove port', plan, { call }))).toEqual(gone);
      expect(await scene.ports()).not.toContain(plan.port.name);
    },
  },
  {
    title: 'a port without its marks goes by the row that the journal has',
    run: async (engine, scene) => {
      for (const mode of ['client', 'server'] as const) {
        const plan = planIn(scene, { port: { mode } });
        const facts = await attach(engine, scene, plan);
        await scene.writePort(plan.port.name, { marks: {} });
        expect(await outcomeOf(perform(engine, 'remove port', plan, { facts }))).toEqual(gone);
        expect(await scene.ports()).not.toContain(plan.port.name);
      }
    },
  },
  {
    title: 'a port whose marks name another key by now goes by the row that the journal has, and by nothing else',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      const facts = await attach(engine, scene, plan);
      await scene.writePort(plan.port.name, { marks: { owner: 'userspace-cni', instance, key: 'spoilt' } });
      await perform(engine, 'remove port', plan);
      expect(await scene.ports()).toContain(plan.port.name);
      expect(await outcomeOf(perform(engine, 'remove port', plan, { facts }))).toEqual(gone);
      expect(await scene.ports()).not.toContain(plan.port.name);
    },
  },
  {
    title:
      'a port without its marks and without a record goes by its socket; in server mode that cannot be told (code 11)',
    run: async (engine, scene) => {
      const [client, server] = [planIn(scene), planIn(scene, { letter: 'b', port: { mode: 'server' } })];
      for (const plan of [client, server]) {
        await attach(engine, scene, plan);
        await scene.writePort(plan.port.name, { marks: {} });
      }
      expect(await outcomeOf(perform(engine, 'remove port', client))).toEqual(gone);
      expect(await outcomeOf(perform(engine, 'remove port', server))).toEqual(refused(11));
      const ports = await scene.ports();
      expect([client, server].map(({ port }) => ports.includes(port.name))).toEqual([false, true]);
    },
  },
  {
    title: 'a socket stays that another’s row or journal names, or of which no application ever heard',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      const ends: readonly [string, WholePlan, Parameters<typeof callOf>[0]][] = [
        ['the journal of another', plan, { isAnothersSocket: (socket) => socket === socketOf(plan) }],
        ['no application', { ...plan, port: { ...plan.port, socketStays: true } }, {}],
      ];
      for (const [, asked, more] of ends) {
        await attach(engine, scene, plan);
        expect(await outcomeOf(perform(engine, 'remove port', asked, { call: callOf(more) }))).toEqual(gone);
        expect(scene.hasSocket(socketOf(plan))).toBe(true);
        scene.remove(socketOf(plan));
      }
      const facts = await attach(engine, scene, plan);
      await scene.makePort(plan.port.bridge, `${scene.prefix}-other`, socketOf(plan));
      expect(await outcomeOf(perform(engine, 'remove port', plan, { facts }))).toEqual(gone);
      expect(scene.hasSocket(socketOf(plan))).toBe(true);
    },
  },
  {
    title: 'a port that another tool moved to another bridge is drift, not lost, and goes from there',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      const facts = await attach(engine, scene, plan);
      const bridge = `${scene.prefix}-br`;
      await scene.makeBridge(bridge);
      await scene.movePort(plan.port.name, bridge);
      expect(await outcomeOf(perform(engine, 'find port', plan, { facts }))).toEqual(refused(100));
      expect(await engine.isPortLost({ plan, facts }, callOf())).toBe(false);
      expect(await outcomeOf(perform(engine, 'remove port', plan, { facts }))).toEqual(gone);
      expect(await scene.ports()).not.toContain(plan.port.name);
      expect(await scene.bridges()).toContain(bridge);
    },
  },
  {
    title: 'a socket goes although its row is gone already',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      const facts = await attach(engine, scene, plan);
      await scene.removePort(plan.port.name);
      expect(await outcomeOf(perform(engine, 'remove port', plan, { facts }))).toEqual(gone);
      expect(scene.hasSocket(socketOf(plan))).toBe(false);
    },
  },
  {
    title: 'a removed port is released when the daemon has applied its removal, and not before (code 11)',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      await attach(engine, scene, plan);
      scene.setDaemon('away');
      const port = await factsOf<Facts['port']>(perform(engine, 'remove port', plan));
      expect(await outcomeOf(engine.released(plan, port, callOf({}, 300).end))).toEqual(refused(11));
      scene.setDaemon('running');
      expect(await outcomeOf(engine.released(plan, port, callOf().end))).toEqual(done);
    },
  },
  {
    title: 'a removed port is released at once where nothing is outstanding, and where another database never had it',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      await attach(engine, scene, plan);
      const port = await factsOf<Facts['port']>(perform(engine, 'remove port', plan));
      const { end } = callOf();
      for (const known of [port, undefined, { goneAt: 1_000_000 }]) {
        expect(await outcomeOf(engine.released(plan, known, end))).toEqual(done);
      }
    },
  },
];
