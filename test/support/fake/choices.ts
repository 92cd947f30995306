/**
 * Decides the remains of a power cut: one answer to each question, by rule, by enumeration or by fast-check.
 */
import fc from 'fast-check';

/** Picks one of `options` (0 … options - 1); `question` explains a failure to its reader. */
export type Choose = (options: number, question: string) => number;

/** All unsynced data is gone. */
export const loseAll: Choose = () => 0;

/** All unsynced data had still reached the disk. */
export const keepAll: Choose = (options) => options - 1;

/** Names and sizes are kept, contents are not: ext4 leaves NULs for an unsynced append (contract C3.1). */
export const nulTail: Choose = (options, question) => (question.startsWith('content') ? 0 : options - 1);

/** Only the ends of many options, their neighbours and the middle, because a torn write of 70 bytes tests the same as one of 71. */
function representatives(options: number): number[] {
  const all = [0, 1, Math.floor(options / 2), options - 2, options - 1];
  return [...new Set(all.filter((option) => option >= 0 && option < options))].sort((a, b) => a - b);
}

/** Calls `run` once for every combination of answers to the questions it asks. @returns how often. */
export function everyChoice(run: (choose: Choose) => void): number {
  const path: { picked: number; of: number }[] = [];
  let runs = 0;
  for (;;) {
    let depth = 0;
    run((options) => {
      const answers = representatives(options);
      path[depth] ??= { picked: 0, of: answers.length };
      const answer = answers[path[depth]?.picked ?? 0];
      depth++;
      if (answer === undefined) throw new Error('the run asked other questions than before');
      return answer;
    });
    runs++;
    path.length = depth;
    while (path.at(-1)?.picked === (path.at(-1)?.of ?? 0) - 1) path.pop();
    const last = path.at(-1);
    if (!last) return runs;
    last.picked++;
  }
}

/** Answers by fast-check; shrinks towards losing everything. */
export const choices: fc.Arbitrary<Choose> = fc.array(fc.nat(), { maxLength: 12 }).map((answers) => {
  let asked = 0;
  const choose: Choose = (options) => (answers[asked++] ?? 0) % options;
  return Object.assign(choose, { [fc.toStringMethod]: () => `choices(${answers})` });
});
