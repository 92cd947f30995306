/** The things that intel/userspace-cni-network-plugin leaves behind: rows without marks, its state files, its bind mounts. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterEach, onTestFinished } from 'vitest';
import { cniPath } from '../requirements.ts';
import type { Pod, TestNode } from './node.ts';
import type { Switch } from './switch.ts';

/** The uid of a pod. */
export const uid = '5b0d9e2a-6d5c-4c40-9d0e-0123456789ab';

const emptyDir = 'volumes/kubernetes.io~empty-dir/shared-dir';

interface Made {
  readonly mode?: 'client' | 'server';
  /** As the switch is told it. */
  readonly directory: string;
  /** The same directory as the application sees it. */
  readonly inside?: string;
  readonly name?: string;
  /** external_ids of the Interface, as the fork writes them. */
  readonly marks?: readonly string[];
}

/** For a suite: its mounts are unmounted after each test, before its node goes. */
export function usePredecessor(theSwitch: () => Switch, node: () => TestNode) {
  const stateDir = () => join(node().directory, 'usrspcni');
  /** Where it bound directories to. */
  const base = () => join(node().directory, 'vhost sockets');
  const stateFile = (pod: Pod, ifName = 'net1') => join(stateDir(), `local-${pod.shortId}-${ifName}.json`);
  const isMounted = (path: string) =>
    readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${path.replaceAll(' ', '\\040')} `);
  const unmount = (point: string) => execa('umount', ['--lazy', point], { reject: false });

  const mounted: string[] = [];
  afterEach(async () => {
    for (const point of mounted.splice(0)) await unmount(point);
  });

  async function mount(point: string, ...args: readonly string[]): Promise<void> {
    mkdirSync(point, { recursive: true });
    mounted.push(point);
    await execa('mount', [...args, point]);
  }

  async function listenAt(path: string): Promise<void> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    onTestFinished(() => void server.close());
  }

  function writeState(pod: Pod, ifName: string, text: string): void {
    mkdirSync(stateDir(), { recursive: true });
    writeFileSync(stateFile(pod, ifName), text);
  }

  /** Does the work of its ADD, in the same order. */
  async function made(pod: Pod, ifName: string, how: Made): Promise<void> {
    const { mode = 'client', directory, inside = directory, name = pod.portName(ifName), marks = [] } = how;
    mkdirSync(directory, { recursive: true });
    const settings =
      mode === 'client'
        ? ['type=dpdkvhostuserclient', `options:vhost-server-path=${JSON.stringify(join(directory, name))}`]
        : ['type=dpdkvhostuser'];
    const row = ['--', 'set', 'Interface', name, ...settings, ...marks];
    await theSwitch().vsctl('add-port', node().bridge, name, ...row);
    if (mode === 'server') await rename(join(theSwitch().rundir, name), join(directory, name));
    else await listenAt(join(inside, name));
    writeState(pod, ifName, JSON.stringify({ vhostname: name, vhostmac: '', ifmac: '' }));
    const env = {
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: pod.containerId,
      CNI_NETNS: pod.netns,
      CNI_IFNAME: ifName,
      CNI_PATH: cniPath,
    };
    await execa(join(cniPath, 'host-local'), [], { env, input: JSON.stringify(pod.call(ifName).config) });
  }

  /** A pod's emptyDir, bound as the predecessor binds it. @returns where the switch, and where the pod has it */
  async function bound(podUid = uid) {
    // A space is another character in the list of mounts.
    const inside = join(node().directory, 'kubelet root/pods', podUid, emptyDir);
    const directory = join(base(), podUid);
    mkdirSync(inside, { recursive: true });
    await mount(directory, '--bind', inside);
    return { inside, directory };
  }

  const willUnmount = (point: string) => void mounted.push(point);
  return { stateDir, base, stateFile, isMounted, mount, unmount, willUnmount, writeState, made, bound };
}
