/** A data directory with journals in every state, and the commands for people called on it in this process. */
import { join } from 'node:path';
import { type AttachmentKey, journalName, type Trouble } from '../../../src/attachment.ts';
import { runCli } from '../../../src/cli/cli.ts';
import type { CliNode } from '../../../src/cli/command-line.ts';
import type { Charset } from '../../../src/cli/text.ts';
import { now } from '../../../src/deadlines.ts';
import { type Begin, type Entry, formatVersion, machineVersion } from '../../../src/drive/entry.ts';
import { openJournal } from '../../../src/drive/past.ts';
import type { Host } from '../../../src/effects/host.ts';
import type { RecoveryReport } from '../../../src/figures/report.ts';
import { realDisk } from '../../../src/journal/disk.ts';
import { ensureInstance } from '../../../src/journal/store.ts';
import type { Outcome, Plan, Request, Step } from '../../../src/machines/protocol.ts';
import { instance } from '../instance.ts';
import { keyOf, planAt, soon } from '../stand-in/scene.ts';
import { temporaryDirectory } from '../temporary.ts';

const noon = new Date('2025-01-17T12:00:00.000Z');
export const begin = (key: AttachmentKey): Begin => ({
  kind: 'begin',
  format: formatVersion,
  machine: machineVersion,
  instance,
  boot: 'boot-1',
  netns: { path: '/run/netns/a', file: '4:1', directory: '21:1' },
  plan: {
    ...planAt('unix:/run/db.sock', '/pods', { key, port: { marks: { pod: 'blue/app' } } }),
    address: { program: 'pool', path: ['/opt/cni/bin'] },
  },
});

const made = (step: Step, outcome: Outcome = { kind: 'ok' }): Entry[] => [
  { kind: 'intent', step },
  { kind: 'outcome', step, verb: 'ensure', outcome, ms: 1.5 },
];

/** An ADD up to its port. */
export const adding = (key: AttachmentKey): Entry[] => [
  begin(key),
  ...made('address', { kind: 'ok', facts: { ips: [{ address: '10.0.0.5/24' }], routes: [] } }),
  ...made('socketDir'),
  ...made('bridge', { kind: 'ok', facts: { created: true } }),
];

export const attached = (key: AttachmentKey): Entry[] => [
  ...adding(key),
  ...made('port', { kind: 'ok', facts: { uuid: '00000000-0000-4000-8000-000000000001', ofport: 1 } }),
  ...made('publication'),
  { kind: 'attached' },
];

/** A DEL that could not release the address. */
export const owing = (key: AttachmentKey, message = 'the pool is away'): Entry[] => [
  ...attached(key),
  { kind: 'going', by: 'DEL' },
  { kind: 'outcome', step: 'port', verb: 'remove', outcome: { kind: 'ok' }, ms: 3 },
  {
    kind: 'outcome',
    step: 'address',
    verb: 'remove',
    outcome: { kind: 'failed', trouble: { code: 11, message } },
    ms: 9,
  },
];

export interface CliScene {
  readonly dataDir: string;
  /**
   * Writes the journal of a key.
   * @param minutes after each record until the next
   * @returns its path
   */
  journal(key: AttachmentKey, entries: readonly Entry[], going?: boolean, minutes?: number): Promise<string>;
  run(...args: string[]): Promise<Said>;
  /** Runs a command as on a terminal. */
  runInteractive(...args: string[]): Promise<Said>;
  /** Runs a command that stays, and hands over each text as it is printed. */
  runTelling(tell: (text: string) => void, ...args: string[]): Promise<Said>;
  /** The node, as a command is handed it. */
  readonly machine: () => CliNode;
  /** The reports of recoveries. */
  readonly reports: RecoveryReport[];
  /** The requests to the node, as `remove port net:c0ffee:net1`. */
  readonly asked: string[];
  /** How the node answers a request; by default nothing fails. */
  answer: (request: Request) => Outcome;
  /** The time at which a command is run. */
  now: Date;
  /** The ports of the switch at an address; by default all. */
  isThere: (ovsdb: string, plan: Plan) => boolean;
  /** Whether the network namespaces live, the switch has lost the ports, and why it would take none back. */
  life: 'alive' | 'gone';
  isLost: boolean;
  restoreTrouble: Trouble | undefined;
  /** The error of a switch that is away. */
  away: Error | undefined;
  /** How often a switch was asked for its ports. */
  looks: number;
  /** The directories of the runtime's networks and of the kernel's counts of hugepages; a test has to make them. */
  readonly networkDir: string;
  readonly hugepagesDir: string;
  /** Where the system's own programs are. */
  programDirs: readonly string[];
  /** systemd's directories, of which the second one is not there, and the directory of short links. */
  readonly systemd: { readonly units: string; readonly runs: string };
  readonly shortDir: string;
  readonly systemRoot: string;
  /** Where an agent's socket would be. */
  agentDir: string | undefined;
  /** CNI_PATH, split. */
  path: readonly string[];
  /** The answer of a kubeconfig's API server. */
  rights: Host['missingRights'];
  /** What becomes of an event on a pod. */
  tell: Host['tell'];
  /** The findings of an ADD's pre-flight, and whether it could ask the database. */
  preflight: Host['preflight'];
  databaseAt: Host['databaseAt'];
  /** The rows of this plugin on a switch. */
  rows: Host['ownRows'];
  /** The person's effective uid. */
  uid: number;
  /** The width of the terminal. */
  columns: number | undefined;
  /** The characters of the terminal. */
  charset: Charset;
  /** Ends a command that stays. */
  ended: Promise<void>;
}

interface Said {
  readonly exitCode: number;
  readonly out: string;
  readonly err: string;
}

export async function cliScene(): Promise<CliScene> {
  const dataDir = join(temporaryDirectory(), 'data');
  await ensureInstance(realDisk, dataDir, () => instance, soon());
  const asked: string[] = [];
  const host = (): Host => ({
    perform: (request) => {
      const { key } = request.plan;
      asked.push(`${request.verb} ${request.step} ${key.network}:${key.containerId}:${key.ifName}`);
      return Promise.resolve(scene.answer(request));
    },
    recall: (plan, { instance: own }) => Promise.resolve({ kind: 'known', plan, instance: own, isProved: false }),
    restoreTrouble: () => Promise.resolve(scene.restoreTrouble),
    forgetAway: () => false,
    lookUpPod: () => Promise.resolve({ kind: 'refused', troubles: [] }),
    preflight: (...asked) => scene.preflight(...asked),
    readNetns: () => undefined,
    judgeNetns: () => scene.life,
    isPortLost: () => (scene.away ? Promise.reject(scene.away) : Promise.resolve(scene.isLost)),
    databaseAt: (ovsdb) => scene.databaseAt(ovsdb),
    roomTroubles: () => [],
    removeIdleBridges: () => Promise.resolve([]),
    listPorts: () => (scene.away ? Promise.reject(scene.away) : Promise.resolve([])),
    missingRights: (...asked) => scene.rights(...asked),
    tell: (...asked) => scene.tell(...asked),
    portsThere: ({ ovsdb }, sought) => {
      scene.looks++;
      return scene.away
        ? Promise.reject(scene.away)
        : Promise.resolve(sought.map(({ plan }) => scene.isThere(ovsdb, plan)));
    },
    ownRows: (...asked) => scene.rows(...asked),
    collectAddresses: () => Promise.resolve([]),
    netnsTroubles: () => [],
    bootId: () => 'boot-1',
    moment: () => 'boot-1 0',
    close: () => undefined,
  });
  const machine = (): CliNode => ({
    disk: realDisk,
    host,
    path: scene.path,
    clock: () => scene.now,
    pid: process.pid,
    uid: scene.uid,
    networkDir: scene.networkDir,
    hugepagesDir: scene.hugepagesDir,
    programDirs: scene.programDirs,
    systemd: scene.systemd,
    shortDir: scene.shortDir,
    systemRoot: scene.systemRoot,
    agentDir: scene.agentDir,
    report: (recovery) => scene.reports.push(recovery),
  });
  const call = async (interactive: boolean, args: string[], tell?: (text: string) => void): Promise<Said> => {
    const [out, err]: [string[], string[]] = [[], []];
    const terminal = {
      args: ['--data-dir', dataDir, ...args],
      stdout: (text: string) => {
        out.push(text);
        tell?.(text);
      },
      stderr: (text: string) => void err.push(text),
      interactive,
      ...(scene.columns && { columns: scene.columns }),
      charset: scene.charset,
      ended: () => scene.ended,
      version: '1.2.3',
    };
    const exitCode = await runCli(terminal, machine());
    return { exitCode, out: out.join(''), err: err.join('') };
  };
  const scene: CliScene = {
    dataDir,
    machine,
    reports: [],
    asked,
    answer: () => ({ kind: 'ok' }),
    now: noon,
    isThere: () => true,
    life: 'alive',
    isLost: false,
    restoreTrouble: undefined,
    away: undefined,
    looks: 0,
    networkDir: join(dataDir, '..', 'net.d'),
    hugepagesDir: join(dataDir, '..', 'hugepages'),
    programDirs: [],
    systemd: { units: join(dataDir, '..', 'units'), runs: join(dataDir, '..', 'systemd') },
    shortDir: join(dataDir, '..', 'short'),
    systemRoot: join(dataDir, '..', 'root'),
    agentDir: undefined,
    path: [],
    rights: () => Promise.resolve([]),
    tell: () => Promise.resolve('sent'),
    preflight: () => Promise.resolve([]),
    databaseAt: () => undefined,
    rows: () => (scene.away ? Promise.reject(scene.away) : Promise.resolve({})),
    uid: 0,
    columns: undefined,
    charset: 'utf-8',
    ended: Promise.resolve(),
    journal: (key, entries, going = false, minutes = 0) =>
      writeJournal(join(dataDir, journalName(key)), entries, going, minutes),
    run: (...args) => call(false, args),
    runInteractive: (...args) => call(true, args),
    runTelling: (tell, ...args) => call(false, args, tell),
  };
  return scene;
}

export async function writeJournal(
  path: string,
  entries: readonly Entry[],
  going = false,
  minutes = 0,
): Promise<string> {
  let written = 0;
  const later = (): Date => new Date(noon.getTime() + written++ * minutes * 60_000);
  const journal = openJournal(realDisk, path, { create: true, clock: later });
  if (!journal) throw new Error(`no journal at "${path}"`);
  if ((await journal.lock(now())) !== 'held') throw new Error(`"${path}" is locked`);
  for (const entry of entries) journal.append(entry);
  if (going) journal.markGoing();
  journal.close();
  return path;
}

/** The beginning of a colour's escape sequence. */
export const colour = '\u001b[';

/** A data directory with a journal in each state. */
export async function everything(): Promise<CliScene> {
  const s = await cliScene();
  await s.journal(keyOf('aaaa00000000ffff'), attached(keyOf('aaaa00000000ffff')));
  await s.journal(keyOf('bbbb'), adding(keyOf('bbbb')));
  await s.journal(keyOf('cccc'), owing(keyOf('cccc')), true);
  await s.journal(keyOf('dddd'), []);
  await s.journal(keyOf('eeee'), [{ ...begin(keyOf('eeee')), machine: 99 }]);
  return s;
}
