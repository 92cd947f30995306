/**
 * The report of a call, or a recovery, that is done: one JSON document over a socket of the agent (agent/report.ts). Its reader believes
 * nothing of it, because another release may have written it.
 */
import type { Step } from '../machines/protocol.ts';

/** A making and a removal of one thing are told apart; other verbs of a step change nothing. */
type Direction = 'ensure' | 'remove';

export interface DoneStep {
  readonly step: Step;
  readonly direction: Direction;
  readonly ms: number;
  readonly failed: boolean;
}

export interface CallReport {
  readonly kind: 'call';
  /** CNI_COMMAND. */
  readonly verb: string;
  /** 0, or the code of the error that the runtime was given. */
  readonly code: number;
  readonly ms: number;
  readonly steps: readonly DoneStep[];
}

export interface RecoveryReport {
  readonly kind: 'recovery';
  readonly result: 'done' | 'owed' | 'failed';
  readonly ms: number;
  readonly removed: number;
  /** Ports that were put back. */
  readonly restored: number;
  readonly owed: number;
  readonly kept: number;
  /** Journals of ADDs whose process was dead. */
  readonly interrupted: number;
  /** Switches that could not be asked. */
  readonly unreachable: number;
}

export type Report = CallReport | RecoveryReport;

/** The size of the longest report. */
export const reportBytesMax = 65_536;

/** @returns undefined unless the text is a report, with every member that is counted */
export function parseReport(text: string): Report | undefined {
  try {
    const report: unknown = JSON.parse(text);
    return isObject(report) && (isCall(report) || isRecovery(report)) ? (report as unknown as Report) : undefined;
  } catch {
    return undefined;
  }
}

type Json = { readonly [member: string]: unknown };

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null;
const isAmount = (value: unknown): boolean => typeof value === 'number' && value >= 0 && value < 1e9;
const isCount = (value: unknown): boolean => isAmount(value) && Number.isInteger(value);

function isCall({ kind, verb, code, ms, steps }: Json): boolean {
  const isTold = kind === 'call' && typeof verb === 'string' && isCount(code) && isAmount(ms);
  return isTold && Array.isArray(steps) && steps.every(isStep);
}

function isStep(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { step, direction, ms, failed } = value;
  const isWay = direction === 'ensure' || direction === 'remove';
  return typeof step === 'string' && isWay && isAmount(ms) && typeof failed === 'boolean';
}

function isRecovery({ kind, result, ms, removed, restored, owed, kept, interrupted, unreachable }: Json): boolean {
  const isEnd = kind === 'recovery' && (result === 'done' || result === 'owed' || result === 'failed');
  return isEnd && isAmount(ms) && [removed, restored, owed, kept, interrupted, unreachable].every(isCount);
}
