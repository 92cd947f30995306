/** Attachments that stand on the node while calls are timed: real ones of this executable, in the data directory of the calls. */
import { copyFileSync, mkdirSync, readdirSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { atOnce } from './measure.ts';
import { oneLine } from './scene.ts';
import { network, type Stage } from './stage.ts';
import { otherStores } from './ways.ts';

const together = 4;

/**
 * Raises their number. The stores of host-local of the other ways get the same addresses, because host-local reads all of its store.
 * @returns how many stand then; fewer than wanted if the switch takes no more, which is told
 */
export async function raiseTo(wanted: number, standing: number, stage: Stage): Promise<number> {
  let count = standing;
  while (count < wanted) {
    const ids = stage.freshIds(Math.min(together, wanted - count));
    const { failed, trouble } = await atOnce(ids.map((id) => [stage.call('ADD', id)]));
    count += ids.length - failed;
    if (failed === 0) continue;
    console.log(`${count} attachments stand, not ${wanted}: ${oneLine(trouble)}`);
    break;
  }
  const ours = join(stage.directory, 'addresses', network);
  const addresses = readdirSync(ours).filter((name) => isIP(name) !== 0);
  for (const store of otherStores(stage)) {
    mkdirSync(store, { recursive: true });
    for (const name of addresses) copyFileSync(join(ours, name), join(store, name));
  }
  return count;
}
