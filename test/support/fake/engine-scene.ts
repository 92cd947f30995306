/** A FakeWorld as the cases of an engine see it. */
import type { EngineScene } from '../engine/scene.ts';
import { FakeEngine } from './fake-engine.ts';
import { FakeWorld, sharedDir, switchDir } from './fake-world.ts';

export function fakeScene(): { readonly engine: FakeEngine; readonly scene: EngineScene } {
  const world = new FakeWorld();
  const { bridges, ports, files } = world;
  const by = 'another';
  const setPort = (name: string, change: object): void => {
    const found = ports.get(name);
    if (!found) throw new Error(`there is no port "${name}"`);
    ports.set(name, { ...found, ...change });
    world.raiseCfg();
  };
  const takeOff = (name: string): void => {
    for (const [bridge, found] of bridges) {
      bridges.set(bridge, { ...found, ports: found.ports.filter((other) => other !== name) });
    }
    world.raiseCfg();
  };
  const dropPort = (name: string): void => {
    ports.delete(name);
    takeOff(name);
  };
  const putOn = (bridge: string, name: string): void => {
    const found = bridges.get(bridge);
    if (!found) throw new Error(`there is no bridge "${bridge}"`);
    bridges.set(bridge, { ...found, ports: [...found.ports, name] });
    world.raiseCfg();
  };
  const liveNetns = '/run/netns/lives';
  world.netns.set(liveNetns, '4:4026531840');
  const scene: EngineScene = {
    ovsdb: `unix:${switchDir}/db.sock`,
    sharedDir,
    liveNetns,
    goneNetns: '/run/netns/gone',
    prefix: 'c0ffee',
    makeDirectory: (path) => void files.set(path, { kind: 'directory', by, text: '' }),
    makeSocket: async (path) => void files.set(path, { kind: 'socket', by, text: '' }),
    makeFile: (path) => void files.set(path, { kind: 'file', by, text: '' }),
    remove: (path) => {
      for (const child of [path, ...world.childrenOf(path)]) files.delete(child);
    },
    hasSocket: (path) => files.get(path)?.kind === 'socket',
    switchSocketOf: (port) => `${switchDir}/${port}`,
    bridges: async () => [...bridges.keys()],
    ports: async () => [...ports.keys()],
    makeBridge: async (name, datapath) => {
      bridges.set(name, { instance: undefined, ports: [], ...(datapath === 'system' && { datapath }) });
    },
    makePort: async (bridge, name, path) => {
      putOn(bridge, name);
      ports.set(name, { uuid: world.newUuid(), by, mode: 'client', tag: undefined, marks: {}, path });
    },
    movePort: async (name, bridge) => {
      takeOff(name);
      putOn(bridge, name);
    },
    removeBridge: async (name) => {
      for (const port of bridges.get(name)?.ports ?? []) dropPort(port);
      bridges.delete(name);
    },
    removePort: async (name) => dropPort(name),
    writePort: async (name, written) => setPort(name, written),
    clearBridge: async (name) => {
      const { dataDir: _, ...found } = bridges.get(name) ?? { ports: [] };
      bridges.set(name, { ...found, instance: undefined });
    },
    setDaemon: (state) => world.setDaemon(state),
    setDatabase: () => Promise.reject(new Error('a world in memory always answers')),
  };
  return { engine: new FakeEngine(world), scene };
}
