/** How long the agent's answer to a call may take, by the call's own configuration, which is read as its handlers read it. */
import { lenient, salvageDeadlines } from '../cni/config/config.ts';
import { isObject, type Json } from '../cni/leniency.ts';
import type { Deadlines } from '../deadlines.ts';
import type { CallRequest } from './wire.ts';

/** The key that bounds a verb. A GC removes any number of attachments, one after the other. */
const limits: { readonly [command: string]: (deadlines: Deadlines) => number } = {
  ADD: ({ addMs }) => addMs,
  CHECK: ({ delMs }) => delMs,
  DEL: ({ delMs }) => delMs,
  GC: ({ delMs }) => 20 * delMs,
  STATUS: ({ statusMs }) => statusMs,
};

/** A log file may be one of these: they mean the caller's own descriptors, and only its own process can write to them. */
const callersOwn = /"\/[/.]*(dev\/[/.]*(std|fd|tty)|proc\/[/.]*(thread-)?self)/;

/** A worker has the caller's namespaces, so `/proc/self/ns/net` is the same there, but not its descriptors. */
const ownDescriptor = /\/(dev\/+fd|proc\/+(thread-)?self\/+(fd|task))/;

/** Bun reads the authorities of TLS in these once, when its process starts, and for kubeconfigs that name none. */
const readAtStart = ['NODE_EXTRA_CA_CERTS', 'NODE_USE_SYSTEM_CA', 'SSL_CERT_FILE', 'SSL_CERT_DIR'];

/**
 * The text is not checked here: what is wrong in it is told by the handlers.
 * @returns undefined if only the caller's own process can make the call
 */
export function limitMs({ env, stdin }: CallRequest): number | undefined {
  const { CNI_COMMAND: command = '' } = env;
  const limit = Object.hasOwn(limits, command) ? limits[command] : undefined;
  const config = objectOf(stdin);
  // Written again, because JSON can spell a path in many ways.
  if (!limit || callersOwn.test(JSON.stringify(config))) return undefined;
  if ([env.CNI_NETNS, env.CNI_PATH].some((path) => path && ownDescriptor.test(path))) return undefined;
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
