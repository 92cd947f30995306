/**
 * `userspace list`: the attachments of a data directory as a table, as one JSON document, or by name; and with --watch each change as it
 * happens.
 */
import { isOwing, readAttachments } from '../attachments.ts';
import { type CommandCall, exit, json, refuseWords } from '../command-line.ts';
import { plain, unreachableLine } from '../print.ts';
import { isWanted, wantedBy } from './filters.ts';
import { type Listing, listFormats, nothingText, pageOf, withLive } from './listing.ts';
import { Table } from './table.ts';

export async function runList(call: CommandCall): Promise<number> {
  const { values } = call.words;
  const wanted = wantedBy(values);
  if (typeof wanted === 'string') return refuseWords(call.terminal, wanted);
  const said = values.format;
  const format: Listing['format'] = listFormats.find((one) => one === said) ?? (values.json ? 'json' : 'table');
  if (values.json && format !== 'json') return refuseWords(call.terminal, `--json is -o json, and not -o ${said}`);
  const listing = { call, wanted, format };
  return values.watch ? await (await import('./watch.ts')).watchList(listing) : await listOnce(listing);
}

async function listOnce(listing: Listing): Promise<number> {
  const { call, wanted, format } = listing;
  const { terminal, machine } = call;
  const { 'data-dir': dataDir, 'no-live': isUnasked } = call.words.values;
  const readings = readAttachments(machine.disk, dataDir, machine.clock());
  const shown = readings.filter(({ attachment }) => isWanted(wanted)(attachment));
  const { attachments, unreachable } = await withLive(shown, listing);
  const exitCode = attachments.some(isOwing) ? exit.owed : exit.done;
  if (format === 'json') terminal.stdout(json({ attachments, ...(!isUnasked && { unreachable }) }));
  else if (format === 'name') terminal.stdout(attachments.map(({ key }) => `${plain(key)}\n`).join(''));
  else if (attachments.length === 0) terminal.stdout(nothingText(listing, readings.length));
  else {
    const unknown = unreachable.map((one) => unreachableLine(one, 'could not be asked whether its ports are there'));
    const made = new Table(attachments, pageOf(listing, readings));
    const lines = [made.head, ...attachments.map((one) => made.row(one))];
    terminal.stdout(`${lines.join('\n')}\n${unknown.join('')}`);
  }
  return exitCode;
}
