/**
 * The one way an attachment is taken away: by a failed ADD, a DEL, a recovery. The exact reverse of ADD's recipe.
 *
 * It continues past a step that fails and remembers what is owed; but while the port is there, nothing goes that it may use: its
 * bridge, its socket's directory, its address (A32). It ends in `done`; the machine around it says what that means.
 */
import { attachment, taking } from './steps.ts';

export const removal = attachment.createStateConfig({
  initial: 'start',
  states: {
    start: {
      always: [{ guard: { type: 'planned', params: 'deviceInfo' }, target: 'deviceInfo' }, { target: 'publication' }],
    },
    deviceInfo: taking('deviceInfo', 'publication', 'publication'),
    publication: taking('publication', 'port', 'port'),
    port: taking('port', 'bridge', 'done'),
    bridge: taking('bridge', 'socketDir', 'socketDir'),
    socketDir: taking('socketDir', 'afterPort', 'afterPort'),
    afterPort: { always: [{ guard: { type: 'planned', params: 'address' }, target: 'address' }, { target: 'done' }] },
    address: taking('address', 'done', 'done'),
    done: { type: 'final' },
  },
});
