/** Why the API server cannot be used, with the CNI code that says whether coming back helps. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    readonly code: number,
    message: string,
    /** Rights are missing (403). */
    readonly forbidden = false,
  ) {
    super(message);
  }
}
