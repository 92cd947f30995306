/** The bridge of an attachment, on every engine. */
import { expect } from 'vitest';
import type { Facts } from '../../../src/machines/protocol.ts';
import { instance } from '../instance.ts';
import type { WholePlan } from '../stand-in/scene.ts';
import {
  attach,
  bridgeIn,
  callOf,
  done,
  type EngineCase,
  factsOf,
  otherInstance,
  outcomeOf,
  perform,
  planIn,
  preflightOf,
  refused,
} from './scene.ts';

type BridgeFacts = NonNullable<Facts['bridge']>;

const another = callOf({ instance: otherInstance });
const removed = { kind: 'ok' } as const;

export const bridgeCases: readonly EngineCase[] = [
  {
    title: 'a bridge is made once, and the second time it is found as ours',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      const first = await factsOf<BridgeFacts>(perform(engine, 'ensure bridge', plan));
      const second = await factsOf<BridgeFacts>(perform(engine, 'ensure bridge', plan));
      expect(first).toEqual({ created: true, ours: true, uuid: expect.any(String) });
      expect(second).toEqual({ created: false, ours: true, uuid: first.uuid });
      expect(await scene.bridges()).toContain(bridgeIn(scene));
    },
  },
  {
    title: 'a bridge that is lost is made again by a restore',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      await perform(engine, 'ensure bridge', plan);
      await scene.removeBridge(bridgeIn(scene));
      expect(await factsOf(perform(engine, 'restore bridge', plan))).toMatchObject({ created: true, ours: true });
    },
  },
  {
    title: 'a bridge is found from its making to its removal, and nothing is left of it',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      expect(await outcomeOf(perform(engine, 'find bridge', plan))).toEqual(refused(100));
      await perform(engine, 'ensure bridge', plan);
      expect(await outcomeOf(perform(engine, 'find bridge', plan))).toEqual(done);
      for (let round = 0; round < 2; round++) {
        expect(await outcomeOf(perform(engine, 'remove bridge', plan))).toEqual(removed);
        expect(await outcomeOf(perform(engine, 'find bridge', plan))).toEqual(refused(100));
        expect(await scene.bridges()).not.toContain(bridgeIn(scene));
      }
    },
  },
  {
    title: 'a bridge with a port on it stays',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      await attach(engine, scene, plan);
      for (const verb of ['remove', 'withdraw'] as const) {
        expect(await outcomeOf(perform(engine, `${verb} bridge`, plan))).toEqual(removed);
        expect(await scene.bridges()).toContain(bridgeIn(scene));
      }
    },
  },
  {
    title: 'a bridge without our mark is used, told to be no one of ours, and stays',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      await scene.makeBridge(bridgeIn(scene));
      expect(await factsOf(perform(engine, 'ensure bridge', plan))).toEqual({ created: false, ours: false });
      expect(await outcomeOf(perform(engine, 'remove bridge', plan))).toEqual(removed);
      expect(await scene.bridges()).toContain(bridgeIn(scene));
    },
  },
  {
    title: 'a bridge of another data directory is ours to make again, and not ours to remove',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      await perform(engine, 'ensure bridge', plan, { call: another });
      expect(await factsOf(perform(engine, 'ensure bridge', plan))).toEqual({ created: false, ours: true });
      expect(await outcomeOf(perform(engine, 'remove bridge', plan))).toEqual(removed);
      expect(await scene.bridges()).toContain(bridgeIn(scene));
    },
  },
  {
    title: 'a bridge of a data directory that lost its id is known by the directory',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      const dataDir = `${scene.sharedDir}/data`;
      await perform(engine, 'ensure bridge', plan, { call: callOf({ instance: otherInstance, dataDir }) });
      const call = callOf({ instance, dataDir });
      expect(Object.keys(await factsOf<BridgeFacts>(perform(engine, 'ensure bridge', plan, { call })))).toContain(
        'uuid',
      );
      expect(await outcomeOf(perform(engine, 'remove bridge', plan, { call }))).toEqual(removed);
      expect(await scene.bridges()).not.toContain(bridgeIn(scene));
    },
  },
  {
    title: 'a bridge without its marks is known by the row that the journal has, and by nothing else',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      const bridge = await factsOf<BridgeFacts>(perform(engine, 'ensure bridge', plan));
      await scene.clearBridge(bridgeIn(scene));
      await perform(engine, 'remove bridge', plan);
      expect(await scene.bridges()).toContain(bridgeIn(scene));
      await perform(engine, 'remove bridge', plan, { facts: { bridge } });
      expect(await scene.bridges()).not.toContain(bridgeIn(scene));
    },
  },
  {
    title: 'a bridge with another datapath_type is refused by the pre-flight (code 7), and is drift',
    run: async (engine, scene) => {
      const plan = planIn(scene);
      expect((await preflightOf(engine, plan)).codes).toEqual([]);
      await scene.makeBridge(bridgeIn(scene), 'system');
      const { codes, words } = await preflightOf(engine, plan);
      expect(codes).toEqual([7]);
      expect(words).toContain(`bridge "${bridgeIn(scene)}" has datapath_type "system"`);
      expect(await outcomeOf(perform(engine, 'find bridge', plan))).toEqual(refused(100));
    },
  },
  {
    title: 'a bridge that others make has to be there before the pre-flight (code 7)',
    run: async (engine, scene) => {
      const { bridge: _, ...rest } = planIn(scene);
      const plan = rest as WholePlan;
      expect((await preflightOf(engine, plan)).codes).toEqual([7]);
      await scene.makeBridge(bridgeIn(scene));
      expect((await preflightOf(engine, plan)).codes).toEqual([]);
      expect(await outcomeOf(perform(engine, 'ensure bridge', plan))).toEqual(done);
    },
  },
  {
    title: 'bridges of ours that no port uses go, and are only named in a dry run',
    run: async (engine, scene) => {
      const names = ['idle', 'used', 'full', 'stranger', 'elsewhere'].map((name) => `${scene.prefix}-${name}`);
      const [idle = '', used = '', full = '', stranger = '', elsewhere = ''] = names;
      for (const bridge of [idle, used]) await perform(engine, 'ensure bridge', planIn(scene, { bridge }));
      await attach(engine, scene, planIn(scene, { bridge: full }));
      await scene.makeBridge(stranger);
      await perform(engine, 'ensure bridge', planIn(scene, { bridge: elsewhere }), { call: another });
      const sought = { database: { ovsdb: scene.ovsdb }, ids: new Set([instance]), used: new Set([used]) };
      for (const dryRun of [true, false]) {
        expect(await engine.removeIdleBridges({ ...sought, dryRun }, callOf())).toEqual([idle]);
        expect((await scene.bridges()).includes(idle)).toBe(dryRun);
      }
      expect(await scene.bridges()).toEqual(expect.arrayContaining([used, full, stranger, elsewhere]));
      expect(await engine.removeIdleBridges({ ...sought, dryRun: false }, callOf())).toEqual([]);
    },
  },
];
