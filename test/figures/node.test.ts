/** The figures of a node at a moment: its journals are real, its switch is away, its API server is the test. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { stateWords } from '../../src/cli/words.ts';
import type { Entry } from '../../src/drive/entry.ts';
import { figuresOf, type NodePlaces } from '../../src/figures/node.ts';
import { textOf } from '../../src/figures/text.ts';
import { adding, attached, begin, type CliScene, cliScene, everything, owing } from '../support/fake/cli-scene.ts';
import { bunChild } from '../support/real/child.ts';
import { keyOf } from '../support/stand-in/scene.ts';

const holderProgram = new URL('../support/real/lock-holder.ts', import.meta.url);

interface Listed {
  readonly network: string;
  readonly state: string;
}

const nowhere = (s: CliScene) => `unix:${join(s.dataDir, 'db.sock')}`;

function figures(s: CliScene, places: Partial<NodePlaces> = {}) {
  return figuresOf(s.machine(), '1.2.3', { dataDir: s.dataDir, ovsdb: nowhere(s), ...places });
}

/** The samples of a metric, as `{labels} value`. */
async function samples(of: ReturnType<typeof figures>, name: string): Promise<string[]> {
  const lines = textOf(await of.families()).split('\n');
  return lines
    .filter((line) => new RegExp(`^userspace_${name}[ {]`).test(line))
    .map((line) => line.replace(/^\w+/, ''));
}

/** Entries of a pod, whose annotations are written with this kubeconfig. */
function inPod(id: string, kubeconfig: string): Entry[] {
  const [, ...rest] = attached(keyOf(id));
  const header = begin(keyOf(id));
  const pod = { namespace: 'blue', name: 'app', uid: 'u' };
  const publication = { kubeconfig, pod, mappedDir: '/sockets/', data: {} };
  return [{ ...header, plan: { ...header.plan, publication } }, ...rest];
}

describe('the figures of a node', () => {
  it('count attachments by network and state, and tell what is owed since when', async () => {
    const s = await cliScene();
    for (const id of ['aaaa', 'bbbb']) await s.journal(keyOf(id), attached(keyOf(id)));
    await s.journal(keyOf('cccc'), adding(keyOf('cccc')));
    await s.journal(keyOf('dddd'), owing(keyOf('dddd')), true);
    await s.journal({ ...keyOf('eeee'), network: 'green' }, attached({ ...keyOf('eeee'), network: 'green' }));
    s.now = new Date(s.now.getTime() + 90_000);
    const all = figures(s);
    expect((await samples(all, 'attachments')).sort()).toEqual([
      '{network="green",state="attached"} 1',
      '{network="net",state="adding"} 1',
      '{network="net",state="attached"} 2',
      '{network="net",state="owed"} 1',
    ]);
    expect(await samples(all, 'owed')).toEqual([' 1']);
    expect(await samples(all, 'owed_oldest_seconds')).toEqual([' 90']);
    expect(await samples(all, 'journals_readable')).toEqual([' 1']);
    expect(await samples(all, 'build_info')).toEqual([expect.stringContaining('{version="1.2.3",commit="')]);
  });

  it('count the same attachments in the same states as list of the same node, in every state', async () => {
    const s = await everything();
    await s.journal({ ...keyOf('ffff'), network: 'green' }, owing({ ...keyOf('ffff'), network: 'green' }), true);
    const path = await s.journal(keyOf('9999'), attached(keyOf('9999')));
    writeFileSync(path, readFileSync(path, 'utf8').replace('"step":"port"', '"step":"pork"'));
    mkdirSync(join(s.dataDir, 'net:8888:net1.journal'));
    const held = await s.journal(keyOf('7777'), owing(keyOf('7777')), true);
    const holder = bunChild(holderProgram, [held, '0']);
    await holder.line();
    const counted = await samples(figures(s), 'attachments');
    const { attachments } = JSON.parse((await s.run('list', '--json')).out) as { attachments: Listed[] };
    const listed = new Map<string, number>();
    for (const { network, state } of attachments) {
      const labels = `{network="${network}",state="${state}"}`;
      listed.set(labels, (listed.get(labels) ?? 0) + 1);
    }
    expect(counted.sort()).toEqual([...listed].map(([labels, count]) => `${labels} ${count}`).sort());
    expect(new Set(attachments.map(({ state }) => state))).toEqual(new Set(Object.keys(stateWords)));
    // And by the filter: as many rows as the figure says.
    for (const state of Object.keys(stateWords)) {
      const rows = (await s.run('list', '-o', 'name', '--state', state)).out.split('\n').length - 1;
      const sum = counted.filter((one) => one.includes(`state="${state}"`)).map((one) => Number(one.split(' ')[1]));
      expect([state, rows]).toEqual([state, sum.reduce((all, one) => all + one, 0)]);
    }
    await holder.kill();
  });

  it('are those of no attachment where there is no data directory, and say that it cannot be read where it cannot', async () => {
    const s = await cliScene();
    const absent = figures(s, { dataDir: join(s.dataDir, 'absent') });
    expect([await samples(absent, 'attachments'), await samples(absent, 'journals_readable')]).toEqual([[], [' 1']]);
    const file = join(s.dataDir, 'instance');
    expect(existsSync(file)).toBe(true);
    expect(await samples(figures(s, { dataDir: file }), 'journals_readable')).toEqual([' 0']);
  });

  it('sum up the networks beyond 200 (FI2)', async () => {
    const s = await cliScene();
    for (let count = 0; count < 203; count++) {
      const key = { ...keyOf('aaaa'), network: `net-${String(count).padStart(3, '0')}` };
      await s.journal(key, attached(key));
    }
    const found = await samples(figures(s), 'attachments');
    expect(found).toHaveLength(201);
    expect(found).toContain('{network="other",state="attached"} 3');
  });

  it('tell of the switch of the agent, and of those of the journals', async () => {
    const s = await cliScene();
    await s.journal(keyOf('aaaa'), attached(keyOf('aaaa')));
    const down = [`{ovsdb="${nowhere(s)}"} 0`, '{ovsdb="unix:/run/db.sock"} 0'];
    expect(await samples(figures(s), 'switch_up')).toEqual(down);
    expect(await samples(figures(s), 'switch_dpdk')).toEqual(down);
  });

  it('ask the API server of each kubeconfig, and not again within a minute', async () => {
    const s = await cliScene();
    for (const id of ['aaaa', 'bbbb']) await s.journal(keyOf(id), inPod(id, '/etc/kubeconfig'));
    const asked: string[] = [];
    s.rights = (kubeconfig) => {
      asked.push(kubeconfig);
      return kubeconfig === '/mine' ? Promise.reject(new Error('away')) : Promise.resolve(['patch pods/status']);
    };
    const all = figures(s, { kubeconfig: '/mine' });
    const expected = ['{kubeconfig="/mine"} 0', '{kubeconfig="/etc/kubeconfig"} 1'];
    expect(await samples(all, 'api_server_up')).toEqual(expected);
    expect(await samples(all, 'api_server_up')).toEqual(expected);
    expect(asked.sort()).toEqual(['/etc/kubeconfig', '/mine']);
  });

  it('name what keeps an ADD from being served, a line for each, and nothing that is owed', async () => {
    const s = await cliScene();
    await s.journal(keyOf('dddd'), owing(keyOf('dddd')), true);
    const sick = await figures(s).sick();
    expect(sick).toContainEqual(expect.stringMatching(/^switch: unix:.*cannot reach.* -> look at its service/));
    expect(sick.filter((line) => line.includes('dddd') || line.includes('\n'))).toEqual([]);
    const unreadable = await figures(s, { dataDir: join(s.dataDir, 'instance') }).sick();
    expect(unreadable).toContainEqual(expect.stringMatching(/^owed: .*instance/));
  });
});
