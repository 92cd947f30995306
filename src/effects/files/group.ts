/**
 * The group of `vhost.group`, as the host's /etc/group knows it.
 */
import { readFileSync } from 'node:fs';
import { code, messageOf, type Trouble } from '../../attachment.ts';
import type { SocketDirPlan } from '../../machines/protocol.ts';
import { Mismatch } from '../outcome.ts';

/** Looks a group up in the host's /etc/group; a number is taken as it is. @throws if there is no such group. */
export function groupId(group: string): number {
  if (/^\d+$/.test(group)) return Number(group);
  for (const line of readFileSync('/etc/group', 'utf8').split('\n')) {
    const [name, , gid] = line.split(':');
    if (name === group && gid) return Number(gid);
  }
  throw new Mismatch(`there is no group "${group}" in /etc/group`);
}

export function groupTroubles({ group }: Pick<SocketDirPlan, 'group'>): Trouble[] {
  try {
    if (group) groupId(group);
    return [];
  } catch (error) {
    const message = `"host.vhost.group": ${messageOf(error)}`;
    return [{ code: code.invalidConfig, message }];
  }
}
