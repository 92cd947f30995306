/** Keys that stand twice in one object of a JSON text: a parser takes the last one, and says nothing. */

interface Frame {
  /** The keys of an object; undefined in a list. */
  readonly keys: Set<string> | undefined;
  readonly path: string;
  /** The key or the index of the value that comes next. */
  at: string | number;
}

/**
 * @param text valid JSON
 * @returns dotted paths, each once
 */
export function repeatedKeys(text: string): readonly string[] {
  const found = new Set<string>();
  const frames: Frame[] = [];
  for (const [token, key] of text.matchAll(/("(?:[^"\\]|\\.)*")\s*:|"(?:[^"\\]|\\.)*"|[{}[\],]/g)) {
    const frame = frames.at(-1);
    if (key !== undefined && frame) noteKey(JSON.parse(key), frame, found);
    else if (token === '{' || token === '[') frames.push(frameIn(frame, token));
    else if (token === '}' || token === ']') frames.pop();
    else if (token === ',' && typeof frame?.at === 'number') frame.at++;
  }
  return [...found];
}

const frameIn = (outer: Frame | undefined, token: '{' | '['): Frame => ({
  keys: token === '{' ? new Set() : undefined,
  path: outer ? `${outer.path}${outer.at}.` : '',
  at: token === '{' ? '' : 0,
});

function noteKey(key: string, frame: Frame, found: Set<string>): void {
  frame.at = key;
  if (frame.keys?.has(key)) found.add(`${frame.path}${key}`);
  frame.keys?.add(key);
}
