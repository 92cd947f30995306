/**
 * Judges the remains of calls, by the truth of a fake world and the bytes of its disk. It uses nothing of the product:
 * names are spelled out again here (fake-node.ts), records are read as the JSON lines that `cat` shows.
 */
import { instance } from '../instance.ts';
import {
  type Answer,
  type Attachment,
  bridge,
  dataDir,
  directoryOf,
  type FakeNode,
  infoFileOf,
  journalOf,
  keyOf,
  portOf,
  socketOf,
} from './fake-node.ts';
import { type FakePod, type FakeWorld, permanent } from './fake-world.ts';
import type { SimulatedDisk } from './simulated-disk.ts';

/** Everything that is still there of an attachment, and every unused shared thing of ours; empty after a removal. */
export function leftOf(one: Attachment, node: FakeNode): string[] {
  const disk = node.disk.spawn();
  const files = [journalOf(one), `${journalOf(one)}.corrupt`].filter((path) => disk.lookup(path) !== undefined);
  return [...ownThings(keyOf(one), node.world), ...unusedThings(node.world), ...files];
}

/** The remains without the journal, which a removal cannot take away on a disk that cannot be written. */
export const leftInWorld = (one: Attachment, { world }: FakeNode): string[] => [
  ...ownThings(keyOf(one), world),
  ...unusedThings(world),
];

function ownThings(key: string, world: FakeWorld): string[] {
  const { ports, addresses, files } = world;
  return [
    ...annotationsOf(key, world),
    ...[...ports].filter(([, { by }]) => by === key).map(([name]) => `port ${name}`),
    ...[...addresses].filter(([, by]) => by === key).map(([address]) => `address ${address}`),
    ...[...files].filter(([, { by }]) => by === key).map(([path, { kind }]) => `${kind} ${path}`),
  ];
}

/** Judges after everything that is on its way has arrived. */
function annotationsOf(key: string, world: FakeWorld): string[] {
  const later = world.clone();
  later.land();
  return [...later.pods.values()].flatMap(({ annotations }) => [
    ...JSON.parse(annotations['userspace/configuration-data'] ?? '[]')
      .filter((entry: Record<string, string>) => `${entry.network}:${entry.containerId}:${entry.ifName}` === key)
      .map(() => 'annotation'),
    ...Object.keys(annotations)
      .filter((name) => name.startsWith('removing-'))
      .map((name) => `annotation ${name}`),
  ]);
}

function unusedThings(world: FakeWorld): string[] {
  const { bridges, files } = world;
  const idle = [...bridges].filter(([, { instance: mark, ports }]) => mark === instance && ports.length === 0);
  const empty = [...files].filter(
    ([path, { kind, by }]) => kind === 'directory' && by === 'shared' && world.childrenOf(path).length === 0,
  );
  const entries = [...world.entries].filter((path) => !path.startsWith('/var/lib/kubelet') && !files.has(path));
  return [
    ...idle.map(([name]) => `idle bridge ${name}`),
    ...empty.map(([path]) => `empty directory ${path}`),
    ...entries.map((path) => `entry on ${path}`),
  ];
}

/** Everything that does not belong to the attachments, as text: it must be the same before and after. */
export function othersThan(ones: readonly Attachment[], { world }: FakeNode): string {
  const keys = ones.map(keyOf);
  const rest = world.clone();
  const drop = <T>(map: Map<string, T>, by: (value: T) => string) => {
    for (const [name, value] of map) if (keys.includes(by(value))) map.delete(name);
  };
  const owned = new Set([...rest.ports].filter(([, { by }]) => keys.includes(by)).map(([name]) => name));
  drop(rest.ports, ({ by }) => by);
  drop(rest.addresses, (by) => by);
  drop(rest.files, ({ by }) => by);
  rest.land();
  rest.entries.clear();
  for (const [name, pod] of rest.pods) rest.pods.set(name, { ...pod, annotations: othersAnnotations(pod, keys) });
  for (const [name, { instance: mark, ports }] of rest.bridges) {
    const others = ports.filter((port) => !owned.has(port));
    if (mark === instance && others.length === 0) rest.bridges.delete(name);
    else rest.bridges.set(name, { instance: mark, ports: others });
  }
  for (const [path, { by }] of rest.files) {
    if (by === 'shared' && rest.childrenOf(path).length === 0) rest.files.delete(path);
  }
  return rest.describe();
}

/** The annotations of the pod's other attachments, and of anything else. */
function othersAnnotations({ annotations }: FakePod, keys: readonly string[]): FakePod['annotations'] {
  const { 'userspace/configuration-data': data = '[]', ...rest } = annotations;
  const others = JSON.parse(data).filter(
    (entry: Record<string, string>) => !keys.includes(`${entry.network}:${entry.containerId}:${entry.ifName}`),
  );
  const foreign = Object.entries(rest).filter(([name]) => !name.startsWith('removing-'));
  return { ...Object.fromEntries(foreign), ...(others.length > 0 && { data: JSON.stringify(others) }) };
}

/**
 * The faults of an attachment that was answered with success; empty if it is exactly attached.
 * @param boot the machine's boot at the time of ADD
 */
export function faultsOf(one: Attachment, node: FakeNode, answer?: Answer, boot = node.world.boot): string[] {
  const { world, disk } = node;
  const key = keyOf(one);
  const wanted = [
    `port ${portOf(one)}`,
    ...(one.ipam ? ['address'] : []),
    ...(one.mode === 'server' ? [`socket ${socketOf(one)}`] : []),
    one.pod ? 'annotation' : `file ${directoryOf(one)}/configData-${nameOf(one)}.json`,
    ...(one.pod && one.mode === 'client' ? [`symlink`] : []),
    ...(one.deviceInfo ? [`file ${infoFileOf(one)}`] : []),
  ];
  const things = ownThings(key, world).map(
    (thing) => ['address', 'symlink'].find((word) => thing.startsWith(`${word} `)) ?? thing,
  );
  const isHold = (thing: string) => thing.startsWith(`file ${directoryOf(one)}/.`);
  const isOfApplication = (thing: string) => one.mode === 'client' && thing === `socket ${socketOf(one)}`;
  const seen = things.filter((thing) => !isHold(thing) && !isOfApplication(thing));
  const port = world.ports.get(portOf(one));
  const header = headerOf(one, disk);
  return [
    ...difference(wanted, seen),
    ...(world.switchUser === undefined || world.entries.has(directoryOf(one)) ? [] : ['the switch may not come in']),
    ...(things.filter(isHold).length === (one.pod ? 0 : 1) ? [] : ['not one hold file']),
    ...(world.bridges.get(bridge)?.ports.includes(portOf(one)) ? [] : [`no port on ${bridge}`]),
    ...(port?.mode === one.mode && port.tag === one.vlan ? [] : ['port is not as asked']),
    ...(header?.boot === boot ? [] : [`journal is of boot ${header?.boot}`]),
    ...(isGoing(one, disk) ? ['going'] : []),
    ...addressFaults(key, world, answer),
  ];
}

const nameOf = (one: Attachment): string => `${one.containerId.slice(0, 12)}-${one.ifName}`;

function difference(wanted: readonly string[], seen: readonly string[]): string[] {
  return [
    ...wanted.filter((thing) => !seen.includes(thing)).map((thing) => `missing: ${thing}`),
    ...seen
      .filter((thing, index) => !wanted.includes(thing) || seen.indexOf(thing) !== index)
      .map((t) => `extra: ${t}`),
  ];
}

/** A fault unless the answered address is the one in the store. */
function addressFaults(key: string, { addresses }: FakeWorld, answer: Answer | undefined): string[] {
  if (answer?.kind !== 'ok' || !answer.result) return [];
  const held = [...addresses].filter(([, by]) => by === key).map(([address]) => `${address}/24`);
  const told = answer.result.ips.map(({ address }) => address);
  return held.join() === told.join() ? [] : [`told ${told}, holds ${held}`];
}

/** The journal's first record; undefined if there is none. */
export function headerOf(one: Attachment, disk: SimulatedDisk): { boot: string } | undefined {
  const [first] = recordsOf(one, disk);
  return first?.kind === 'begin' ? (first as unknown as { boot: string }) : undefined;
}

/**
 * The intact lines of an attachment's journal, as a person reads them; lines damaged by a power cut or a rotten disk are left
 * out.
 */
export function recordsOf(one: Attachment, disk: SimulatedDisk): SeenRecord[] {
  const text = contentOf(journalOf(one), disk.spawn());
  return (text ?? '')
    .split('\n')
    .slice(0, -1)
    .flatMap((line) => readLine(line) ?? []);
}

interface SeenRecord {
  readonly kind: string;
  readonly step?: string;
  readonly verb?: string;
  readonly outcome?: { readonly kind: string };
}

function readLine(line: string): SeenRecord | undefined {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** Whether the journal has the going mark, so that a later call has to finish the removal. */
export function isGoing(one: Attachment, disk: SimulatedDisk): boolean {
  return ((disk.spawn().lookup(journalOf(one))?.mode ?? 0n) & 0o7777n) === 0o1714n;
}

function contentOf(path: string, disk: SimulatedDisk): string | undefined {
  return disk.lookup(path) === undefined ? undefined : readFile(path, disk);
}

const decoder = new TextDecoder();

function readFile(path: string, disk: SimulatedDisk): string {
  const fd = disk.open(path, 'r');
  const text = decoder.decode(disk.read(fd));
  disk.close(fd);
  return text;
}

/** Every file of the data directory with its mode and content: equal disks give equal texts. */
export function describeDisk(disk: SimulatedDisk): string {
  const process = disk.spawn();
  if (process.lookup(dataDir) === undefined) return 'no directory';
  const files = process.list(dataDir).sort();
  return JSON.stringify(
    files.map((name) => {
      const path = `${dataDir}/${name}`;
      return [name, String(process.lookup(path)?.mode), readFile(path, process)];
    }),
  );
}

/** The broken laws: a touched place outside of our directories, or an attachment with two addresses. */
export function lawsBroken({ world }: FakeNode): string[] {
  const holders = [...world.addresses.values()].filter((by) => by !== 'admin');
  const twice = holders.filter((by, index) => holders.indexOf(by) !== index);
  const gone = permanent.filter((path) => !world.files.has(path));
  return [
    ...world.violations,
    ...twice.map((by) => `two addresses of ${by}`),
    ...gone.map((path) => `${path} is gone`),
  ];
}
