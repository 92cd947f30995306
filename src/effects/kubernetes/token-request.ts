/**
 * Tokens from the API server (TokenRequest, authentication.k8s.io/v1), asked for as the account of the pod that this process runs in.
 *
 * Invariant: I12 no token ends up in an error.
 */
import { code, messageOf } from '../../attachment.ts';
import type { Moment } from '../../deadlines.ts';
import { describeAnswer, isUnauthorized, lacksRight, objectOf, parse, refusalOf } from './api-answer.ts';
import { ApiError } from './api-error.ts';
import { send } from './api-server.ts';
import type { Endpoint } from './kubeconfig.ts';

export interface TokenQuestion {
  readonly namespace: string;
  /** The name of the ServiceAccount. */
  readonly account: string;
  /** The API server may give a shorter or a longer life; 600 is the least that it takes. */
  readonly seconds: number;
}

export interface Token {
  readonly token: string;
  /** How long it lives, by the API server's word: the clocks of the two may differ. */
  readonly seconds: number;
  readonly expires: Date;
}

/** @throws ApiError */
export async function requestToken(endpoint: Endpoint, question: TokenQuestion, end: Moment): Promise<Token> {
  const { namespace, account, seconds } = question;
  const refused = (what: string) =>
    new ApiError(code.tryAgainLater, `API server ${endpoint.server.origin} ${what} (token of ${namespace}/${account})`);
  const body = JSON.stringify({
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: { expirationSeconds: seconds },
  });
  const path = `api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`;
  const answer = await send(endpoint, { method: 'POST', path, body }, end).catch((error) => {
    throw refused(`cannot be asked: ${messageOf(error)}`);
  });
  if (isUnauthorized(answer)) throw refused('does not accept the credentials of this pod (401)');
  if (lacksRight(answer, 'create', 'serviceaccounts/token'))
    throw refused('forbids to create serviceaccounts/token (403): RBAC needs it');
  const { spec, status } = objectOf(parse(answer.body));
  const { token, expirationTimestamp } = objectOf(status);
  const { expirationSeconds: granted } = objectOf(spec);
  const expires = new Date(String(expirationTimestamp));
  if (answer.status <= 299 && typeof token === 'string' && !Number.isNaN(expires.getTime()))
    return { token, expires, seconds: typeof granted === 'number' ? granted : seconds };
  // An answer that holds a token is not quoted.
  const isQuotable = answer.status > 299 && refusalOf(answer) !== undefined;
  throw refused(
    `answered ${answer.status}: ${isQuotable ? describeAnswer(answer, endpoint.headers) : 'that is no TokenRequest'}`,
  );
}
