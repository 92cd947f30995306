/**
 * Checks, at the moment of every effect, that a power cut would leave every decision in the journal (I1, I2).
 */
import type { Step } from '../../../src/machines/protocol.ts';
import { loseAll } from './choices.ts';
import type { Instant } from './fake-host.ts';
import type { Attachment } from './fake-node.ts';
import type { SimulatedDisk } from './simulated-disk.ts';
import { isGoing, recordsOf } from './world-checker.ts';

export class DurabilityRecorder {
  readonly faults: string[] = [];
  /** Creating effects that were begun, in order. */
  readonly made: Step[] = [];
  readonly #one: Attachment;
  #disk: SimulatedDisk | undefined;

  constructor(one: Attachment) {
    this.#one = one;
  }

  through = (disk: SimulatedDisk): SimulatedDisk => {
    this.#disk = disk;
    return disk;
  };

  watch = ({ step, verb, at }: Instant): void => {
    if (verb !== 'ensure' || at !== 'before' || step === 'preflight' || step === 'recall') return;
    const [last, ...before] = this.#durable().reverse();
    if (last !== `intent ${step}`) this.faults.push(`${step} begins, but the last that is durable is ${last}`);
    const told = before.filter((record) => record.startsWith('outcome')).reverse();
    const wanted = this.made.map((made) => `outcome ${made}`);
    if (told.join() !== wanted.join()) this.faults.push(`${step} begins after ${wanted}, but durable is ${told}`);
    this.made.push(step as Step);
  };

  /** An answer is a decision too. */
  answered(): void {
    const told = this.#durable().filter((record) => record.startsWith('outcome'));
    const wanted = this.made.map((made) => `outcome ${made}`);
    if (told.join() !== wanted.join()) this.faults.push(`answered after ${wanted}, but durable is ${told}`);
  }

  /** Whether a power cut now would leave the going mark. */
  get isGoing(): boolean {
    return this.#disk !== undefined && isGoing(this.#one, this.#disk.powerCut(loseAll));
  }

  #durable(): string[] {
    if (!this.#disk) throw new Error('nobody opened a disk');
    const records = recordsOf(this.#one, this.#disk.powerCut(loseAll));
    return records.filter(({ verb }) => verb !== 'remove').map(({ kind, step }) => (step ? `${kind} ${step}` : kind));
  }
}
