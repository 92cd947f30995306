/**
 * Keeps the plugin's kubeconfig fresh: a new token at half the life of the last one, and at once when the authority of the API server's
 * certificate has changed.
 *
 * Both clocks count: the monotonic one stands still while a virtual machine is paused, and the wall clock may be set.
 *
 * Invariants
 *  KN1 A token is replaced at half of its life, or after the time that is set, whichever clock says so.
 *  KN2 A failure is told, and is never the last try; nothing is called ready before the first success.
 *  KN3 The file is for root alone at every moment (plugin-kubeconfig.ts).
 */
import { messageOf } from '../attachment.ts';
import { now } from '../deadlines.ts';
import { pause } from './pause.ts';

/** How often the clocks and the authority are looked at. */
const lookMs = 10_000;
/** The pause after the first failure. It doubles with each further one, up to the second of these. */
const retryMs = 1_000;
const retryMsMax = 60_000;

interface Renewed {
  readonly expires: Date;
  /** The life of the token from its beginning. */
  readonly seconds: number;
}

export interface RenewalOptions {
  /** Writes a kubeconfig with a new token. */
  readonly renew: () => Promise<Renewed>;
  /** A text that is another one when a kubeconfig of before is no longer right. */
  readonly readAuthority: () => string;
  /** Called after the first success. */
  readonly ready: () => void;
  /** Instead of half of a token's life. */
  readonly renewAfterMs?: number | undefined;
  readonly stop: AbortSignal;
  readonly log: (line: string) => void;
}

/** Ends when it is told to stop. */
export async function keepFresh(options: RenewalOptions): Promise<void> {
  const { renew, readAuthority, ready, renewAfterMs, stop, log } = options;
  for (let failures = 0; !stop.aborted; ) {
    try {
      const authority = readAuthority();
      const { expires, seconds } = await renew();
      failures = 0;
      const restMs = renewAfterMs ?? (seconds * 1000) / 2;
      log(`the kubeconfig has a token until ${expires.toISOString()}; the next one in ${Math.round(restMs / 1000)} s`);
      ready();
      await rest(restMs, () => readAuthority() !== authority, stop);
    } catch (error) {
      const most = Math.min(retryMs * 2 ** failures++, retryMsMax);
      const restMs = most * (0.5 + Math.random() / 2);
      log(`no new kubeconfig, again in ${Math.ceil(restMs / 1000)} s: ${messageOf(error)}`);
      await pause(restMs, stop);
    }
  }
}

/** Returns when the time is over by one of the clocks, or something has changed. */
async function rest(ms: number, hasChanged: () => boolean, stop: AbortSignal): Promise<void> {
  const [end, wallEnd] = [now() + ms, Date.now() + ms];
  while (!stop.aborted && !hasChanged()) {
    const left = Math.min(end - now(), wallEnd - Date.now());
    if (left <= 0) return;
    await pause(Math.min(left, lookMs), stop);
  }
}
