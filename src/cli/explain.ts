/** `userspace explain [KEY]`: the keys of the network configuration, from the one reference (cni/config/reference.ts). */
import { code } from '../attachment.ts';
import type { JsonSchema } from '../cni/config/json-schema.ts';
import { type ConfigKey, configKeys, meaningOf, plainText } from '../cni/config/reference.ts';
import { keyOrigins } from '../cni/config/word-shape.ts';
import { wrap } from './help.ts';
import { nearKey } from './near-key.ts';
import { gap, type Paint } from './print.ts';

export { networkSchema } from '../cni/config/network-schema.ts';

/** The value of a key, apart from the one that means "not set". */
interface Takes {
  /** As JSON names it. */
  readonly type: string;
  /** The only values. */
  readonly values?: readonly unknown[];
  /** The limits, in words. */
  readonly limits?: string;
  /** The value that means the same as no key. */
  readonly unset?: '' | 0;
}

const isUnset = (value: unknown): value is '' | 0 => value === '' || value === 0;

export function takesOf(shape: JsonSchema): Takes {
  const { anyOf, enum: listed, type } = shape as { anyOf?: JsonSchema[]; enum?: unknown[]; type?: string };
  const branch = anyOf?.find((one) => !isUnset(one.const)) ?? shape;
  const unset = [...(listed ?? []), ...(anyOf ?? []).map((one) => one.const)].find(isUnset);
  const values = listed?.filter((value) => !isUnset(value));
  const limits = limitsOf(branch);
  return {
    type: String(branch.type ?? type ?? (listed ? 'string' : 'any')),
    ...(values && { values }),
    ...(limits && { limits }),
    ...(unset !== undefined && { unset }),
  };
}

function limitsOf({ minimum, maximum, maxLength, allOf, items }: JsonSchema): string {
  const [pattern, ...more] = (allOf as JsonSchema[] | undefined)?.map(({ description }) => String(description)) ?? [];
  // "an absolute path, a path without x" says path twice.
  const patterns = more.map((one) => one.replace(/^an? (?:path )?(.*?)(?: path)?$/, '$1'));
  const inner = items ? takesOf(items as JsonSchema) : undefined;
  return [
    ...(minimum === undefined ? [] : [`${minimum} to ${maximum}`]),
    ...(pattern === undefined ? [] : [pattern, ...patterns]),
    ...(maxLength === undefined ? [] : [`at most ${maxLength} characters`]),
    ...(inner ? [`each an ${inner.type}, ${inner.limits}`] : []),
  ].join(', ');
}

const nameOf = (path: string): string => path.slice(path.lastIndexOf('.') + 1);
const depthOf = (path: string): number => path.split('.').length - 1;

/** The keys of a tree, one below another. */
function tree(keys: readonly ConfigKey[], colours: Paint): string {
  const least = Math.min(...keys.map(({ path }) => depthOf(path)));
  const [head, ...rest] = [
    ['KEY', 'TYPE', 'MEANING'],
    ...keys.map(({ path, shape, title }) => [
      `${'  '.repeat(depthOf(path) - least)}${nameOf(path)}`,
      takesOf(shape).type,
      plainText(title),
    ]),
  ].map((cells, _, all) =>
    cells
      .map((cell, column) => cell.padEnd(Math.max(...all.map((one) => one[column]?.length ?? 0))))
      .join(gap)
      .trimEnd(),
  );
  return `${[colours('dim', head ?? ''), ...rest].join('\n')}\n`;
}

const foot = 'userspace explain KEY says all of one key, such as host.vhost.mode.\n';

export const keysTree = (colours: Paint): string => `${tree(configKeys(), colours)}\n${foot}`;

export const keysJson = (): unknown => ({ keys: configKeys().map(jsonOf) });

/** @returns undefined if there is no such key, in any case of letters */
export function findKey(word: string): ConfigKey | undefined {
  return configKeys().find(({ path }) => path.toLowerCase() === word.toLowerCase());
}

export function noKey(word: string): string {
  const near = nearKey(
    word,
    configKeys().map(({ path }) => path),
  );
  return `there is no key "${word.slice(0, 80)}"${near ? ` (did you mean ${near}?)` : ''}`;
}

const codeNames: ReadonlyMap<number, string> = new Map(
  Object.entries(code).map(([name, number]) => [
    number,
    name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`),
  ]),
);

/** The example inside the objects that hold it. */
const nested = (path: string, value: unknown): unknown =>
  path.split('.').reduceRight((inner: unknown, key) => ({ [key]: inner }), value);

const exampleOf = ({ path, example }: ConfigKey): string =>
  path.startsWith('CNI_ARGS.') ? `CNI_ARGS="${nameOf(path)}=${example}"` : JSON.stringify(nested(path, example));

const innerKeys = ({ path }: ConfigKey): ConfigKey[] => configKeys().filter((one) => one.path.startsWith(`${path}.`));

const jsonOf = (key: ConfigKey): { readonly [name: string]: unknown } => {
  const { path, whose, absent, codes = [], since, example, hasEffect, shape } = key;
  return {
    key: path,
    ...takesOf(shape),
    ...(key.default !== undefined && { default: key.default }),
    ...(absent !== undefined && { absent: plainText(absent) }),
    meaning: meaningOf(key),
    hasEffect,
    whose,
    project: keyOrigins[whose],
    since,
    ...(example !== undefined && { example }),
    codes,
    schema: shape,
  };
};

export const keyJson = (key: ConfigKey): unknown => ({ ...jsonOf(key), keys: innerKeys(key).map(({ path }) => path) });

export function keyPage(key: ConfigKey, { colours, columns }: { colours: Paint; columns: number }): string {
  const { path, whose, absent, codes = [], since, example, hasEffect, shape } = key;
  const { type, values, limits, unset } = takesOf(shape);
  const usual = key.default === undefined ? absent : String(key.default);
  const rows: [name: string, text: string | undefined][] = [
    ['values', values?.join(', ')],
    ['limits', limits],
    ['not set', unset === undefined ? undefined : `${JSON.stringify(unset)}, like no key at all`],
    ['default', usual && plainText(usual)],
    ['effect', hasEffect ? undefined : 'none with engine "ovs-dpdk": accepted, with a warning'],
    ['errors', codes.map((number) => `${number} (${codeNames.get(number)})`).join(', ')],
    ['key of', `${whose === 'ours' ? '' : `${whose}: `}${keyOrigins[whose]}`],
    ['since', since],
    ['example', example === undefined ? undefined : exampleOf(key)],
  ];
  const width = columns - 2 - 9;
  const lines = rows.flatMap(([name, text]) =>
    text
      ? wrap(text, width)
          .split('\n')
          .map((line, index) => `  ${(index === 0 ? name : '').padEnd(9)}${line}`)
      : [],
  );
  const meaning = wrap(meaningOf(key), columns - 2).replaceAll(/^/gm, '  ');
  const inner = innerKeys(key);
  return [
    `${path}${gap}${colours('dim', type)}`,
    '',
    meaning,
    '',
    ...lines,
    '',
    ...(inner.length > 0 ? [tree(inner, colours)] : []),
  ].join('\n');
}
