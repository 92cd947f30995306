/**
 * The way in of a suite's calls: `WAY=agent` makes them through an agent, otherwise each call is a process of its own. The suites are the
 * same, and so is what they expect.
 */
import { afterAll, beforeAll } from 'vitest';
import { Agent } from './agent.ts';

const isThroughAgent = process.env.WAY === 'agent';

let agent: Agent | undefined;

/** The variable that every call of a suite has in its environment. */
export const wayVariable = (): { readonly USERSPACE_CNI_AGENT: string } => ({
  USERSPACE_CNI_AGENT: agent?.directory ?? 'off',
});

/** Called once in a suite: its agent lives as long as it does. */
export function useWay(): void {
  if (!isThroughAgent) return;
  beforeAll(async () => {
    agent = await Agent.start();
  });
  afterAll(async () => {
    await agent?.stop();
    agent = undefined;
  });
}
