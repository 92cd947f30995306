/**
 * The one way to remove an attachment, for a failed or repeated ADD, DEL, GC and recovery. It takes ADD's steps away in the reverse order,
 * but an annotation together with the port.
 *
 * A removal continues past a step that fails, and remembers it as owed. If the port is owed, its bridge, its socket's directory and its
 * address stay, because the port may still use them (case A32). A removal ends in `done`, and the machine that contains it goes on from
 * there.
 */
import { type State, type States, stillTaking, taking, takingBoth } from './steps.ts';

/** The states from the port on. */
const fromPortOn: States = {
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

/** The first states: the device information is removed, if the plan has any. */
const deviceInfoFirst = (next: string): States => ({
  start: { always: [{ guard: { type: 'planned', params: 'deviceInfo' }, target: 'deviceInfo' }, { target: next }] },
  deviceInfo: taking('deviceInfo', next),
});

/**
 * The removal of an attachment that exists or may exist. The port's step runs even if the plan has no port, because it finds a port by
 * its marks.
 *
 * An annotation and the port are removed at the same time, because neither needs the other, and a DEL would wait for one after the other.
 * A published file is removed before the port, because the port's removal may unmount the directory of that file.
 */
export const removal: State = {
  initial: 'start',
  states: {
    ...deviceInfoFirst('beforePublication'),
    beforePublication: { always: [{ guard: 'annotated', target: 'publicationAndPort' }, { target: 'publication' }] },
    publication: taking('publication', 'port'),
    publicationAndPort: takingBoth('publication', 'port', { one: 'publicationLeft', other: 'portLeft' }),
    // The states in which one of the two is removed, and the other is left to wait for.
    publicationLeft: stillTaking('publication', 'afterPort'),
    portLeft: stillTaking('port', 'afterPort'),
    ...fromPortOn,
  },
};

/**
 * The removal of the parts that a failing ADD has begun itself. If it has begun no port, a port with its marks stays: an earlier ADD made
 * that port, perhaps for a living pod.
 */
export const rollback: State = {
  initial: 'start',
  states: {
    ...deviceInfoFirst('publication'),
    publication: taking('publication', 'beforePort'),
    beforePort: { always: [{ guard: { type: 'planned', params: 'port' }, target: 'port' }, { target: 'bridge' }] },
    ...fromPortOn,
  },
};
