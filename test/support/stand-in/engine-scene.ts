/** A switch with an OVSDB, the stand-in or the real one, as the cases of an engine see it. Other parties change it by plain transactions. */
import { randomBytes } from 'node:crypto';
import { lstatSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { EngineScene, Written } from '../engine/scene.ts';
import { readSwitch, type View } from '../real/world.ts';
import { RawSession } from './raw-ovsdb.ts';

/** The two daemons of a switch, as a scene stops them. */
interface Daemons {
  readonly setDaemon: EngineScene['setDaemon'];
  readonly setDatabase: EngineScene['setDatabase'];
}

const map = (entries: object) => ['map', Object.entries(entries)];
const mutation = (table: string, where: unknown[], [column, mutator, argument]: [string, string, unknown]) => ({
  op: 'mutate',
  table,
  where,
  mutations: [[column, mutator, argument]],
});
const raised = mutation('Open_vSwitch', [], ['next_cfg', '+=', 1]);
const root = { op: 'select', table: 'Open_vSwitch', where: [], columns: ['cur_cfg', 'next_cfg'] };
const named = (name: string) => [['name', '==', name]];
const update = (table: string, name: string, row: object) => ({ op: 'update', table, where: named(name), row });

/** @returns the scene, and how it ends: nothing of it stays on the switch */
export function ovsScene(view: View, { setDaemon, setDatabase }: Daemons) {
  const prefix = randomBytes(3).toString('hex');
  const directory = mkdtempSync(join(tmpdir(), 'usw-e-'));
  const sharedDir = join(directory, 'pods');
  mkdirSync(sharedDir);
  const servers: Server[] = [];
  let isAway = false;

  /** As ovs-vsctl does: until ovs-vswitchd has applied it, if it does so at all. */
  async function change(...operations: object[]): Promise<void> {
    const session = await RawSession.open(view.ovsdb);
    try {
      const results = (await session.transact(...operations, raised)) as ({ error?: string } | null)[];
      const wrong = results.find((result) => result === null || result.error);
      if (wrong !== undefined) throw new Error(`the switch refuses: ${JSON.stringify(results)}`);
      while (!isAway && !(await isApplied(session))) await delay(2);
    } finally {
      session.close();
    }
  }

  async function uuidOf(table: string, name: string): Promise<unknown> {
    const session = await RawSession.open(view.ovsdb);
    const asked = { op: 'select', table, where: named(name), columns: ['_uuid'] };
    const [found] = (await session.transact(asked)) as [{ rows: { _uuid: unknown }[] }];
    session.close();
    return found.rows[0]?._uuid;
  }

  const scene: EngineScene = {
    ovsdb: view.ovsdb,
    sharedDir,
    liveNetns: '/proc/self/ns/net',
    goneNetns: join(directory, 'netns'),
    prefix,
    makeDirectory: (path) => void mkdirSync(path, { recursive: true }),
    makeSocket: async (path) => {
      const server = createServer();
      await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve));
      servers.push(server);
    },
    makeFile: (path) => writeFileSync(path, ''),
    remove: (path) => rmSync(path, { recursive: true, force: true }),
    hasSocket: (path) => lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true,
    switchSocketOf: (port) => join(view.rundir, port),
    bridges: async () => (await readSwitch(view)).bridges.map(({ name }) => name),
    ports: async () => (await readSwitch(view)).ports.map(({ name }) => name),
    makeBridge: (name, datapath = 'netdev') =>
      change(
        { op: 'insert', table: 'Interface', row: { name, type: 'internal' }, 'uuid-name': 'i' },
        { op: 'insert', table: 'Port', row: { name, interfaces: ['named-uuid', 'i'] }, 'uuid-name': 'p' },
        {
          op: 'insert',
          table: 'Bridge',
          row: { name, datapath_type: datapath, ports: ['named-uuid', 'p'] },
          'uuid-name': 'b',
        },
        mutation('Open_vSwitch', [], ['bridges', 'insert', ['named-uuid', 'b']]),
      ),
    makePort: (bridge, name, path) => {
      const options = map({ 'vhost-server-path': path });
      return change(
        { op: 'insert', table: 'Interface', row: { name, type: 'dpdkvhostuserclient', options }, 'uuid-name': 'i' },
        { op: 'insert', table: 'Port', row: { name, interfaces: ['named-uuid', 'i'] }, 'uuid-name': 'p' },
        mutation('Bridge', named(bridge), ['ports', 'insert', ['named-uuid', 'p']]),
      );
    },
    movePort: async (name, bridge) => {
      const id = await uuidOf('Port', name);
      await change(
        mutation('Bridge', [['ports', 'includes', id]], ['ports', 'delete', id]),
        mutation('Bridge', named(bridge), ['ports', 'insert', id]),
      );
    },
    removeBridge: async (name) =>
      await change(mutation('Open_vSwitch', [], ['bridges', 'delete', await uuidOf('Bridge', name)])),
    removePort: async (name) => {
      const id = await uuidOf('Port', name);
      await change(mutation('Bridge', [['ports', 'includes', id]], ['ports', 'delete', id]));
    },
    writePort: (name, { tag, marks, path }: Written) =>
      change(
        ...(tag === undefined ? [] : [update('Port', name, { tag })]),
        ...(marks === undefined ? [] : [update('Port', name, { external_ids: map(marks) })]),
        ...(path === undefined ? [] : [update('Interface', name, { options: map({ 'vhost-server-path': path }) })]),
      ),
    clearBridge: (name) => change(update('Bridge', name, { external_ids: map({}) })),
    setDaemon: (state) => {
      isAway = state === 'away';
      setDaemon(state);
    },
    setDatabase,
  };
  const end = async (): Promise<void> => {
    if (isAway) scene.setDaemon('running');
    const { bridges } = await readSwitch(view);
    for (const { name } of bridges) if (name.startsWith(prefix)) await scene.removeBridge(name);
    for (const server of servers) server.close();
    rmSync(directory, { recursive: true, force: true });
  };
  return { scene, end };
}

async function isApplied(session: RawSession): Promise<boolean> {
  const [{ rows }] = (await session.transact(root)) as [{ rows: [{ cur_cfg: number; next_cfg: number }] }];
  return rows[0].cur_cfg >= rows[0].next_cfg;
}
