/**
 * Takes out of a run's texts only the values that must vary from run to run and from machine to machine.
 *
 * A value that identifies a thing becomes a numbered token: the same value is the same token within a chapter, in order of
 * appearance, so that which text names which row is still compared. A value without identity becomes a bare token.
 */
import { crc32 } from 'node:zlib';

/** Numbered: the same value must be named in the same places. */
const identities: readonly [kind: string, pattern: RegExp][] = [
  // Rows of the switch, uids of pods: random.
  ['uuid', /\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g],
];

/** Bare: two of them are equal or not by accident. */
const accidents: readonly [pattern: RegExp, token: string | ((found: string) => string)][] = [
  // Milliseconds since the boot, behind the boot's id: when an ADD began.
  [/(?<=<boot> )\d{12}\b/g, '<moment>'],
  // The wall clock.
  [/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g, '<time>'],
  // How long a step took: in a journal, and among the bars of `show`, where the column keeps its width.
  [/(?<="ms": ?)\d+(?:\.\d+)?/g, '<ms>'],
  [/ +\d+(?:\.\d+)? ms(?= {2})/g, (found) => '<ms>'.padStart(found.length)],
  // The bars of `show`, their axes, how long an episode took, and how long after the one before it began.
  [/\|[ =*x>-]{16,}\|/g, '|<bar>|'],
  [/\|0 +\d+(?:\.\d+)? m?s\|/g, '|<axis>|'],
  [/(?<= after )\d+(?:\.\d+)? m?s\b/g, '<ms>'],
  [/ {2}\d+s later\b/g, ''],
  // How long ago: the column of `list` keeps its width, and sentences have no other seconds.
  [/(?<= )(?:\d\ds|\ds )(?= )/g, '<a>'],
  [/(?<=\bage )\d+s\b/g, '<age>'],
  [/(?<=\bfor )\d+s(?=, since)/g, '<age>'],
  [/(?<=\bthere for )\d+ s\b/g, '<age>'],
  // Processes: their numbers, and their starts in clock ticks.
  [/(?<="pid": ?)\d+/g, '<pid>'],
  [/(?<=\bprocess )\d+/g, '<pid>'],
  [/(?<=\bkill -CONT )\d+/g, '<pid>'],
  // A journal's own inode, which `show` repeats: inodes are used again.
  [/(?<="file": ?")\d+:\d+(?=")/g, '<inode>'],
  [/(?<="started":")\d+/g, '<ticks>'],
  // The number that ovs-vswitchd gave a port; -1, none, is kept.
  [/(?<="ofport": ?)\d+/g, '<ofport>'],
  // How many changes the switch had seen.
  [/(?<="goneAt": ?)\d+/g, '<changes>'],
  [/(?<=has applied )\d+ of \d+(?= changes)/g, '<changes>'],
  // The words of Debian's host-local are its version's.
  [/(?<=IPAM plugin \\?"host-local\\?" (?:ADD|CHECK|DEL): )[^;"]*/g, '<its words>'],
  // The executable's commit and size, which differ for every build, and its runtime.
  [/(?<="commit": ?")[^"]*/g, '<commit>'],
  [/\b(?:commit [0-9a-f]{12}(?:\+changes)?|unknown commit)(?=, linux-)/g, '<commit>'],
  [/\bBun \d+\.\d+\.\d+/g, '<runtime>'],
  [/(?<="bytes": ?)\d+/g, '<bytes>'],
  [/\b\d+(?= bytes\))/g, '<bytes>'],
  // The machine's hugepages, of every size that it has.
  [/\b\d+ of [\d.]+ MiB, \d+ free(?:; \d+ of [\d.]+ MiB, \d+ free)*/g, '<pages>'],
];

export class Normaliser {
  readonly #literals = new Map<string, string>();
  readonly #numbered = new Map<string, string>();
  readonly #counts = new Map<string, number>();

  /** A value that is known beforehand: a directory, a namespace's inode. A value that is known keeps its token. */
  know(value: string, token: string): void {
    if (!this.#literals.has(value)) this.#literals.set(value, token);
  }

  /** The same, with the next number of its kind. */
  knowNext(value: string, kind: string): void {
    if (!this.#literals.has(value)) this.know(value, this.#next(kind));
  }

  text(raw: string): string {
    let text = raw;
    // The longest first, because a directory may be in another.
    const literals = [...this.#literals].sort(([a], [b]) => b.length - a.length);
    for (const [value, token] of literals) text = text.replaceAll(value, token);
    for (const [kind, pattern] of identities) text = text.replace(pattern, (value) => this.#token(kind, value));
    for (const [pattern, token] of accidents) {
      text = typeof token === 'string' ? text.replace(pattern, token) : text.replace(pattern, token);
    }
    return text;
  }

  #token(kind: string, value: string): string {
    const known = this.#numbered.get(value) ?? this.#next(kind);
    this.#numbered.set(value, known);
    return known;
  }

  #next(kind: string): string {
    const count = (this.#counts.get(kind) ?? 0) + 1;
    this.#counts.set(kind, count);
    return `<${kind} ${count}>`;
  }
}

const seal = /^(.*),"crc":"([0-9a-f]{8})","chain":"([0-9a-f]{8})"\}$/s;

const hex = (value: number): string => value.toString(16).padStart(8, '0');

/**
 * The lines of a journal with a verdict in place of each checksum, because checksums depend on times and uuids too. The checksums
 * are computed here by ARCHITECTURE's journal format: the CRC-32 of a line's text, and the same continued from the line before.
 */
export function unsealed(journal: string): string {
  let chain = 0;
  const lines = journal.split('\n').map((line) => {
    const [, text = '', crc, chained] = seal.exec(line) ?? [];
    if (crc === undefined || chained === undefined) return line;
    chain = crc32(text, chain);
    const judged = (wanted: number, found: string) => (hex(wanted) === found ? 'good' : 'bad');
    return `${text},"crc":"<${judged(crc32(text), crc)}>","chain":"<${judged(chain, chained)}>"}`;
  });
  return lines.join('\n');
}

/** A record with correct checksums. @param chain the chain of the record before */
export function sealed(text: string, chain: number): { readonly line: string; readonly chain: number } {
  const next = crc32(text, chain);
  return { line: `${text},"crc":"${hex(crc32(text))}","chain":"${hex(next)}"}\n`, chain: next };
}

/** The text of a record without its checksums and its last brace, as `sealed` takes it. */
export const textOfRecord = (line: string): string => seal.exec(line)?.[1] ?? line;
