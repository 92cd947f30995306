/**
 * Whether the world is as it was left.
 */
import type { Trouble } from '../attachment.ts';
import { type Call, type Facts, type Outcome, type Perform, type Plan, steps } from '../machines/protocol.ts';

/** A fault of one step of an attachment. `unjudged`: no answer came, so the step may be as it was left. */
export type SurveyTrouble = Trouble & Pick<Extract<Outcome, { kind: 'failed' }>, 'unjudged'>;

/** An attachment as it was left. */
interface Left {
  readonly plan: Plan;
  readonly facts: Facts;
}

/** Asks for every planned step whether the world still is as it was left, for a CHECK or a repeated ADD. */
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
