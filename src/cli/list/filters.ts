/** Which attachments `list` shows. Words of one option are alternatives, and the options have to agree. */
import type { Attachment } from '../attachments.ts';
import { type AttachmentState, stateWords } from '../words.ts';

export interface Wanted {
  readonly networks: readonly string[];
  /** Each `NAMESPACE/NAME`, or `NAME` in any namespace. */
  readonly pods: readonly string[];
  readonly states: readonly AttachmentState[];
}

interface Said {
  readonly network?: readonly string[] | undefined;
  readonly pod?: readonly string[] | undefined;
  readonly state?: readonly string[] | undefined;
}

/** @returns a text that says what is wrong, if a word is */
export function wantedBy({ network = [], pod = [], state = [] }: Said): Wanted | string {
  if ([...network, ...pod].includes('')) return '--network and --pod take no empty word: leave it out, or name one';
  return { networks: network, pods: pod, states: state.filter(isState) };
}

const isState = (word: string): word is AttachmentState => Object.hasOwn(stateWords, word);

export const isWanted =
  ({ networks, pods, states }: Wanted) =>
  ({ network, pod, state }: Attachment): boolean =>
    among(networks, network) &&
    among(states, state) &&
    (pods.length === 0 || (pod !== undefined && pods.some((one) => pod === one || pod.endsWith(`/${one}`))));

const among = <Word>(words: readonly Word[], word: Word): boolean => words.length === 0 || words.includes(word);

/** The options as they were typed, for the message that nothing fits them. */
export const wantedText = ({ networks, pods, states }: Wanted): string =>
  [
    ...networks.map((one) => `--network ${one}`),
    ...pods.map((one) => `--pod ${one}`),
    ...states.map((one) => `--state ${one}`),
  ].join(' ');

/** As many letters of an id as Docker shows, so that columns stay where they are. */
const lettersMin = 12;

/** The letters by which each of the ids is told from the others. */
export function lettersOf(ids: Iterable<string>): number {
  const all = [...new Set(ids)].sort();
  // In order, an id shares the most letters with one of its neighbours.
  const shared = all.map((id, index) => sharedBetween(id, all[index + 1] ?? ''));
  return shared.reduce((most, one) => Math.max(most, one + 1), lettersMin);
}

function sharedBetween(one: string, other: string): number {
  let at = 0;
  while (at < other.length && one[at] === other[at]) at++;
  return at;
}
