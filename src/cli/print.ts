/**
 * Journals and their states as text: tables, timelines, colours where they are wanted.
 */
import type { Begin, Entry } from '../drive/entry.ts';
import type { Stamped } from '../journal/record.ts';
import type { KnownPort } from '../machines/protocol.ts';
import type { LockHolder, Recovered, UnreachableSwitch } from '../recovery/options.ts';
import type { Fate } from '../recovery/words.ts';
import type { Attachment, Reading } from './attachments.ts';
import { type AttachmentState, type Live, stateWords } from './words.ts';

export type Colour = 'green' | 'yellow' | 'red' | 'dim';
export type Paint = (colour: Colour, text: string) => string;

/** Text of other programs without control characters, because these could move a terminal's cursor. */
export const plain = (text: string): string => text.replace(/\p{Cc}+/gu, ' ');

const codes: Record<Colour, number> = { green: 32, yellow: 33, red: 31, dim: 2 };

const coloured: Paint = (colour, text) => `\u001b[${codes[colour]}m${text}\u001b[0m`;
const uncoloured: Paint = (_, text) => text;

/** @param one whose colours are wanted if it is interactive */
export const coloursOf = ({ interactive }: { readonly interactive: boolean }): Paint =>
  interactive ? coloured : uncoloured;

const stateColour: Record<AttachmentState, Colour> = {
  attached: 'green',
  adding: 'yellow',
  removing: 'yellow',
  owed: 'red',
  empty: 'dim',
  damaged: 'red',
  newer: 'yellow',
  unreadable: 'red',
};

const liveColour: Record<Live, Colour> = { yes: 'green', no: 'red', unknown: 'yellow' };

/** An age as kubectl shows it: in the largest unit of which there are at least two. @param since ISO 8601, or nothing */
export function ageOf(since: string, now: Date): string {
  const seconds = Math.max(0, Math.floor((now.getTime() - Date.parse(since)) / 1000));
  if (Number.isNaN(seconds)) return '';
  const units: [string, number][] = [
    ['d', 86_400],
    ['h', 3_600],
    ['m', 60],
  ];
  const [unit, length] = units.find(([, each]) => seconds >= 2 * each) ?? ['s', 1];
  return `${Math.floor(seconds / length)}${unit}`;
}

export interface Page {
  readonly colours: Paint;
  readonly now: Date;
  /** The width of a line. Absent: as wide as needed. */
  readonly columns?: number | undefined;
}

interface Column {
  readonly head: string;
  readonly cell: (one: Attachment) => string;
  readonly colour?: (one: Attachment) => Colour | undefined;
  /** How the column yields if lines are too short; `show` prints everything. */
  readonly narrow?: 'dropped' | 'cut';
}

const columnsAt = (now: Date): Column[] => [
  { head: 'NETWORK', cell: ({ network, key }) => network || key, narrow: 'cut' },
  { head: 'CONTAINER', cell: ({ containerId }) => containerId.slice(0, 13) },
  { head: 'IFNAME', cell: ({ ifName }) => ifName },
  { head: 'STATE', cell: ({ state }) => state, colour: ({ state }) => stateColour[state] },
  { head: 'LIVE', cell: ({ live }) => live ?? '-', colour: ({ live }) => live && liveColour[live] },
  { head: 'AGE', cell: ({ since }) => ageOf(since, now) },
  { head: 'POD', cell: ({ pod }) => pod ?? '-', narrow: 'cut' },
  { head: 'BRIDGE', cell: ({ bridge }) => bridge ?? '', narrow: 'dropped' },
  { head: 'PORT', cell: ({ port }) => port ?? '', narrow: 'dropped' },
  { head: 'ADDRESSES', cell: ({ addresses }) => addresses.join(','), narrow: 'cut' },
];

export const gap = '  ';

interface TablePage extends Page {
  /** Whether the switches were asked, so that there is a column LIVE. */
  readonly asksLive: boolean;
}

export function table(attachments: readonly Attachment[], { colours, now, columns, asksLive }: TablePage): string {
  const all = columnsAt(now).filter(({ head }) => asksLive || head !== 'LIVE');
  const [kept, widths] = fitColumns(all, attachments, columns);
  const line = (cells: readonly string[], colourOf: (index: number) => Colour | undefined) =>
    cells
      .map((cell, index) => {
        const text = cutText(cell, widths[index] ?? 0);
        const colour = colourOf(index);
        const padding = index === cells.length - 1 ? '' : ' '.repeat((widths[index] ?? 0) - text.length);
        return (colour ? colours(colour, text) : text) + padding;
      })
      .join(gap)
      .trimEnd();
  const heads = line(
    kept.map(({ head }) => head),
    () => undefined,
  );
  const body = attachments.map((one) =>
    [
      line(
        kept.map(({ cell }) => cell(one)),
        (index) => kept[index]?.colour?.(one),
      ),
      ...notes(one).map((note) => `    ${note}`),
    ].join('\n'),
  );
  return `${[colours('dim', heads), ...body].join('\n')}\n`;
}

const cutText = (text: string, width: number): string => (text.length <= width ? text : `${text.slice(0, width - 1)}…`);

/** The least width of a cut column: enough to tell two values apart. */
const cutMin = 8;

/** Drops columns that may be dropped, the last one first; then cuts the widest one that may be cut, until the line fits. */
function fitColumns(all: readonly Column[], rows: readonly Attachment[], most = Number.POSITIVE_INFINITY) {
  const kept = [...all];
  const widths = all.map(({ head, cell }) => Math.max(head.length, ...rows.map((one) => cell(one).length)));
  const total = () => widths.reduce((sum, width) => sum + width, gap.length * (widths.length - 1));
  while (total() > most) {
    const dropped = kept.findLastIndex(({ narrow }) => narrow === 'dropped');
    const index = dropped >= 0 ? dropped : findWidest(kept, widths);
    if (index < 0) break;
    if (dropped >= 0) for (const list of [kept, widths]) list.splice(index, 1);
    else widths[index] = (widths[index] ?? 0) - 1;
  }
  return [kept, widths] as const;
}

function findWidest(kept: readonly Column[], widths: readonly number[]): number {
  const able = widths.map((width, index) => (kept[index]?.narrow === 'cut' && width > cutMin ? width : 0));
  return Math.max(...able) > 0 ? able.indexOf(Math.max(...able)) : -1;
}

function notes({ owed, tried, holder, state, strangeMode }: Attachment): string[] {
  return [
    ...(state === 'damaged' || state === 'newer' ? [stateWords[state]] : []),
    ...(strangeMode ? [`the mode ${strangeMode} of its journal is none of ours, and means nothing`] : []),
    ...owed.map(({ step, message }) => `owed: ${step}: ${plain(message)}`),
    ...(tried && tried.times > 1 ? [`tried ${tried.times} times, last ${tried.last}`] : []),
    ...(holder ? [`held by ${processText(holder)}`] : []),
  ];
}

const processText = ({ pid, command, since }: LockHolder): string =>
  `process ${pid} (${plain(command)}) since ${since}`;

export function timeline({ attachment, records }: Reading, { colours, now }: Page): string {
  const { key, state, pod, since } = attachment;
  const age = ageOf(since, now);
  const head = [
    key,
    colours(stateColour[state], state),
    ...(pod ? [`pod ${pod}`] : []),
    ...(age ? [`age ${age}`] : []),
  ].join(gap);
  const lines = records.map((record) => `  ${record.at}  ${describeRecord(record, colours)}`);
  return `${[head, ...lines, ...notes(attachment).map((note) => `  ${note}`)].join('\n')}\n`;
}

function describeRecord(entry: Entry & Stamped, colours: Paint): string {
  const verb = (word: string, step: string) => `${word.padEnd(8)}${step.padEnd(12)}`;
  switch (entry.kind) {
    case 'begin':
      return `begin   ${describeBegin(entry)}`;
    case 'intent':
      return colours('dim', verb('intent', entry.step));
    case 'outcome': {
      const { outcome } = entry;
      const result =
        outcome.kind === 'ok'
          ? colours('green', 'ok')
          : colours('red', `${outcome.kind}: ${plain(outcome.trouble.message)}`);
      return `${verb(entry.verb, entry.step)}${`${entry.ms} ms`.padStart(10)}  ${result}`;
    }
    case 'abandon':
      return `${colours('red', 'abandon')} ${plain(entry.trouble.message)}`;
    case 'attached':
      return colours('green', 'attached');
    case 'going':
      return `going   by ${entry.by}`;
    case 'restoring':
      return colours('yellow', 'restoring');
  }
}

/** A header of another version may lack any member. */
function describeBegin({ plan, netns }: Partial<Begin>): string {
  return `bridge ${plan?.bridge?.name ?? '-'}, port ${plan?.port?.name ?? '-'} (${plan?.port?.mode ?? '-'}), netns ${netns?.path ?? '-'}`;
}

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
