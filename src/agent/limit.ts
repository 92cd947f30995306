/** How long the agent's answer to a call may take, by the call's own configuration. */
import { type Deadlines, defaultDeadlines } from '../deadlines.ts';
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
const callersOwn = /"\\?\/(dev\\?\/(std|fd|tty)|proc\\?\/self)/;

/**
 * The text is not checked here: what is wrong in it is told by the handlers.
 * @returns undefined if only the caller's own process can make the call
 */
export function limitMs({ env, stdin }: CallRequest): number | undefined {
  const limit = limits[env.CNI_COMMAND ?? ''];
  if (!limit || callersOwn.test(stdin)) return undefined;
  const said = Object.entries(memberOf(objectOf(stdin), 'deadlines') ?? {});
  return limit({
    ...defaultDeadlines,
    ...Object.fromEntries(said.filter(([, ms]) => typeof ms === 'number' && ms > 0)),
  });
}

/** The member, as Go finds it: in any case, the last one of a name. */
function memberOf(value: unknown, name: string): object | undefined {
  const entries = Object.entries(value ?? {}).filter(([key]) => key.toLowerCase() === name);
  const found: unknown = entries.at(-1)?.[1];
  return typeof found === 'object' && found !== null ? found : undefined;
}

function objectOf(text: string): object {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}
