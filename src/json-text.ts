/** JSON of other programs, as text: their elements stay byte for byte as they were (numbers, escapes, order, duplicate keys). */

/** One element of an array: its text and its value. */
export interface Element {
  readonly text: string;
  readonly value: unknown;
}

/** @returns undefined if the text is not a JSON array. */
export function elementsOf(text: string): readonly Element[] | undefined {
  let values: unknown;
  try {
    values = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!Array.isArray(values)) return undefined;
  const texts = values.length > 0 ? cut(text) : [];
  return values.map((value, index) => ({ text: texts[index] ?? '', value }));
}

/** Cuts a valid array at its own commas. */
function cut(text: string): string[] {
  const texts: string[] = [];
  let depth = 0;
  let start = 0;
  for (const { 0: token, index } of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"|[[\]{},]/g)) {
    if (token === '[' || token === '{') depth++;
    if (token === '[' && depth === 1) start = index + 1;
    const isEnd = token === ']' && depth === 1;
    if (isEnd || (token === ',' && depth === 1)) {
      texts.push(text.slice(start, index).trim());
      start = index + 1;
    }
    if (token === ']' || token === '}') depth--;
  }
  return texts;
}

/** Whether two values mean the same: the order of an object's members does not count. */
export function isSameValue(one: unknown, other: unknown): boolean {
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return one === other;
  if (Array.isArray(one) !== Array.isArray(other)) return false;
  const [left, right] = [Object.entries(one), other as { readonly [name: string]: unknown }];
  if (left.length !== Object.keys(right).length) return false;
  return left.every(([name, value]) => Object.hasOwn(right, name) && isSameValue(value, right[name]));
}
