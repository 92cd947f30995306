/**
 * JSON objects as Go reads them (encoding/json, Unmarshal), and so the predecessor and every runtime: keys match in any case, and
 * null counts as absent. Pure. An object read this way is never written back: an IPAM program gets the bytes that we got.
 */

export type Json = { readonly [key: string]: unknown };

/** The part of a valibot schema that is read here: the keys of an object, below `optional` and `pipe`. */
export interface Shape {
  readonly type?: string;
  readonly wrapped?: unknown;
  readonly pipe?: readonly unknown[];
  readonly entries?: { readonly [key: string]: unknown };
}

/** A remark on a key of the configuration, which is accepted. */
export interface Remark {
  /** Dotted path. */
  readonly key: string;
  readonly message: string;
}

/** An object whose keys are spelt as in its shape, at every level that the shape knows. Other values stay as they are. */
export interface Lenient {
  readonly raw: Json;
  /** For keys that differ in case only: the one that is taken. */
  readonly remarks: readonly Remark[];
}

export function asGoReads(raw: Json, shape: Shape): Lenient {
  const remarks: Remark[] = [];
  return { raw: renamed(raw, objectIn(shape) ?? {}, '', remarks), remarks };
}

/** The member that Go would take for this name. */
export const memberOf = (raw: Json, name: string): unknown =>
  renamed(raw, { entries: { [name]: undefined } }, '', [])[name];

function renamed(raw: Json, shape: Shape, path: string, remarks: Remark[]): Json {
  const names = new Map(Object.keys(shape.entries ?? {}).map((name) => [name.toLowerCase(), name]));
  const taken = new Map<string, { readonly key: string; readonly value: unknown; readonly keys: readonly string[] }>();
  const members: [name: string, value: unknown][] = [];
  for (const [key, value] of Object.entries(raw)) {
    const name = names.get(key.toLowerCase());
    // In an object that takes any key, null may have a meaning: for GC it is an empty list.
    if (name === undefined && (value !== null || shape.type !== 'object_with_rest')) members.push([key, value]);
    if (name === undefined || value === null) continue;
    const before = taken.get(name);
    // The exact spelling; without one Go takes the last.
    const best = before?.key === name ? before : { key, value };
    taken.set(name, { ...best, keys: [...(before?.keys ?? []), key] });
  }
  for (const [name, { key, value, keys }] of taken) {
    if (keys.length > 1) {
      const all = keys.map((one) => `"${path}${one}"`).join(' and ');
      remarks.push({ key: `${path}${name}`, message: `${all} differ in case only: "${path}${key}" is taken` });
    }
    const inner = objectIn(shape.entries?.[name]);
    members.push([name, inner && isObject(value) ? renamed(value, inner, `${path}${name}.`, remarks) : value]);
  }
  return Object.fromEntries(members);
}

/** The object's shape below its wrappers; undefined if its keys are not known. */
export function objectIn(schema: unknown): Shape | undefined {
  const { entries, pipe, wrapped } = (schema ?? {}) as Shape;
  if (entries !== undefined) return schema as Shape;
  if (wrapped !== undefined) return objectIn(wrapped);
  return pipe?.slice(1).map(objectIn).find(Boolean);
}

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
