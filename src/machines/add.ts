/**
 * ADD, as a recipe. A step that is refused leads into the removal of everything that was begun. Nothing resumes halfway.
 */
import { rollback } from './removal.ts';
import { giveUp, type Machine, making, nothingYet, rules } from './steps.ts';

export const addMachine: Machine = {
  id: 'add',
  rules,
  context: nothingYet,
  initial: 'idle',
  states: {
    idle: {
      on: {
        begin: [
          { guard: { type: 'planned', params: 'address' }, target: 'address', actions: 'takePlan' },
          { target: 'socketDir', actions: 'takePlan' },
        ],
      },
    },
    address: making('address', [{ target: 'socketDir', actions: 'learn' }]),
    socketDir: making('socketDir', [
      { guard: { type: 'planned', params: 'bridge' }, target: 'bridge', actions: 'learn' },
      { target: 'port', actions: 'learn' },
    ]),
    bridge: making('bridge', [{ target: 'port', actions: 'learn' }]),
    port: making('port', [{ target: 'publication', actions: 'learn' }], {
      // The last sibling's DEL took the bridge away between the two steps: make it again.
      'port.displaced': [{ guard: 'bridgeMayReturn', target: 'bridge', actions: 'countDisplacement' }, giveUp],
    }),
    publication: making('publication', [
      { guard: { type: 'planned', params: 'deviceInfo' }, target: 'deviceInfo', actions: 'learn' },
      { target: 'ready', actions: 'learn' },
    ]),
    deviceInfo: making('deviceInfo', [{ target: 'ready', actions: 'learn' }]),
    // Everything is made; until the answer has been given, the ADD may still be told to take it back.
    ready: { on: { abandon: giveUp } },
    removing: { ...rollback, onDone: { target: 'failed' } },
    failed: { type: 'final' },
  },
};
