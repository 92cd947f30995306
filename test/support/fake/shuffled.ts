/**
 * Shuffles the parts whose order differs between a runtime's calls, so that no two calls in a row have the same order. libcni
 * varies the variables; a program that keeps arguments or a configuration in a Go map varies the pairs of CNI_ARGS and the keys.
 */
let calls = 0;

const turned = <T>(list: readonly T[], by: number): T[] => {
  const at = list.length > 0 ? by % list.length : 0;
  return [...list.slice(at), ...list.slice(0, at)];
};

const isPlain = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function turnedKeys(value: unknown, by: number): unknown {
  if (Array.isArray(value)) return value.map((one) => turnedKeys(one, by));
  if (!isPlain(value)) return value;
  return Object.fromEntries(turned(Object.entries(value), by).map(([key, one]) => [key, turnedKeys(one, by)]));
}

interface Handed<E> {
  readonly env: E;
  /** An object becomes JSON, a string is sent as it is. */
  readonly config: unknown;
}

/** One call of a runtime, with the given meaning and a new order. */
export function shuffled<E extends Readonly<Record<string, string | undefined>>>({ env, config }: Handed<E>) {
  const by = ++calls;
  const { CNI_ARGS: args } = env;
  const entries = turned(
    Object.entries({ ...env, ...(args && { CNI_ARGS: turned(args.split(';'), by).join(';') }) }),
    by,
  );
  const stdin = typeof config === 'string' ? config : JSON.stringify(turnedKeys(config, by));
  return { env: Object.fromEntries(entries) as E, stdin };
}
