/**
 * Rebuilding an attachment's plan from the marks of its port, if it has no journal.
 */
import { basename, dirname } from 'node:path';
import { configDataName, holdFileName, keyText, owner, shortId } from '../../attachment.ts';
import type { AnnotationPlan, FilePlan, Plan, SocketDirPlan } from '../../machines/protocol.ts';
import { isAnnotation } from '../../machines/protocol.ts';
import type { RecalledPort } from '../engine.ts';
import { isLater, readNetns } from '../netns.ts';
import { type Marks, madeElsewhere } from './marks.ts';
import { readMap, select, withMarks } from './operations.ts';
import { seekOwn, soughtPort } from './own-ports.ts';
import type { AttachmentSwitch } from './switch.ts';

export async function recallPort(ovs: AttachmentSwitch): Promise<RecalledPort> {
  const { plan, call } = ovs;
  const { own, elsewhere } = await seekOwn(ovs, soughtPort(plan, {}));
  const [found] = own;
  if (found)
    return { kind: 'own', instance: found.marks.instance ?? call.instance, plan: planOfMarks(plan, found.marks) };
  const [foreign] = elsewhere;
  return foreign ? { kind: 'elsewhere', trouble: madeElsewhere(plan.key, foreign) } : { kind: 'none' };
}

function planOfMarks(plan: Plan, marks: Marks): Partial<Plan> {
  const { directory, bridge } = marks;
  return {
    ...(bridge && { bridge: { name: bridge } }),
    ...(directory && { socketDir: recallDirectory(plan, directory, marks.link) }),
    ...(directory && { publication: recallPublication(plan, directory, marks) }),
  };
}

/** A directory with our name is ours. Any other was named by the pod or its kubelet, and is not removed. */
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
  if (isAnnotation(publication)) return publication;
  return { directory, file: configDataName(key), data: {} };
}

/** Whether a port of ours tells that this sandbox began after a moment (netns.ts) and its namespace lives. */
export async function isLaterSandbox(ovs: AttachmentSwitch, containerId: string, moment: string): Promise<boolean> {
  const key = keyText({ ...ovs.plan.key, containerId });
  const [ports] = await ovs.read([select('Port', [withMarks({ owner, key })], ['external_ids'])]);
  const marks = readMap(ports?.rows?.[0]?.external_ids);
  return isLater(marks.begun ?? '', moment) && readNetns(marks.netns ?? '') !== undefined;
}
