/**
 * The plan that a removal has to look for, by a journal's records of each step.
 */
import { describe, expect, it } from 'vitest';
import { planToUndo } from '../../src/drive/past.ts';
import { type AnnotationPlan, type Plan, type Step, steps } from '../../src/machines/protocol.ts';
import { plannedOf, planWithout } from '../support/fake/machine-events.ts';

const annotation: AnnotationPlan = {
  kubeconfig: '/etc/kubeconfig',
  pod: { namespace: 'pods', name: 'app' },
  mappedDir: '/var/lib/cni/usrspcni/',
  data: {},
};

const withAnnotation: Plan = { ...planWithout(), publication: annotation };

const undone = (plan: Plan, begun: readonly Step[], refused: readonly Step[] = []): Step[] =>
  plannedOf(planToUndo(plan, begun, refused));

describe('the plan of a removal', () => {
  it('has everything that is ours by its name, begun or not: a lost record leaves no leftover', () => {
    expect(undone(planWithout(), [])).toEqual(steps.filter((step) => step !== 'port'));
  });

  it('has the port once its step began: a user may have named its socket', () => {
    expect(undone(planWithout(), ['port'])).toEqual(steps);
  });

  it('has the annotation once its step began: looking for one costs other writers a conflict', () => {
    expect(undone(withAnnotation, ['port'])).not.toContain('publication');
    expect(undone(withAnnotation, ['port', 'publication'])).toEqual(steps);
  });

  it.each(steps)('leaves %s out if that was refused and made nothing', (step) => {
    expect(undone(withAnnotation, steps, [step])).toEqual(steps.filter((other) => other !== step));
  });

  it('keeps the members that are not steps: key, switch and request', () => {
    const { key, ovsdb, request } = planWithout();
    expect(planToUndo(planWithout(), [], steps)).toEqual({ key, ovsdb, request });
  });
});
