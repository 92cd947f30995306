/** Pods of an API server (the stand-in, which shares its cases with the real one) as the ground of a suite's cases. */
import { afterAll, beforeAll } from 'vitest';
import type { Ground } from '../real/kill-matrix.ts';
import type { TestNode } from '../real/node.ts';
import { StandInApi } from '../stand-in/stand-in-api.ts';
import { KubeNode, podGround } from './kube-node.ts';

/** @param sampled how many points of each row when it is sampled */
export function usePodGround(node: () => TestNode, sampled?: number): () => Ground {
  let api: StandInApi | undefined;
  beforeAll(async () => {
    api = await StandInApi.start();
  });
  afterAll(() => api?.stop());
  const homes = new WeakMap<TestNode, KubeNode>();
  const home = (): KubeNode => {
    if (!api) throw new Error('the stand-in is not running');
    const known = homes.get(node()) ?? new KubeNode(node(), api);
    homes.set(node(), known);
    return known;
  };
  return () => podGround(home(), sampled);
}
