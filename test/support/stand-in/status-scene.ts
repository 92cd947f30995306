/** A node for `userspace status`: with a database that answers, and with the looks of a real ADD. */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { defaultDeadlines } from '../../../src/deadlines.ts';
import { createHost } from '../../../src/effects/host.ts';
import { cliScene } from '../fake/cli-scene.ts';
import { temporaryDirectory } from '../temporary.ts';
import { StandInOvsdb } from './stand-in-ovsdb.ts';

type Finding = { readonly check: string; readonly subject: string; readonly health: string; readonly finding: string };

const says = (columns: object) => ({ op: 'update', table: 'Open_vSwitch', where: [], row: columns });

/** A healthy node: a switch with DPDK, hugepages, and an IPAM program that knows 1.1.0 and notes its input. */
export async function node() {
  const s = await cliScene();
  const directory = temporaryDirectory();
  const ovsdb = await StandInOvsdb.start(directory);
  onTestFinished(() => ovsdb.stop());
  const set = (columns: object) => ovsdb.database.transact([says(columns)], { ownsLock: () => true, waitedMs: 0 });
  set({ dpdk_initialized: true });
  const told = join(directory, 'told');
  const script = `#!/bin/sh
if [ "$CNI_COMMAND" = VERSION ]; then echo '{"cniVersion":"1.1.0","supportedVersions":["0.4.0","1.0.0","1.1.0"]}'; exit 0; fi
echo "$CNI_COMMAND $(cat)" >> ${told}
`;
  writeFileSync(join(directory, 'pool'), script);
  chmodSync(join(directory, 'pool'), 0o755);
  s.path = [directory];
  const pages = join(s.hugepagesDir, 'hugepages-2048kB');
  mkdirSync(pages, { recursive: true });
  writeFileSync(join(pages, 'nr_hugepages'), '512\n');
  writeFileSync(join(pages, 'free_hugepages'), '100\n');
  mkdirSync(s.networkDir);
  const network = (more: object = {}) => ({
    cniVersion: '1.0.0',
    name: 'dpdk-net',
    type: 'userspace',
    dataDir: s.dataDir,
    ovsdb: ovsdb.ovsdb,
    sharedDir: join(directory, 'shared'),
    host: { engine: 'ovs-dpdk', iftype: 'vhostuser' },
    container: { engine: 'ovs-dpdk', iftype: 'vhostuser' },
    ipam: { type: 'pool' },
    ...more,
  });
  const file = (content: unknown, name = 'network.json') => {
    const path = join(directory, name);
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
    return path;
  };
  const status = async (...args: string[]) => {
    const host = createHost(defaultDeadlines);
    s.preflight = host.preflight;
    s.databaseAt = host.databaseAt;
    const { exitCode, out, err } = await s.run('status', '--json', ...args);
    host.close();
    const { healthy, findings } = JSON.parse(out || '{}') as { healthy: boolean; findings: Finding[] };
    const of = (check: string) => findings.filter((one) => one.check === check);
    return { exitCode, err, healthy, findings, of };
  };
  return { s, directory, ovsdb, set, pages, network, file, told: () => readFileSync(told, 'utf8'), status };
}
