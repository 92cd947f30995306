/**
 * The demo's changes of the machine: it installs packages, and keeps their services from starting. It announces each change, puts
 * back what can be put back, and names what stays.
 */
import { existsSync } from 'node:fs';
import { chmod, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { execa } from 'execa';
import { type Daemon, launch } from '../test/support/real/daemon.ts';
import { cniPath, missing, switchParts } from '../test/support/requirements.ts';
import type { Screen } from './demo-screen.ts';

const packages = ['openvswitch-switch-dpdk', 'openvswitch-common', 'containernetworking-plugins'];
const service = 'openvswitch-switch';

/** How often a line is printed while packages are installed. */
const progressMs = 1_000;

export interface Machine {
  /** Whether the real switch can run; else the story uses the stand-in of the tests. */
  readonly real: boolean;
  /** Whether there are IPAM programs. */
  readonly addresses: boolean;
  /** The changes that stay on the machine, a line each. */
  readonly stays: readonly string[];
  /** A namespace for a pod, if the demo cannot make one as a runtime does. */
  netns(): Promise<string | undefined>;
  /** Added to the environment of the plugin. */
  readonly env: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

/** @param alone no other demo runs, so the changes of an earlier one are put back */
export async function prepareMachine(screen: Screen, alone: boolean): Promise<Machine> {
  const isRoot = process.getuid?.() === 0;
  const isDebian = existsSync('/etc/debian_version') && existsSync('/usr/bin/apt-get');
  if (!isRoot || !isDebian) return await standInMachine(screen, isRoot, isDebian);
  if (alone) await undoLast();
  screen.say('this demo changes the machine, as root: it reserves up to 256 hugepages of 2 MiB while it runs,');
  screen.say(
    'makes network namespaces, files in the temporary directory and a switch of its own; all of that is taken back',
  );
  const lacking = await notInstalled();
  if (lacking.length === 0) screen.say(`it installs nothing: ${packages.join(', ')} are there`);
  else await install(screen, lacking);
  const trouble = missing([...switchParts, 'ipam']);
  if (trouble.length > 0) throw new Error(trouble.join('; '));
  return {
    real: true,
    addresses: true,
    stays: staying(lacking),
    env: {},
    netns: async () => undefined,
    close: async () => undefined,
  };
}

function staying(installed: string[]): string[] {
  if (installed.length === 0) return [];
  const names = installed.join(' ');
  return [
    `packages that stay: ${names} and what they need; away with them: apt-get purge ${names} && apt-get autoremove`,
    `service ${service} was not started; it would be at the next boot: systemctl disable ${service} keeps it from that`,
  ];
}

async function notInstalled(): Promise<string[]> {
  const installed = async (name: string) => {
    const { stdout } = await execa('dpkg', ['--status', name], { reject: false });
    return /^Status: .* installed$/m.test(stdout);
  };
  const states = await Promise.all(packages.map(async (name) => ({ name, there: await installed(name) })));
  return states.filter(({ there }) => !there).map(({ name }) => name);
}

async function install(screen: Screen, names: string[]): Promise<void> {
  screen.say(`it installs ${names.join(', ')} by apt-get, without starting the service ${service}; they stay`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  const apt = async (...args: string[]): Promise<void> => {
    let said = performance.now();
    for await (const line of execa('apt-get', ['-q', '-y', ...args], { env, timeout: 600_000 })) {
      if (!/^(Get:|Unpacking|Setting up)/.test(line) || performance.now() - said < progressMs) continue;
      said = performance.now();
      screen.progress(line.slice(0, 70));
    }
  };
  const restore = await holdServices();
  try {
    // dpdk only recommends the memory pool drivers without which no port comes up, so recommended packages are taken too.
    await apt('update');
    await apt('install', ...names);
  } finally {
    await restore();
  }
  screen.say('installed');
}

const policyPath = '/usr/sbin/policy-rc.d';
const asidePath = `${policyPath}.userspace-demo`;
const marker = '# temporary, by the demo of userspace-cni';
/** invoke-rc.d(8): the action is not allowed. */
const forbidden = 101;

/** Forbids packages to start services. A policy that already forbids it stays as it is. @returns the function that undoes it */
async function holdServices(): Promise<() => Promise<void>> {
  await undoLast();
  const there = existsSync(policyPath);
  if (there && (await execa(policyPath, [service, 'start'], { reject: false })).exitCode === forbidden) {
    return async () => undefined;
  }
  if (there) await rename(policyPath, asidePath);
  const undo = () => undoLast();
  await writeFile(policyPath, `#!/bin/sh\n${marker}\nexit ${forbidden}\n`, { flag: 'wx' });
  await chmod(policyPath, 0o755);
  return undo;
}

/** Undoes the policy, also one that a killed demo left. */
async function undoLast(): Promise<void> {
  const ours = existsSync(policyPath) && (await readFile(policyPath, 'utf8')).includes(marker);
  if (ours) await rm(policyPath);
  if (existsSync(asidePath) && !existsSync(policyPath)) await rename(asidePath, policyPath);
}

async function standInMachine(screen: Screen, isRoot: boolean, isDebian: boolean): Promise<Machine> {
  if (!isRoot) screen.say('not root: no real Open vSwitch here; with sudo the demo runs one of its own');
  if (!isDebian) screen.say(`not Debian or Ubuntu: no packages to install; the demo would use ${packages.join(', ')}`);
  for (const line of missing([...switchParts.filter((part) => part !== 'root'), 'ipam'])) screen.say(line);
  screen.say('falling back to the embedded OVSDB stand-in of the tests: real plugin, real journal, pretended switch');
  const addresses = missing(['ipam']).length === 0;
  if (!addresses) screen.say(`without addresses: no IPAM programs in ${cniPath}`);
  const children: Daemon[] = [];
  const refusal = await namespaceRefusal();
  if (refusal !== undefined) {
    screen.say(`no network namespaces: a plain user needs user namespaces, and they are refused here (${refusal})`);
    screen.say(
      'so each pod is given the network namespace of this demo (CNI_NETNS_OVERRIDE=1); as root it gets its own',
    );
  }
  return {
    real: false,
    addresses,
    stays: [],
    env: refusal === undefined ? {} : { CNI_NETNS_OVERRIDE: '1' },
    netns: async () => (refusal === undefined ? await foreignNetns(children) : `/proc/${process.pid}/ns/net`),
    close: async () => {
      for (const child of children) child.kill('SIGKILL');
      await Promise.all(children);
    },
  };
}

/** The namespace that a plain user may make; containers, Ubuntu 24.04 and some kernels refuse it. */
const ownNamespace = ['unshare', '--user', '--map-root-user', '--net'];

async function namespaceRefusal(): Promise<string | undefined> {
  const { exitCode, stderr, message } = await execa({ reject: false })`${ownNamespace} true`;
  return exitCode === 0 ? undefined : stderr || message;
}

/** The namespace of a child of ours. */
async function foreignNetns(children: Daemon[]): Promise<string> {
  const child = launch([...ownNamespace, '--kill-child', '--fork', 'sh', '-c', 'echo ready; exec sleep 600'], '/', {});
  children.push(child);
  const isReady = new Promise<boolean>((resolve) => child.stdout.once('data', () => resolve(true)));
  if (!(await Promise.race([isReady, child.then(() => false)]))) {
    throw new Error(`a network namespace was made once, and now is not: ${(await child).stderr}`);
  }
  return `/proc/${child.pid}/ns/net`;
}
