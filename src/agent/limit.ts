/** How long the agent may take for a call. The deadlines come from the call's configuration, read by the reader of its handlers. */
import { lenient, salvageDeadlines } from '../cni/config/config.ts';
import { isObject, type Json } from '../cni/leniency.ts';
import type { Deadlines } from '../deadlines.ts';
import type { CallRequest } from './wire.ts';

/** The time that each verb may take. A GC removes attachments one after the other, any number of them: it gets the time of twenty. */
const limits: { readonly [command: string]: (deadlines: Deadlines) => number } = {
  ADD: ({ addMs }) => addMs,
  CHECK: ({ delMs }) => delMs,
  DEL: ({ delMs }) => delMs,
  GC: ({ delMs }) => 20 * delMs,
  STATUS: ({ statusMs }) => statusMs,
};

/**
 * Paths in a configuration that mean the caller's own descriptors or process, as a log file `/dev/stderr` does. Only the caller's process
 * can open them.
 */
const callersPath = /"\/[/.]*(dev\/[/.]*(std|fd|tty)|proc\/[/.]*(thread-)?self)/;

/** Paths that lead through the caller's own descriptors. `/proc/self/ns/net` is not one: a worker is in the same namespaces. */
const callersDescriptor = /\/(dev\/+fd|proc\/+(thread-)?self\/+(fd|task))/;

/** The variables that name certificate authorities. Bun reads them only when a process starts, so a worker has its own. */
const readAtStart = ['NODE_EXTRA_CA_CERTS', 'NODE_USE_SYSTEM_CA', 'SSL_CERT_FILE', 'SSL_CERT_DIR'];

/**
 * The limit of a call. A fault in its configuration is not reported here, because the handlers report it.
 * @returns undefined if only the caller's own process can make the call
 */
export function limitMs({ env, stdin }: CallRequest): number | undefined {
  const { CNI_COMMAND: command = '' } = env;
  const limit = Object.hasOwn(limits, command) ? limits[command] : undefined;
  const config = objectOf(stdin);
  // The configuration is written again first, because JSON can spell one path in many ways.
  if (!limit || callersPath.test(JSON.stringify(config))) return undefined;
  if ([env.CNI_NETNS, env.CNI_PATH].some((path) => path && callersDescriptor.test(path))) return undefined;
  if (readAtStart.some((name) => env[name] !== undefined)) return undefined;
  return limit(salvageDeadlines(lenient(config).raw));
}

function objectOf(text: string): Json {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}
