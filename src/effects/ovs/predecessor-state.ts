/**
 * The predecessor's state files, `local-<first 12 of the container id>-<interface>.json`: written last by its ADD and without care
 * (cut short by a power cut, or empty), deleted first by its DEL. Its engines share the directory and the names.
 */

import {
  closeSync,
  fsyncSync,
  futimesSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { portName } from '../../attachment.ts';
import type { Moment } from '../../deadlines.ts';
import type { Plan, PredecessorPlan } from '../../machines/protocol.ts';
import { codeOf, Mismatch } from '../outcome.ts';
import type { AttachmentSwitch } from './switch.ts';

export interface SavedState {
  /** First 12 characters of the container id. */
  readonly sandbox: string;
  /** Names that its port can have: one, unless the file cannot be read as what it was. */
  readonly names: readonly string[];
  /** The file says the name; else it is what the predecessor would have chosen. */
  readonly isTold: boolean;
  /** When the port had been made. */
  readonly writtenMs: number;
  /** The directory of its socket, as a removal learned it before the row went. */
  readonly boundTo?: readonly string[];
}

/** As the predecessor writes it. */
const modeState = 0o644;

/** Its rows. */
export interface OldPort {
  /** _uuids of its Port and its Interface. */
  readonly id: string;
  readonly device: string;
  readonly name: string;
  readonly socket?: string;
}

/** One attachment of the predecessor's, as its removal sees it. */
export interface Remains {
  readonly ovs: AttachmentSwitch;
  readonly old: PredecessorPlan;
  readonly state: SavedState;
  /** Of every other attachment that the predecessor made. */
  readonly others: readonly SavedState[];
  /** The moment until which one touch of a pod's directory may take from now. */
  near(): Moment;
}

const filePattern = /^local-(.{12})-(.+)\.json$/s;

/** @returns undefined if there is none. @throws Mismatch where it is no file, or another engine's */
export function readState(path: string, plan: Plan): SavedState | undefined {
  const state = readOne(path, 'ours');
  if (!state || state.isTold) return state;
  const names = new Set([...state.names, portName(plan.key), ...socketfileIn(plan.request.stdin)]);
  return { ...state, names: [...names] };
}

/** Of every other attachment that the predecessor made. */
export function otherStates(path: string): SavedState[] {
  const directory = dirname(path);
  const files = readdirSync(directory).filter((file) => filePattern.test(file) && file !== basename(path));
  return files.flatMap((file) => readOne(join(directory, file), 'anothers') ?? []);
}

function readOne(path: string, whose: 'ours' | 'anothers'): SavedState | undefined {
  const [, sandbox = '', ifName = ''] = filePattern.exec(basename(path)) ?? [];
  let text = '';
  let writtenMs = 0;
  try {
    const stats = lstatSync(path);
    writtenMs = stats.mtimeMs;
    // A FIFO or a device at its name would hold up the call.
    if (stats.isFile()) text = readFileSync(path, 'utf8');
    else if (whose === 'ours') throw new Mismatch(`"${path}" is no file: remove it by hand`);
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
    // A file that cannot be read again says as little as one that was cut short.
    if (!codeOf(error)) throw error;
  }
  const saved = objectIn(text);
  if (whose === 'ours' && 'swIfIndex' in saved)
    throw new Mismatch(`"${path}" is of the engine "vpp", which is not built in: remove the interface and the file`);
  const { vhostname } = saved;
  const isTold = typeof vhostname === 'string' && vhostname !== '';
  const boundTo = Array.isArray(saved.boundTo) && saved.boundTo.filter((place) => typeof place === 'string');
  const names = [isTold ? vhostname : `${sandbox}-${ifName}`];
  return { sandbox, names, isTold, writtenMs, ...(boundTo && { boundTo }) };
}

/**
 * The predecessor reads it as before: it knows no other member than its own. Not through the pool of threads, all of which may be stuck
 * in a pod's directory by now.
 */
export function saveState(path: string, state: SavedState, { name: vhostname, socket = '' }: OldPort): void {
  const saved = { vhostname, vhostmac: '', ifmac: '', boundTo: [dirname(socket)] };
  const fd = openSync(temporaryOf(path), 'w', modeState);
  try {
    writeFileSync(fd, JSON.stringify(saved));
    futimesSync(fd, state.writtenMs / 1000, state.writtenMs / 1000);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporaryOf(path), path);
}

/** The last step of a removal. */
export function removeState(path: string): void {
  rmSync(temporaryOf(path), { force: true });
  rmSync(path, { force: true });
}

const temporaryOf = (path: string): string => join(dirname(path), `.${basename(path)}`);

function objectIn(text: string): { readonly [key: string]: unknown } {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as { [key: string]: unknown }) : {};
  } catch {
    return {};
  }
}

/** `host.vhost.socketfile`: the predecessor named the port by it. */
function socketfileIn(stdin: string): string[] {
  const host = objectIn(stdin).host as { vhost?: { socketfile?: unknown } } | null | undefined;
  const name = host?.vhost?.socketfile;
  return typeof name === 'string' && name !== '' ? [name] : [];
}
