import fc from 'fast-check';
import { afterAll, describe, it } from 'vitest';
import { commands, counted, expectCleanEnd, Model, Real } from '../support/fake/node-commands.ts';
import { VirtualTime } from '../support/fake/virtual-time.ts';
import { withSeed } from '../support/seed.ts';

afterAll(new VirtualTime().install());

const numRuns = 400;

describe(
  withSeed('ADD, DEL, CHECK and recover with deaths, power cuts and failing steps, for four attachments on one bridge'),
  () => {
    it('leave every attachment as the model says after each call, and nothing of any after the last DEL (I3, I4, I6, I7, case A24)', async () => {
      const property = fc.asyncProperty(commands, async (sequence) => {
        const real = new Real();
        await fc.asyncModelRun(() => ({ model: new Model(), real }), sequence);
        await expectCleanEnd(real);
      });
      await fc.assert(property, { numRuns });
      console.log(`commands: ${numRuns} runs, ${counted.commands} commands, ${counted.crashes} deaths`);
    }, 120_000);
  },
);
