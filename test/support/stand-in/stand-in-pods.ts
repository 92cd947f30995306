/**
 * Pods as kube-apiserver keeps them, for GET of a pod and a merge patch of its status. Each answer was measured on 1.34
 * (api-cases.ts holds both to it). Does not know: specs' defaults, managedFields, watches.
 */
import { randomUUID } from 'node:crypto';
import type { Json } from './api.ts';

export interface Reply {
  readonly status: number;
  /** An object is sent as JSON. */
  readonly body: Json;
  readonly retryAfter?: number | undefined;
}

/** The limit of the real one's ValidateAnnotations. */
const annotationBytesMax = 256 * 1024;
const qualifiedName = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;

export type Annotations = Readonly<Record<string, string>>;

export class StandInPods {
  /** A webhook's change, between the patch and the store. */
  admission: (annotations: Annotations) => Annotations = (annotations) => annotations;
  readonly #pods = new Map<string, Json>();
  #revision = 1000;

  create(manifest: Json): Json {
    const { name, namespace } = manifest.metadata;
    if (this.#pods.has(`${namespace}/${name}`)) throw new Error(`pods "${name}" already exists`);
    const metadata = {
      ...manifest.metadata,
      uid: randomUUID(),
      resourceVersion: this.#next(),
      generation: 1,
      creationTimestamp: new Date().toISOString().replace(/\.\d+/, ''),
    };
    return this.#keep({ ...manifest, metadata, status: { phase: 'Pending', qosClass: 'BestEffort' } });
  }

  get(namespace: string, name: string): Json | undefined {
    return structuredClone(this.#pods.get(`${namespace}/${name}`));
  }

  delete(namespace: string, name: string): boolean {
    return this.#pods.delete(`${namespace}/${name}`);
  }

  read(namespace: string, name: string): Reply {
    const pod = this.get(namespace, name);
    return pod ? { status: 200, body: pod } : notFound(name);
  }

  /** PATCH …/status: precondition by precondition, in the real one's order. */
  patchStatus(namespace: string, name: string, text: string): Reply {
    const old = this.get(namespace, name);
    if (!old) return notFound(name);
    const patch = parse(text);
    if (typeof patch === 'string') return status(400, 'BadRequest', patch);
    const merged = mergePatch(old, patch);
    const refusal = typeError(merged) ?? this.#precondition(old, merged.metadata) ?? annotationError(name, merged);
    if (refusal) return refusal;
    const { annotations: sent, labels } = merged.metadata;
    const annotations = sent && this.admission(sent);
    // A patch of the status drops other members, such as the specification, without an error.
    const metadata = { ...old.metadata, annotations: orNothing(annotations), labels: orNothing(labels) };
    const pod = JSON.parse(JSON.stringify({ ...old, metadata, status: merged.status ?? {} }));
    // A patch that changes nothing is not written, so the resourceVersion stays.
    if (Bun.deepEquals(pod, old)) return { status: 200, body: old };
    pod.metadata.resourceVersion = this.#next();
    return { status: 200, body: this.#keep(pod) };
  }

  #precondition(old: Json, { name, namespace, resourceVersion: wanted, uid }: Json): Reply | undefined {
    const own = old.metadata;
    if (name && name !== own.name) {
      const message = `the name of the object (${name}) does not match the name on the URL (${own.name})`;
      return status(400, 'BadRequest', message);
    }
    if (namespace && namespace !== own.namespace) {
      const message = 'the namespace of the provided object does not match the namespace sent on the request';
      return status(400, 'BadRequest', message);
    }
    // "0" means any version, as an absent one does.
    if (wanted && wanted !== '0') {
      if (!/^\d+$/.test(wanted)) {
        return status(500, undefined, `strconv.ParseUint: parsing ${JSON.stringify(wanted)}: invalid syntax`);
      }
      if (wanted !== own.resourceVersion) return conflict(own.name);
    }
    if (uid && uid !== own.uid) {
      return invalid(own.name, 'metadata.uid', `Invalid value: ${JSON.stringify(uid)}: field is immutable`);
    }
    return undefined;
  }

  #next(): string {
    return String(++this.#revision);
  }

  #keep(pod: Json): Json {
    this.#pods.set(`${pod.metadata.namespace}/${pod.metadata.name}`, pod);
    return structuredClone(pod);
  }
}

export function status(code: number, reason: string | undefined, message: string, details?: object): Reply {
  const kind = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure' };
  return { status: code, body: { ...kind, message, ...(reason && { reason }), ...(details && { details }), code } };
}

const notFound = (name: string): Reply =>
  status(404, 'NotFound', `pods ${JSON.stringify(name)} not found`, { name, kind: 'pods' });

export const conflict = (name: string): Reply =>
  status(
    409,
    'Conflict',
    `Operation cannot be fulfilled on pods ${JSON.stringify(name)}: the object has been modified; please apply your changes to the latest version and try again`,
    { name, kind: 'pods' },
  );

function invalid(name: string, field: string, message: string): Reply {
  const reason = message.startsWith('Too long') ? 'FieldValueTooLong' : 'FieldValueInvalid';
  const causes = [{ reason, message, field }];
  return status(422, 'Invalid', `Pod ${JSON.stringify(name)} is invalid: ${field}: ${message}`, {
    name,
    kind: 'Pod',
    causes,
  });
}

/** @returns the fault of the body, or the patch */
function parse(text: string): object | string {
  if (text === '') return 'error decoding patch: unexpected end of JSON input';
  try {
    const patch: Json = JSON.parse(text);
    if (patch === null) return 'Invalid JSON Patch';
    if (kindOf(patch) === 'object') return patch;
    return `error decoding patch: json: cannot unmarshal ${kindOf(patch)} into Go value of type map[string]interface {}`;
  } catch {
    return `error decoding patch: invalid character '${text[0]}' looking for beginning of value`;
  }
}

/** RFC 7386. */
function mergePatch(target: Json, patch: Json): Json {
  if (kindOf(patch) !== 'object') return patch;
  const merged: Json = kindOf(target) === 'object' ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = mergePatch(merged[key], value);
  }
  return merged;
}

/** The names of JSON's types in Go's decoder. */
function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  return value === null ? 'null' : typeof value === 'boolean' ? 'bool' : typeof value;
}

/** The real one's message quotes the whole pod, which no test reads. */
function typeError({ metadata }: Json): Reply | undefined {
  const wrong = (value: unknown, field: string, type: string): Reply => {
    const message = `json: cannot unmarshal ${kindOf(value)} into Go struct field ObjectMeta.metadata.${field} of type ${type}`;
    return status(422, 'Invalid', ` "" is invalid: patch: Invalid value: "{…}": ${message}`);
  };
  const { annotations = {}, uid = '', resourceVersion = '' } = metadata;
  if (kindOf(annotations) !== 'object') return wrong(annotations, 'annotations', 'map[string]string');
  const bad = Object.values(annotations).find((value) => typeof value !== 'string');
  if (bad !== undefined) return wrong(bad, 'annotations', 'string');
  if (typeof uid !== 'string') return wrong(uid, 'uid', 'types.UID');
  return typeof resourceVersion === 'string' ? undefined : wrong(resourceVersion, 'resourceVersion', 'string');
}

function annotationError(name: string, { metadata: { annotations = {} } }: Json): Reply | undefined {
  const bad = Object.keys(annotations).find((key) => !qualifiedName.test(key.toLowerCase()));
  if (bad !== undefined) {
    const rule = "name part must consist of alphanumeric characters, '-', '_' or '.'";
    return invalid(name, 'metadata.annotations', `Invalid value: ${JSON.stringify(bad)}: ${rule}`);
  }
  const bytes = Buffer.byteLength(Object.entries(annotations).flat().join(''));
  if (bytes <= annotationBytesMax) return undefined;
  return invalid(name, 'metadata.annotations', `Too long: may not be more than ${annotationBytesMax} bytes`);
}

/** Empty maps are left out of an answer. */
const orNothing = (map: Json): Json => (map && Object.keys(map).length > 0 ? map : undefined);
