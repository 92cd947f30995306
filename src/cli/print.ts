/**
 * Journals and their states as text: tables, timelines, colours where they are wanted.
 */
import type { Begin, Entry } from '../drive.ts';
import type { Stamped } from '../journal/record.ts';
import type { KnownPort } from '../machines/protocol.ts';
import type { Recovered } from '../recovery/options.ts';
import type { Attachment, Reading } from './attachments.ts';

type Colour = 'green' | 'yellow' | 'red' | 'dim';
export type Paint = (colour: Colour, text: string) => string;

/** Other programs' words: nothing in them may move a terminal. */
const plain = (text: string): string => text.replace(/\p{Cc}+/gu, ' ');

const codes: Record<Colour, number> = { green: 32, yellow: 33, red: 31, dim: 2 };

export const paint = (wanted: boolean): Paint =>
  wanted ? (colour, text) => `\u001b[${codes[colour]}m${text}\u001b[0m` : (_, text) => text;

const stateColour: Record<Attachment['state'], Colour> = {
  attached: 'green',
  adding: 'yellow',
  removing: 'yellow',
  owed: 'red',
  empty: 'dim',
  damaged: 'red',
  unreadable: 'red',
};

export function table(attachments: readonly Attachment[], colours: Paint): string {
  const heads = ['NETWORK', 'CONTAINER', 'IFNAME', 'STATE', 'BRIDGE', 'PORT', 'ADDRESSES', 'SINCE'];
  const rows = attachments.map((one) => [
    one.network || one.key,
    one.containerId.slice(0, 13),
    one.ifName,
    one.state,
    one.bridge ?? '',
    one.port ?? '',
    one.addresses.join(','),
    one.since,
  ]);
  const stateColumn = heads.indexOf('STATE');
  const widths = heads.map((head, column) => Math.max(head.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[], state: Colour | undefined) =>
    cells
      .map((cell, column) => {
        const padded = column === cells.length - 1 ? cell : cell.padEnd(widths[column] ?? 0);
        return state && column === stateColumn ? colours(state, cell) + padded.slice(cell.length) : padded;
      })
      .join('  ')
      .trimEnd();
  const body = attachments.map((one, index) =>
    [line(rows[index] ?? [], stateColour[one.state]), ...notes(one).map((note) => `    ${note}`)].join('\n'),
  );
  return `${[colours('dim', line(heads, undefined)), ...body].join('\n')}\n`;
}

function notes({ owed, tried, holder, state, strangeMode }: Attachment): string[] {
  return [
    ...(state === 'damaged' ? ['its journal is damaged: it is kept until DEL, which removes it by its marks'] : []),
    ...(strangeMode ? [`the mode ${strangeMode} of its journal is none of ours, and means nothing`] : []),
    ...owed.map(({ step, message }) => `owed: ${step}: ${plain(message)}`),
    ...(tried && tried.times > 1 ? [`tried ${tried.times} times, last ${tried.last}`] : []),
    ...(holder ? [`held by process ${holder.pid} (${holder.command})`] : []),
  ];
}

export function timeline({ attachment, records }: Reading, colours: Paint): string {
  const head = `${attachment.key}  ${colours(stateColour[attachment.state], attachment.state)}`;
  const lines = records.map((record) => `  ${record.at}  ${told(record, colours)}`);
  return `${[head, ...lines, ...notes(attachment).map((note) => `  ${note}`)].join('\n')}\n`;
}

function told(entry: Entry & Stamped, colours: Paint): string {
  const verb = (word: string, step: string) => `${word.padEnd(8)}${step.padEnd(12)}`;
  switch (entry.kind) {
    case 'begin':
      return `begin   ${begun(entry)}`;
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

/** A header of another version may lack anything. */
function begun({ plan, netns }: Partial<Begin>): string {
  return `bridge ${plan?.bridge?.name ?? '-'}, port ${plan?.port?.name ?? '-'} (${plan?.port?.mode ?? '-'}), netns ${netns?.path ?? '-'}`;
}

const fateColour: Record<Recovered['result'], Colour> = {
  removed: 'green',
  restored: 'green',
  owed: 'red',
  kept: 'dim',
  held: 'dim',
};

export function recoveredLine({ key, found, result, owed, note }: Recovered, colours: Paint): string {
  const why = owed.map(({ step, message }) => `; ${step}: ${plain(message)}`).join('');
  return `${plain(key)}: ${found}, ${colours(fateColour[result], result)}${why}${note ? `; ${plain(note)}` : ''}\n`;
}

export function summary(
  counts: { readonly [name: string]: number },
  dryRun: boolean,
  others: readonly KnownPort[],
): string {
  const columns = Object.entries(counts).map(([name, count]) => {
    const width = Math.max(name.length, String(count).length);
    return [name.toUpperCase().padStart(width), String(count).padStart(width)];
  });
  const table = [0, 1].map((row) => columns.map((column) => column[row]).join('  '));
  const foreign = others.map(
    ({ name, instance }) => `left alone: port "${plain(name)}" of another data directory (${instance})\n`,
  );
  const dry = dryRun ? ['a dry run: nothing was changed'] : [];
  return `${foreign.join('')}${[...dry, ...table].join('\n')}\n`;
}
