/**
 * The one way an attachment is taken away: by a failed ADD, a DEL, a recovery. The exact reverse of ADD's recipe.
 *
 * It continues past a step that fails and remembers what is owed; but while the port is there, nothing goes that it may use: its
 * bridge, its socket's directory, its address (case A32). It ends in `done`; the machine around it says what that means.
 */
import { attachment, taking } from './steps.ts';

const ends = {
  deviceInfo: taking('deviceInfo', 'publication', 'publication'),
  port: taking('port', 'bridge', 'done'),
  bridge: taking('bridge', 'socketDir', 'socketDir'),
  socketDir: taking('socketDir', 'afterPort', 'afterPort'),
  afterPort: { always: [{ guard: { type: 'planned', params: 'address' }, target: 'address' }, { target: 'done' }] },
  address: taking('address', 'done', 'done'),
  done: { type: 'final' },
} as const;

const start = {
  always: [{ guard: { type: 'planned', params: 'deviceInfo' }, target: 'deviceInfo' }, { target: 'publication' }],
} as const;

/** Of what once was, or may have been: its port is looked for by its marks, whatever is planned. */
export const removal = attachment.createStateConfig({
  initial: 'start',
  states: { start, publication: taking('publication', 'port', 'port'), ...ends },
});

/** Of what this ADD made. A port that bears its marks although it made none is of an ADD before it, perhaps a living pod's. */
export const rollback = attachment.createStateConfig({
  initial: 'start',
  states: {
    start,
    publication: taking('publication', 'beforePort', 'beforePort'),
    beforePort: { always: [{ guard: { type: 'planned', params: 'port' }, target: 'port' }, { target: 'bridge' }] },
    ...ends,
  },
});
