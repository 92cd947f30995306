/**
 * away: it cannot be reached, or turns every request away. silent: no answer came in time. unauthorized: the credentials are not
 * accepted (401). forbidden: the account may not write (403). too long: the annotations together would be over the API server's
 * limit. conflict: other clients' writes came before each of ours.
 */
type Why = 'away' | 'silent' | 'unauthorized' | 'forbidden' | 'too long' | 'conflict';

/** Why the API server cannot be used, with the CNI code that says whether coming back helps. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    readonly code: number,
    message: string,
    readonly why?: Why,
  ) {
    super(message);
  }
}

/** A fault of credentials, with a message that holds no secret. */
export class CredentialError extends Error {
  override readonly name = 'CredentialError';

  constructor(
    message: string,
    /** silent: their program did not end in time. */
    readonly why?: 'silent',
  ) {
    super(message);
  }
}
