/** The things that all scenes of a run share. */
import type { Agent } from './agent.ts';
import type { Options } from './options.ts';
import type { Report } from './report.ts';
import { type Changes, ordinary, type Stage } from './stage.ts';
import type { Way } from './ways.ts';

export interface Scene {
  readonly options: Options;
  readonly stage: Stage;
  readonly agent: Agent;
  readonly ways: readonly Way[];
  readonly report: Report;
}

/** The places where calls are made; the second only if there is an API server. */
export interface Place {
  /** The words behind a call's verb. */
  readonly suffix: '' | ' in a pod';
  readonly ways: readonly Way[];
  /** Prepares what a call for this container says more. */
  readonly prepare: (id: string) => Promise<Changes>;
}

export function placesOf({ stage, ways }: Scene): Place[] {
  const node: Place = { suffix: '', ways, prepare: async () => ordinary };
  const pods = ways.filter(({ knowsPods }) => knowsPods);
  const pod: Place = { suffix: ' in a pod', ways: pods, prepare: (id) => stage.preparePod(`app-${id}`) };
  return stage.cluster ? [node, pod] : [node];
}

/** Another way begins in each round, because the first of a turn finds the caches as the last one left them. */
export function rotated<T>(all: readonly T[], round: number): T[] {
  const first = round % all.length;
  return [...all.slice(first), ...all.slice(0, first)];
}

export const named = (call: string, way: string): string => `${call} | ${way}`;

/** The failures of ways that may fail. */
export class Failures {
  readonly #all = new Map<string, { count: number; first: string }>();

  /** @throws the failure of a way that may not fail */
  guard(name: string, mayFail: boolean, action: () => void): void {
    try {
      action();
    } catch (error) {
      if (!mayFail) throw error;
      const { count, first } = this.#all.get(name) ?? { count: 0, first: oneLine(error) };
      this.#all.set(name, { count: count + 1, first });
    }
  }

  lines(): string[] {
    return [...this.#all].map(([name, { count, first }]) => `${name} failed ${count} times; first: ${first}`);
  }
}

const longest = 200;

export const oneLine = (error: unknown): string =>
  String(error instanceof Error ? error.message : error)
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, longest);
