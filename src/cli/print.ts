/**
 * States, debts and fates as text, with colours where they are wanted.
 */
import { triesToTell } from '../drive/due.ts';
import type { KnownPort } from '../machines/protocol.ts';
import type { LockHolder, Recovered, UnreachableSwitch } from '../recovery/options.ts';
import type { Fate } from '../recovery/words.ts';
import type { Attachment } from './attachments.ts';
import { type AttachmentState, stateWords } from './words.ts';

export type Colour = 'green' | 'yellow' | 'red' | 'dim';
export type Paint = (colour: Colour, text: string) => string;

/** Text of other programs without control characters, because these could move a terminal's cursor. */
export const plain = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ');

const codes: Record<Colour, number> = { green: 32, yellow: 33, red: 31, dim: 2 };

const coloured: Paint = (colour, text) => `\u001b[${codes[colour]}m${text}\u001b[0m`;
const uncoloured: Paint = (_, text) => text;

/** @param one whose colours are wanted if it is interactive */
export const coloursOf = ({ interactive }: { readonly interactive: boolean }): Paint =>
  interactive ? coloured : uncoloured;

export const stateColour: Record<AttachmentState, Colour> = {
  attached: 'green',
  adding: 'yellow',
  removing: 'yellow',
  owed: 'red',
  empty: 'dim',
  damaged: 'red',
  newer: 'yellow',
  unreadable: 'red',
};

/** An age as kubectl shows it: in the largest unit of which there are at least two. @param since ISO 8601, or nothing */
export function ageOf(since: string, now: Date): string {
  const ms = now.getTime() - Date.parse(since);
  return Number.isNaN(ms) ? '' : ageText(Math.max(0, ms));
}

/** A length of time in the largest unit of which there are at least two. */
export function ageText(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const units: [string, number][] = [
    ['d', 86_400],
    ['h', 3_600],
    ['m', 60],
  ];
  const [unit, length] = units.find(([, each]) => seconds >= 2 * each) ?? ['s', 1];
  return `${Math.floor(seconds / length)}${unit}`;
}

export const gap = '  ';

export function notes({ owed, tried, holder, state, strangeMode }: Attachment): string[] {
  return [
    ...(state === 'damaged' || state === 'newer' ? [stateWords[state]] : []),
    ...(strangeMode ? [`the mode ${strangeMode} of its journal is none of ours, and means nothing`] : []),
    ...owed.map(({ step, message }) => `owed: ${step}: ${plain(message)}`),
    ...(tried && tried.times > 1 ? [triesText(tried)] : []),
    ...(holder ? [`held by ${processText(holder)}`] : []),
  ];
}

/** Later tries that do nothing new leave no record, so their times are not known. */
const triesText = ({ times, last }: NonNullable<Attachment['tried']>): string =>
  times < triesToTell
    ? `tried ${times} times, last ${last}`
    : `tried ${times} times or more, number ${times} at ${last}`;

const processText = ({ pid, command, since }: LockHolder): string =>
  `process ${pid} (${plain(command)}) since ${since}`;

const fateColour: Record<Fate, Colour> = {
  removed: 'green',
  restored: 'green',
  owed: 'red',
  kept: 'dim',
  held: 'dim',
  'not looked at': 'yellow',
};

const ofDryRun: Partial<Record<Fate, string>> = { removed: 'would be removed', restored: 'would be restored' };

interface RecoveredStyle {
  readonly dryRun: boolean;
  readonly colours: Paint;
}

export function recoveredLine(one: Recovered, { dryRun, colours }: RecoveredStyle): string {
  const { key, found, result, owed, holder, note } = one;
  const fate = colours(fateColour[result], (dryRun && ofDryRun[result]) || result);
  const what = found === result ? fate : `${found}, ${fate}`;
  const by = holder ? ` by ${processText(holder)}` : '';
  const why = owed.map(({ step, message }) => `; ${step}: ${plain(message)}`).join('');
  return `${plain(key)}: ${what}${by}${why}${note ? `; ${plain(note)}` : ''}\n`;
}

export const unreachableLine = ({ ovsdb, message }: UnreachableSwitch, unasked: string): string =>
  `the switch at ${ovsdb} ${unasked}: ${plain(message)}\n`;

interface Total {
  readonly counts: { readonly [name: string]: number };
  readonly dryRun: boolean;
  readonly others: readonly KnownPort[];
  readonly unreachable: readonly UnreachableSwitch[];
}

export function summary({ counts, dryRun, others, unreachable }: Total): string {
  const columns = Object.entries(counts).map(([name, count]) => {
    const head = name.replace(/[A-Z]/g, ' $&').toUpperCase();
    const width = Math.max(head.length, String(count).length);
    return [head.padStart(width), String(count).padStart(width)];
  });
  const table = [0, 1].map((row) => columns.map((column) => column[row]).join(gap));
  const foreign = others.map(
    ({ name, instance }) => `left alone: port "${plain(name)}" of another data directory (${instance})\n`,
  );
  const away = unreachable.map((one) => unreachableLine(one, 'could not be asked for ports without a journal'));
  const dry = dryRun ? ['a dry run: nothing was changed'] : [];
  return `${foreign.join('')}${away.join('')}${[...dry, ...table].join('\n')}\n`;
}
