/**
 * The verbs as the protocol calls them: each with a node of its own, its code read when it is called, and what can be asked of the
 * world meanwhile asked.
 */
import type { Handlers } from '../cni/command.ts';
import type { AddRequest, DelRequest } from '../cni/request.ts';
import { type Moment, now } from '../deadlines.ts';
import type { Node, Scope } from './node.ts';

/** Where the code is; a test of orders has it at hand. */
const chunks = {
  addCheck: () => import('./add-check.ts'),
  del: () => import('./del.ts'),
  gc: () => import('./gc.ts'),
};

/** What every request says of the node. */
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
        const end = now() + one.config.deadlines.addMs;
        const podLookup = startPodLookup(one, node, end);
        return await (await addCheck()).add(one, node, { end, podLookup });
      }),
    check: (request) => using(request, async (one, node) => (await addCheck()).check(one, node)),
    del: (request) => using(request, async (one, node) => (await del()).del(one, node)),
    gc: (request) => using(request, async (one, node) => (await gc()).gc(one, node), 'many attachments'),
  };
}

/** The API server answers while the machines are read in: 5 ms of an ADD in a pod. */
function startPodLookup({ config: { kubeconfig }, pod }: AddRequest, { host }: Node, end: Moment) {
  if (!kubeconfig || !pod) return undefined;
  const podLookup = host.lookUpPod(kubeconfig, pod, { end });
  // Whoever awaits it hears of a failure; if nobody comes to that, nobody has to.
  podLookup.catch(() => undefined);
  return podLookup;
}
