/**
 * Finding all faults of the world that can be known before an ADD touches it, all at once (I11). Reads only.
 */
import { dirname } from 'node:path';
import type { Trouble } from '../attachment.ts';
import { type Deadlines, type Moment, within } from '../deadlines.ts';
import type { Call, Plan, SocketDirPlan } from '../machines/protocol.ts';
import type { Engine, EnginePreflight } from './engine.ts';
import { groupTroubles } from './files/group.ts';
import { expectMakable, expectWritable, onlySilence, usable } from './files/look.ts';
import { roomTroubles } from './files/room.ts';
import { programTroubles } from './program.ts';

/** The plan and data directory that an ADD is about to use. */
interface Intended {
  readonly plan: Plan;
  readonly dataDir: string;
}

export async function preflight(
  engine: Engine,
  { plan, dataDir }: Intended,
  call: Call,
  deadlines: Deadlines,
): Promise<Trouble[]> {
  const soon = () => within(call.end, deadlines.directoryMs);
  // The switch is asked first, because the rest can be looked at while it answers.
  const [ofSwitch, ofPlaces] = await Promise.all([
    engine.preflight.stateTroubles(plan, call, soon),
    placeTroubles(engine.preflight, { plan, dataDir }, soon),
  ]);
  // If the switch did not answer, it is not waited for a second time.
  const isAsked = engine.databaseAt(plan.ovsdb) !== undefined;
  const ofWay = isAsked ? await engine.preflight.wayTroubles(plan, soon()).catch(onlySilence) : [];
  return [...ofPlaces, ...ofSwitch, ...ofWay];
}

/**
 * The looks follow each other, because a dead file system keeps a thread for each look that has begun.
 * @param soon the end of a look that begins now
 */
async function placeTroubles(
  ofEngine: EnginePreflight,
  { plan, dataDir }: Intended,
  soon: () => Moment,
): Promise<Trouble[]> {
  const { port, socketDir, address } = plan;
  return [
    ...ofEngine.pathTroubles(plan),
    ...(socketDir ? await directoryTroubles(socketDir, soon) : []),
    ...groupTroubles(socketDir ?? port ?? {}),
    ...(await ofEngine.viewTroubles(plan, soon)),
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
