import { describe, expect, it } from 'vitest';
import { linkName } from '../../src/attachment.ts';
import { parseDel } from '../../src/cni/request.ts';
import type { PodPlace } from '../../src/machines/protocol.ts';
import { planOf } from '../../src/plan/attach.ts';
import { removalPlan } from '../../src/plan/removal.ts';
import { added, environment, host, type Json, network, textOf } from '../support/cni-requests.ts';

const uid = '5b0d9e2a-6d5c-4c40-9d0e-0123456789ab';
const args = `IgnoreUnknown=true;K8S_POD_NAMESPACE=blue;K8S_POD_NAME=app-0;K8S_POD_UID=${uid}`;
const pod = { namespace: 'blue', name: 'app-0', uid };
const kubeconfig = '/etc/cni/net.d/userspace.kubeconfig';
const env = { CNI_ARGS: args };

const hostPath: PodPlace = { pod, volume: { kind: 'hostPath', path: '/var/lib/app/' }, mountPath: '/run/app' };
const emptyDir: PodPlace = { pod, volume: { kind: 'emptyDir' }, mountPath: '/run/app/' };
const without: PodPlace = { pod };

const client = host({ vhost: { mode: 'client' } });
const planIn = (place: PodPlace, changes: Json = {}) =>
  planOf(added({ kubeconfig, sharedDir: '/pods', ...client, ...changes }, env), place);

const emptyDirPath = `/var/lib/kubelet/pods/${uid}/volumes/kubernetes.io~empty-dir/shared-dir`;

describe('the plan of an ADD in a pod', () => {
  it('puts the socket right into a hostPath, which is the pod’s and is never removed here, at any place (bug B18)', () => {
    for (const path of ['/var/lib/app', '/var/lib/vhost_sockets/mine', '/host/empty-dir/of/mine']) {
      const { socketDir, port } = planIn({ ...hostPath, volume: { kind: 'hostPath', path } });
      expect(socketDir).toMatchObject({ base: path });
      expect(socketDir).not.toHaveProperty('own');
      expect(port).toMatchObject({ directory: path, file: '0123456789ab-net1' });
      expect(port).not.toHaveProperty('link');
    }
  });

  it('puts it into the emptyDir by the uid that the kubelet knows, where the kubelet made it', () => {
    expect(planIn(emptyDir)).toMatchObject({
      socketDir: { base: emptyDirPath, kubelet: true },
      port: { directory: emptyDirPath, marks: { pod: 'blue/app-0', 'pod-uid': uid, kubeconfig } },
    });
    expect(planIn(emptyDir, { kubeletRootDir: '/data/kubelet' }).socketDir?.base).toBe(
      emptyDirPath.replace('/var/lib/kubelet', '/data/kubelet'),
    );
  });

  it('lets the switch in by a symlink of its own key where the path is too long, in client mode only (case A5, bug B31)', () => {
    const { port, socketDir, key } = planIn(emptyDir);
    const link = `/var/lib/vhost_sockets/${linkName(key)}`;
    expect(port?.link).toBe(link);
    expect(socketDir?.link).toBe(link);
    expect(Buffer.byteLength(`${link}/${port?.file}`)).toBeLessThanOrEqual(107);
    expect(planIn(emptyDir, { shortDir: '/s' }).port?.link).toBe(`/s/${linkName(key)}`);
    const server = planIn(emptyDir, host({ vhost: { mode: 'server' } }));
    expect([server.port?.link, server.socketDir?.link]).toEqual([undefined, undefined]);
  });

  it('says that a switch which is not root gets no access only where that is forbidden (need N2)', () => {
    expect(planIn(emptyDir).socketDir).not.toHaveProperty('grantAccess');
    expect(planIn(emptyDir, { grantAccess: false }).socketDir?.grantAccess).toBe(false);
  });

  it('falls back to a directory of its own below sharedDir in a pod without the volume', () => {
    expect(planIn(without)).toMatchObject({
      socketDir: { base: '/pods', own: '/pods/0123456789ab' },
      publication: { mappedDir: '/var/lib/cni/usrspcni/' },
    });
  });

  it('ends the mapped directory with one slash: readers put the file name right behind it (case A10)', () => {
    for (const place of [hostPath, emptyDir]) {
      expect(planIn(place).publication).toMatchObject({ kubeconfig, pod, mappedDir: '/run/app/' });
    }
  });

  it('gives device info the path that the container sees, and plans none where none was asked for (case A29)', () => {
    const CNIDeviceInfoFile = '/var/run/k8s.cni.cncf.io/devinfo/cni/x';
    expect(planIn(emptyDir, { runtimeConfig: { CNIDeviceInfoFile } }).deviceInfo).toEqual({
      path: CNIDeviceInfoFile,
      mode: 'server',
      socket: '/run/app/0123456789ab-net1',
    });
    expect(planIn(emptyDir)).not.toHaveProperty('deviceInfo');
  });

  it('is plain JSON data that equals itself: a repeated ADD is recognized by it', () => {
    expect(JSON.parse(JSON.stringify(planIn(emptyDir)))).toEqual(planIn(emptyDir));
  });
});

describe('the plan of a DEL without a journal', () => {
  const del = (config: Json, changes = {}) =>
    removalPlan(parseDel(environment({ ...env, ...changes }), textOf(config)));

  it('looks for the annotation where kubeconfig and pod are given, and always for the symlink', () => {
    const plan = del(network({ kubeconfig }));
    expect(plan.publication).toMatchObject({ kubeconfig, pod });
    expect(plan.socketDir?.link).toBe(`/var/lib/vhost_sockets/${linkName(plan.key)}`);
  });

  it('does without both (case A28)', () => {
    const stripped = { cniVersion: '1.0.0', name: 'net', type: 'userspace' };
    expect(del(stripped).publication).toHaveProperty('file');
    expect(del(network({ kubeconfig }), { CNI_ARGS: '' }).publication).toHaveProperty('file');
    expect(del(network({ kubeconfig }), { CNI_ARGS: args.replace('app-0', '../x') }).publication).toHaveProperty(
      'file',
    );
  });
});
