/**
 * The journal's life on a disk that loses all data not fsynced: any sequence of its calls, any fault, any death.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isSystemError } from '../../src/journal/disk.ts';
import { type Journal, JournalError } from '../../src/journal/journal.ts';
import { copyOf } from '../../src/journal/repair.ts';
import { type Choose, choices, everyChoice, keepAll } from '../support/fake/choices.ts';
import { type Call, type Fault, ProcessKilled, SimulatedDisk } from '../support/fake/simulated-disk.ts';
import { lockedWords, openWords, type Word, wordsFound, wordsOf } from '../support/fake/word-journal.ts';
import { withSeed } from '../support/seed.ts';

const path = '/data/a:b:c.journal';

const deeds = ['append', 'stage', 'note', 'restart', 'markGoing', 'otherMarksGoing', 'fsyncName', 'dueAt'] as const;
type Deed = (typeof deeds)[number];

interface Act {
  readonly deed: Deed;
  readonly fault?: Fault | undefined;
}

/** How a process ends: killed, or with the power. */
type End = 'death' | Choose;

/** The words that may be found, and those that must. */
class Model {
  /** Every word that was tried, in order, since the last restart: the words found are a beginning of these. */
  #tried: string[] = [];
  /** How many of them are there for the next process. */
  #written = 0;
  /** How many of them survive a power cut. */
  #durable = 0;
  /** A restart was interrupted, so the file may be empty. */
  #restarting = false;
  /** Words that a restart emptied before its death: until the next fsync a power cut may bring them back. */
  #ghost: string[] = [];
  /**
   * An fsync has failed: bytes that read well are not on the disk, and a process that opens the file later cannot know. Only a
   * restart makes the next append certain, and every ADD that finds something begins with one.
   */
  #doubt = false;
  #mark: 'no' | 'maybe' | 'set' = 'no';
  #nameDurable = false;
  #words = 0;

  /** Makes one call on the journal and records its promise. */
  act({ deed, fault }: Act, disk: SimulatedDisk, journal: Journal<Word>): void {
    if (fault?.call === 'fsync') this.#doubt = true;
    const word = `word ${++this.#words}`;
    if (deed === 'append' || deed === 'stage' || deed === 'note') this.#tried.push(word);
    if (deed === 'restart') this.#restarting = true;
    const marks = deed === 'markGoing' || deed === 'otherMarksGoing';
    if (marks && this.#mark === 'no') this.#mark = 'maybe';
    const before = journal.records.length;
    const returned = succeeds(() => perform(deed, disk, journal, word));
    if (journal.records.length > before) this.#written = this.#tried.length;
    if (!returned) return;
    if (deed === 'append' || deed === 'restart' || marks) this.#ghost = [];
    if (deed === 'append' && !this.#doubt) this.#durable = this.#tried.length;
    if (deed === 'restart') this.#startAgain();
    if (marks) {
      this.#mark = 'set';
      // A look is a call like any other: the process may die in it.
      let seen = true;
      succeeds(() => {
        seen = journal.going;
      });
      expect(seen).toBe(true);
    }
    if (deed === 'fsyncName') this.#nameDurable = true;
  }

  /** Compares the next process's findings with the promises (I2, JO1, JO2), and goes on from there. */
  found(end: End, journal: Journal<Word>): void {
    const words = wordsOf(journal);
    const emptied = this.#restarting && words.length === 0;
    const ghost = end !== 'death' && words.length > 0 && words[0] === this.#ghost[0];
    expect(words).toEqual((ghost ? this.#ghost : this.#tried).slice(0, words.length));
    if (!emptied && !ghost)
      expect(words.length).toBeGreaterThanOrEqual(end === 'death' ? this.#written : this.#durable);
    if (this.#mark !== 'maybe') expect(journal.going).toBe(this.#mark === 'set');
    if (emptied && end === 'death' && this.#ghost.length === 0) this.#ghost = this.#tried;
    this.#tried = words;
    this.#written = words.length;
    if (end === 'death') {
      this.#durable = Math.min(this.#durable, words.length);
      return;
    }
    this.#durable = words.length;
    this.#ghost = [];
    this.#doubt = false;
    this.#restarting = false;
    this.#nameDurable = true;
    this.#mark = journal.going ? 'set' : 'no';
  }

  /** The file is gone, which only one without a durable name may be. */
  gone(): void {
    expect(this.#nameDurable).toBe(false);
    this.#startAgain();
    this.#mark = 'no';
  }

  #startAgain(): void {
    this.#ghost = [];
    this.#doubt = false;
    this.#tried = [];
    this.#written = 0;
    this.#durable = 0;
    this.#restarting = false;
  }
}

function perform(deed: Deed, disk: SimulatedDisk, journal: Journal<Word>, word: string): void {
  if (deed === 'append' || deed === 'stage' || deed === 'note') journal[deed]({ word });
  else if (deed === 'otherMarksGoing') {
    const other = openWords(disk, path);
    other.markGoing();
    other.close();
  } else if (deed === 'dueAt') journal.dueAt(new Date(0));
  else journal[deed]();
}

/** Whether it returned. A refusal by the disk and a death are answers; anything else is a bug and goes on. */
function succeeds(action: () => void): boolean {
  try {
    action();
    return true;
  } catch (error) {
    if (error instanceof JournalError || error instanceof ProcessKilled || isSystemError(error)) return false;
    throw error;
  }
}

/** The disk as the next process finds it. */
const ended = (disk: SimulatedDisk, end: End): SimulatedDisk =>
  end === 'death' ? disk.processDeath() : disk.powerCut(end);

/** The next process: it holds what it finds against the model. */
async function reopened(disk: SimulatedDisk, end: End, model: Model, create: boolean): Promise<Journal<Word>> {
  const lost = disk.lookup(path) === undefined;
  if (lost) model.gone();
  const journal = await lockedWords(disk, path, create || lost);
  if (!lost) model.found(end, journal);
  return journal;
}

interface Life {
  readonly create: boolean;
  readonly acts: readonly Act[];
  readonly end: End;
}

const faults: fc.Arbitrary<Fault> = fc.oneof(
  fc.record({
    call: fc.constantFrom<Call>('write', 'fsync', 'truncate', 'chmod', 'fsyncDirectory', 'open', 'touch'),
    nth: fc.constant(1),
    how: fc.constantFrom('ENOSPC', 'EIO', 'EROFS').map((error) => ({ error })),
    forever: fc.boolean(),
  }),
  fc.record({ call: fc.constant<Call>('write'), nth: fc.constant(1), how: fc.record({ short: fc.nat(120) }) }),
  fc.record({
    call: fc.constant('every' as const),
    nth: fc.integer({ min: 1, max: 4 }),
    how: fc.constant('crash' as const),
  }),
);

const lives: fc.Arbitrary<Life> = fc.record({
  create: fc.boolean(),
  acts: fc.array(
    fc.record({
      deed: fc.oneof({ weight: 3, arbitrary: fc.constant('append' as const) }, fc.constantFrom(...deeds)),
      fault: fc.option(faults, { nil: undefined, freq: 6 }),
    }),
    { maxLength: 8, size: 'max' },
  ),
  end: fc.oneof(fc.constant('death' as const), choices),
});

describe(withSeed('a journal through any lives'), () => {
  it('keeps every record whose append returned and every mark that was set, in a file whose name was synced (I2, JO1, JO2)', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(lives, { minLength: 1, maxLength: 4 }), async (sequence) => {
        const model = new Model();
        let disk = new SimulatedDisk();
        let journal = await lockedWords(disk, path);
        for (const { create, acts, end } of sequence) {
          for (const act of acts) {
            if (act.fault) disk.inject(act.fault);
            model.act(act, disk, journal);
            disk.heal();
          }
          disk = ended(disk, end);
          journal = await reopened(disk, end, model, create);
        }
        model.act({ deed: 'append' }, disk, journal);
        const last = disk.processDeath();
        model.found('death', await lockedWords(last, path));
      }),
      { numRuns: 1_000 },
    );
  });
});

/** The calls of one ADD that is rolled back and begun again on its journal. */
async function oneLife(disk: SimulatedDisk, model: Model): Promise<void> {
  const journal = await lockedWords(disk, path);
  for (const deed of ['fsyncName', 'append', 'append', 'note', 'note', 'note', 'restart', 'append'] as const) {
    model.act({ deed }, disk, journal);
  }
  model.act({ deed: 'otherMarksGoing' }, disk, journal);
  model.act({ deed: 'restart' }, disk, journal);
  model.act({ deed: 'append' }, disk, journal);
  journal.close();
}

/** Runs it until it ends or dies. */
async function untilDeath(life: Promise<void>): Promise<boolean> {
  try {
    await life;
    return false;
  } catch (error) {
    if (error instanceof ProcessKilled) return true;
    throw error;
  }
}

describe('a journal killed before every one of its system calls', () => {
  it('is found as it was promised after any power cut, and takes the next record', async () => {
    let points = 0;
    let cuts = 0;
    for (let died = true; died; points++) {
      const ends: End[] = ['death'];
      const run = async (): Promise<{ disk: SimulatedDisk; model: Model }> => {
        const disk = new SimulatedDisk();
        const model = new Model();
        disk.inject({ call: 'every', nth: points + 1, how: 'crash' });
        died = await untilDeath(oneLife(disk, model));
        return { disk, model };
      };
      const { disk } = await run();
      const answers: number[][] = [];
      everyChoice((choose) => {
        const given: number[] = [];
        disk.powerCut((options, question) => given[given.push(choose(options, question)) - 1] ?? 0);
        answers.push(given);
      });
      for (const given of answers) ends.push(() => given.shift() ?? 0);
      for (const end of ends) {
        cuts++;
        const { disk: fresh, model } = await run();
        const found = ended(fresh, end);
        const journal = await reopened(found, end, model, true);
        model.act({ deed: 'append' }, found, journal);
        model.found('death', await lockedWords(found.processDeath(), path));
      }
    }
    console.log(`journal: ${points} crash points, ${cuts} deaths and power cuts`);
  });

  it('is repaired by the next process after a death in the middle of a repair (JO4)', async () => {
    for (const damage of ['torn', 'corrupt'] as const) {
      for (let point = 1, died = true; died; point++) {
        const disk = new SimulatedDisk();
        const journal = await lockedWords(disk, path);
        journal.fsyncName();
        for (const word of ['one', 'two', 'three']) journal.append({ word });
        const whole = new TextDecoder().decode(disk.read(journal.fd));
        const broken = damage === 'torn' ? whole.slice(0, -10) : whole.replace('two', 'TWO');
        disk.truncate(journal.fd, 0);
        disk.write(journal.fd, new TextEncoder().encode(broken));
        disk.fsync(journal.fd);
        const first = disk.processDeath();
        first.inject({ call: 'every', nth: point, how: 'crash' });
        died = await untilDeath(lockedWords(first, path).then(() => undefined));

        const kept = damage === 'torn' ? ['one', 'two'] : ['one'];
        everyEnd(first, (next) => expect(next.lookup(path)).toBeDefined());
        for (const next of [first.processDeath(), first.powerCut(keepAll), first.powerCut(() => 0)]) {
          const repaired = await lockedWords(next, path);
          expect(wordsOf(repaired)).toEqual(kept);
          expect(repaired.damaged).toBe(damage === 'corrupt');
          if (damage === 'corrupt') {
            const copy = next.read(next.open(copyOf(path), 'r'));
            expect(new TextDecoder().decode(copy)).toBe(broken);
          }
          repaired.append({ word: 'four' });
          repaired.close();
          expect(await wordsFound(next, path)).toEqual([...kept, 'four']);
        }
      }
    }
  });
});

function everyEnd(disk: SimulatedDisk, check: (next: SimulatedDisk) => void): void {
  everyChoice((choose) => check(disk.powerCut(choose)));
}
