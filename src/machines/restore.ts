/**
 * Putting back the port that the switch has lost of an attachment at rest, with the directory and the bridge that are its own. A
 * put-back that fails takes back only the row that it made itself, because everything else is a living pod's.
 */
import { type Machine, nothingYet, putting, rules, toFailed, withdrawing } from './steps.ts';

export const restoreMachine: Machine = {
  id: 'restore',
  rules,
  context: nothingYet,
  initial: 'idle',
  states: {
    idle: { on: { begin: { target: 'socketDir', actions: 'takePlan' } } },
    socketDir: putting(
      'socketDir',
      'ensure',
      [{ guard: { type: 'planned', params: 'bridge' }, target: 'bridge' }, { target: 'port' }],
      toFailed,
    ),
    bridge: putting('bridge', 'ensure', [{ target: 'port' }], toFailed),
    port: putting('port', 'restore', [{ target: 'restored', actions: 'learn' }], {
      target: 'withdrawing',
      actions: ['fail', 'learn'],
    }),
    withdrawing: withdrawing('port', 'failed'),
    restored: { type: 'final' },
    failed: { type: 'final' },
  },
};
