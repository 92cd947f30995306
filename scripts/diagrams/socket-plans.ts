/** The plans of two pods, made as ADD makes them, from the network that docs/kubernetes.md shows. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAdd } from '../../src/cni/request.ts';
import type { Plan, PodPlace } from '../../src/machines/protocol.ts';
import { planOf } from '../../src/plan/plans.ts';

const page = join(import.meta.dirname, '../../docs/kubernetes.md');

/** The configuration in the page's NetworkAttachmentDefinition. */
function networkOfPage(): { host: { vhost: object }; container: { vhost: object } } {
  const [, text] = /^ {2}config: \|\n((?: {4}.*\n)+)/m.exec(readFileSync(page, 'utf8')) ?? [];
  if (text === undefined) throw new Error(`${page} has no network`);
  return JSON.parse(text);
}

const pod = { namespace: 'apps', name: 'forwarder', uid: '1b2f3a4c-5d6e-4f70-8192-a3b4c5d6e7f8' };

/** Each mode of the switch's side, with a volume that it works with (docs/kubernetes.md, "The pod"). */
const volumes: { readonly [mode in 'client' | 'server']: NonNullable<PodPlace['volume']> } = {
  client: { kind: 'emptyDir' },
  server: { kind: 'hostPath', path: '/var/run/openvswitch/forwarder' },
};

export function socketPlan(mode: 'client' | 'server'): Plan {
  const { host, container, ...rest } = networkOfPage();
  const other = mode === 'client' ? 'server' : 'client';
  const config = {
    ...rest,
    host: { ...host, vhost: { ...host.vhost, mode } },
    container: { ...container, vhost: { mode: other } },
  };
  const env = {
    CNI_CONTAINERID: '0123456789abcdef',
    CNI_IFNAME: 'net1',
    CNI_NETNS: '/var/run/netns/cni-5f0c',
    CNI_PATH: '/opt/cni/bin',
    CNI_ARGS: `K8S_POD_NAMESPACE=${pod.namespace};K8S_POD_NAME=${pod.name};K8S_POD_UID=${pod.uid}`,
  };
  const request = parseAdd(env, JSON.stringify(config));
  return planOf(request, { pod, volume: volumes[mode], mountPath: '/var/lib/cni/usrcni/' });
}
