/** `npm run reference`: writes the table of keys into docs/configuration.md. With --check it only says whether the table is that. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { takesOf } from '../src/cli/explain.ts';
import { type ConfigKey, configKeys } from '../src/cni/config/reference.ts';
import { keyOrigins } from '../src/cni/config/word-shape.ts';
import { keyWords } from '../src/cni/config/words.ts';

const path = join(import.meta.dirname, '../docs/configuration.md');

const [begin, end] = ['<!-- made by npm run reference -->', '<!-- end -->'];

const code = (value: unknown): string => `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
const cell = (text: string): string => text.replaceAll('|', '\\|');

function takenBy({ shape }: ConfigKey): string {
  const { type, values, limits } = takesOf(shape);
  return values ? values.map(code).join(', ') : [type, ...(limits ? [limits] : [])].join(': ');
}

const usual = (key: ConfigKey): string => (key.default === undefined ? (key.absent ?? '') : code(key.default));

function meaning({ title, more, codes = [], hasEffect }: ConfigKey): string {
  const refused = codes.length > 0 ? ` (code ${codes.join(', ')})` : '';
  const effect = hasEffect ? '' : ': no effect, with a warning';
  return [`${title}${effect}${refused}`, ...(more ? [more] : [])].join('. ');
}

function row(key: ConfigKey): string {
  return `| \`${key.path}\` | ${[takenBy(key), usual(key), meaning(key), key.whose].map(cell).join(' | ')} |`;
}

/** The keys that have words of their own: the others of `container` have those of `host`. */
function table(): string {
  const own = configKeys().filter(({ path: name }) => Object.hasOwn(keyWords, name));
  const origins = Object.entries(keyOrigins).map(([name, project]) => `*${name}*: ${project}`);
  return [
    begin,
    '',
    '| key | takes | default | meaning | of |',
    '|---|---|---|---|---|',
    ...own.map(row),
    '',
    `The last column is the project whose key it is. ${origins.join('; ')}.`
      .replace(/(.{1,138})(?: |$)/g, '$1\n')
      .trimEnd(),
    '',
    end,
  ].join('\n');
}

/** The page with the table of today. */
export function referencePage(page: string): string {
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${path} has no place for the table: ${begin} … ${end}`);
  return `${page.slice(0, from)}${table()}${page.slice(to + end.length)}`;
}

if (import.meta.main) {
  const page = readFileSync(path, 'utf8');
  const made = referencePage(page);
  const isCheck = process.argv.includes('--check');
  if (made !== page && isCheck) process.exitCode = 1;
  if (made !== page && !isCheck) writeFileSync(path, made);
  console.log(`docs/configuration.md: ${made === page ? 'as the schema is' : isCheck ? 'stale' : 'written'}`);
}
