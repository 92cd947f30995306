/** The word that was probably meant. */

/** A word of which more was mistyped is another word. */
const mistakesMax = 2;

/** @returns undefined if no known word is near */
export function nearestOf(word: string, known: readonly string[]): string | undefined {
  const near = known
    .map((one) => ({ one, mistakes: mistakesBetween(word, one) }))
    .filter(({ one, mistakes }) => mistakes <= Math.min(mistakesMax, one.length / 2));
  return near.sort((a, b) => a.mistakes - b.mistakes)[0]?.one;
}

/** Letters to add, to drop or to change (Levenshtein). */
function mistakesBetween(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (const [index, letter] of [...one].entries()) {
    const next = [index + 1];
    for (const [at, wanted] of [...other].entries()) {
      const [dropped = 0, added = 0, changed = 0] = [row[at + 1], next[at], row[at]];
      next.push(Math.min(dropped + 1, added + 1, changed + (letter === wanted ? 0 : 1)));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}

/** Refuses a word that is none of the known ones. */
export function noSuch(what: string, word: string, known: readonly string[]): string {
  const near = nearestOf(word, known);
  return `there is no ${what} "${word}"${near ? ` (did you mean ${near}?)` : `: ${known.join(', ')}`}`;
}
