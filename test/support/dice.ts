/** Pseudo-random numbers that a seed repeats. */
export interface Dice {
  /** 0 <= x < 1 */
  next(): number;
  below(count: number): number;
  pick<T>(from: readonly T[]): T;
  /** `count` items, in their order. */
  sample<T>(from: readonly T[], count: number): T[];
}

/** mulberry32 */
export function diceFrom(seed: number): Dice {
  let state = seed | 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (count: number): number => Math.floor(next() * count);
  const pick = <T>(from: readonly T[]): T => from[below(from.length)] as T;
  const sample = <T>(from: readonly T[], count: number): T[] => {
    const ranked = from.map((value, index) => ({ value, index, rank: next() }));
    const chosen = ranked.sort((a, b) => a.rank - b.rank).slice(0, count);
    return chosen.sort((a, b) => a.index - b.index).map(({ value }) => value);
  };
  return { next, below, pick, sample };
}
