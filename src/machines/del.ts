/**
 * DEL, and every other removal of an attachment that exists or may exist: everything in its plan that was made.
 */
import { removal } from './removal.ts';
import { type Machine, nothingYet, rules } from './steps.ts';

export const delMachine: Machine = {
  id: 'del',
  rules,
  context: nothingYet,
  initial: 'idle',
  states: {
    idle: { on: { begin: { target: 'removing', actions: 'takePlan' } } },
    removing: { ...removal, onDone: [{ guard: 'nothingOwed', target: 'removed' }, { target: 'owed' }] },
    removed: { type: 'final' },
    owed: { type: 'final' },
  },
};
