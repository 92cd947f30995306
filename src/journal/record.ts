/**
 * One record <-> one line of bytes. Pure: no file, no clock.
 *
 * A line is a JSON object that `cat` can show. Its last two members are `crc`, the CRC-32 of the line's text up to it, and
 * `chain`, the same CRC continued from the previous record's chain, so that a line can be judged alone and in its place.
 *
 * Invariants
 *  RE1 decode(encode(records)) gives the records back, and every byte of the input is accounted for.
 *  RE2 A torn tail (the beginning of one record, in its place) is a different value from corruption: a kill leaves only the former.
 *  RE3 No input makes decode throw.
 */
import { crc32 } from '../os/native.ts';

/** The members of every record; all others belong to the writer. */
export interface Stamped {
  /** 1 for the first record of a file, then one more each. */
  readonly seq: number;
  /** Wall-clock time, ISO 8601. For people; and GC keeps an attachment that came to rest after the call. */
  readonly at: string;
}

export interface Decoded<R> {
  readonly records: (R & Stamped)[];
  /** Where each of the records ends, in its place. */
  readonly ends: End[];
  /**
   * `torn`: the rest is the beginning of one record, as a killed write leaves it, or there is no whole record at all. The caller
   * cuts it off. `corrupt`: any other rest, which no kill leaves.
   */
  readonly tail: 'clean' | 'torn' | 'corrupt';
}

/** The end of a record: bytes of the file up to it, and the chain value that the next record continues. */
export interface End {
  readonly bytes: number;
  readonly chain: number;
}

export const noRecord: End = { bytes: 0, chain: 0 };

/** A byte order mark must not be skipped here: it is not a part of any record. */
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

const hex = (value: number): string => value.toString(16).padStart(8, '0');

const sealPattern = /^(.*),"crc":"([0-9a-f]{8})","chain":"([0-9a-f]{8})"\}$/s;

export function encode(record: object & Stamped, chain: number): { line: Uint8Array; chain: number } {
  const text = JSON.stringify(record).slice(0, -1);
  const bytes = new TextEncoder().encode(text);
  const next = crc32(bytes, chain);
  const line = new TextEncoder().encode(`${text},"crc":"${hex(crc32(bytes))}","chain":"${hex(next)}"}\n`);
  return { line, chain: next };
}

interface Line {
  readonly record: Stamped;
  readonly bytes: Uint8Array;
  readonly chain: string;
}

/** A line that is whole by its own checksum, at any place in the file. */
function readLine(line: Uint8Array): Line | undefined {
  const match = sealPattern.exec(decoder.decode(line));
  if (!match?.[1] || !match[3]) return undefined;
  const bytes = new TextEncoder().encode(match[1]);
  if (hex(crc32(bytes)) !== match[2]) return undefined;
  try {
    const record: unknown = JSON.parse(`${match[1]}}`);
    return isStamped(record) ? { record, bytes, chain: match[3] } : undefined;
  } catch {
    return undefined;
  }
}

function isStamped(value: unknown): value is Stamped {
  return (
    typeof value === 'object' && value !== null && 'seq' in value && typeof value.seq === 'number' && 'at' in value
  );
}

/** Reads a whole file. `R` is the writer's claim about its own records; the checksums make it believable. */
export function decode<R>(file: Uint8Array): Decoded<R> {
  const records: (R & Stamped)[] = [];
  const ends: End[] = [];
  for (let start = 0, chain = 0; start < file.length; ) {
    const newline = file.indexOf(0x0a, start);
    const line = newline < 0 ? undefined : readLine(file.subarray(start, newline));
    const next = line && crc32(line.bytes, chain);
    if (!line || next === undefined || hex(next) !== line.chain || line.record.seq !== records.length + 1) {
      return { records, ends, tail: isTorn(file.subarray(start), records.length) ? 'torn' : 'corrupt' };
    }
    records.push(line.record as R & Stamped);
    chain = next;
    start = newline + 1;
    ends.push({ bytes: start, chain });
  }
  return { records, ends, tail: 'clean' };
}

/**
 * A power cut can destroy a file's first record in any way, and the file is then of an earlier boot. Later in the file only the
 * tail of a killed write is not damage.
 */
function isTorn(rest: Uint8Array, whole: number): boolean {
  if (whole === 0) return !hasWholeRecord(rest);
  const start = new TextEncoder().encode(`{"seq":${whole + 1},"at":"`);
  const isControl = (byte: number): boolean => byte < 0x20;
  return rest.subarray(0, start.length).every((byte, index) => byte === start[index]) && !rest.some(isControl);
}

/** The beginning of every record, because `encode` gets `seq` first and `at` second. */
const beginning = new TextEncoder().encode('{"seq":');

/** Whether there is a whole record anywhere, even with other bytes before it on its line: the newline itself may be damaged. */
function hasWholeRecord(rest: Uint8Array): boolean {
  const bytes = Buffer.from(rest.buffer, rest.byteOffset, rest.byteLength);
  for (let start = 0; start < bytes.length; ) {
    const newline = bytes.indexOf(0x0a, start);
    if (newline < 0) return false;
    for (let at = bytes.indexOf(beginning, start); at >= 0 && at < newline; at = bytes.indexOf(beginning, at + 1)) {
      if (readLine(bytes.subarray(at, newline))) return true;
    }
    start = newline + 1;
  }
  return false;
}
