/**
 * The things that a dump has collected, item by item. An item that fails or is late costs its own part: what it had collected stays, and the dump says
 * what is missing.
 */
import { messageOf } from '../../attachment.ts';
import { type Moment, remainingMs, within } from '../../deadlines.ts';
import type { Redactor } from './redact.ts';

/** For a person, and for `--json`. */
export interface Told {
  readonly item: string;
  readonly text: string;
}

export interface Item {
  readonly name: string;
  /** @returns what was found, in a few words; nothing, if only something is missing */
  readonly collect: (bag: Bag, end: Moment) => Promise<string>;
}

/** The most that a dump holds before it is compressed. */
const dumpBytesMax = 64 * 1024 * 1024;
const itemMs = 20_000;

/** The room that all items of a dump share. */
class Room {
  left = dumpBytesMax;
}

export class Bag {
  readonly redactor: Redactor;
  readonly files = new Map<string, string | Uint8Array>();
  readonly missing: string[] = [];
  readonly #room: Room;
  #isClosed = false;

  constructor(redactor: Redactor, room: Room) {
    this.redactor = redactor;
    this.#room = room;
  }

  /** @param content redacted already */
  file(path: string, content: string | Uint8Array): void {
    if (this.#isClosed) return;
    this.#room.left -= content.length;
    if (this.#room.left < 0) this.lacks(`"${path}" is left out: the dump would be larger than ${dumpBytesMax} bytes`);
    else this.files.set(path, content);
  }

  json(path: string, value: unknown): void {
    this.file(path, `${JSON.stringify(this.redactor.value(value), null, 2)}\n`);
  }

  lines(path: string, lines: readonly string[]): void {
    this.file(path, lines.map((line) => `${this.redactor.text(line)}\n`).join(''));
  }

  lacks(why: string): void {
    if (!this.#isClosed) this.missing.push(this.redactor.text(why));
  }

  /** Nothing that comes later counts. */
  close(): void {
    this.#isClosed = true;
  }
}

export interface Collection {
  readonly files: ReadonlyMap<string, string | Uint8Array>;
  readonly collected: readonly Told[];
  readonly missing: readonly Told[];
}

/** Collects all items side by side. @param end by which all of them must have ended */
export async function collectAll(items: readonly Item[], redactor: Redactor, end: Moment): Promise<Collection> {
  const room = new Room();
  const bags = await Promise.all(
    items.map(async (item) => {
      const bag = new Bag(redactor, room);
      const found = await collected(item, bag, within(end, itemMs));
      bag.close();
      return { item: item.name, bag, found };
    }),
  );
  return {
    files: new Map(bags.flatMap(({ bag }) => [...bag.files])),
    collected: bags.flatMap(({ item, found }) => (!found ? [] : [{ item, text: redactor.text(found) }])),
    missing: bags.flatMap(({ item, bag }) => bag.missing.map((text) => ({ item, text }))),
  };
}

async function collected(item: Item, bag: Bag, end: Moment): Promise<string | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    const ms = remainingMs(end);
    timer = setTimeout(() => reject(new Error(`did not end in ${Math.ceil(ms / 1000)} s`)), ms);
  });
  try {
    return await Promise.race([item.collect(bag, end), late]);
  } catch (error) {
    bag.lacks(messageOf(error));
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}
