/** The manifests of deploy/kubernetes agree with each other and with the executable. The node lane applies them (daemonset.test.ts). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { version } from '../../package.json' with { type: 'json' };
import { imageReference } from '../../scripts/release/pack.ts';
import { help } from '../../src/cli/help.ts';
import { pluginKubeconfig } from '../../src/daemonset/plugin-kubeconfig.ts';
import { parseDaemonsetWords } from '../../src/daemonset/words.ts';
import type { Json } from '../support/stand-in/api.ts';

const read = (path: string): string => readFileSync(join('deploy/kubernetes', path), 'utf8');
const yaml = (path: string): Json => Bun.YAML.parse(read(path));
const pod = yaml('base/daemonset.yaml').spec.template.spec;
const [container] = pod.containers;
const [command, ...args] = container.args;

test('the DaemonSet runs the image of this version', () => {
  const [{ newName, newTag }] = yaml('base/kustomization.yaml').images;
  expect(`${newName}:${newTag}`).toBe(imageReference);
  expect(readFileSync('docs/getting-started.md', 'utf8')).toContain(`userspace-${version}-oci-amd64.tar`);
});

test('its words are those that the executable takes', () => {
  expect(command).toBe('daemonset');
  const { binDir, agent } = parseDaemonsetWords(args);
  expect(binDir).toBe('/opt/cni/bin');
  const known = [...help({ version: '' }, 'agent').matchAll(/^ {2}--([a-z-]+)/gm)].map(([, name]) => name);
  const said = agent.map((word) => word.replace(/^--|=.*$/g, ''));
  expect(said.filter((name) => !known.includes(name))).toEqual([]);
  // An agent that can tell of pods' trouble by Events does.
  expect(said.includes('events')).toBe(known.includes('events'));
});

test('the agent, the probe and the networks name one kubeconfig and one address', () => {
  const { agent, health } = parseDaemonsetWords(args);
  expect(agent).toContain(`--kubeconfig=${pluginKubeconfig}`);
  expect(agent).toContain(`--metrics=${health.host}:${health.port}`);
  const { host, port, path } = container.readinessProbe.httpGet;
  expect({ host, port, path }).toEqual({ ...health, path: '/healthz' });
  expect(JSON.parse(yaml('examples/network.yaml').spec.config).kubeconfig).toBe(pluginKubeconfig);
});

test('an agent has the time that it may take to end', () => {
  expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(20);
});

test('OpenShift allows as much as the pod asks for, and no more', () => {
  const { capabilities, privileged, readOnlyRootFilesystem } = container.securityContext;
  const scc = yaml('overlays/openshift/scc.yaml');
  expect(scc.allowedCapabilities).toEqual(capabilities.add);
  expect([scc.allowPrivilegedContainer, scc.allowHostNetwork, scc.allowHostPID, scc.readOnlyRootFilesystem]).toEqual([
    privileged,
    pod.hostNetwork,
    pod.hostPID,
    readOnlyRootFilesystem,
  ]);
  expect(scc.users).toEqual([`system:serviceaccount:userspace-cni:${pod.serviceAccountName}`]);
});
