/**
 * Whether the world is as it was left.
 */
import type { Trouble } from '../attachment.ts';
import { type Call, type Facts, type Outcome, type Perform, type Plan, steps } from '../machines/protocol.ts';

/** What is wrong with one step of an attachment; `unjudged`: it could not be asked for, so that it may be right. */
export type SurveyTrouble = Trouble & Pick<Extract<Outcome, { kind: 'failed' }>, 'unjudged'>;

/** How an attachment was left. */
interface Left {
  readonly plan: Plan;
  readonly facts: Facts;
}

/** Asks of every planned step whether the world still is as it was left: CHECK, and a repeated ADD. */
export async function survey({ plan, facts }: Left, perform: Perform, call: Call): Promise<SurveyTrouble[]> {
  const findings: SurveyTrouble[] = [];
  for (const name of steps) {
    if (!plan[name]) continue;
    const outcome = await perform({ step: name, verb: 'find', plan, facts }, call);
    if (outcome.kind === 'ok') continue;
    findings.push({ ...outcome.trouble, ...(outcome.kind === 'failed' && outcome.unjudged && { unjudged: true }) });
  }
  return findings;
}
