/** The keys of the network configuration as dotted paths, from the one schema (keys.ts). Pure. */
import { objectIn } from '../leniency.ts';
import { Network } from './keys.ts';

export interface SchemaKey {
  /** Dotted. */
  readonly path: string;
  /** Its valibot schema. */
  readonly schema: unknown;
}

const keysBelow = (schema: unknown, prefix: string): SchemaKey[] =>
  Object.entries(objectIn(schema)?.entries ?? {}).flatMap(([name, inner]) => [
    { path: `${prefix}${name}`, schema: inner },
    ...keysBelow(inner, `${prefix}${name}.`),
  ]);

/** Every key, an object before its members. */
export const schemaKeys: readonly SchemaKey[] = keysBelow(Network, '');
