/**
 * How long a call takes beside what it replaces, on a private switch: `npm run bench [-- --rounds N] [-- --ports N]`.
 *
 * R1 is the least that a plugin made of programs does: for ADD ovs-vsctl find, add-port, find and host-local ADD; for DEL ovs-vsctl
 * del-port, list-ports and host-local DEL. Everything is interleaved in one run, so that the ratios hold on a noisy machine. With etcd
 * and kube-apiserver there (npm run kube-assets) the same is done for a pod that an API server knows.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { namespace, sharing, tokenOf, writeKubeconfig } from '../test/support/api.ts';
import { Cluster } from '../test/support/cluster.ts';
import { createNetns, removeNetns } from '../test/support/netns.ts';
import { clusterParts, cniPath, executable, missing } from '../test/support/requirements.ts';
import { startSwitch } from '../test/support/switch.ts';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '40' }, ports: { type: 'string', default: '0' } },
});
const rounds = Number(values.rounds);
const standing = Number(values.ports);

interface Sample {
  readonly wallMs: number;
  readonly output: string;
}

const samples = new Map<string, number[]>();

function timed(name: string, program: string, args: string[], env: Record<string, string>, input = ''): Sample {
  const began = performance.now();
  const { status, stdout, stderr } = spawnSync(program, args, { env: { PATH: process.env.PATH ?? '', ...env }, input });
  const wallMs = performance.now() - began;
  if (status !== 0) throw new Error(`${name}: exit ${status}: ${stdout}${stderr}`);
  samples.set(name, [...(samples.get(name) ?? []), wallMs]);
  return { wallMs, output: String(stdout) };
}

/** Several programs that count as one. */
function chain(name: string, steps: (() => Sample)[]): void {
  const wall = steps.reduce((sum, step) => sum + step().wallMs, 0);
  samples.set(name, [...(samples.get(name) ?? []), wall]);
}

const median = (name: string): number => {
  const sorted = [...(samples.get(name) ?? [])].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
};

const directory = mkdtempSync(join(tmpdir(), 'usb-'));
const ovs = await startSwitch();
const netns = await createNetns(join(directory, 'netns'), 'bench');
const cluster = missing(clusterParts).length === 0 ? await Cluster.start() : undefined;
try {
  const hello = compileHello();
  const dataDir = join(directory, 'data');
  const ipam = (name: string) => ({
    type: 'host-local',
    dataDir: join(directory, name),
    ranges: [[{ subnet: '10.0.0.0/8' }]],
  });
  const config = (mode: string) => ({
    cniVersion: '1.0.0',
    name: 'bench',
    type: 'userspace',
    sharedDir: join(directory, 'pods'),
    dataDir,
    ovsdb: ovs.ovsdb,
    host: { engine: 'ovs-dpdk', iftype: 'vhostuser', vhost: { mode }, bridge: { bridgeName: 'bench0' } },
    ipam: ipam('addresses'),
  });
  const db = `--db=${ovs.ovsdb}`;
  await ovs.vsctl('add-br', 'bench0', '--', 'set', 'bridge', 'bench0', 'datapath_type=netdev');
  mkdirSync(join(directory, 'r1'));
  // One at least: a bridge without another port is a special case for both.
  for (let index = 0; index < Math.max(1, standing); index++) {
    const socket = join(directory, 'r1', `standing${index}`);
    await ovs.vsctl(
      'add-port',
      'bench0',
      `standing${index}`,
      '--',
      'set',
      'interface',
      `standing${index}`,
      'type=dpdkvhostuserclient',
      `options:vhost-server-path=${socket}`,
    );
  }
  const cni = (id: string) => ({ CNI_CONTAINERID: id, CNI_NETNS: netns, CNI_IFNAME: 'net1', CNI_PATH: cniPath });
  const trace: string[] = [];
  // Without an IPAM plugin, whose VERSION would be asked: a process of its own.
  const status = JSON.stringify({ ...config('client'), cniVersion: '1.1.0', ipam: undefined });
  for (let round = 0; round < rounds; round++) {
    const id = `${round}`.padStart(12, 'a');
    const other = `${round}`.padStart(12, 'b');
    const input = JSON.stringify(config('client'));
    timed('ADD', executable, [], { ...cni(id), CNI_COMMAND: 'ADD' }, input);
    trace.push(...journalOf(dataDir));
    const r1Ipam = JSON.stringify({ cniVersion: '1.0.0', name: 'r1', type: 'userspace', ipam: ipam('r1-addresses') });
    const vsctl = (...args: string[]) => timed('ovs-vsctl', 'ovs-vsctl', [db, ...args], {});
    const hostLocal = (verb: string) =>
      timed(`host-local ${verb}`, join(cniPath, 'host-local'), [], { ...cni(other), CNI_COMMAND: verb }, r1Ipam);
    chain('R1 ADD', [
      () => vsctl('--columns=name', 'find', 'bridge', 'name=bench0'),
      () =>
        vsctl(
          'add-port',
          'bench0',
          other,
          '--',
          'set',
          'interface',
          other,
          'type=dpdkvhostuserclient',
          `options:vhost-server-path=${join(directory, 'r1', other)}`,
        ),
      () => vsctl('--columns=mac_in_use', 'find', 'interface', `name=${other}`),
      () => hostLocal('ADD'),
    ]);
    timed('DEL', executable, [], { ...cni(id), CNI_COMMAND: 'DEL' }, input);
    chain('R1 DEL', [
      () => vsctl('del-port', 'bench0', other),
      () => vsctl('list-ports', 'bench0'),
      () => hostLocal('DEL'),
    ]);
    if (cluster) {
      const { changes, args } = await preparePod(cluster, `app-${round}`);
      const asked = { ...cni(other), CNI_ARGS: args };
      const pod = JSON.stringify({ ...config('client'), ...changes });
      timed('ADD in a pod', executable, [], { ...asked, CNI_COMMAND: 'ADD' }, pod);
      timed('DEL in a pod', executable, [], { ...asked, CNI_COMMAND: 'DEL' }, pod);
    }
    timed('STATUS', executable, [], { CNI_COMMAND: 'STATUS', CNI_PATH: cniPath }, status);
    timed('VERSION', executable, [], { CNI_COMMAND: 'VERSION' }, '{"cniVersion":"1.0.0"}');
    timed('hello world', hello, [], {});
  }
  report();
  where(trace);
} finally {
  await cluster?.stop();
  await removeNetns(netns);
  await ovs.stop();
  rmSync(directory, { recursive: true, force: true });
}

/** As the kubelet has it when it starts a sandbox. */
async function preparePod(api: Cluster, name: string) {
  const { metadata } = await api.createPod({ name, ...sharing({ emptyDir: {} }) });
  const kubeletRootDir = join(directory, 'kubelet');
  const volumes = join(kubeletRootDir, 'pods', metadata.uid, 'volumes');
  mkdirSync(join(volumes, 'kubernetes.io~empty-dir', 'shared-dir'), { recursive: true });
  const kubeconfig = writeKubeconfig(directory, api, { token: tokenOf('plugin') });
  return {
    changes: { kubeconfig, kubeletRootDir, shortDir: join(directory, 'short') },
    args: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name};K8S_POD_UID=${metadata.uid}`,
  };
}

function compileHello(): string {
  const source = join(directory, 'hello.ts');
  writeFileSync(source, 'console.log("hello")\n');
  const output = join(directory, 'hello');
  const flags = ['build', '--compile', '--bytecode', '--minify', '--format=esm', source, '--outfile', output];
  const { status, stderr } = spawnSync(process.execPath, flags, { cwd: directory });
  if (status !== 0) throw new Error(String(stderr));
  return output;
}

function report(): void {
  console.log(`medians of ${rounds} rounds, ${standing} other ports on the bridge`);
  for (const [ours, theirs] of [
    ['ADD', 'R1 ADD'],
    ['DEL', 'R1 DEL'],
    ['ADD in a pod', 'R1 ADD'],
    ['DEL in a pod', 'R1 DEL'],
    ['VERSION', 'hello world'],
    ['STATUS', 'hello world'],
  ] as const) {
    if (!samples.has(ours)) continue;
    const [a, b] = [median(ours), median(theirs)];
    console.log(
      `${ours.padEnd(13)} ${a.toFixed(1).padStart(6)} ms   ${theirs.padEnd(12)} ${b.toFixed(1).padStart(6)} ms   ratio ${(a / b).toFixed(2)}`,
    );
  }
}

function journalOf(dataDir: string): string[] {
  const [name] = readdirSync(dataDir).filter((file) => file.endsWith('.journal'));
  return name ? readFileSync(join(dataDir, name), 'utf8').trim().split('\n') : [];
}

/** Where an ADD's time goes: the journal's own figures. */
function where(lines: readonly string[]): void {
  const steps = new Map<string, number[]>();
  for (const line of lines) {
    const { kind, step, ms } = JSON.parse(line);
    if (kind === 'outcome') steps.set(step, [...(steps.get(step) ?? []), ms]);
  }
  console.log('in an ADD (medians of its journals):');
  for (const [step, all] of steps) {
    const middle = all.sort((a, b) => a - b)[Math.floor(all.length / 2)] ?? 0;
    console.log(`  ${step.padEnd(12)} ${middle.toFixed(1).padStart(6)} ms`);
  }
}
