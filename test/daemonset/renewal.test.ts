/** When the kubeconfig gets a new token; the test plays the API server and the authority's file. */
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { keepFresh } from '../../src/daemonset/renewal.ts';

interface Stage {
  /** For each question how many seconds its token lives, or the reason why there is none; the last one is repeated. */
  readonly answers: readonly (number | string)[];
  readonly renewAfterMs?: number;
}

/** Runs for as long as `until` is not true. */
async function run({ answers, renewAfterMs }: Stage, until: (asked: number, log: readonly string[]) => boolean) {
  const stop = new AbortController();
  const log: string[] = [];
  const scene = { asked: 0, readies: 0, authority: 'first', log };
  const kept = keepFresh({
    renew: async () => {
      const answer = answers[Math.min(scene.asked++, answers.length - 1)];
      if (typeof answer !== 'number') throw new Error(answer);
      // The clock of the API server is another one.
      return { expires: new Date(0), seconds: answer };
    },
    readAuthority: () => scene.authority,
    ready: () => scene.readies++,
    renewAfterMs,
    stop: stop.signal,
    log: (line) => log.push(line),
  });
  while (!until(scene.asked, log)) await delay(5);
  const end = async () => {
    stop.abort();
    await kept;
  };
  return { scene, end };
}

describe('the kubeconfig', () => {
  it('gets the next token at half the life of the last one, and no earlier (KN1)', async () => {
    const { scene, end } = await run({ answers: [86_400] }, (asked) => asked === 1);
    await delay(30);
    await end();
    expect(scene).toMatchObject({ asked: 1, readies: 1 });
    expect(scene.log[0]).toMatch(/; the next one in 43200 s$/);
  });

  it('gets the next token when it is told to, whatever the life of the last one (KN1)', async () => {
    const { scene, end } = await run({ answers: [86_400], renewAfterMs: 10 }, (asked) => asked >= 3);
    await end();
    expect(scene.asked).toBeGreaterThanOrEqual(3);
  });

  it('is asked for again after a failure, which is told, and nothing is ready before the first success (KN2)', async () => {
    const { scene, end } = await run({ answers: ['refused', 86_400] }, (_, log) => log.length === 2);
    await end();
    expect(scene).toMatchObject({ asked: 2, readies: 1 });
    expect(scene.log).toEqual([
      expect.stringMatching(/^no new kubeconfig, again in 1 s: refused$/),
      expect.stringMatching(/^the kubeconfig has a token until /),
    ]);
  });

  it('ends at once when it is told to stop, in a rest and after a failure', async () => {
    for (const answer of [86_400, 'refused']) {
      const { scene, end } = await run({ answers: [answer] }, (_, log) => log.length === 1);
      await end();
      expect(scene.asked).toBe(1);
    }
  });
});
