/** How long the agent may take for a call. The deadlines come from the call's configuration, read by the reader of its handlers. */
import { dirname, join } from 'node:path';
import { lenient, salvageDeadlines } from '../cni/config/config.ts';
import { isObject, type Json } from '../cni/leniency.ts';
import type { Deadlines } from '../deadlines.ts';
import { readLink } from '../os/bare.ts';
import type { CallRequest } from './wire.ts';

/** The time that each verb may take. A GC removes attachments one after the other, any number of them: it gets the time of twenty. */
const limits: { readonly [command: string]: (deadlines: Deadlines) => number } = {
  ADD: ({ addMs }) => addMs,
  CHECK: ({ delMs }) => delMs,
  DEL: ({ delMs }) => delMs,
  GC: ({ delMs }) => 20 * delMs,
  STATUS: ({ statusMs }) => statusMs,
};

/** Places that mean the caller's own descriptors, process or terminal. Only the caller's process can open them. */
const callersPlace = /^\/(proc\/(self|thread-self|\d+)|dev\/(std|fd|tty))/;

/** The kernel's own limit for symlinks in a path (path_resolution(7)). */
const linksMax = 40;

/**
 * Whether a path leads through such a place, also by symlinks and in another spelling, as a log file `/dev/stderr` does. The path is
 * walked by its parts, because the link of a descriptor leads on to the file that this process has there, and not the caller.
 */
function isCallersOwn(path: string, cwd: string): boolean {
  let at = '/';
  let rest = (path.startsWith('/') ? path : `${cwd}/${path}`).split('/');
  for (let links = 0; rest.length > 0; ) {
    const [name = '', ...more] = rest;
    const next = join(at, name);
    if (callersPlace.test(next)) return true;
    rest = more;
    at = next;
    const link = linkAt(next);
    if (link === undefined) continue;
    if (++links > linksMax) return true;
    rest = [...link.split('/'), ...more];
    at = link.startsWith('/') ? '/' : dirname(next);
  }
  return false;
}

/** @returns undefined if no symlink is there; most texts of a configuration are no paths at all */
function linkAt(path: string): string | undefined {
  try {
    return readLink(path);
  } catch {
    return undefined;
  }
}

/** Paths that lead through the caller's own descriptors. `/proc/self/ns/net` is not one: a worker is in the same namespaces. */
const callersDescriptor = /\/(dev\/+fd|proc\/+(thread-)?self\/+(fd|task))/;

/** Variables that Bun reads when a process starts, so a worker has its own: certificate authorities, and its settings. */
const readAtStart = /^(BUN_|SSL_CERT_|NODE_(EXTRA_CA_CERTS|USE_SYSTEM_CA|TLS_|OPTIONS))/;

/**
 * The limit of a call. A fault in its configuration is not reported here, because the handlers report it.
 * @returns undefined if only the caller's own process can make the call
 */
export function limitMs({ env, stdin, cwd }: Omit<CallRequest, 'cwdFile'>): number | undefined {
  const { CNI_COMMAND: command = '' } = env;
  const limit = Object.hasOwn(limits, command) ? limits[command] : undefined;
  const config = objectOf(stdin);
  const { raw } = lenient(config);
  if (!limit || [...pathsIn(config), String(raw.logFile ?? '')].some((path) => isCallersOwn(path, cwd)))
    return undefined;
  if ([env.CNI_NETNS, env.CNI_PATH].some((path) => path && callersDescriptor.test(path))) return undefined;
  if (Object.keys(env).some((name) => env[name] !== undefined && readAtStart.test(name))) return undefined;
  return limit(salvageDeadlines(raw));
}

/** The texts of a configuration that may be paths, at any depth. */
function pathsIn(value: unknown): string[] {
  if (typeof value === 'string') return value.includes('/') ? [value] : [];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(pathsIn) : [];
}

function objectOf(text: string): Json {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}
