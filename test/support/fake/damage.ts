/** The damage that a disk, an editor or an administrator can do to a journal while its attachment lives. */
import fc from 'fast-check';
import { type Attachment, type FakeNode, journalOf } from './fake-node.ts';

export function bytesOf(one: Attachment, { disk }: FakeNode): Uint8Array {
  const process = disk.spawn();
  return process.read(process.open(journalOf(one), 'r'));
}

/** As root with an editor, or a disk that rots. */
export function rewrite(one: Attachment, { disk }: FakeNode, bytes: Uint8Array): void {
  const process = disk.spawn();
  const fd = process.open(journalOf(one), 'a+', 0o600);
  process.truncate(fd, 0);
  process.write(fd, bytes);
  process.fsync(fd);
  process.processDeath();
}

export function chmod(one: Attachment, { disk }: FakeNode, mode: number): void {
  const process = disk.spawn();
  const fd = process.open(journalOf(one), 'r+');
  process.chmod(fd, mode);
  process.fsync(fd);
  process.processDeath();
}

/** Behind the first record. */
export type Damage = (bytes: Uint8Array) => Uint8Array;

const described = (damage: Damage, text: string): Damage => Object.assign(damage, { [fc.toStringMethod]: () => text });

/** `from` and `until` as parts of what follows the first record. */
const ranges = fc.tuple(fc.nat(9_999), fc.nat(9_999));

function placed(bytes: Uint8Array, [a, b]: readonly [number, number]): [from: number, until: number] {
  const first = bytes.indexOf(0x0a) + 1;
  const place = (part: number) => first + Math.floor((part / 10_000) * (bytes.length - first));
  return [place(Math.min(a, b)), place(Math.max(a, b)) + 1];
}

const cuts: fc.Arbitrary<Damage> = fc
  .nat(9_999)
  .map((part) => described((bytes) => bytes.subarray(0, placed(bytes, [part, part])[0]), `cut(${part})`));

const nuls: fc.Arbitrary<Damage> = ranges.map((range) =>
  described((bytes) => new Uint8Array(bytes).fill(0, ...placed(bytes, range)), `nuls(${range})`),
);

const nulTails: fc.Arbitrary<Damage> = fc
  .nat(9_999)
  .map((part) =>
    described((bytes) => new Uint8Array(bytes).fill(0, placed(bytes, [part, part])[0]), `nulTail(${part})`),
  );

const garbage: fc.Arbitrary<Damage> = fc
  .tuple(fc.nat(9_999), fc.uint8Array({ minLength: 1, maxLength: 900, size: 'max' }), fc.boolean())
  .map(([part, rubbish, isTail]) =>
    described(
      (bytes) => {
        const [from] = placed(bytes, [part, part]);
        const rest = isTail ? new Uint8Array() : bytes.subarray(from + rubbish.length);
        return new Uint8Array([...bytes.subarray(0, from), ...rubbish, ...rest]);
      },
      `garbage(${part}, ${rubbish.length} bytes${isTail ? ', to the end' : ''})`,
    ),
  );

/** Another tool's text behind the last record. */
const appended: fc.Arbitrary<Damage> = fc
  .oneof(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.constant(new Uint8Array(700)))
  .map((more) => described((bytes) => new Uint8Array([...bytes, ...more]), `appended(${more})`));

export const damages: fc.Arbitrary<Damage> = fc.oneof(cuts, nuls, nulTails, garbage, appended);

/**
 * Modes of all journals at once, as after a recursive chmod, a restored backup, or on a file system without modes. Never our own
 * mark.
 */
export const modes: fc.Arbitrary<number> = fc
  .oneof(
    fc.constantFrom(
      0o700,
      0o700,
      0o755,
      0o777,
      0o750,
      0o600,
      0o644,
      0o666,
      0o400,
      0o000,
      0o1700,
      0o1777,
      0o2770,
      0o4755,
    ),
    fc.integer({ min: 0, max: 0o7777 }),
  )
  .filter((mode) => mode !== 0o1714);
