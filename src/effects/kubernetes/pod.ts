/**
 * Looking the pod of an ADD up: its volume "shared-dir" and the path where containers see it. The API server is asked once. The
 * answer goes into the plan, and with it into the journal, so no later step or removal has to ask again.
 */
import { code, type PodRef, sharedVolume } from '../../attachment.ts';
import type { PodLookup, PodPlace } from '../../machines/protocol.ts';
import { type Kubernetes, type Patience, type Pod, podName } from './api-server.ts';

/** The kubelet's mark on the API server's copy of a static pod: the uid by which the kubelet knows the pod. */
const mirrorMark = 'kubernetes.io/config.mirror';

/**
 * The author of any pod may write that annotation, and the uid becomes a part of paths. So only a value that the kubelet could have
 * written is taken.
 */
function readMirroredUid({ metadata }: Pod): string | undefined {
  const text = metadata.annotations?.[mirrorMark];
  return text !== undefined && isUid(text) ? text : undefined;
}

const isUid = (text: string): boolean => /^[0-9a-f][0-9a-f-]{0,63}$/i.test(text);

/** Whether a path of the object can be used as it is: the API server takes relative ones, and a compromised one anything. */
const isPlain = (path: unknown): path is string => typeof path === 'string' && /^[^\p{Cc}]+$/u.test(path);
const isPlace = (path: unknown): boolean => isPlain(path) && path.startsWith('/') && !path.split('/').includes('..');

/** Whether the API server's pod is the one that the runtime means, because another pod may have its name (bug B19). */
export function isMeant({ uid }: PodRef, pod: Pod): boolean {
  return uid === undefined || uid === pod.metadata.uid || uid === readMirroredUid(pod);
}

/** @throws ApiError */
export async function lookUpPod(api: Kubernetes, ref: PodRef, patience: Patience): Promise<PodLookup> {
  const pod = await api.pod(ref, patience);
  const again = (message: string) => refused(code.tryAgainLater, `pod ${podName(ref)} ${message}`);
  if (!pod) return again('is not known to the API server');
  if (!isMeant(ref, pod)) return again(`has uid ${pod.metadata.uid}, not ${ref.uid}: it is another pod by now`);
  return readPlace(ref, pod);
}

const refused = (code: number, message: string): PodLookup => ({ kind: 'refused', troubles: [{ code, message }] });

function readPlace(ref: PodRef, pod: Pod): PodLookup {
  const { metadata, spec } = pod;
  const volume = spec.volumes?.find(({ name }) => name === sharedVolume);
  const mount = spec.containers
    ?.flatMap(({ volumeMounts }) => volumeMounts?.filter(({ name }) => name === sharedVolume).slice(0, 1) ?? [])
    .at(-1);
  const bad = (message: string) =>
    refused(code.invalidConfig, `volume "${sharedVolume}" of pod ${podName(ref)} ${message}`);
  if (volume && !volume.hostPath && !volume.emptyDir) return bad('is neither an emptyDir nor a hostPath');
  if (mount?.subPath || mount?.subPathExpr)
    return bad('is mounted with a subPath: its containers would not see the socket');
  if (volume?.hostPath && !isPlace(volume.hostPath.path)) return bad('has a hostPath that is no absolute path');
  if (mount && !isPlain(mount.mountPath)) return bad('has a mountPath that is no printable path');
  const uid = ref.uid ?? readMirroredUid(pod) ?? metadata.uid;
  if (!ref.uid && !isUid(uid)) return refused(code.invalidConfig, `pod ${podName(ref)} has a uid that is none`);
  const place: PodPlace = {
    pod: { ...ref, uid },
    ...(volume?.emptyDir && { volume: { kind: 'emptyDir' } }),
    ...(volume?.hostPath && { volume: { kind: 'hostPath', path: volume.hostPath.path } }),
    ...(mount && { mountPath: mount.mountPath }),
  };
  return { kind: 'found', place };
}
