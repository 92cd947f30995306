/** Pods as users of a cluster make them, and what is to be seen of them from outside. */
import { deepStrictEqual } from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { mountPath, type Volume } from '../cluster/kube-node.ts';
import type { Port } from '../real/world.ts';
import { readSwitch } from '../real/world.ts';
import { ask, type Json, namespace, podPath } from '../stand-in/api.ts';
import { imageName } from './image.ts';
import type { WorkerNode } from './worker-node.ts';

/** A pod takes a second or two; a kubelet that was refused tries again after half a minute or more. */
const patienceMs = 180_000;
const pollMs = 200;

const configurationData = 'userspace/configuration-data';

/** It ends at once when it is told to: as the first process of its namespace it would ignore a signal without a handler. */
const patientShell = ['sh', '-c', 'trap "exit 0" TERM; sleep 2147483647 & wait'];

export interface PodPlan {
  readonly name: string;
  /** One for each interface, net1 first. */
  readonly networks: readonly string[];
  readonly volume?: Volume;
}

/** A pod's template, as a DaemonSet has it too. */
export function template(worker: WorkerNode, { name, networks, volume = 'emptyDir' }: PodPlan): Json {
  const hostPath = { hostPath: { path: join(worker.node.directory, 'host', name), type: 'DirectoryOrCreate' } };
  const source = { emptyDir: { emptyDir: {} }, hostPath, none: undefined }[volume];
  const annotations = [{ path: 'annotations', fieldRef: { fieldPath: 'metadata.annotations' } }];
  return {
    metadata: {
      namespace,
      labels: { app: name },
      annotations: { 'k8s.v1.cni.cncf.io/networks': networks.join(',') },
    },
    spec: {
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 2,
      volumes: [
        ...(source ? [{ name: 'shared-dir', ...source }] : []),
        { name: 'podinfo', downwardAPI: { items: annotations } },
      ],
      containers: [
        {
          name: 'app',
          image: imageName,
          imagePullPolicy: 'Never',
          command: patientShell,
          volumeMounts: [
            ...(source ? [{ name: 'shared-dir', mountPath }] : []),
            { name: 'podinfo', mountPath: '/etc/podnetinfo' },
          ],
        },
      ],
    },
  };
}

/** Polls: what a cluster does, it does in its own time. @returns the first answer of `look` that is not undefined */
export async function eventually<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + patienceMs;
  let trouble: unknown;
  while (performance.now() < deadline) {
    try {
      const found = await look();
      if (found !== undefined) return found;
      trouble = undefined;
    } catch (error) {
      trouble = error;
    }
    await delay(pollMs);
  }
  throw new Error(`${what}: not in ${patienceMs} ms`, { cause: trouble });
}

export class Workload {
  constructor(readonly worker: WorkerNode) {}

  async create(plan: PodPlan): Promise<void> {
    const { metadata, spec } = template(this.worker, plan);
    const pod = { metadata: { ...metadata, name: plan.name }, spec };
    const { status, json } = await ask(this.worker.cluster, 'POST', podPath('').replace(/\/$/, ''), pod);
    if (status !== 201) throw new Error(`pod ${plan.name}: ${status} ${JSON.stringify(json)}`);
  }

  /** As a user does: the kubelet ends it, and then it goes. */
  async delete(name: string): Promise<void> {
    const { status, json } = await ask(this.worker.cluster, 'DELETE', podPath(name));
    if (status !== 200 && status !== 404) throw new Error(`DELETE ${name}: ${status} ${JSON.stringify(json)}`);
  }

  async pods(): Promise<Json[]> {
    return (await ask(this.worker.cluster, 'GET', podPath(''))).json.items;
  }

  async pod(name: string): Promise<Json> {
    return await this.worker.cluster.pod(name);
  }

  /** @throws what stands in the way, if they do not come up */
  async running(names: readonly string[]): Promise<Json[]> {
    return await this.until('the pods run', names, () => true);
  }

  /** Until all of them run, and each is as it should be. */
  async until(what: string, names: readonly string[], isAsWanted: (pod: Json) => boolean): Promise<Json[]> {
    return await this.#explained(names, what, async () => {
      const pods = (await this.pods()).filter(({ metadata }) => names.includes(metadata.name));
      return pods.length === names.length && pods.every((pod) => isRunning(pod) && isAsWanted(pod)) ? pods : undefined;
    });
  }

  async gone(names: readonly string[]): Promise<void> {
    await this.#explained(names, 'the pods go', async () => {
      const pods = (await this.pods()).filter(({ metadata }) => names.includes(metadata.name));
      return pods.length === 0 || undefined;
    });
  }

  async #explained<T>(names: readonly string[], what: string, look: () => Promise<T | undefined>): Promise<T> {
    try {
      return await eventually(what, look);
    } catch (error) {
      const pods = (await this.pods()).filter(({ metadata }) => names.includes(metadata.name));
      const stuck = pods.filter((pod) => !isRunning(pod)).map(({ metadata }) => String(metadata.name));
      const { json } = await ask(this.worker.cluster, 'GET', `/api/v1/namespaces/${namespace}/events`);
      const told = json.items
        .filter(({ involvedObject }: Json) => stuck.includes(involvedObject.name))
        .map((event: Json) => `${event.lastTimestamp} ${event.count} x ${event.involvedObject.name}: ${event.message}`);
      const logged = this.worker.linesAbout(stuck);
      const states = pods.map(
        ({ metadata, status }) => `${metadata.name}: ${metadata.deletionTimestamp} ${status.phase}`,
      );
      throw new Error(`${[...states, ...told.slice(-30), ...logged].join('\n')}`, { cause: error });
    }
  }
}

function isRunning({ metadata, status }: Json): boolean {
  return !metadata.deletionTimestamp && status.phase === 'Running' && status.containerStatuses?.[0]?.ready === true;
}

/** The application's entries, from an annotation. */
export const entriesOf = (annotations: Readonly<Record<string, string>>): Json[] =>
  JSON.parse(annotations[configurationData] ?? '[]');

/** The file of a downward API: a line for each annotation, its value quoted as Go does. */
export function readPodInfo(text: string): Record<string, string> {
  const lines = text.split('\n').filter(Boolean);
  return Object.fromEntries(
    lines.map((line) => {
      const at = line.indexOf('=');
      return [line.slice(0, at), JSON.parse(line.slice(at + 1))];
    }),
  );
}

/** The switch's ports of a pod, the first interface first. */
export async function portsOf(worker: WorkerNode, name: string): Promise<Port[]> {
  const { ports } = await readSwitch(worker.node.theSwitch);
  const own = ports.filter((port) => port.externalIds.pod === `${namespace}/${name}`);
  return own.sort((one, other) => one.name.localeCompare(other.name));
}

/** Each pod has what its plan says and the application is told so, and nothing else is there. */
export async function expectAttachedAlone(worker: WorkerNode, plans: readonly PodPlan[]): Promise<void> {
  for (const { name, networks } of plans) {
    const annotations = await worker.cluster.annotations(name);
    const told = entriesOf(annotations).map((entry) => `${entry.name}:${entry.containerId}:${entry.ifName}`);
    const keys = (await portsOf(worker, name)).map(({ externalIds }) => externalIds.key ?? '');
    deepStrictEqual(told.sort(), [...keys].sort());
    // In the order of the interfaces, which is that of the ports' names.
    const found = keys.map((key) => key.split(':')[0]);
    deepStrictEqual(found, networks, `the networks of ${name}`);
  }
  const attachments = plans.flatMap(({ networks }) => networks).length;
  await eventually('nothing else is there', async () => {
    const { ports, addresses, journals, netns, firstAddresses, veths } = await worker.world();
    const each = [ports, addresses, journals].map((part) => part.length);
    const first = [netns, firstAddresses, veths].map((part) => part.length);
    deepStrictEqual({ each, first }, { each: each.map(() => attachments), first: first.map(() => plans.length) });
    return true;
  });
}
