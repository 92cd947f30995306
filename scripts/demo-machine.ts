/**
 * What the demo changes on the machine: packages, and that nothing starts by installing them. Says it first, puts back what can
 * be put back, names what stays.
 */
import { existsSync } from 'node:fs';
import { chmod, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { execa } from 'execa';
import { cniPath, missing, switchParts } from '../test/support/requirements.ts';
import type { Screen } from './demo-screen.ts';

const packages = ['openvswitch-switch-dpdk', 'openvswitch-common', 'containernetworking-plugins'];
const service = 'openvswitch-switch';

export interface Machine {
  /** The real switch can run; else the stand-in of the tests. */
  readonly real: boolean;
  /** There are IPAM programs. */
  readonly addresses: boolean;
  /** What stays on the machine, a line each. */
  readonly stays: readonly string[];
  /** A namespace to give to a pod, where we cannot make one as a runtime does. */
  netns(): Promise<string | undefined>;
  close(): Promise<void>;
}

export async function prepareMachine(screen: Screen): Promise<Machine> {
  const isRoot = process.getuid?.() === 0;
  const isDebian = existsSync('/etc/debian_version') && existsSync('/usr/bin/apt-get');
  if (!isRoot || !isDebian) return await standInMachine(screen, isRoot, isDebian);
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
  const apt = (...args: string[]) => execa('apt-get', ['-q', '-y', ...args], { env, timeout: 600_000 });
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

/** While it lasts no package starts a service. A policy that forbids it already is left as it is. @returns what undoes it */
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

/** Also what a demo that was killed has left. */
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
  const children: { kill(): void }[] = [];
  return {
    real: false,
    addresses,
    stays: [],
    netns: async () => await foreignNetns(children),
    close: async () => {
      for (const child of children) child.kill();
    },
  };
}

/** The namespace of a child of ours: what a user may make without being root. */
async function foreignNetns(children: { kill(): void }[]): Promise<string> {
  const unshare = [
    '--user',
    '--map-root-user',
    '--net',
    '--kill-child',
    '--fork',
    'sh',
    '-c',
    'echo ready; exec sleep 600',
  ];
  const child = execa('unshare', unshare, { reject: false, stdin: 'ignore', buffer: false });
  children.push({ kill: () => void child.kill('SIGKILL') });
  const ready = await Promise.race([
    new Promise<boolean>((resolve) => child.stdout.once('data', () => resolve(true))),
    child.then(() => false),
  ]);
  if (!ready) return `/proc/${process.pid}/ns/net`;
  return `/proc/${child.pid}/ns/net`;
}
