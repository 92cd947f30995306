/**
 * The verbs as the protocol calls them, each with a node of its own. A verb's code is read when it is called, and the questions
 * that can be asked meanwhile are sent before.
 */
import type { Handlers } from '../cni/command.ts';
import type { AddRequest, DelRequest } from '../cni/request.ts';
import type { Moment } from '../deadlines.ts';
import type { Node, Scope } from './node.ts';

/** Where the code is. A test of the order of calls passes its own. */
const chunks = {
  addCheck: () => import('./add-check.ts'),
  del: () => import('./del.ts'),
  gc: () => import('./gc.ts'),
};

/** The members of a request that its node depends on. */
type Caller = Pick<DelRequest, 'config' | 'path'>;

export function handlers(
  nodeFor: (request: Caller, scope: Scope) => Node,
  { addCheck, del, gc }: typeof chunks = chunks,
): Handlers {
  const using = async <R extends Caller, T>(
    request: R,
    action: (request: R, node: Node) => Promise<T>,
    scope: Scope = 'one attachment',
  ) => {
    const node = nodeFor(request, scope);
    try {
      return await action(request, node);
    } finally {
      node.host.close();
      await node.log.close();
    }
  };
  return {
    add: (request) =>
      using(request, async (one, node) => {
        const end = node.began + one.config.deadlines.addMs;
        const podLookup = startPodLookup(one, node, end);
        return await (await addCheck()).add(one, node, { end, podLookup });
      }),
    check: (request) => using(request, async (one, node) => (await addCheck()).check(one, node)),
    del: (request) => using(request, async (one, node) => (await del()).del(one, node)),
    gc: (request) => using(request, async (one, node) => (await gc()).gc(one, node), 'many attachments'),
  };
}

/** Asks the API server early, so that it answers while the machines are read in: this saves an ADD in a pod 5 ms. */
function startPodLookup({ config: { kubeconfig }, pod }: AddRequest, { host }: Node, end: Moment) {
  if (!kubeconfig || !pod) return undefined;
  const podLookup = host.lookUpPod(kubeconfig, pod, { end });
  // add() awaits this promise. If add() throws before that, the rejection must not count as unhandled.
  podLookup.catch(() => undefined);
  return podLookup;
}
