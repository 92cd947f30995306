/**
 * The way in of a suite's calls: `WAY=agent` makes them through an agent, otherwise each call is a process of its own. The suites are the
 * same, and so is what they expect.
 */
import { afterAll, beforeAll } from 'vitest';
import { Agent } from './agent.ts';

export const isThroughAgent = process.env.WAY === 'agent';

let agent: Agent | undefined;

/** The options of a call that asks the agent in this directory. */
export const through = (directory: string) => ({ env: { USERSPACE_CNI_AGENT: directory } });

/** For a call that asks no agent. */
export const byItself = through('off');

/** The variable that every call of a suite has in its environment. */
export const wayVariable = () => (agent ? through(agent.directory) : byItself).env;

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
