/** The shape of a planted bug, and the names of its suites. */

export interface Patch {
  readonly file: string;
  /** The text to replace, which the file has exactly once. */
  readonly search: string;
  readonly replace: string;
}

export interface Suite {
  readonly project: 'unit' | 'property' | 'fault' | 'system' | 'real-fault';
  readonly file: string;
  /** A part of the titles of the tests to run. */
  readonly only?: string;
}

export interface Bug {
  readonly letter: string;
  readonly title: string;
  readonly patches: readonly Patch[];
  readonly suites: readonly Suite[];
}

export const unit = (file: string, only?: string): Suite => ({ project: 'unit', file, ...(only && { only }) });
export const property = (file: string): Suite => ({ project: 'property', file });
export const fault = (file: string, only?: string): Suite => ({ project: 'fault', file, ...(only && { only }) });
export const system = (file: string, only?: string): Suite => ({ project: 'system', file, ...(only && { only }) });
export const real = (file: string, only?: string): Suite => ({ project: 'real-fault', file, ...(only && { only }) });
