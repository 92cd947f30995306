/** A machine's directories of a test's own, at their usual paths: for commands and pages that name them. */
import { cpSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDirectory } from '../temporary.ts';

export interface OwnPlaces {
  /** The path outside of a path inside. */
  outside(path: string): string;
  /** Words before a program: it runs in a mount namespace of its own, where the directories lie at their usual paths. */
  readonly under: readonly string[];
}

/** The directories that are replaced: those of the machine are not seen. */
const replaced = ['/etc', '/opt', '/run', '/usr/local/share', '/var/lib'];

/** @param switchDirectory the directory of a switch, seen at /run/openvswitch */
export function ownPlaces(switchDirectory?: string): OwnPlaces {
  const root = temporaryDirectory();
  const outside = (path: string): string => join(root, path);
  for (const path of [...replaced, '/run/openvswitch', '/opt/cni/bin', '/etc/systemd/system'])
    mkdirSync(outside(path), { recursive: true });
  // Programs look up users, libraries and macros there; not every machine has all of them.
  const needed = ['passwd', 'group', 'nsswitch.conf', 'ld.so.cache', 'alternatives', 'groff', 'manpath.config'];
  for (const name of needed.filter((one) => existsSync(join('/etc', one))))
    cpSync(join('/etc', name), join(root, 'etc', name), { recursive: true, verbatimSymlinks: true });
  const mounts = replaced.map((path) => `mount --rbind ${outside(path)} ${path}`);
  const ofSwitch =
    switchDirectory === undefined ? [] : [`mount --bind ${switchDirectory} ${outside('/run/openvswitch')}`];
  const script = [...ofSwitch, ...mounts, 'exec "$@"'].join(' && ');
  return { outside, under: ['unshare', '--mount', 'sh', '-c', script, 'sh'] };
}
