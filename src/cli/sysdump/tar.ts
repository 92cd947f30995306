/**
 * The bytes of a tar archive (POSIX.1-2001, pax: ustar headers, and an extended header before a path that does not fit into one). Pure.
 */

export interface TarFile {
  /** Its path in the archive, without a leading slash. */
  readonly path: string;
  readonly bytes: Uint8Array;
}

const blockBytes = 512;
const nameBytesMax = 100;
const prefixBytesMax = 155;
const fileMode = 0o600;

/** @param at the modification time of every file */
export function tarOf(files: readonly TarFile[], at: Date): Uint8Array {
  const seconds = Math.floor(at.getTime() / 1000);
  const blocks = files.flatMap(({ path, bytes }) => {
    const place = splitPath(path);
    const head: Head = { ...(place ?? { name: cutName(path), prefix: '' }), size: bytes.length, seconds, type: '0' };
    return [...(place ? [] : extended(path, seconds)), header(head), ...padded(bytes)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(2 * blockBytes)]);
}

interface Place {
  readonly name: string;
  readonly prefix: string;
}

interface Head extends Place {
  readonly size: number;
  readonly seconds: number;
  readonly type: '0' | 'x';
}

/** @returns undefined if no slash parts the path into two that fit */
function splitPath(path: string): Place | undefined {
  if (Buffer.byteLength(path) <= nameBytesMax) return { name: path, prefix: '' };
  for (let at = path.indexOf('/'); at > 0; at = path.indexOf('/', at + 1)) {
    const [prefix, name] = [path.slice(0, at), path.slice(at + 1)];
    if (Buffer.byteLength(prefix) <= prefixBytesMax && Buffer.byteLength(name) <= nameBytesMax) return { name, prefix };
  }
  return undefined;
}

/** For a reader that knows no extended headers. */
const cutName = (path: string): string => Buffer.from(path).subarray(-nameBytesMax).toString('latin1');

/** A record says its own length, which counts its own digits. */
function extended(path: string, seconds: number): Uint8Array[] {
  const rest = ` path=${path}\n`;
  const restBytes = Buffer.byteLength(rest);
  let length = restBytes;
  while (String(length).length + restBytes !== length) length = String(length).length + restBytes;
  const bytes = Buffer.from(`${length}${rest}`);
  return [header({ name: 'path', prefix: '', size: bytes.length, seconds, type: 'x' }), ...padded(bytes)];
}

function header({ name, prefix, size, seconds, type }: Head): Uint8Array {
  const block = Buffer.alloc(blockBytes);
  const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits, '0')}\0`;
  const fields: readonly (readonly [text: string, at: number])[] = [
    [octal(fileMode, 7), 100],
    [octal(0, 7), 108],
    [octal(0, 7), 116],
    [octal(size, 11), 124],
    [octal(seconds, 11), 136],
    [' '.repeat(8), 148],
    [type, 156],
    ['ustar\u000000', 257],
    ['root', 265],
    ['root', 297],
  ];
  for (const [text, at] of fields) block.write(text, at, 'latin1');
  block.write(name, 0, nameBytesMax);
  block.write(prefix, 345, prefixBytesMax);
  // The sum is counted with spaces in its own place.
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

const padded = (bytes: Uint8Array): Uint8Array[] => [
  bytes,
  Buffer.alloc((blockBytes - (bytes.length % blockBytes)) % blockBytes),
];
