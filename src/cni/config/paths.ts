/** The keys of the network configuration as dotted paths, from the one schema (keys.ts). Pure. */
import { Network } from './keys.ts';

/** The part of a valibot schema by which its keys are found. */
interface Keyed {
  readonly wrapped?: unknown;
  readonly pipe?: readonly unknown[];
  readonly entries?: { readonly [key: string]: unknown };
}

export interface SchemaKey {
  /** Dotted. */
  readonly path: string;
  /** Its valibot schema. */
  readonly schema: unknown;
}

/** The keys of an object below its wrappers; none for any other schema. */
function entriesOf(schema: unknown): { readonly [key: string]: unknown } {
  const { entries, pipe = [], wrapped } = (schema ?? {}) as Keyed;
  if (entries) return entries;
  return wrapped ? entriesOf(wrapped) : Object.assign({}, ...pipe.slice(1).map(entriesOf));
}

const keysBelow = (schema: unknown, prefix: string): SchemaKey[] =>
  Object.entries(entriesOf(schema)).flatMap(([name, inner]) => [
    { path: `${prefix}${name}`, schema: inner },
    ...keysBelow(inner, `${prefix}${name}.`),
  ]);

/** Every key, an object before its members. */
export const schemaKeys: readonly SchemaKey[] = keysBelow(Network, '');
