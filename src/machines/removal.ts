/**
 * The one way an attachment is taken away: by a failed ADD, a DEL, a recovery. The exact reverse of ADD's recipe.
 *
 * It continues past a step that fails and remembers what is owed; only what must wait for the port (its bridge, its address)
 * waits. It ends in `done`; the machine around it says what that means.
 */
import { attachment, request } from './steps.ts';

export const removal = attachment.createStateConfig({
  initial: 'start',
  states: {
    start: {
      always: [{ guard: { type: 'planned', params: 'deviceInfo' }, target: 'deviceInfo' }, { target: 'publication' }],
    },
    deviceInfo: {
      entry: request('deviceInfo', 'remove'),
      on: { 'deviceInfo.removed': 'publication', 'deviceInfo.owed': { target: 'publication', actions: 'owe' } },
    },
    publication: {
      entry: request('publication', 'remove'),
      on: { 'publication.removed': 'port', 'publication.owed': { target: 'port', actions: 'owe' } },
    },
    port: {
      entry: request('port', 'remove'),
      on: { 'port.removed': 'bridge', 'port.owed': { target: 'socketDir', actions: 'owe' } },
    },
    bridge: {
      entry: request('bridge', 'remove'),
      on: { 'bridge.removed': 'socketDir', 'bridge.owed': { target: 'socketDir', actions: 'owe' } },
    },
    socketDir: {
      entry: request('socketDir', 'remove'),
      on: { 'socketDir.removed': 'afterPort', 'socketDir.owed': { target: 'afterPort', actions: 'owe' } },
    },
    afterPort: { always: [{ guard: 'addressMayGo', target: 'address' }, { target: 'done' }] },
    address: {
      entry: request('address', 'remove'),
      on: { 'address.removed': 'done', 'address.owed': { target: 'done', actions: 'owe' } },
    },
    done: { type: 'final' },
  },
});
