/**
 * Asking the API server which rights an account has (SelfSubjectAccessReview, authorization.k8s.io/v1). The question stores
 * nothing, and every account may ask it.
 */
import { type Answer, objectOf, parse } from './api-answer.ts';

/** The sufficient rights (api-server.ts, KU2), by their names for people. */
export const rights = {
  'get pods': { verb: 'get', resource: 'pods' },
  'patch pods/status': { verb: 'patch', resource: 'pods', subresource: 'status' },
} as const;

export const reviewPath = 'apis/authorization.k8s.io/v1/selfsubjectaccessreviews';

const kind = 'SelfSubjectAccessReview';

/** @param namespace undefined: all of them */
export const reviewOf = (right: (typeof rights)[keyof typeof rights], namespace: string | undefined): string =>
  JSON.stringify({
    apiVersion: 'authorization.k8s.io/v1',
    kind,
    spec: { resourceAttributes: { ...right, ...(namespace && { namespace }) } },
  });

/** @returns undefined if the answer is not a review */
export function isAllowed({ body }: Answer): boolean | undefined {
  const review = objectOf(parse(body));
  const { allowed } = objectOf(review.status);
  return review.kind === kind && typeof allowed === 'boolean' ? allowed : undefined;
}
