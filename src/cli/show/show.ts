/** `userspace show`: the journal of an attachment as bars on a terminal, as a picture in a file, or as JSON. */
import { resolve } from 'node:path';
import { type Reading, readMatching } from '../attachments.ts';
import { answer, type CommandCall, exit, json, refuseWords } from '../command-line.ts';
import { coloursOf } from '../print.ts';
import { barsOf } from './bars.ts';

export async function runShow(call: CommandCall): Promise<number> {
  const { words, terminal, machine } = call;
  const { values, positionals } = words;
  const [, id = '', ifName] = positionals;
  const said = values.format;
  if (values.json && said === 'wide') return refuseWords(terminal, '--json is -o json, and not -o wide');
  const dataDir = values['data-dir'];
  const found = readMatching({ disk: machine.disk, dataDir, now: machine.clock() }, id, ifName);
  if (found.length === 0) {
    terminal.stderr(`userspace show: no attachment of "${id}${ifName ? ` ${ifName}` : ''}" in ${dataDir}\n`);
    return exit.failed;
  }
  const file = values.svg === undefined ? undefined : resolve(values.svg);
  if (file !== undefined) await (await import('./picture-file.ts')).writePicture(file, found);
  if (values.json || said === 'json') return answer(terminal, documentOf(found));
  if (file !== undefined)
    return answer(terminal, `${file}: ${found.map(({ attachment }) => attachment.key).join(', ')}\n`);
  return answer(terminal, textOf(found, call));
}

function documentOf(found: readonly Reading[]): string {
  const documents = found.map(({ attachment, records }) => ({ ...attachment, records }));
  return json(documents.length === 1 ? documents[0] : documents);
}

function textOf(found: readonly Reading[], { words, terminal, machine }: CommandCall): string {
  const { charset, columns } = terminal;
  const page = { colours: coloursOf(terminal), now: machine.clock(), charset, columns };
  const adds = words.values.format === 'wide' ? ({ adds: 'records' } as const) : {};
  return found.map((reading) => barsOf(reading, page, adds)).join('\n');
}
