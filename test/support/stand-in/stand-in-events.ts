/** Events as kube-apiserver keeps them, for POST: each answer was measured (event-cases.ts holds both to it). */
import { randomUUID } from 'node:crypto';
import type { Json } from './api.ts';
import { type Reply, status } from './stand-in-pods.ts';

export class StandInEvents {
  readonly all: Json[] = [];

  /** @param namespaces that are there */
  create(namespace: string, text: string, namespaces: readonly string[]): Reply {
    const event = JSON.parse(text);
    const { name } = event.metadata;
    if (!namespaces.includes(namespace))
      return status(404, 'NotFound', `namespaces "${namespace}" not found`, { name: namespace, kind: 'namespaces' });
    if (this.find(namespace, name))
      return status(409, 'AlreadyExists', `events "${name}" already exists`, { name, kind: 'events' });
    if (event.involvedObject.namespace !== namespace)
      return status(422, 'Invalid', `Event "${name}" is invalid`, { name, kind: 'Event' });
    const made = { ...event, metadata: { ...event.metadata, uid: randomUUID() } };
    this.all.push(made);
    return { status: 201, body: made };
  }

  find(namespace: string, name: string): Json | undefined {
    return this.all.find(({ metadata }) => metadata.namespace === namespace && metadata.name === name);
  }
}
