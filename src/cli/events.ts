/**
 * `userspace recover --events`: what a person must know of a pod, as an Event on that pod. It is told when all work is done, for a few
 * seconds at most, and whatever becomes of it changes neither the work nor the exit code.
 *
 * Invariants
 *  EV1 The same thing is told once: the event's name is made of it, and a recovery that finds it again asks for the same name.
 *  EV2 A missing right costs one request for each kubeconfig and namespace, and each message is printed once, with its count.
 *  EV3 No secret is told (I12): messages of other programs are redacted as those of a sysdump are.
 */
import { basename } from 'node:path';
import { journalSuffix, messageOf, type PodRef } from '../attachment.ts';
import { parseArgs, podOf } from '../cni/args.ts';
import { type Moment, now } from '../deadlines.ts';
import { planOfHeader } from '../drive/entry.ts';
import type { Host } from '../effects/host.ts';
import type { PodEvent } from '../effects/kubernetes/event.ts';
import { isAnnotation, type Plan } from '../machines/protocol.ts';
import { isOwed, type Recovered } from '../recovery/options.ts';
import type { Reading } from './attachments.ts';
import { plain } from './print.ts';
import { Redactor } from './sysdump/redact.ts';

/** A removal is told when it has been owed for so long: a switch that is restarted owes for seconds. */
const owedMs = 60_000;

/** How long all events may take. */
export const eventsMs = 5_000;

/** An event, and the kubeconfig with which its attachment was made. */
export interface Telling {
  readonly kubeconfig: string | undefined;
  readonly event: PodEvent;
}

/** The journals before and after a round. */
export interface Journals {
  readonly before: readonly Reading[];
  readonly after: readonly Reading[];
  readonly now: Date;
}

export function tellingsOf(all: readonly Recovered[], { before, after, now: at }: Journals): Telling[] {
  const find = (readings: readonly Reading[], { key }: Recovered) =>
    readings.find(({ attachment, path }) => attachment.key === key || basename(path) === `${key}${journalSuffix}`);
  return all.flatMap((one) => {
    const reading = find(one.result === 'removed' ? before : after, one);
    const plan = reading && planOfHeader(reading.records);
    const pod = plan && podOfPlan(plan);
    const news = reading && newsOf(one, reading, at);
    if (!pod || !news) return [];
    const { since, ...said } = news;
    const about = `${reading.attachment.key} ${since}`;
    return {
      kubeconfig: kubeconfigOf(plan),
      event: { ...said, message: worded(reading, news.message), pod, about, at },
    };
  });
}

type News = Pick<PodEvent, 'type' | 'reason' | 'message' | 'onlyLiving'> & { readonly since: string };

/** @returns undefined if there is nothing that a person must know */
function newsOf(one: Recovered, { attachment, records }: Reading, at: Date): News | undefined {
  const why = one.owed.map(({ step, message }) => `${step}: ${message}`).join('; ') || 'another process has its lock';
  if (one.found === 'lost' && one.result === 'owed') {
    const message = `the switch has lost its port, which could not be put back (${why}). The next recovery tries again`;
    return { type: 'Warning', reason: 'UserspaceOwed', message, since: `lost ${records[0]?.at}` };
  }
  if (isOwed(one)) {
    const { since } = attachment;
    if (!(at.getTime() - Date.parse(since) > owedMs)) return undefined;
    const remedy =
      'The next recovery tries again; "userspace list" on the node shows it, "userspace recover" does it now';
    const message = `what it made is not all taken away: owed since ${since} (${why}). ${remedy}`;
    return { type: 'Warning', reason: 'UserspaceOwed', message, since };
  }
  if (one.result === 'restored') {
    const message = 'the switch had lost its port or its socket, and it was put back';
    return { type: 'Normal', reason: 'UserspacePutBack', message, since: records.at(-1)?.at ?? '' };
  }
  // After a boot of the machine no sandbox lives, and the runtime's DELs come later: that is told to no pod.
  if (one.found === 'abandoned' && one.result === 'removed') {
    const message = 'it was released: its network namespace is gone, and the runtime sent no DEL';
    return { type: 'Normal', reason: 'UserspaceReleased', message, since: records[0]?.at ?? '', onlyLiving: true };
  }
  return undefined;
}

function worded({ attachment: { network, ifName, containerId } }: Reading, message: string): string {
  const what = `Interface ${ifName} of network ${network} (container ${containerId.slice(0, 13)})`;
  return plain(new Redactor().text(`${what}: ${message}`));
}

/** A part of a request's path, so no character of another kind is in it. */
const podPart = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

/** The pod as the API server knew it at ADD, else as the runtime named it. */
function podOfPlan({ publication, request }: Plan): PodRef | undefined {
  const pod = isAnnotation(publication) ? publication.pod : podOf(parseArgs(request.env?.CNI_ARGS).args);
  return pod && podPart.test(pod.namespace) && podPart.test(pod.name) ? pod : undefined;
}

const kubeconfigOf = ({ publication }: Plan): string | undefined =>
  isAnnotation(publication) ? publication.kubeconfig : undefined;

/** The fate of the events. */
export interface EventsTold {
  readonly sent: number;
  /** Events that an earlier recovery has sent. */
  readonly known: number;
  readonly notSent: readonly { readonly count: number; readonly message: string }[];
}

export async function tellAll(all: readonly Telling[], host: Pick<Host, 'tell'>, end: Moment): Promise<EventsTold> {
  const counts = { sent: 0, known: 0, 'no pod': 0 };
  const notSent = new Map<string, number>();
  const miss = (message: string) => notSent.set(message, (notSent.get(message) ?? 0) + 1);
  /** Where an event was refused for want of a right, by kubeconfig and namespace. */
  const refusals = new Map<string, string>();
  for (const { kubeconfig, event } of all) {
    const place = JSON.stringify([kubeconfig, event.pod.namespace]);
    const refusal = now() >= end ? `${eventsMs / 1000} seconds were over` : refusals.get(place);
    if (refusal !== undefined) miss(refusal);
    else {
      try {
        const fate = await host.tell(kubeconfig, event, end);
        if (fate) counts[fate]++;
      } catch (error) {
        const message = messageOf(error);
        if (error instanceof Error && 'why' in error && error.why === 'forbidden') refusals.set(place, message);
        miss(message);
      }
    }
  }
  const { sent, known } = counts;
  return { sent, known, notSent: [...notSent].map(([message, count]) => ({ count, message })) };
}
