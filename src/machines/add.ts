/**
 * ADD, as a recipe. A step that is refused leads into the removal of everything; nothing resumes halfway.
 */
import { removal } from './removal.ts';
import { attachment, nothingYet, request } from './steps.ts';

const giveUp = { target: 'removing', actions: 'fail' } as const;

export const addMachine = attachment.createMachine({
  id: 'add',
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
    address: {
      entry: request('address', 'ensure'),
      on: { 'address.ensured': { target: 'socketDir', actions: 'learn' }, 'address.refused': giveUp, abandon: giveUp },
    },
    socketDir: {
      entry: request('socketDir', 'ensure'),
      on: { 'socketDir.ensured': { target: 'bridge', actions: 'learn' }, 'socketDir.refused': giveUp, abandon: giveUp },
    },
    bridge: {
      entry: request('bridge', 'ensure'),
      on: { 'bridge.ensured': { target: 'port', actions: 'learn' }, 'bridge.refused': giveUp, abandon: giveUp },
    },
    port: {
      entry: request('port', 'ensure'),
      on: {
        'port.ensured': { target: 'publication', actions: 'learn' },
        // The last sibling's DEL took the bridge away between the two steps: make it again.
        'port.displaced': [{ guard: 'bridgeMayReturn', target: 'bridge', actions: 'countDisplacement' }, giveUp],
        'port.refused': giveUp,
        abandon: giveUp,
      },
    },
    publication: {
      entry: request('publication', 'ensure'),
      on: {
        'publication.ensured': [
          { guard: { type: 'planned', params: 'deviceInfo' }, target: 'deviceInfo', actions: 'learn' },
          { target: 'ready', actions: 'learn' },
        ],
        'publication.refused': giveUp,
        abandon: giveUp,
      },
    },
    deviceInfo: {
      entry: request('deviceInfo', 'ensure'),
      on: {
        'deviceInfo.ensured': { target: 'ready', actions: 'learn' },
        'deviceInfo.refused': giveUp,
        abandon: giveUp,
      },
    },
    // Everything is made; until the answer has been given, the ADD may still be told to take it back.
    ready: { on: { abandon: giveUp } },
    removing: { ...removal, onDone: 'failed' },
    failed: { type: 'final' },
  },
});
