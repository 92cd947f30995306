/**
 * Files of people as documents: JSON or YAML. A file may be anything: each way in which it cannot be read is an error in words for people,
 * and none of them quotes it, because it may hold secrets (I12).
 */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { messageOf } from '../attachment.ts';
import { parseYaml } from '../os/native.ts';
import { readToEnd } from '../os/streams.ts';

export type Document = { readonly [key: string]: unknown };

const fileBytesMax = 4 * 1024 * 1024;

/**
 * Refuses FIFOs, which could block, and devices; except standard input, which is mostly a pipe.
 * @throws Error in words for people
 */
export function textOfFile(file: string): string {
  if (file === '/dev/stdin') return readToEnd(0);
  const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw new Error('is no regular file: name one, or /dev/stdin');
    if (stats.size > fileBytesMax) throw new Error(`has ${stats.size} bytes: ${fileBytesMax} is the most that is read`);
    return decoded(readFileSync(fd));
  } finally {
    closeSync(fd);
  }
}

function decoded(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Error('is not UTF-8: runtimes read nothing else');
  }
}

/**
 * The documents of a YAML stream, the items of a list that kubectl printed, or the one document of a file.
 * @throws Error in words for people
 */
export const documentsOf = (text: string): Document[] => documentsIn(parsed(text));

function documentsIn(value: unknown): Document[] {
  if (Array.isArray(value)) return value.flatMap(documentsIn);
  if (typeof value !== 'object' || value === null) return [];
  const { kind, items } = value as Document;
  return typeof kind === 'string' && kind.endsWith('List') ? documentsIn(items ?? []) : [value as Document];
}

export const looksLikeJson = (text: string): boolean => /^\s*[{[]/.test(text);

/**
 * JSON is YAML too, but a JSON parser explains a fault better.
 * @throws Error in words for people
 */
export function parsed(text: string): unknown {
  if (text.startsWith('\uFEFF'))
    throw new Error('begins with a byte order mark, which runtimes refuse: save it without');
  if (text.trim() === '') throw new Error('is empty');
  const isJson = looksLikeJson(text);
  let value: unknown;
  try {
    value = isJson ? JSON.parse(text) : parseYaml(text);
  } catch (error) {
    throw new Error(`is no ${isJson ? 'JSON' : 'YAML'}: ${withoutQuotation(messageOf(error))}`);
  }
  refuseMonster(value);
  return value;
}

/** A parser quotes the word that it stumbles over. */
const withoutQuotation = (message: string): string => message.replace(/ ".*$/s, '');

const depthMax = 100;
const valuesMax = 1_000_000;

/** YAML's aliases make a circle, or much of little. A number such as 1e400 would be written as null. */
function refuseMonster(whole: unknown): void {
  const waiting: [value: unknown, depth: number][] = [[whole, 0]];
  for (let seen = 0; ; seen++) {
    const [value, depth] = waiting.pop() ?? [undefined, -1];
    if (depth < 0) return;
    if (depth > depthMax) throw new Error(`is nested deeper than ${depthMax} levels`);
    if (typeof value === 'number' && !Number.isFinite(value)) throw new Error('holds a number that is too large');
    if (seen + waiting.length > valuesMax) throw new Error(`has more than ${valuesMax} values`);
    if (typeof value !== 'object' || value === null) continue;
    for (const one of Object.values(value)) waiting.push([one, depth + 1]);
  }
}
