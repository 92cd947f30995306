/**
 * The predecessor's bind mount. The path of an emptyDir is too long for a socket, so the predecessor bound the pod's directory to
 * `/var/lib/vhost_sockets/UID`. The sockets below it are those of all interfaces of all sandboxes of a pod. If `sharedDir` is below
 * that base, it bound the sandbox's directory to itself. After a reboot the mount is gone, and its directory is still there.
 *
 * The row tells where the mount is. Without a row, the pod's uid tells it, or else the list of mounts. If several mounts are
 * possible, the files in them decide, or else the removal stays owed.
 */
import { lstat, readdir, realpath } from 'node:fs/promises';
import { basename, dirname, join, normalize } from 'node:path';
import { owner, shortId } from '../../attachment.ts';
import { removeEmpty } from '../files/directory.ts';
import { allMounts, isBind, isOnItself, podOfRoot, unmountAll } from '../files/mounts.ts';
import { codeOf, inTime, Mismatch } from '../outcome.ts';
import { type OperationResult, type Row, readMap, readUuid, select, withMarks } from './operations.ts';
import type { OldPort, Remains } from './predecessor-state.ts';

/** The uid of a pod, or the hash of a static pod. */
const uidPattern = /^([0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{32})$/i;

/** Whether the server behind a file system is gone for good, so that no process can reach a file there. */
export const isDead = (error: unknown): boolean => ['ENOTCONN', 'ESTALE'].includes(codeOf(error));

const isAbsent = (error: unknown): boolean => ['ENOENT', 'ENOTDIR'].includes(codeOf(error)) || isDead(error);

/** Finds the points where the predecessor may have bound this attachment's socket directory, whether or not it is mounted now. */
export async function findPoints(remains: Remains, found: OldPort | undefined): Promise<string[]> {
  const { old, state } = remains;
  const told = found?.socket ? [dirname(found.socket)] : state.boundTo;
  if (!told) return old.mount ? pointsOfPod(remains, basename(old.mount)) : await findUnnamed(remains);
  const points = await Promise.all(told.map((path) => resolved(remains, path)));
  return [...new Set(points.filter((point) => point !== undefined))];
}

/** The path as the list of mounts spells it. The last component is not resolved, because it is a mounted file system. */
async function resolved({ near }: Remains, path: string): Promise<string | undefined> {
  const whole = join(path, '.');
  const above = await inTime(realpath(dirname(whole)), near(), `"${dirname(whole)}"`).catch((error) => {
    if (!isAbsent(error)) throw error;
    return undefined;
  });
  return above && join(above, basename(whole));
}

const basesOf = ({ old }: Remains): Set<string> =>
  new Set([...(old.bases ?? []), ...(old.mount ? [dirname(old.mount)] : [])].map((base) => join(base, '.')));

function pointsOfPod(remains: Remains, uid: string): string[] {
  const listed = allMounts().filter((mount) => podOfRoot(mount) === uid && basename(mount.point) === uid);
  return [...new Set([...[...basesOf(remains)].map((base) => join(base, uid)), ...listed.map(({ point }) => point)])];
}

/**
 * Neither a row nor the call tells the point. If no other attachment uses a mount, and its pod's volume is gone, it can be removed
 * with this attachment.
 */
async function findUnnamed(remains: Remains): Promise<string[]> {
  const { old, state, others } = remains;
  const [mounts, bases] = [allMounts(), basesOf(remains)];
  const bound = mounts.filter(
    (mount) =>
      uidPattern.test(basename(mount.point)) &&
      (podOfRoot(mount) === basename(mount.point) || bases.has(dirname(mount.point))),
  );
  // If the sandbox has a directory of its own, the socket was not in a pod's volume.
  if (bound.length === 0 || (await isAnyThere(remains, old.directories.slice(1)))) return [];
  const users = await usersOf(remains);
  const free: string[] = [];
  for (const point of new Set(bound.map((mount) => mount.point))) {
    const files = await filesAt(remains, point);
    if (state.names.some((name) => files.has(name))) return [point];
    const isOthers = users.some(isBelow(point)) || others.some(({ names }) => names.some((name) => files.has(name)));
    if (!isOthers) free.push(point);
  }
  const isLiving = bound.some((mount) => free.includes(mount.point) && !mount.isOrphan);
  if (!isLiving) return free;
  throw new Mismatch(
    `cannot tell whether the predecessor bound the socket's directory to one of ${free.join(', ')}: it is settled when the pod's volume is gone, or unmount by hand what no pod uses`,
  );
}

async function isAnyThere({ near }: Remains, paths: readonly string[]): Promise<boolean> {
  const looked = paths.map((path) =>
    inTime(lstat(path), near(), `"${path}"`).catch((error) => {
      if (!isAbsent(error)) throw error;
      return undefined;
    }),
  );
  return (await Promise.all(looked)).some((stats) => stats !== undefined);
}

/** Lists the files below a point, and those beside it, because the predecessor forgot the slash in some paths. */
async function filesAt({ near }: Remains, point: string): Promise<Set<string>> {
  const list = (path: string) =>
    inTime(readdir(path), near(), `"${path}"`).catch((error) => {
      if (!isAbsent(error)) throw error;
      return [];
    });
  const name = basename(point);
  const beside = (await list(dirname(point))).filter((file) => file.startsWith(name) && file !== name);
  return new Set([...(await list(point)), ...beside.map((file) => file.slice(name.length))]);
}

interface User {
  readonly name: string;
  readonly device: string;
  readonly path: string;
}

const isBelow =
  (point: string) =>
  ({ path }: User): boolean =>
    path.startsWith(`${point}/`);

/** Selects every socket path that a row of the switch names. */
async function usersOf({ ovs }: Remains): Promise<User[]> {
  const asked = [
    select('Interface', [], ['_uuid', 'name', 'options']),
    select('Port', [withMarks({ owner })], ['name', 'external_ids']),
  ];
  const [devices, ports] = await ovs.patiently(() => ovs.read(asked));
  const users = (answer: OperationResult | undefined, path: (row: Row) => string | undefined): User[] =>
    (answer?.rows ?? []).map((row) => ({
      name: String(row.name),
      device: readUuid(row._uuid),
      path: normalize(path(row) ?? ''),
    }));
  return [
    ...users(devices, ({ options }) => readMap(options)['vhost-server-path']),
    ...users(ports, ({ external_ids }) => readMap(external_ids).socket),
  ];
}

/** Unmounts the predecessor's mount and removes the directory made for it, unless another attachment needs them. */
export async function removeMount(remains: Remains, point: string, found: OldPort | undefined): Promise<void> {
  const { ovs, old, near } = remains;
  const [mounts, bases] = [allMounts(), basesOf(remains)];
  const name = basename(point);
  const isNamed =
    uidPattern.test(name) || name === shortId(ovs.plan.key) || (!!old.mount && name === basename(old.mount));
  const isKnown = bases.has(dirname(point));
  const there = mounts.filter((mount) => mount.point === point);
  const isIts = there.every((mount) =>
    isNamed ? isKnown || isBind(mount, mounts) : isKnown && isOnItself(mount, mounts),
  );
  if (!isIts || (!isNamed && there.length === 0)) return;
  if (await isOthersToo(remains, point, found)) return;
  unmountAll(point);
  if (isNamed) await removeEmpty(point, near());
}

/**
 * Whether another attachment of the predecessor's still needs the mount. Its own removal then takes the mount away.
 * @throws Mismatch if a port needs it that is not the predecessor's
 */
async function isOthersToo(remains: Remains, point: string, found: OldPort | undefined): Promise<boolean> {
  const { state, others } = remains;
  if (others.some(({ sandbox }) => sandbox === state.sandbox)) return true;
  const users = (await usersOf(remains)).filter(isBelow(point)).filter(({ device }) => device !== found?.device);
  const names = new Set(others.flatMap((other) => other.names));
  const stranger = users.find((user) => !names.has(user.name));
  if (stranger)
    throw new Mismatch(`"${point}" stays mounted: port "${stranger.name}" uses "${stranger.path}" below it`);
  if (users.length > 0) return true;
  const files = await filesAt(remains, point);
  return [...names].some((file) => files.has(file));
}
