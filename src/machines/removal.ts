/**
 * The one way to remove an attachment, for a failed ADD, a DEL and a recovery: the exact reverse of ADD's recipe.
 *
 * It continues past a step that fails, and remembers what is owed. While the port is there, its bridge, its socket's directory and
 * its address stay, because the port may use them (case A32). It ends in `done`; the machine around it says what that means.
 */
import { type State, type States, taking } from './steps.ts';

const ends: States = {
  deviceInfo: taking('deviceInfo', 'publication', 'publication'),
  port: taking('port', 'bridge', 'done'),
  bridge: taking('bridge', 'socketDir', 'socketDir'),
  socketDir: taking('socketDir', 'afterPort', 'afterPort'),
  afterPort: { always: [{ guard: { type: 'planned', params: 'address' }, target: 'address' }, { target: 'done' }] },
  address: taking('address', 'done', 'done'),
  done: { type: 'final' },
};

const start: State = {
  always: [{ guard: { type: 'planned', params: 'deviceInfo' }, target: 'deviceInfo' }, { target: 'publication' }],
};

/** For an attachment that exists or may exist: its port is looked for by its marks, even where the plan has none. */
export const removal: State = {
  initial: 'start',
  states: { start, publication: taking('publication', 'port', 'port'), ...ends },
};

/**
 * For the parts that this ADD made itself. If it made no port and one bears its marks, an earlier ADD made that one, perhaps for a
 * living pod: it stays.
 */
export const rollback: State = {
  initial: 'start',
  states: {
    start,
    publication: taking('publication', 'beforePort', 'beforePort'),
    beforePort: { always: [{ guard: { type: 'planned', params: 'port' }, target: 'port' }, { target: 'bridge' }] },
    ...ends,
  },
};
