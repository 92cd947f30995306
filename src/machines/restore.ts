/**
 * Putting back what an attachment at rest has lost without anybody's wish: its port, with the directory and the bridge that are its
 * own. It never takes back more than that port: the address is a living pod's.
 */
import { attachment, failed, nothingYet, putting, taking } from './steps.ts';

export const restoreMachine = attachment.createMachine({
  id: 'restore',
  context: nothingYet,
  initial: 'idle',
  states: {
    idle: { on: { begin: { target: 'socketDir', actions: 'takePlan' } } },
    socketDir: putting(
      'socketDir',
      'ensure',
      [{ guard: { type: 'planned', params: 'bridge' }, target: 'bridge' }, { target: 'port' }],
      failed,
    ),
    bridge: putting('bridge', 'ensure', [{ target: 'port' }], failed),
    port: putting('port', 'restore', [{ target: 'restored', actions: 'learn' }], {
      target: 'withdrawing',
      actions: 'fail',
    }),
    withdrawing: taking('port', 'failed', 'failed'),
    restored: { type: 'final' },
    failed: { type: 'final' },
  },
});
