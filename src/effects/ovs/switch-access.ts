/**
 * The switch's way to a socket that it connects to, if ovs-vswitchd is not root. Its user must be able to search each directory on
 * the way, and to write to the socket (path_resolution(7), unix(7)). Otherwise the switch tries for ever and reports nothing.
 *
 * Owns: finding the closed places on that way and their owners, and opening the directories that are ours to open. Those are the
 * attachment's own and the kubelet's, which are root's. ACL entries on the pod's directories go with the pod. Entries on the two
 * directories that all pods share stay (docs/switch.md).
 */
import { constants, type Stats } from 'node:fs';
import { lstat, readlink, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { code, type Trouble } from '../../attachment.ts';
import type { Moment } from '../../deadlines.ts';
import type { Grant, Outcome, PortPlan, SocketDirPlan } from '../../machines/protocol.ts';
import { accessList, setAccessList } from '../../os/native.ts';
import {
  type AccessList,
  all,
  bytesOfList,
  hasRights,
  listOfMode,
  openList,
  readList,
  rightsIn,
  search,
  withUser,
  write,
} from '../files/acl.ts';
import { Directory } from '../files/directory.ts';
import { groupId, groupTroubles } from '../files/group.ts';
import { present } from '../files/look.ts';
import { ok } from '../outcome.ts';
import { isBelow, remoteFiles } from '../remote-files.ts';
import type { SwitchUser } from './switch-user.ts';

/** A port whose socket the application makes. */
export interface Sought {
  readonly socketDir: SocketDirPlan;
  readonly port: Pick<PortPlan, 'directory' | 'file' | 'link'>;
}

/** A directory on the way, or the socket at its end, that is closed to the switch's user. */
interface Closed {
  readonly path: string;
  readonly stats: Stats;
  /** `unknown`: it can neither be judged nor opened from here. */
  readonly whose: 'attachment' | 'kubelet' | 'other' | 'unknown';
}

/** The kernel's limit (path_resolution(7)). */
const symlinksMax = 40;

interface Place {
  readonly path: string;
  readonly stats: Stats;
}

/**
 * Lists the directories that a process has to search to reach `path`, with `path` itself and with symlinks resolved.
 * @returns the existing part of the way. @throws DirectoryTimeout
 */
async function wayTo(path: string, end: Moment): Promise<{ places: Place[]; isWhole: boolean }> {
  const found = new Map<string, Place>();
  const placesSoFar = () => [...found.values()];
  const rest = ['.', ...path.split('/').filter(Boolean)];
  let symlinks = 0;
  for (let here = '/'; ; ) {
    const name = rest.shift();
    if (name === undefined) return { places: placesSoFar(), isWhole: true };
    const next = join(here, name);
    const stats = await present(() => lstat(next), next, end);
    if (stats?.isSymbolicLink() && ++symlinks <= symlinksMax) {
      const target = (await present(() => readlink(next), next, end)) ?? '';
      rest.unshift(...target.split('/').filter(Boolean));
      if (target.startsWith('/')) here = '/';
    } else if (stats?.isDirectory()) {
      // A directory that is visited twice moves to the end, because the last entry must be the last directory.
      found.delete(next);
      found.set(next, { path: next, stats });
      here = next;
    } else return { places: placesSoFar(), isWhole: false };
  }
}

const listAt = (path: string, stats: Stats): AccessList => {
  const bytes = accessList(path, 'access');
  return (bytes && readList(bytes)) ?? listOfMode(stats.mode);
};

interface View {
  readonly user: SwitchUser;
  readonly isRemote: (path: string) => boolean;
}

/**
 * Judges whether the user may search a place, in the switch's own view of the file system.
 * @returns `unknown` if that view cannot be had; `elsewhere` if it may not, and sees a directory there that is not ours
 */
async function judge({ path, stats }: Place, { user, isRemote }: View, end: Moment) {
  let seen = { path, stats };
  if (user.pid !== undefined) {
    const there = `/proc/${user.pid}/root${path}`;
    const other = await present(() => stat(there), there, end);
    if (!other) return 'unknown';
    if (other.dev !== stats.dev || other.ino !== stats.ino) seen = { path: there, stats: other };
  }
  // A file system of another machine or process has its own rights, and reading its lists could block.
  if (isRemote(path)) return hasRights(user, stats, listOfMode(stats.mode), search) ? 'open' : 'unknown';
  if (hasRights(user, seen.stats, listAt(seen.path, seen.stats), search)) return 'open';
  return seen.path === path ? 'closed' : 'elsewhere';
}

/** <kubeletRootDir>/pods/<uid>/volumes/<plugin>/<volume> */
const kubeletRootOf = (base: string): string => join(base, '../../../../..');

/** Finds all closed places on the way, beginning at the root of the file system. */
async function closedOn({ socketDir, port }: Sought, user: SwitchUser, end: Moment): Promise<Closed[]> {
  const way = await wayTo(port.directory, end);
  const before = port.link === undefined ? [] : (await wayTo(dirname(port.link), end)).places;
  const kubelet = socketDir.kubelet && (await wayTo(kubeletRootOf(socketDir.base), end)).places.at(-1)?.path;
  const last = way.isWhole ? way.places.at(-1) : undefined;
  const whose = ({ path }: Place): Closed['whose'] => {
    if (path === last?.path && socketDir.own !== undefined) return 'attachment';
    return kubelet !== undefined && isBelow(path, kubelet) ? 'kubelet' : 'other';
  };
  const view = { user, isRemote: remoteFiles() };
  const closed: Closed[] = [];
  for (const place of new Map([...before, ...way.places].map((one) => [one.path, one])).values()) {
    const verdict = await judge(place, view, end);
    if (verdict === 'closed') closed.push({ ...place, whose: whose(place) });
    else if (verdict !== 'open') closed.push({ ...place, whose: verdict === 'elsewhere' ? 'other' : 'unknown' });
  }
  const socket = last && (await closedSocket(join(last.path, port.file), view, end));
  return socket ? [...closed, { ...socket, whose: whose(last) }] : closed;
}

/** Finds the application's socket if it exists already and is closed. */
async function closedSocket(path: string, { user, isRemote }: View, end: Moment): Promise<Place | undefined> {
  const stats = await present(() => lstat(path), path, end);
  if (!stats?.isSocket() || isRemote(path)) return undefined;
  return hasRights(user, stats, listAt(path, stats), write) ? undefined : { path, stats };
}

/** A group that does not exist is reported elsewhere. */
const isGroups = (plan: SocketDirPlan, user: SwitchUser): boolean =>
  plan.group !== undefined && groupTroubles(plan).length === 0 && user.groups.includes(groupId(plan.group));

/**
 * Finds the places that would keep the switch from an ADD's socket and that are not ours to open. Nothing is touched.
 * @param warn receives a message about places that cannot be judged
 */
export async function accessTroubles(
  sought: Sought,
  user: SwitchUser,
  end: Moment,
  warn: (message: string) => void,
): Promise<Trouble[]> {
  const { socketDir, port } = sought;
  const isForbidden = socketDir.grantAccess === false;
  const closed = await closedOn(sought, user, end);
  const unknown = closed.find(({ whose }) => whose === 'unknown');
  if (unknown) warn(`whether the switch's user ${user.name} may search "${unknown.path}" cannot be known from here`);
  const troubles = closed
    .filter(({ whose, stats }) => !stats.isSocket() && (whose === 'other' || (isForbidden && whose !== 'unknown')))
    // The step socketDir will let the switch in through its group.
    .filter(({ path }) => !(isGroups(socketDir, user) && basename(path) === basename(port.directory)))
    .map((one) => troubleOf(one, user, socketDir));
  const isMissing = (await present(() => lstat(port.directory), port.directory, end)) === undefined;
  if (isForbidden && socketDir.own !== undefined && isMissing && !isGroups(socketDir, user)) {
    troubles.push(
      bad(`"${socketDir.own}" would be root's alone (mode 0750), and ${closedTo(user)}: ${groupRemedy(user)}`),
    );
  }
  return troubles;
}

const bad = (message: string): Trouble => ({ code: code.invalidConfig, message });

const closedTo = (user: SwitchUser): string => `closed to the switch's user ${user.name}`;

const groupRemedy = ({ groups }: SwitchUser): string =>
  `set "host.vhost.group" to one of its groups (gid ${groups[0]}), or "grantAccess" to true`;

function troubleOf({ path, stats, whose }: Closed, user: SwitchUser, { grantAccess }: SocketDirPlan): Trouble {
  const mode = (stats.mode & 0o7777).toString(8).padStart(4, '0');
  const found = `"${path}" (uid ${stats.uid}, gid ${stats.gid}, mode ${mode}) is ${closedTo(user)}`;
  if (stats.isSocket()) {
    return bad(
      `${found}, which has to write to it to connect: start the application with umask 0002, or run setfacl -m u:${user.uid}:rw '${path}'`,
    );
  }
  if (whose === 'attachment') return bad(`${found}: ${groupRemedy(user)}`);
  const key = grantAccess === false && whose === 'kubelet' ? ', or set "grantAccess" to true' : '';
  return bad(`${found}, which has to search it: run setfacl -m u:${user.uid}:x '${path}'${key}`);
}

/** STATUS: whether the switch could search the way to a directory of the configuration, if that exists. */
export async function searchTroubles(directory: string, user: SwitchUser, end: Moment): Promise<Trouble[]> {
  const sought = {
    socketDir: { base: directory, hold: '' },
    port: { directory, file: '.' },
  };
  const closed = await closedOn(sought, user, end);
  return closed.filter(({ whose }) => whose === 'other').map((one) => troubleOf(one, user, sought.socketDir));
}

/** CHECK: the first place that is closed. */
export async function accessDrift(sought: Sought, user: SwitchUser, end: Moment): Promise<Trouble | undefined> {
  const one = (await closedOn(sought, user, end)).find(({ whose }) => whose !== 'unknown');
  return one && { ...troubleOf(one, user, sought.socketDir), code: code.drift };
}

/** Whether something is closed that `openWay` opens. */
export async function isToBeOpened(sought: Sought, user: SwitchUser, end: Moment): Promise<boolean> {
  if (sought.socketDir.grantAccess === false) return false;
  return (await closedOn(sought, user, end)).some(isOurs);
}

const isOurs = ({ whose }: Closed): boolean => whose === 'attachment' || whose === 'kubelet';

/** Opens the places that are ours to open. The switch's user may then connect to sockets that are made in the last directory. */
export async function openWay(sought: Sought, user: SwitchUser, end: Moment): Promise<Outcome> {
  const { socketDir, port } = sought;
  const isForbidden = socketDir.grantAccess === false;
  const granted: Grant[] = [];
  for (const one of await closedOn(sought, user, end)) {
    if (one.whose === 'unknown') continue;
    // A socket that is not ours to open existed before: CHECK reports it.
    if (one.stats.isSocket() && (isForbidden || !isOurs(one))) continue;
    const isOpened = !isForbidden && isOurs(one) && (await open(one, user, end));
    if (!isOpened) return { kind: 'failed', trouble: troubleOf(one, user, socketDir) };
    granted.push({ path: one.path, right: one.stats.isSocket() ? 'connect' : 'search' });
  }
  const isLasts = socketDir.own !== undefined || socketDir.kubelet === true;
  if (!isForbidden && isLasts && (await openLast(port.directory, user, end))) {
    granted.push({ path: port.directory, right: 'connect' });
  }
  return granted.length === 0 ? ok : { kind: 'ok', facts: { uid: user.uid, granted } };
}

/** @returns whether it is open now */
async function open({ path, stats, whose }: Closed, user: SwitchUser, end: Moment): Promise<boolean> {
  const isSocket = stats.isSocket();
  const directory = await Directory.open(isSocket ? dirname(path) : path, end);
  try {
    // The directory keeps a group that the configuration let in.
    const isGroupFree = whose === 'attachment' && !isSocket && (stats.mode & constants.S_IWGRP) === 0;
    if (isGroupFree) await directory.giveToGroup(user.groups[0] ?? 0);
    const name = isSocket ? basename(path) : '.';
    const now = await directory.stat(name);
    if (!now || (isSocket && !now.isSocket())) return false;
    const wanted = isSocket ? write : search;
    const list = listAt(directory.at(name), now);
    if (hasRights(user, now, list, wanted)) return true;
    const rights = rightsIn(user, now, list) | wanted;
    return setAccessList(directory.at(name), 'access', bytesOfList(withUser(list, user.uid, rights)));
  } finally {
    await directory.close();
  }
}

/**
 * Gives the switch's user all rights in the directory's default list, so that it may connect to a socket made with umask 0002.
 * (With umask 0022 the kernel takes that back: see docs/switch.md.) A file system without lists is not a fault.
 * @returns whether something was changed
 */
async function openLast(path: string, user: SwitchUser, end: Moment): Promise<boolean> {
  if (remoteFiles()(path)) return false;
  const directory = await Directory.open(path, end);
  try {
    const bytes = accessList(directory.at('.'), 'default');
    const wanted = bytesOfList(withUser((bytes && readList(bytes)) ?? openList, user.uid, all));
    if (bytes && Buffer.compare(bytes, wanted) === 0) return false;
    return setAccessList(directory.at('.'), 'default', wanted);
  } finally {
    await directory.close();
  }
}
