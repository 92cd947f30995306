/**
 * The shapes of keys.ts as JSON Schema (draft 7). Pure. Each kind of valibot schema and of limit that keys.ts uses has its line here, and
 * any other is an error, so that no rule gets lost.
 */

export type JsonSchema = { readonly [keyword: string]: unknown };

/** The parts of a valibot schema or action that are read here. */
interface Shaped {
  readonly type: string;
  readonly wrapped?: Shaped;
  readonly pipe?: readonly Shaped[];
  readonly entries?: { readonly [key: string]: Shaped };
  readonly item?: Shaped;
  readonly options?: readonly unknown[];
  readonly literal?: unknown;
  readonly requirement?: unknown;
  readonly message?: unknown;
}

/** @param schema of valibot */
export const jsonSchemaOf = (schema: unknown): JsonSchema => translated(schema as Shaped);

function translated(schema: Shaped): JsonSchema {
  if (schema.pipe) return schema.pipe.map(kindOf).reduce(joined, {});
  return kindOf(schema);
}

/** Both must hold. Of one keyword only `allOf` comes twice, and `type`, of which the later one is narrower. */
const joined = (one: JsonSchema, other: JsonSchema): JsonSchema => ({
  ...one,
  ...other,
  ...(one.allOf && other.allOf ? { allOf: [...listed(one.allOf), ...listed(other.allOf)] } : {}),
});

const listed = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

function kindOf(schema: Shaped): JsonSchema {
  const { requirement } = schema;
  switch (schema.type) {
    case 'optional':
      return translated(schema.wrapped as Shaped);
    case 'union':
      return { anyOf: unsetLast(schema.options as readonly Shaped[]).map(translated) };
    case 'literal':
      return { const: schema.literal };
    case 'picklist':
      return { type: 'string', enum: unsetLast(schema.options ?? []) };
    case 'string':
    case 'number':
    case 'boolean':
    case 'integer':
      return { type: schema.type };
    case 'array':
      return { type: 'array', items: translated(schema.item as Shaped) };
    case 'custom':
    case 'record':
      return { type: 'object' };
    case 'loose_object':
      return objectOf(schema);
    case 'object_with_rest':
      return { ...objectOf(schema), additionalProperties: false };
    case 'unknown':
      return {};
    case 'min_value':
      return { minimum: requirement };
    case 'max_value':
      return { maximum: requirement };
    case 'max_bytes':
      // JSON Schema counts characters: the patterns beside this limit let ASCII through alone.
      return { maxLength: requirement };
    case 'regex':
      return { allOf: [{ pattern: patternOf(requirement as RegExp), description: schema.message }] };
    default:
      throw new Error(`"${schema.type}" has no translation into JSON Schema`);
  }
}

const objectOf = ({ entries = {} }: Shaped): JsonSchema => ({
  type: 'object',
  properties: Object.fromEntries(Object.entries(entries).map(([key, inner]) => [key, translated(inner)])),
});

/** An editor offers the first value first, and '' and 0 mean "not set". */
const unsetLast = <T>(options: readonly T[]): T[] => {
  const isUnset = (option: unknown) => option === '' || (option as Shaped).type === 'literal';
  return [...options.filter((one) => !isUnset(one)), ...options.filter(isUnset)];
};

/** A pattern has no flags, and not each reader knows classes of Unicode. `s` is not missed: no path may hold a line's end. */
const patternOf = ({ source }: RegExp): string => source.replaceAll('\\p{Cc}', '\\u0000-\\u001f\\u007f-\\u009f');
