/** The common part of `list` and `list --watch`: the call's options, the switches' answers, and the page of the table. */
import { now } from '../../deadlines.ts';
import { nothingIn, type Reading } from '../attachments.ts';
import type { CliNode, CommandCall } from '../command-line.ts';
import { options } from '../commands.ts';
import { askSwitches, liveMs } from '../live.ts';
import { coloursOf } from '../print.ts';
import { lettersOf, type Wanted, wantedText } from './filters.ts';
import type { Listed, TablePage } from './table.ts';

export const listFormats = options.format.values;

export interface Listing {
  readonly call: CommandCall;
  readonly wanted: Wanted;
  readonly format: (typeof listFormats)[number] | 'table';
}

/** The message of an empty list: is there no attachment, or none that fits the options? @param count of all attachments */
export function nothingText({ call, wanted }: Listing, count: number): string {
  const dataDir = call.words.values['data-dir'];
  if (count === 0) return nothingIn(dataDir, call.machine.disk);
  return `no attachment of ${wantedText(wanted)} in ${dataDir}, which has ${count}\n`;
}

/** @param readings all of the directory, because an id has to be told from those that are not shown too */
export function pageOf({ call, format }: Listing, readings: readonly Reading[]): TablePage {
  const { terminal, machine, words } = call;
  return {
    colours: coloursOf(terminal),
    now: machine.clock(),
    charset: terminal.charset,
    columns: terminal.columns,
    asksLive: !words.values['no-live'],
    isWide: format === 'wide',
    letters: lettersOf(readings.map(({ attachment }) => attachment.containerId)),
  };
}

/** The attachments with the switches' answers about their ports. No switch is asked if no answer would be printed. */
export async function withLive(readings: readonly Reading[], { call, format }: Listing) {
  const isUnasked = readings.length === 0 || call.words.values['no-live'] || format === 'name';
  const { live, unreachable } = isUnasked
    ? nothingAsked
    : await askAll(readings, call.machine, call.words.values['data-dir']);
  const attachments = readings.map(({ attachment, path }): Listed => {
    const said = live.get(path);
    return said ? { ...attachment, live: said } : attachment;
  });
  return { attachments, unreachable };
}

const nothingAsked: Awaited<ReturnType<typeof askSwitches>> = { live: new Map(), unreachable: [] };

async function askAll(readings: readonly Reading[], machine: CliNode, dataDir: string) {
  const host = machine.host();
  try {
    return await askSwitches(readings, host, dataDir, now() + liveMs);
  } finally {
    host.close();
  }
}
