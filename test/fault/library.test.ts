/**
 * The example of docs/library.md in the crash windows of the product: a death and a power cut at every call of a deed, and at every call
 * of what follows.
 */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { bring } from '../../docs/examples/directory-with-file.ts';
import { realDisk } from '../../src/journal/disk.ts';
import {
  begunOn,
  type Crash,
  crashesOf,
  type Deed,
  directory,
  file,
  fingerprint,
  journalsOn,
  live,
  type Machine,
  machineWith,
  text,
} from '../support/fake/example-scene.ts';
import { temporaryDirectory } from '../support/temporary.ts';

// Journals that differ only in their times are one state.
beforeAll(() => void vi.useFakeTimers({ toFake: ['Date', 'performance'] }));
afterAll(() => void vi.useRealTimers());

const followUps: readonly Deed[] = ['make', 'remove', 'remove by the journals alone'];

/** What is wrong after a deed that has ended. */
async function faultsAfter(crash: Crash, deed: Deed): Promise<string[]> {
  const { machine } = await live(crash, deed);
  const { things, disk } = machine;
  const how = `${crash.how}; then ${deed}`;
  const found = JSON.stringify([[...things], journalsOn(disk)]);
  if (deed !== 'make') return found === '[[],[]]' ? [] : [`${how}: ${found} is left`];
  const expected = JSON.stringify([
    [
      [directory, null],
      [file, text],
    ],
    ['one.journal'],
  ]);
  const faults = found === expected ? [] : [`${how}: ${found} is made`];
  const again = await faultsAfter({ ...machine, how }, 'remove');
  return [...faults, ...again];
}

/** Made so long ago that the disk has it all. */
async function made(): Promise<Machine> {
  const { machine } = await live(machineWith(), 'make');
  return { ...machine, durable: machine.things };
}

/** Each first deed, and the machine that it comes to. */
const firsts: readonly (readonly [string, Deed, () => Promise<Machine>])[] = [
  ['make', 'make', async () => machineWith()],
  ['make again', 'make', made],
  ['make what has changed', 'make', async () => ({ ...(await made()), things: new Map([[directory, undefined]]) })],
  ['remove', 'remove', made],
  ['remove what never was', 'remove', async () => machineWith()],
  ['remove by the journals alone', 'remove by the journals alone', made],
];

const counted = { first: 0, second: 0 };
const judged = new Set<string>();

afterAll(() => {
  const { first, second } = counted;
  console.log(`the example: ${first} different machines after a death or a power cut, ${second} after a second one`);
  expect(first).toBeGreaterThan(100);
});

describe.each(firsts)('the example of the library: %s', (_, deed, from) => {
  it('dead or without power at any call, is made whole or removed whole by the next call', async () => {
    const crashes = await crashesOf(await from(), deed);
    counted.first += crashes.length;
    const faults = [];
    for (const crash of crashes) for (const next of followUps) faults.push(...(await faultsAfter(crash, next)));
    expect(faults.slice(0, 5)).toEqual([]);
  });

  it('has its intent on disk before each effect (I1)', async () => {
    const faults = (await crashesOf(await from(), deed)).flatMap(({ how, disk, things }) => {
      const begun = begunOn(disk);
      const unrecorded = [...things.keys()].filter((path) => !begun.includes(path === file ? 'file' : 'directory'));
      return unrecorded.map((path) => `${how}: ${path}`);
    });
    expect(faults.slice(0, 5)).toEqual([]);
  });

  it('the same after a second death, at any call of what follows the first', async () => {
    const faults = [];
    for (const crash of await crashesOf(await from(), deed)) {
      for (const next of followUps) {
        for (const second of await crashesOf(crash, next)) {
          counted.second++;
          if (judged.has(fingerprint(second))) continue;
          judged.add(fingerprint(second));
          const how = `${crash.how}; ${second.how}`;
          faults.push(...(await faultsAfter({ ...second, how }, 'remove by the journals alone')));
        }
      }
    }
    expect(faults.slice(0, 5)).toEqual([]);
  });
});

describe('the example of the library, where a step fails', () => {
  function place() {
    const base = temporaryDirectory();
    const plan = { directory: join(base, 'made'), text };
    return {
      call: { disk: realDisk, files: fs, journal: join(base, 'one.journal'), plan },
      left: () => fs.readdirSync(base).sort(),
    };
  }

  it('takes back what it made, and says why', async () => {
    const { call, left } = place();
    const full = () => {
      throw Object.assign(new Error('ENOSPC: the disk is full'), { code: 'ENOSPC' });
    };
    const refused = bring('make', { ...call, files: { ...fs, writeFileSync: full } });
    await expect(refused).rejects.toThrow('make failed: ENOSPC: the disk is full');
    expect(left()).toEqual([]);
  });

  it('owes what it cannot take away: the journal stays, and a later call pays', async () => {
    const { call, left } = place();
    await bring('make', call);
    fs.writeFileSync(join(call.plan.directory, "another's"), '');
    await expect(bring('remove', call)).rejects.toThrow('remove failed: ENOTEMPTY');
    expect(left()).toEqual(['made', 'one.journal']);
    // Nothing makes it stay again.
    await expect(bring('make', call)).rejects.toThrow('remove failed: ENOTEMPTY');
    fs.rmSync(join(call.plan.directory, "another's"));
    await bring('make', call);
    await bring('remove', call);
    expect(left()).toEqual([]);
  });
});

it('a removal that comes while the example makes is heeded at the next step: nothing more is made, and nothing is left', async () => {
  const base = temporaryDirectory();
  const call = {
    disk: realDisk,
    files: fs,
    journal: join(base, 'one.journal'),
    plan: { directory: join(base, 'made'), text },
  };
  let removal: Promise<void> | undefined;
  const written: string[] = [];
  const files = {
    ...fs,
    mkdirSync: (path: string) => {
      removal = bring('remove', call);
      fs.mkdirSync(path);
    },
    writeFileSync: (path: string) => void written.push(path),
  } as unknown as typeof fs;
  await expect(bring('make', { ...call, files })).rejects.toThrow('make failed: it is being removed');
  await removal;
  expect([written, fs.readdirSync(base)]).toEqual([[], []]);
});

it('docs/library.md shows the example as it ran here', () => {
  const example = fs.readFileSync('docs/examples/directory-with-file.ts', 'utf8');
  const [, shown] = /^```ts\n(\/\*\*[\s\S]*?)^```$/m.exec(fs.readFileSync('docs/library.md', 'utf8')) ?? [];
  expect(shown).toBe(example);
});
