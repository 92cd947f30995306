/** The words for an episode, the same in a terminal's bars and in a picture. */
import type { Begin, Entry } from '../../drive/entry.ts';
import type { Reading } from '../attachments.ts';
import { ageText, type Colour, notes } from '../print.ts';
import type { resultWords } from '../words.ts';
import type { EffectResult, Episode, EpisodeEnding, EpisodeRow } from './episodes.ts';

/** From here on a time is told in whole seconds. */
const exactMsMax = 100_000;

/** As a journal has it, in tenths of a millisecond; a longer time in seconds. */
export const msText = (ms: number): string =>
  ms < exactMsMax ? `${Math.round(ms * 10) / 10} ms` : `${Math.round(ms / 1000)} s`;

export function titleOf({ what, by, tryNumber }: Episode): string {
  if (what === 'records') return 'records without a beginning';
  return what === 'removal' ? `removal ${tryNumber} by ${by}` : what;
}

/** A shorter pause is not worth a word. */
const pauseMsMin = 1_000;

/** How long after the end of the episode before it this one began. */
export function pauseText({ pauseMs = 0 }: Episode): string | undefined {
  if (pauseMs < 0) return `clock set back ${ageText(-pauseMs)}`;
  return pauseMs < pauseMsMin ? undefined : `${ageText(pauseMs)} later`;
}

export const endingText = ({ ending, spanMs }: Episode): string =>
  ending === 'died' || ending === 'unfinished' ? ending : `${ending} after ${msText(spanMs)}`;

export const endingColour: Record<EpisodeEnding, Colour> = {
  attached: 'green',
  'put back': 'green',
  failed: 'red',
  owed: 'red',
  died: 'red',
  unfinished: 'yellow',
};

const resultColour: Record<EffectResult, Colour> = {
  ok: 'green',
  failed: 'red',
  displaced: 'yellow',
  died: 'red',
  open: 'yellow',
  unrecorded: 'yellow',
};

/** For the last column of an effect. */
export const resultText: Record<EffectResult, keyof typeof resultWords> = {
  ok: 'ok',
  failed: 'failed',
  displaced: 'displaced',
  died: 'died',
  open: 'no answer',
  unrecorded: 'no record',
};

export const nameOf = (row: Exclude<EpisodeRow, { kind: 'clock' }>): string =>
  row.kind === 'effect' ? `${row.verb} ${row.step}` : row.name;

export const colourOf = (row: Exclude<EpisodeRow, { kind: 'clock' }>): Colour =>
  row.kind === 'effect' ? resultColour[row.result] : row.isGood ? 'green' : 'red';

/** Remarks on the attachment as a whole. */
export function notesOf({ attachment, records }: Reading): string[] {
  const isMarked = attachment.state === 'owed' || attachment.state === 'removing';
  const isTold = records.some((one) => one.kind === 'going' || one.kind === 'abandon' || isTaking(one));
  return [...(isMarked && !isTold ? ['marked as going: its removal has no record yet'] : []), ...notes(attachment)];
}

const isTaking = (entry: Entry): boolean => entry.kind === 'outcome' && entry.verb === 'remove';

/** A header of another version may lack any member. */
export const describeBegin = ({ plan, netns }: Partial<Begin>): string =>
  `bridge ${plan?.bridge?.name ?? '-'}, port ${plan?.port?.name ?? '-'} (${plan?.port?.mode ?? '-'}), netns ${netns?.path ?? '-'}`;
