/** The machines as xstate reads them: their states are the product's own data, and so are the changes and the guards. */
import { assign, setup } from 'xstate';
import { addMachine } from '../../../src/machines/add.ts';
import { delMachine } from '../../../src/machines/del.ts';
import type { Request, Step } from '../../../src/machines/protocol.ts';
import { restoreMachine } from '../../../src/machines/restore.ts';
import { type AttachmentEvent, type Context, changes, guards, type Machine } from '../../../src/machines/steps.ts';

const attachment = setup({
  types: {} as { context: Context; events: AttachmentEvent },
  actions: {
    /** Returned by `transition`, never run. */
    request: (_, _request: Request) => {
      throw new Error('a machine does not act');
    },
    takePlan: assign(changes.takePlan),
    noteBegun: assign(changes.noteBegun),
    learn: assign(changes.learn),
    fail: assign(changes.fail),
    noteMade: assign(changes.noteMade),
    warn: assign(changes.warn),
    owe: assign(changes.owe),
    keepBegun: assign(changes.keepBegun),
    countDisplacement: assign(changes.countDisplacement),
  },
  guards,
});

/** As much as the tests' types have to know: a value is a name, or the name of a step that is removed. */
interface Shape extends Pick<Machine, 'id' | 'context'> {
  readonly states: { readonly [name in 'idle' | 'ready']: object } & {
    readonly removing: { readonly states: { readonly [name in Step]: object } };
  };
}

const ofXstate = (machine: Machine) => attachment.createMachine(machine as unknown as Shape);

export const xstateMachines = {
  add: ofXstate(addMachine),
  del: ofXstate(delMachine),
  restore: ofXstate(restoreMachine),
} as const;
