/** `userspace recover --events` at a real API server: what a person sees of a pod, once, and what a missing right changes: nothing. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { defaultDeadlines, now } from '../../src/deadlines.ts';
import type { Entry } from '../../src/drive/entry.ts';
import { openJournal, peekJournal } from '../../src/drive/past.ts';
import { createHost } from '../../src/effects/host.ts';
import { realDisk } from '../../src/journal/disk.ts';
import { onCluster, useKubeNode } from '../support/cluster/cluster-suite.ts';
import { emptyKubeWorld, type KubePod } from '../support/cluster/kube-node.ts';
import { Agent } from '../support/real/agent.ts';
import { type Account, ask, type Json, namespace, tokenOf } from '../support/stand-in/api.ts';

const ok = { exitCode: 0 };
const told = { sent: 1, known: 0, notSent: [] };

/** Makes a debt two minutes older, as it would be after that time. */
async function age(path: string): Promise<void> {
  const entries = peekJournal(realDisk, path)?.records ?? [];
  rmSync(path);
  const clock = () => new Date(Date.now() - 120_000);
  const journal = openJournal(realDisk, path, { create: true, clock });
  if ((await journal?.lock(now())) !== 'held') throw new Error(`"${path}" is locked`);
  for (const { at, seq, ...entry } of entries as readonly Json[]) journal?.append(entry as Entry);
  journal?.markGoing();
  journal?.close();
}

onCluster('events on a pod', (parts) => {
  const home = useKubeNode(parts);
  const { cluster, theSwitch } = parts;

  const eventsOf = async (pod: KubePod): Promise<Json[]> => {
    const path = `/api/v1/namespaces/${namespace}/events?fieldSelector=involvedObject.uid=${pod.uid}`;
    return (await ask(cluster(), 'GET', path)).json.items;
  };
  const recover = (account: Account) => home().node.recover('--events', '--kubeconfig', home().kubeconfigOf(account));

  /** An attachment whose annotation is owed, by an account that may not patch. */
  const owing = async (account: Account): Promise<{ pod: KubePod; pay: () => void }> => {
    const pod = await home().pod();
    expect(await pod.add()).toMatchObject(ok);
    const path = home().kubeconfig;
    const whole = readFileSync(path, 'utf8');
    writeFileSync(path, whole.replace(tokenOf('plugin'), tokenOf(account)));
    expect(await pod.del()).toMatchObject(ok);
    return { pod, pay: () => writeFileSync(path, whole) };
  };

  const settle = async (pay: () => void) => {
    pay();
    expect(await home().node.recover()).toMatchObject(ok);
    expect(await home().world()).toEqual(emptyKubeWorld);
  };

  test('an annotation that is owed is told after a minute, once however often it is tried', async () => {
    const { pod, pay } = await owing('witness');
    expect(await recover('witness')).toMatchObject({
      exitCode: 3,
      json: { owed: 1, events: { sent: 0, notSent: [] } },
    });
    await age(pod.sandbox.journal());
    expect(await recover('witness')).toMatchObject({ exitCode: 3, json: { owed: 1, events: told } });
    for (let count = 0; count < 2; count++)
      expect(await recover('witness')).toMatchObject({ json: { events: { sent: 0, known: 1, notSent: [] } } });
    const events = await eventsOf(pod);
    expect(events).toMatchObject([
      {
        type: 'Warning',
        reason: 'UserspaceOwed',
        involvedObject: { kind: 'Pod', name: pod.name, namespace, uid: pod.uid },
        reportingComponent: 'userspace-cni',
        source: { component: 'userspace-cni', host: expect.stringMatching(/./) },
        message: expect.stringMatching(
          /network net-a.*owed since .*publication: .*forbids to patch pods\/status.*userspace recover/,
        ),
      },
    ]);
    for (const account of ['plugin', 'witness']) expect(JSON.stringify(events)).not.toContain(tokenOf(account));
    await settle(pay);
  });

  test('without the right to create events recovery does the same work, ends the same, and says it once', async () => {
    const { pod, pay } = await owing('reader');
    await age(pod.sandbox.journal());
    const message = expect.stringMatching(/forbids to create events in namespace "blue" \(403\)/);
    expect(await recover('reader')).toMatchObject({
      exitCode: 3,
      json: { owed: 1, events: { sent: 0, known: 0, notSent: [{ count: 1, message }] } },
    });
    expect(await eventsOf(pod)).toEqual([]);
    pay();
    expect(await home().node.recover('--events')).toMatchObject({ ...ok, json: { removed: 1 } });
    expect(await home().world()).toEqual(emptyKubeWorld);
  });

  test('with the API server away recovery ends, and the exit code is that of its work', async () => {
    const { pod, pay } = await owing('witness');
    await age(pod.sandbox.journal());
    await cluster().stopServer();
    try {
      const { exitCode, json } = await recover('witness');
      expect(exitCode).toBe(3);
      expect(json.events).toMatchObject({ sent: 0, notSent: [{ count: 1, message: /nobody listens/ }] });
    } finally {
      await cluster().startServer();
    }
    await settle(pay);
  });

  test('a port that was put back is told to its pod', async () => {
    const pod = await home().pod();
    expect(await pod.add()).toMatchObject(ok);
    await theSwitch().vsctl('del-port', pod.sandbox.portName());
    expect(await recover('teller')).toMatchObject({ ...ok, json: { restored: 1, events: told } });
    expect(await eventsOf(pod)).toMatchObject([{ type: 'Normal', reason: 'UserspacePutBack' }]);
    expect(await recover('teller')).toMatchObject({ ...ok, json: { restored: 0, events: { sent: 0 } } });
    expect(await pod.del()).toMatchObject(ok);
    expect(await home().world()).toEqual(emptyKubeWorld);
  });

  test('an agent tells a pod that lives of what its runtime forgot, and a pod that is gone of nothing', async () => {
    const [alive, gone] = [await home().pod(), await home().pod()];
    for (const pod of [alive, gone]) {
      expect(await pod.add()).toMatchObject(ok);
      await pod.sandbox.removeNetns();
    }
    await cluster().deletePod(gone.name);
    const { dataDir } = home().node;
    const places = ['--data-dir', dataDir, '--ovsdb', theSwitch().ovsdb, '--kubeconfig', home().kubeconfigOf('teller')];
    const agent = await Agent.start({ words: ['--recover', '--events', ...places] });
    onTestFinished(() => agent.stop());
    while (!agent.said.some((line) => line.includes('events: '))) await delay(50);
    expect(await eventsOf(alive)).toMatchObject([
      { type: 'Normal', reason: 'UserspaceReleased', involvedObject: { uid: alive.uid } },
    ]);
    expect(await eventsOf(gone)).toEqual([]);
    expect(await home().world()).toEqual(emptyKubeWorld);
  });

  test('in a namespace that is being deleted nothing is told, and it is no error', async () => {
    const path = '/api/v1/namespaces';
    const held = { metadata: { name: 'going', finalizers: ['test.example/held'] } };
    expect((await ask(cluster(), 'POST', path, held)).status).toBe(201);
    expect((await ask(cluster(), 'DELETE', `${path}/going`)).status).toBe(200);
    const host = createHost(defaultDeadlines);
    const event = { type: 'Normal', reason: 'Case', message: 'a case', about: 'a case', at: new Date() } as const;
    const pod = { namespace: 'going', name: 'app' };
    expect(await host.tell(home().kubeconfigOf('teller'), { ...event, pod }, now() + 10_000)).toBe('no pod');
    host.close();
  });
});
