/** An annotation of one pod at a stand-in of an API server, with its three verbs. */
import { onTestFinished } from 'vitest';
import type { Addresses } from '../../../src/attachment.ts';
import { parseAdd } from '../../../src/cni/request.ts';
import type { Deadlines } from '../../../src/deadlines.ts';
import { ensureAnnotation, findAnnotation, removeAnnotation } from '../../../src/effects/kubernetes/annotation.ts';
import type { Kubernetes } from '../../../src/effects/kubernetes/api-server.ts';
import type { AnnotationPlan } from '../../../src/machines/protocol.ts';
import { planOf } from '../../../src/plan/attach.ts';
import { environment, host, network, textOf } from '../cni-requests.ts';
import { temporaryDirectory } from '../temporary.ts';
import { namespace, sharing, tokenOf, writeKubeconfig } from './api.ts';
import { openApi, soon } from './scene.ts';
import { StandInApi } from './stand-in-api.ts';

export const dataName = 'userspace/configuration-data';
export const containerId = '0123456789abcdef';
export const addresses: Addresses = {
  ips: [{ address: '10.0.0.5/24', gateway: '10.0.0.1' }, { address: 'fd00::5/64' }],
  routes: [],
};
export const never = async () => false;

export interface AnnotationScene {
  readonly server: StandInApi;
  readonly api: Kubernetes;
  readonly plan: AnnotationPlan;
  readonly key: { network: string; containerId: string; ifName: string };
  annotations(): Promise<{ readonly [name: string]: string }>;
  ensure(more?: Partial<Parameters>, untilMs?: number): ReturnType<typeof ensureAnnotation>;
  remove(settled?: boolean): ReturnType<typeof removeAnnotation>;
  find(): ReturnType<typeof findAnnotation>;
}

interface Parameters {
  readonly ifName: string;
  readonly containerId: string;
  readonly isLater: (containerId: string) => Promise<boolean>;
  readonly config: object;
}

export const patience = () => ({ end: soon(20_000), until: soon(20_000) });

export async function made(
  annotations: { readonly [name: string]: string } = {},
  deadlines: Partial<Deadlines> = {},
): Promise<AnnotationScene> {
  const server = await StandInApi.start();
  onTestFinished(() => server.stop());
  const { metadata } = await server.createPod({ name: 'app', annotations, ...sharing({ emptyDir: {} }) });
  const kubeconfig = writeKubeconfig(temporaryDirectory(), server, { token: tokenOf('plugin') });
  const api = await openApi(kubeconfig, deadlines);
  const args = `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=app;K8S_POD_UID=${metadata.uid}`;
  const planned = async ({ ifName = 'net1', containerId: id = containerId, config = {} }: Partial<Parameters> = {}) => {
    const env = environment({ CNI_ARGS: args, CNI_IFNAME: ifName, CNI_CONTAINERID: id });
    const request = parseAdd(env, textOf(network({ kubeconfig, ...host({ vhost: { mode: 'client' } }), ...config })));
    const place = { pod: { namespace, name: 'app', uid: metadata.uid }, mountPath: '/run/app' };
    const { key, publication } = planOf(request, place);
    if (!publication || !('pod' in publication)) throw new Error('the plan has no annotation');
    return { key, plan: publication };
  };
  const { key, plan } = await planned();
  return {
    server,
    api,
    plan,
    key,
    annotations: () => server.annotations('app'),
    ensure: async (more = {}, untilMs = 20_000) => {
      const other = await planned(more);
      return await ensureAnnotation(
        { api, ...other, patience: { ...patience(), until: soon(untilMs) } },
        addresses,
        more.isLater ?? never,
      );
    },
    remove: (settled = true) =>
      removeAnnotation({ api, key, plan, patience: patience() }, settled ? { settled: true } : undefined),
    find: () => findAnnotation({ api, key, plan, patience: patience() }, addresses),
  };
}

/** A client of another process, for the same attachment. */
export const sceneOf = ({ key, plan }: AnnotationScene, api: Kubernetes) => ({ api, key, plan, patience: patience() });

export const patches = ({ requests }: StandInApi) => requests.filter(({ method }) => method === 'PATCH');
