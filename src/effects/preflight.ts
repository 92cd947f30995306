/**
 * Everything about the world that can be known before an ADD touches it, all faults at once (I11). Reads only.
 */

import { dirname } from 'node:path';
import type { Trouble } from '../attachment.ts';
import { type Deadlines, type Moment, within } from '../deadlines.ts';
import type { Call, Plan, SocketDirPlan } from '../machines/protocol.ts';
import { groupTroubles } from './files/group.ts';
import { expectMakable, expectWritable, onlySilence, usable } from './files/look.ts';
import { roomTroubles } from './files/room.ts';

import type { Access } from './ovs/access.ts';
import { pathTroubles, switchTroubles, viewTroubles } from './ovs/preflight.ts';
import type { Switch } from './ovs/switch.ts';
import { programTroubles } from './program.ts';

/** What an ADD is about to use. */
interface Intended {
  readonly plan: Plan;
  readonly dataDir: string;
}

interface Means {
  readonly ovs: Switch;
  readonly access: Access;
}

export async function preflight({ ovs, access }: Means, { plan, dataDir }: Intended, call: Call, deadlines: Deadlines) {
  // Asked first: the rest is looked at while it answers.
  const soon = () => within(call.end, deadlines.directoryMs);
  const [ofSwitch, ofPlaces] = await Promise.all([
    switchTroubles(ovs, plan, { ...call, end: within(call.end, deadlines.switchMs) }, soon),
    placeTroubles(access, { plan, dataDir }, soon),
  ]);
  // A switch that cannot be asked is not waited for once more.
  const isAsked = ovs.databaseAt(plan.ovsdb) !== undefined;
  const ofAccess = isAsked ? await access.troubles(plan, soon()).catch(onlySilence) : [];
  return [...ofPlaces, ...ofSwitch, ...ofAccess];
}

/**
 * One look after the other: a dead file system keeps a thread for each look at it that has begun.
 * @param soon the end of a look that begins now
 */
async function placeTroubles(access: Access, { plan, dataDir }: Intended, soon: () => Moment): Promise<Trouble[]> {
  const { port, socketDir, address, ovsdb } = plan;
  return [
    ...(port ? pathTroubles(port) : []),
    ...(socketDir ? await directoryTroubles(socketDir, soon) : []),
    ...groupTroubles(socketDir ?? port ?? {}),
    ...(socketDir && port?.mode === 'client' ? await viewTroubles(access.pidBeside(ovsdb), port, soon) : []),
    ...(address ? programTroubles(address) : []),
    ...roomTroubles(dataDir),
  ];
}

async function directoryTroubles({ base, kubelet, own, link }: SocketDirPlan, soon: () => Moment): Promise<Trouble[]> {
  const name = own === undefined ? 'hostPath "shared-dir"' : '"sharedDir"';
  return [
    ...(await (kubelet
      ? usable('emptyDir "shared-dir"', base, (end) => expectWritable(base, end), soon())
      : usable(name, base, expectMakable(base), soon()))),
    ...(link ? await usable('"shortDir"', dirname(link), expectMakable(dirname(link)), soon()) : []),
  ];
}
