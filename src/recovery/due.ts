/**
 * When a removal that is owed is tried again. A debt that fails for ever must not cost every DEL of the node a try: the pause grows
 * with each.
 */
import type { Entry } from '../drive.ts';

const pauseMs = 1_000;
/** A switch that is back, an IPAM plugin that was installed, is noticed by then. `userspace recover` does not wait for it. */
const pauseMsMax = 300_000;

/** @param records with that of the try which has just failed */
export function nextTry(records: readonly Entry[], now: Date): Date {
  const tries = records.filter(({ kind }) => kind === 'going').length;
  // The first one may have come at a bad moment: the next DEL tries again.
  const pause = tries < 2 ? 0 : pauseMs * 2 ** (tries - 2);
  return new Date(now.getTime() + Math.min(pause, pauseMsMax));
}
