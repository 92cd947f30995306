/**
 * The one way to remove an attachment, for a failed ADD, a DEL and a recovery: the exact reverse of ADD's recipe.
 *
 * It continues past a step that fails, and remembers what is owed. While the port is there, its bridge, its socket's directory and
 * its address stay, because the port may use them (case A32). It ends in `done`; the machine around it says what that means.
 */
import { type State, type States, stillTaking, taking, takingBoth } from './steps.ts';

const ends: States = {
  port: taking('port', 'afterPort'),
  afterPort: { always: [{ guard: { type: 'owes', params: 'port' }, target: 'done' }, { target: 'bridge' }] },
  bridge: taking('bridge', 'socketDir'),
  socketDir: taking('socketDir', 'afterSocketDir'),
  afterSocketDir: {
    always: [{ guard: { type: 'planned', params: 'address' }, target: 'address' }, { target: 'done' }],
  },
  address: taking('address', 'done'),
  done: { type: 'final' },
};

/** Device information comes first, where there is any. */
const begins = (next: string): States => ({
  start: { always: [{ guard: { type: 'planned', params: 'deviceInfo' }, target: 'deviceInfo' }, { target: next }] },
  deviceInfo: taking('deviceInfo', next),
});

/**
 * For an attachment that exists or may exist: its port is looked for by its marks, even where the plan has none.
 *
 * An annotation goes while the switch works, because neither needs the other and the call would wait for both. A file goes first,
 * because the switch's part may unmount the directory that it is in.
 */
export const removal: State = {
  initial: 'start',
  states: {
    ...begins('beforePublication'),
    beforePublication: { always: [{ guard: 'annotated', target: 'publicationAndPort' }, { target: 'publication' }] },
    publication: taking('publication', 'port'),
    publicationAndPort: takingBoth('publication', 'port', { one: 'publicationLeft', other: 'portLeft' }),
    publicationLeft: stillTaking('publication', 'afterPort'),
    portLeft: stillTaking('port', 'afterPort'),
    ...ends,
  },
};

/**
 * For the parts that this ADD made itself. If it made no port and one bears its marks, an earlier ADD made that one, perhaps for a
 * living pod: it stays.
 */
export const rollback: State = {
  initial: 'start',
  states: {
    ...begins('publication'),
    publication: taking('publication', 'beforePort'),
    beforePort: { always: [{ guard: { type: 'planned', params: 'port' }, target: 'port' }, { target: 'bridge' }] },
    ...ends,
  },
};
