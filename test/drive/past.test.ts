/**
 * What a removal has to look for, by what a journal's records say of each step.
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

describe('what a removal has to look for', () => {
  it('is everything that is ours by its name, begun or not: a lost record leaves no leftover', () => {
    expect(undone(planWithout(), [])).toEqual(steps.filter((step) => step !== 'port'));
  });

  it('is the port once its step began: a user may have named its socket', () => {
    expect(undone(planWithout(), ['port'])).toEqual(steps);
  });

  it('is the annotation once its step began: looking for one costs other writers a conflict', () => {
    expect(undone(withAnnotation, ['port'])).not.toContain('publication');
    expect(undone(withAnnotation, ['port', 'publication'])).toEqual(steps);
  });

  it.each(steps)('is not %s if that was refused and made nothing', (step) => {
    expect(undone(withAnnotation, steps, [step])).toEqual(steps.filter((other) => other !== step));
  });

  it('keeps what is no step of the plan: its key, its switch, its request', () => {
    const { key, ovsdb, request } = planWithout();
    expect(planToUndo(planWithout(), [], steps)).toEqual({ key, ovsdb, request });
  });
});
