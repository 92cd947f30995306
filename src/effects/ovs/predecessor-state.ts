/**
 * The predecessor's state files, `local-<first 12 of the container id>-<interface>.json`. Its ADD writes the file last and without
 * care, so it can be short or empty after a power cut. Its DEL deletes the file first. Its engines share the directory and the
 * names.
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
  /** Possible names of its port: one, or several if the file is damaged. */
  readonly names: readonly string[];
  /** The file tells the name. Otherwise it is the name that the predecessor would have chosen. */
  readonly isTold: boolean;
  /** The file's time, which is just after the port was made. */
  readonly writtenMs: number;
  /** The directory of its socket, saved by a removal before it deleted the row. */
  readonly boundTo?: readonly string[];
}

/** The predecessor's mode. */
const modeState = 0o644;

/** The predecessor's rows. */
export interface OldPort {
  /** The _uuids of its Port and its Interface. */
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
  /** The states of all other attachments that the predecessor made. */
  readonly others: readonly SavedState[];
  /** The moment until which one touch of a pod's directory may take from now. */
  near(): Moment;
}

const filePattern = /^local-(.{12})-(.+)\.json$/s;

/** @returns undefined if there is none. @throws Mismatch if it is not a file, or another engine's */
export function readState(path: string, plan: Plan): SavedState | undefined {
  const state = readOne(path, 'ours');
  if (!state || state.isTold) return state;
  const names = new Set([...state.names, portName(plan.key), ...socketfileIn(plan.request.stdin)]);
  return { ...state, names: [...names] };
}

/** Reads the states of all other attachments that the predecessor made. */
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
    // Only a file is read, because a FIFO or a device at its name would block the call.
    if (stats.isFile()) text = readFileSync(path, 'utf8');
    else if (whose === 'ours') throw new Mismatch(`"${path}" is no file: remove it by hand`);
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
    // An unreadable file tells as little as one that was cut short.
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
 * The predecessor can still read the file, because it ignores members that it does not know. The write is synchronous, because all
 * threads of the pool may be stuck in a pod's directory.
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

/** `host.vhost.socketfile`: the predecessor named the port after it. */
function socketfileIn(stdin: string): string[] {
  const host = objectIn(stdin).host as { vhost?: { socketfile?: unknown } } | null | undefined;
  const name = host?.vhost?.socketfile;
  return typeof name === 'string' && name !== '' ? [name] : [];
}
