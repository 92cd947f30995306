/**
 * What the marks of a port tell of its attachment, where no journal does.
 */
import { basename, dirname } from 'node:path';
import { configDataName, holdFileName, keyText, owner, shortId, type Trouble } from '../../attachment.ts';
import type { AnnotationPlan, Call, FilePlan, Plan, SocketDirPlan } from '../../machines/protocol.ts';
import { isLater, readNetns } from '../netns.ts';
import { type Marks, madeElsewhere } from './marks.ts';
import { marked, readMap, select } from './operations.ts';
import { seekOwn } from './own-ports.ts';
import type { Switch } from './switch.ts';

/** What the switch says of an attachment that no journal tells of. */
export type RecalledPort =
  | { readonly kind: 'none' }
  /** Ours; and what its marks say of the rest of the attachment. */
  | { readonly kind: 'own'; readonly instance: string; readonly plan: Partial<Plan> }
  | { readonly kind: 'elsewhere'; readonly trouble: Trouble };

export async function recallPort(ovs: Switch, plan: Plan, call: Call): Promise<RecalledPort> {
  const { own, elsewhere } = await seekOwn(ovs, { plan, facts: {} }, call);
  const [found] = own;
  if (found)
    return { kind: 'own', instance: found.marks.instance ?? call.instance, plan: planOfMarks(plan, found.marks) };
  const [foreign] = elsewhere;
  return foreign ? { kind: 'elsewhere', trouble: madeElsewhere(plan, foreign) } : { kind: 'none' };
}

function planOfMarks(plan: Plan, marks: Marks): Partial<Plan> {
  const { directory, bridge } = marks;
  return {
    ...(bridge && { bridge: { name: bridge } }),
    ...(directory && { socketDir: recallDirectory(plan, directory, marks.link) }),
    ...(directory && { publication: recallPublication(plan, directory, marks) }),
  };
}

/** Ours by its name, or one that the pod or its kubelet named and nobody here removes. */
function recallDirectory({ key, socketDir }: Plan, directory: string, mark: string | undefined): SocketDirPlan {
  const link = mark ?? socketDir?.link;
  const rest = { hold: holdFileName(key), ...(link && { link }) };
  if (basename(directory) !== shortId(key)) return { base: directory, ...rest };
  return { base: dirname(directory), own: directory, ...rest };
}

function recallPublication({ key, publication }: Plan, directory: string, marks: Marks): FilePlan | AnnotationPlan {
  const [namespace, name] = marks.pod?.split('/') ?? [];
  const uid = marks['pod-uid'];
  if (marks.kubeconfig && namespace && name) {
    return { kubeconfig: marks.kubeconfig, pod: { namespace, name, ...(uid && { uid }) }, mappedDir: '', data: {} };
  }
  if (publication && 'pod' in publication) return publication;
  return { directory, file: configDataName(key), data: {} };
}

/** Whether a port of ours says that this sandbox began after a moment (netns.ts), and its namespace lives. */
export async function isLaterSandbox(
  ovs: Switch,
  plan: Plan,
  containerId: string,
  moment: string,
  call: Call,
): Promise<boolean> {
  const key = keyText({ ...plan.key, containerId });
  const [ports] = await ovs.read(plan, [select('Port', [marked({ owner, key })], ['external_ids'])], call.end);
  const marks = readMap(ports?.rows?.[0]?.external_ids);
  return isLater(marks.begun ?? '', moment) && readNetns(marks.netns ?? '') !== undefined;
}
