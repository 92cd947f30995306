/** Keys of the configuration by what a person types. */
import { schemaKeys } from '../cni/config/paths.ts';
import { nearestOf } from './nearest.ts';

/** A longer word is no mistyped key, and a shorter name is near to too many. */
const [lettersMin, lettersMax] = [4, 80];

const schemaPaths: readonly string[] = schemaKeys.map(({ path }) => path);

const lastOf = (path: string): string => path.slice(path.lastIndexOf('.') + 1);

/**
 * The key that was probably meant: a mistyped one, or one that belongs elsewhere.
 * @param word dotted path of no known key
 * @param known the keys, as dotted paths
 */
export function nearKey(word: string, known = schemaPaths): string | undefined {
  if (word.length > lettersMax) return undefined;
  const lower = new Map(known.map((path) => [path.toLowerCase(), path]));
  const near = nearestOf(word.toLowerCase(), [...lower.keys()]);
  if (near !== undefined) return lower.get(near);
  const last = lastOf(word).toLowerCase();
  return known.find((path) => lastOf(path).toLowerCase() === last) ?? ofNearName(last, known);
}

function ofNearName(name: string, known: readonly string[]): string | undefined {
  if (name.length < lettersMin) return undefined;
  const near = nearestOf(
    name,
    known.map((path) => lastOf(path).toLowerCase()),
  );
  return known.find((path) => lastOf(path).toLowerCase() === near);
}
