/**
 * How long a call takes beside what it replaces, on a private switch:
 * `npm run bench [-- --rounds N --ports N --at-once N --owed N --rebooted N --before EXECUTABLE]`.
 *
 * R1 is the least that a plugin made of programs does: for ADD ovs-vsctl find, add-port, find and host-local ADD; for DEL ovs-vsctl
 * del-port, list-ports and host-local DEL. All calls are interleaved in one run, so that the ratios hold on a noisy machine.
 * With etcd and kube-apiserver (npm run kube-assets) the same is done for a pod that an API server knows.
 * `--owed N` compares a data directory of N debts with an empty one: the price for other attachments' calls, and for recover.
 * `--rebooted N` recovers N attachments of another boot, with their switch there, away and silent.
 * `--before EXECUTABLE` calls this executable and another one by turns.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Cluster } from '../test/support/cluster/cluster.ts';
import { createNetns, removeNetns } from '../test/support/real/netns.ts';
import { startSwitch } from '../test/support/real/switch.ts';
import { clusterParts, cniPath, executable, missing } from '../test/support/requirements.ts';
import { namespace, sharing, tokenOf, writeKubeconfig } from '../test/support/stand-in/api.ts';
import { copyDebt, writeDebtor } from './bench-owed.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '40' },
    ports: { type: 'string', default: '0' },
    'at-once': { type: 'string', default: '0' },
    owed: { type: 'string', default: '0' },
    rebooted: { type: 'string', default: '0' },
    before: { type: 'string' },
  },
});
const rounds = Number(values.rounds);
const standing = Number(values.ports);
const crowd = Number(values['at-once']);
const debts = Number(values.owed);

interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Record<string, string>;
  readonly input?: string;
  /** The expected exit code, 0 by default. */
  readonly exitCode?: number;
}

interface Sample {
  readonly wallMs: number;
  /** The CPU time of the program and of the programs that it waited for. */
  readonly cpuMs: number;
}

const samples = new Map<string, Sample[]>();

/** Several programs, one after the other, count as one. */
function timed(name: string, ...commands: Command[]): void {
  let [wallMs, cpuMs] = [0, 0];
  for (const command of commands) {
    const began = performance.now();
    const child = Bun.spawnSync(words(command), { ...surroundings(command), stderr: 'pipe' });
    wallMs += performance.now() - began;
    cpuMs += Number(child.resourceUsage.cpuTime.total) / 1000;
    if (child.exitCode !== (command.exitCode ?? 0))
      throw new Error(`${name}: exit ${child.exitCode}: ${child.stdout}${child.stderr}`);
  }
  samples.set(name, [...(samples.get(name) ?? []), { wallMs, cpuMs }]);
}

const words = ({ program, args }: Command): string[] => [program, ...args];

const surroundings = ({ env, input = '' }: Command) => ({
  env: { PATH: process.env.PATH ?? '', ...env },
  stdin: Buffer.from(input),
});

interface Crowd {
  /** The time until the last chain has ended. */
  readonly seconds: number;
  readonly failed: number;
}

/** Runs the chains of programs side by side; a chain ends with its first failure. */
async function atOnce(chains: readonly (readonly Command[])[]): Promise<Crowd> {
  const began = performance.now();
  const succeeds = async (command: Command): Promise<boolean> => {
    const child = Bun.spawn(words(command), { ...surroundings(command), stdout: 'ignore', stderr: 'ignore' });
    return (await child.exited) === 0;
  };
  const ends = chains.map(async (chain) => {
    for (const command of chain) if (!(await succeeds(command))) return false;
    return true;
  });
  const failed = (await Promise.all(ends)).filter((succeeded) => !succeeded).length;
  return { seconds: (performance.now() - began) / 1000, failed };
}

function median(name: string, of: keyof Sample): number {
  const sorted = (samples.get(name) ?? []).map((sample) => sample[of]).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

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
  const config = {
    cniVersion: '1.0.0',
    name: 'bench',
    type: 'userspace',
    sharedDir: join(directory, 'pods'),
    dataDir,
    ovsdb: ovs.ovsdb,
    host: { engine: 'ovs-dpdk', iftype: 'vhostuser', vhost: { mode: 'client' }, bridge: { bridgeName: 'bench0' } },
    ipam: ipam('addresses'),
  };
  await ovs.vsctl('add-br', 'bench0', '--', 'set', 'bridge', 'bench0', 'datapath_type=netdev');
  mkdirSync(join(directory, 'r1'));
  // At least one: a bridge without another port is a special case for both.
  for (let index = 0; index < Math.max(1, standing); index++) await ovs.vsctl(...addPort(`standing${index}`));
  const cni = (id: string) => ({ CNI_CONTAINERID: id, CNI_NETNS: netns, CNI_IFNAME: 'net1', CNI_PATH: cniPath });
  const ours = (verb: string, id: string, changes: object = {}, env: Record<string, string> = {}): Command => ({
    program: executable,
    args: [],
    env: { ...cni(id), CNI_COMMAND: verb, ...env },
    input: JSON.stringify({ ...config, ...changes }),
  });
  const vsctl = (...args: string[]): Command => ({ program: 'ovs-vsctl', args: [`--db=${ovs.ovsdb}`, ...args] });
  const hostLocal = (verb: string, id: string): Command => ({
    program: join(cniPath, 'host-local'),
    args: [],
    env: { ...cni(id), CNI_COMMAND: verb },
    input: JSON.stringify({ cniVersion: '1.0.0', name: 'r1', type: 'userspace', ipam: ipam('r1-addresses') }),
  });
  const r1Add = (id: string) => [
    vsctl('--columns=name', 'find', 'bridge', 'name=bench0'),
    vsctl(...addPort(id)),
    vsctl('--columns=mac_in_use', 'find', 'interface', `name=${id}`),
    hostLocal('ADD', id),
  ];
  const r1Del = (id: string) => [vsctl('del-port', 'bench0', id), vsctl('list-ports', 'bench0'), hostLocal('DEL', id)];
  const version: Command = {
    program: executable,
    args: [],
    env: { CNI_COMMAND: 'VERSION' },
    input: '{"cniVersion":"1.0.0"}',
  };

  const trace: string[] = [];
  for (let round = 0; round < rounds; round++) {
    const [id, other] = ['a', 'b'].map((letter) => `${round}`.padStart(12, letter)) as [string, string];
    timed('ADD', ours('ADD', id));
    trace.push(...journalOf(dataDir));
    timed('R1 ADD', ...r1Add(other));
    timed('DEL', ours('DEL', id));
    timed('R1 DEL', ...r1Del(other));
    if (cluster) {
      const { changes, env } = await preparePod(cluster, `app-${round}`);
      timed('ADD in a pod', ours('ADD', other, changes, env));
      timed('DEL in a pod', ours('DEL', other, changes, env));
    }
    // Without an IPAM plugin, whose VERSION would be asked: a process of its own.
    timed('STATUS', ours('STATUS', id, { cniVersion: '1.1.0', ipam: undefined }));
    timed('VERSION', version);
    timed('hello world', { program: hello, args: [] });
  }
  if (crowd > 0) {
    const ids = Array.from({ length: crowd }, (_, index) => `${index}`.padStart(12, 'c'));
    const pods = cluster && (await Promise.all(ids.map((id) => preparePod(cluster, `crowd-${id}`))));
    const oursOf = (verb: string) =>
      ids.map((id, index) => [ours(verb, id, pods?.[index]?.changes, pods?.[index]?.env)]);
    const mine = { add: await atOnce(oursOf('ADD')), del: await atOnce(oursOf('DEL')) };
    const theirs = { add: await atOnce(ids.map(r1Add)), del: await atOnce(ids.map(r1Del)) };
    const told = ({ seconds, failed }: Crowd) => `${seconds.toFixed(2)} s, ${failed} failed`;
    for (const verb of ['add', 'del'] as const) {
      const [a, b] = [mine[verb], theirs[verb]];
      const what = `${crowd} ${verb.toUpperCase()} at once${pods ? ' in pods' : ''}`;
      console.log(`${what}: ${told(a)}; R1 ${told(b)}; ratio ${(a.seconds / b.seconds).toFixed(2)}`);
    }
  }
  if (debts > 0) besideDebts(ours);
  if (Number(values.rebooted) > 0) await afterReboot(Number(values.rebooted), ours);
  if (values.before) besideBefore(values.before, ours, version);
  report();
  where(trace);
} finally {
  await cluster?.stop();
  await removeNetns(netns);
  await ovs.stop();
  rmSync(directory, { recursive: true, force: true });
}

/** Copies one real debt; then makes other attachments' calls in its data directory and in one without debts, by turns. */
function besideDebts(ours: (verb: string, id: string, changes: object, env?: Record<string, string>) => Command): void {
  const [owing, clean] = [join(directory, 'owing'), join(directory, 'clean')];
  const { name: type, settle } = writeDebtor(directory, join(cniPath, 'host-local'));
  const env = { CNI_PATH: `${directory}:${cniPath}` };
  const debtor = {
    dataDir: owing,
    ipam: { type, dataDir: join(directory, 'owed'), ranges: [[{ subnet: '10.0.0.0/8' }]] },
  };
  const key = { network: 'bench', containerId: 'd'.repeat(12), ifName: 'net1' };
  timed('a debt', ours('ADD', key.containerId, debtor, env), ours('DEL', key.containerId, debtor, env));
  const ids = Array.from({ length: debts - 1 }, (_, index) => `${index}`.padStart(12, 'e'));
  copyDebt(owing, key, ids);
  for (let round = 0; round < rounds; round++) {
    const [id, other] = ['f', 'a'].map((letter) => `${round}`.padStart(12, letter)) as [string, string];
    for (const verb of ['ADD', 'DEL']) {
      timed(`${verb} beside debts`, ours(verb, id, { dataDir: owing }));
      timed(`${verb} without`, ours(verb, other, { dataDir: clean }));
    }
  }
  const recover = (dataDir: string, exitCode = 0) => recoverOf(dataDir, exitCode, env.CNI_PATH);
  timed('recover without', recover(clean));
  timed('recover, owed', recover(owing, 3));
  settle();
  timed('recover, paid', recover(owing));
  const left = readdirSync(owing).filter((file) => file.endsWith('.journal')).length;
  if (left > 0) throw new Error(`${left} debts were not paid`);
  console.log(`beside ${debts} owed removals (medians of ${rounds} rounds, and the dearest):`);
  for (const verb of ['ADD', 'DEL']) {
    const [beside, without] = [`${verb} beside debts`, `${verb} without`].map((name) => median(name, 'wallMs'));
    const most = Math.max(...(samples.get(`${verb} beside debts`) ?? []).map(({ wallMs }) => wallMs));
    console.log(`  ${verb} ${ratio(beside, without)}; at most ${most.toFixed(1)} ms`);
  }
  const base = median('recover without', 'wallMs');
  for (const what of ['owed', 'paid']) {
    const each = (median(`recover, ${what}`, 'wallMs') - base) / debts;
    console.log(
      `  recover, for each debt that is ${what} after it: ${ratio(each, median('DEL without', 'wallMs'), 'a DEL')}`,
    );
  }
}

/** Calls every verb of both executables, each executable in a data directory of its own. */
function besideBefore(
  before: string,
  ours: (verb: string, id: string, changes: object) => Command,
  version: Command,
): void {
  const verbs = ['VERSION', 'ADD', 'DEL'];
  const sides = [
    { name: 'after', program: executable },
    { name: 'before', program: before },
  ];
  for (let round = 0; round < rounds; round++) {
    // The order alternates, because the first of a turn finds the caches as the other left them.
    const turns = round % 2 === 0 ? sides : [...sides].reverse();
    for (const verb of verbs) {
      for (const { name, program } of turns) {
        const id = `${round}`.padStart(12, name === 'after' ? 'f' : 'b');
        const call = verb === 'VERSION' ? version : ours(verb, id, { dataDir: join(directory, name) });
        timed(`${verb} ${name}`, { ...call, program });
      }
    }
  }
  console.log(`beside ${before} (medians of ${rounds} rounds):`);
  for (const verb of verbs) {
    const [wall, cpu] = (['wallMs', 'cpuMs'] as const).map((of) =>
      ratio(median(`${verb} after`, of), median(`${verb} before`, of), 'before'),
    );
    console.log(`  ${verb} ${wall}; CPU ${cpu}`);
  }
}

function recoverOf(dataDir: string, exitCode: number, path: string): Command {
  const args = ['recover', '--json', '--data-dir', dataDir, '--ovsdb', ovs.ovsdb];
  return { program: executable, args, env: { CNI_PATH: path }, exitCode };
}

/** Times recover after a boot: so many attachments, with their switch away, silent, and there. */
async function afterReboot(count: number, ours: (verb: string, id: string, changes: object) => Command): Promise<void> {
  const dataDir = join(directory, 'rebooted');
  const key = { network: 'bench', containerId: 'c'.repeat(12), ifName: 'net1' };
  timed('ADD', ours('ADD', key.containerId, { dataDir }));
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  const ids = Array.from({ length: count }, (_, index) => `${index}`.padStart(12, 'd'));
  copyDebt(dataDir, key, ids, (text) => text.replaceAll(boot, crypto.randomUUID()));
  timed('DEL', ours('DEL', key.containerId, { dataDir }));
  await ovs.stopDatabase();
  timed('rebooted, the switch away', recoverOf(dataDir, 3, cniPath));
  await ovs.startDatabase();
  ovs.pauseDatabase();
  timed('rebooted, the switch silent', recoverOf(dataDir, 3, cniPath));
  ovs.resumeDatabase();
  timed('rebooted, the switch there', recoverOf(dataDir, 0, cniPath));
  console.log(`recover, with ${count} attachments of another boot:`);
  for (const what of ['away', 'silent', 'there']) {
    const ms = median(`rebooted, the switch ${what}`, 'wallMs');
    console.log(`  the switch ${what}: ${(ms / 1000).toFixed(1)} s, ${(ms / count).toFixed(1)} ms each`);
  }
}

function ratio(a = Number.NaN, b = Number.NaN, against = 'without'): string {
  return `${a.toFixed(1)} ms, ${against} ${b.toFixed(1)} ms, ratio ${(a / b).toFixed(2)}`;
}

/** The calls of a plugin made of programs. */
function addPort(name: string): string[] {
  const socket = `options:vhost-server-path=${join(directory, 'r1', name)}`;
  return ['add-port', 'bench0', name, '--', 'set', 'interface', name, 'type=dpdkvhostuserclient', socket];
}

/** The pod as the kubelet has it when it starts a sandbox. */
async function preparePod(api: Cluster, name: string) {
  const { metadata } = await api.createPod({ name, ...sharing({ emptyDir: {} }) });
  const kubeletRootDir = join(directory, 'kubelet');
  const volumes = join(kubeletRootDir, 'pods', metadata.uid, 'volumes');
  mkdirSync(join(volumes, 'kubernetes.io~empty-dir', 'shared-dir'), { recursive: true });
  const kubeconfig = writeKubeconfig(directory, api, { token: tokenOf('plugin') });
  return {
    changes: { kubeconfig, kubeletRootDir, shortDir: join(directory, 'short') },
    env: {
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name};K8S_POD_UID=${metadata.uid}`,
    },
  };
}

function compileHello(): string {
  const source = join(directory, 'hello.ts');
  writeFileSync(source, 'console.log("hello")\n');
  const output = join(directory, 'hello');
  const flags = ['build', '--compile', '--bytecode', '--minify', '--format=esm', source, '--outfile', output];
  const { exitCode, stderr } = Bun.spawnSync([process.execPath, ...flags], { cwd: directory, stderr: 'pipe' });
  if (exitCode !== 0) throw new Error(String(stderr));
  return output;
}

function report(): void {
  console.log(`medians of ${rounds} rounds, ${standing} other ports on the bridge`);
  console.log('                          wall ms  against  ratio    CPU ms  against  ratio');
  for (const [ours, theirs] of [
    ['ADD', 'R1 ADD'],
    ['DEL', 'R1 DEL'],
    ['ADD in a pod', 'R1 ADD'],
    ['DEL in a pod', 'R1 DEL'],
    ['VERSION', 'hello world'],
    ['STATUS', 'hello world'],
  ] as const) {
    if (!samples.has(ours)) continue;
    const figures = (['wallMs', 'cpuMs'] as const).map((of) => {
      const [a, b] = [median(ours, of), median(theirs, of)];
      return `${a.toFixed(1).padStart(6)}  ${b.toFixed(1).padStart(6)}  ${(a / b).toFixed(2).padStart(5)}`;
    });
    console.log(`${ours.padEnd(13)} ${theirs.padEnd(12)} ${figures.join('   ')}`);
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
