/**
 * DEL, and every other removal of something that once was or may have been: from a plan, whatever of it came to be.
 */
import { removal } from './removal.ts';
import { attachment, nothingYet } from './steps.ts';

export const delMachine = attachment.createMachine({
  id: 'del',
  context: nothingYet,
  initial: 'idle',
  states: {
    idle: { on: { begin: { target: 'removing', actions: 'takePlan' } } },
    removing: { ...removal, onDone: [{ guard: 'nothingOwed', target: 'removed' }, { target: 'owed' }] },
    removed: { type: 'final' },
    owed: { type: 'final' },
  },
});
