/** Every key with all that is known of it: the schema's part from keys.ts, the words from words.ts. Pure. */
import { logLevels } from '../../attachment.ts';
import { identifier } from '../request.ts';
import { supportedVersions } from '../result.ts';
import { type JsonSchema, jsonSchemaOf } from './json-schema.ts';
import { schemaKeys } from './paths.ts';
import { served, uselessPaths } from './rules.ts';
import type { KeyWords } from './word-shape.ts';
import { keyWords } from './words.ts';

export interface ConfigKey extends KeyWords {
  /** Dotted. */
  readonly path: string;
  /** As JSON Schema. */
  readonly shape: JsonSchema;
  readonly since: string;
  /** False for a key that is accepted for the sake of other plugins' networks. */
  readonly hasEffect: boolean;
}

const firstVersion = '0.1.0';

/** The rules for values that are not in keys.ts, because their faults have messages or codes of their own. */
const narrower: { readonly [path: string]: JsonSchema } = {
  cniVersion: { enum: [...supportedVersions, ''] },
  name: { type: 'string', allOf: [{ pattern: identifier.source, description: 'letters, digits, "_.-"' }] },
  type: { enum: ['userspace'] },
  logLevel: { type: 'string', enum: [...logLevels, ''] },
  ...Object.fromEntries(
    served.map(({ key, value, isOptional }) => [key, { enum: isOptional ? [value, ''] : [value] }]),
  ),
};

const shapes: ReadonlyMap<string, JsonSchema> = new Map(
  schemaKeys.map(({ path, schema }) => [path, { ...jsonSchemaOf(schema), ...narrower[path] }]),
);

/** The words on a key of `container` that has those of `host`. */
const published: Partial<KeyWords> = { more: 'Published for the application.', absent: 'not published' };

function wordsOf(path: string): KeyWords | undefined {
  if (Object.hasOwn(keyWords, path)) return keyWords[path];
  const ofHost = keyWords[path.replace(/^container\./, 'host.')];
  if (!ofHost) return undefined;
  const { title, whose, example } = ofHost;
  return { title, whose, ...(useless.has(path) ? {} : { ...published, example }) };
}

/** The keys that are accepted for the sake of other plugins' networks. */
const useless: ReadonlySet<string> = new Set(uselessPaths());

/** The paths in the order of words.ts; those of `container` in the order of `host`. */
function orderedPaths(): string[] {
  const own = Object.keys(keyWords).filter((path) => !path.startsWith('container.'));
  const ofHost = own.filter((path) => path.startsWith('host.')).map((path) => path.replace('host.', 'container.'));
  return own.flatMap((path) => (path === 'container' ? [path, ...ofHost] : [path]));
}

/** @throws Error for a key without words */
export function configKeys(): readonly ConfigKey[] {
  return orderedPaths().map((path) => {
    const words = wordsOf(path);
    if (!words) throw new Error(`the key "${path}" has no words`);
    return {
      since: firstVersion,
      ...words,
      path,
      shape: shapes.get(path) ?? { type: 'string' },
      hasEffect: !useless.has(path),
    };
  });
}

/** The whole meaning of a key, in sentences without Markdown. */
export function meaningOf({ title, more }: KeyWords): string {
  const said = plainText(more ? `${title}. ${more}` : `${title}.`);
  return `${said.slice(0, 1).toUpperCase()}${said.slice(1)}`;
}

/** A text of words.ts without Markdown. */
export const plainText = (text: string): string =>
  text
    .replace(/\[([^\]]+)\]\(([^)]+)\)/g, (_, said: string, at: string) =>
      at.startsWith('#') ? `${said} (docs/configuration.md)` : `docs/${said}`,
    )
    .replaceAll('`', '"');
