/**
 * Finds the numbers that a text cites, and the place where each is defined (docs/cases.md has the forms). Pure: texts are data.
 */
import { posix } from 'node:path';

/**
 * Whether older forms are still allowed: a case or a bug without its word, contracts and needs by the numbers of documents that are
 * not here, one number for the invariants of two files. Once no text has them, this becomes false for good.
 */
export const isBareAllowed: boolean = true;

export interface Source {
  /** Relative to the repository, with slashes. */
  readonly path: string;
  readonly text: string;
}

/**
 * The numbers that are defined, without the words of docs/cases.md, as `I8`, `ADR 0007` or `kind 3`; local ones with their files.
 */
export interface Definitions {
  readonly shared: ReadonlySet<string>;
  readonly local: ReadonlyMap<string, readonly string[]>;
}

export interface Fault {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

/** The words of docs/cases.md, by the letter of their numbers. */
const words: { readonly [letter: string]: string } = { A: 'case', B: 'bug', C: 'contract', N: 'need' };

const casesFile = 'docs/cases.md';

const places: readonly { readonly path: string; readonly definition: RegExp; readonly cited: string }[] = [
  { path: 'ARCHITECTURE.md', definition: /^- \*\*(I\d+)\*\* /gm, cited: '' },
  { path: casesFile, definition: /^### ([ABN]\d+|C\d+\.\d+) /gm, cited: '' },
  { path: 'docs/adr/0011-seven-kinds.md', definition: /^## Kind (\d+)/gm, cited: 'kind ' },
];

/** An invariant of a module, in its first comment: ` *  XY1 A sentence.` */
const localDefinition = /^ \* {2}([A-Z]{1,2}\d+) /;

export function definitionsIn(sources: readonly Source[]): Definitions {
  const shared = new Set<string>();
  const local = new Map<string, string[]>();
  for (const { path, text } of sources) {
    const adr = /^docs\/adr\/(\d{4})-/.exec(path)?.[1];
    if (adr) shared.add(`ADR ${adr}`);
    for (const { definition, cited } of places.filter((place) => place.path === path)) {
      for (const [, number] of text.matchAll(definition)) shared.add(`${cited}${number}`);
    }
    if (!path.startsWith('src/')) continue;
    for (const number of text.split('\n').flatMap((line) => localDefinition.exec(line)?.[1] ?? [])) {
      local.set(number, [...(local.get(number) ?? []), path]);
    }
  }
  return { shared, local };
}

/** A letter or two and a number, with the word before it if there is one. `C` has a point in its numbers. */
const numbered = /\b(?:(case|bug|contract|need) )?(?:(C)(\d+\.\d+)|([A-Z]{1,2})(\d{1,2}))\b(?!\.\d)/g;
const adrs = /\bADRs? (\d{4}(?:(?:, | and |, and )\d{4})*)|\badr\/(\d{4}(?:, \d{4})*)(?![\w-])/g;
const kinds = /\bkind (\d+)\b/gi;

/** Forms of the time before docs/cases.md, and the numbers that they mean in it. */
const olderForms: readonly { readonly form: RegExp; readonly files?: RegExp; meant(number: string): string }[] = [
  { form: /\bcontracts (\d+\.\d+(?:, \d+\.\d+)*)/g, meant: (number) => `C${number}` },
  { form: /\bcrash-safety\.md (\d+\.\d+)/g, meant: (number) => `C${({ '2.2': '3.1', '2.3': '3.2' })[number] ?? '?'}` },
  { form: /\(design: ([a-z ]+)\)/g, meant: () => '' },
  { form: /(?:['"`(]|'13\.\d+ |\/\/ )13\.(\d+)(?![\d.])/g, files: /\.ts$/, meant: (number) => `N${number}` },
];

/** Every citation of a source that resolves nowhere; and unless they are allowed, those of an older form. */
export function faultsIn(source: Source, definitions: Definitions, allowsBare: boolean): Fault[] {
  const { path, text } = source;
  const families = new Set([...definitions.local.keys()].map(familyOf));
  return text.split('\n').flatMap((line, index) => {
    const rest = line.replace(localDefinition, '').replace(path === casesFile ? /^### \S+/ : '', '');
    const messages = [
      ...(allowsBare ? [] : definitionFaults(line, path, definitions)),
      ...numberFaults(rest, definitions, families, allowsBare),
      ...olderFaults(rest, path, definitions, allowsBare),
      ...nameFaults(rest, definitions),
    ];
    return messages.map((message) => ({ file: path, line: index + 1, message }));
  });
}

const familyOf = (number: string): string => number.replace(/\d.*/, '');

function numberFaults(
  line: string,
  { shared, local }: Definitions,
  families: ReadonlySet<string>,
  allowsBare: boolean,
): string[] {
  return [...line.matchAll(numbered)].flatMap(([cited, word, c, ofContract, letters, digits]) => {
    const family = c ?? letters ?? '';
    const number = `${family}${ofContract ?? digits}`;
    if (word !== undefined && word !== words[family]) return [`"${cited}" has the wrong word: ${words[family]}`];
    if (word === undefined && local.has(number)) return [];
    // A family without any definition is not a citation: SSE4, or a part of some code.
    if (!(family in words) && family !== 'I' && !families.has(family)) return [];
    if (!shared.has(number)) return [`"${cited}" is defined nowhere`];
    const isBare = word === undefined && family in words;
    return isBare && !allowsBare ? [`"${cited}" lacks its word: ${words[family]} ${number}`] : [];
  });
}

function olderFaults(line: string, path: string, { shared }: Definitions, allowsBare: boolean): string[] {
  return olderForms
    .filter(({ files }) => !files || files.test(path))
    .flatMap(({ form, meant }) =>
      [...line.matchAll(form)].flatMap(([cited, numbers = '']) => {
        const all = numbers.split(', ').map(meant);
        if (!allowsBare) return [`"${cited}" is an older form: ${casesFile} has the new one`];
        return all
          .filter((number) => number && !shared.has(number))
          .map((number) => `"${cited}" means ${number}, which is defined nowhere`);
      }),
    );
}

/** A number that two files define means two things. */
function definitionFaults(line: string, path: string, { local, shared }: Definitions): string[] {
  const number = localDefinition.exec(line)?.[1];
  if (!number) return [];
  const others = (local.get(number) ?? []).filter((file) => file !== path);
  const all = shared.has(number) ? [...others, 'a shared number'] : others;
  return all.map((place) => `"${number}" is defined twice: ${place}`);
}

/** Decisions and kinds. */
function nameFaults(line: string, { shared }: Definitions): string[] {
  const decisions = [...line.matchAll(adrs)].flatMap(
    ([, written, path]) => (written ?? path ?? '').match(/\d{4}/g) ?? [],
  );
  const names = [
    ...decisions.map((number) => `ADR ${number}`),
    ...[...line.matchAll(kinds)].map(([, n]) => `kind ${n}`),
  ];
  return names.filter((name) => !shared.has(name)).map((name) => `"${name}" is defined nowhere`);
}

/** The files, and the headings in them, that the links of a document lead to. */
export function brokenLinks(
  { path, text }: Source,
  exists: (path: string) => boolean,
  read: (path: string) => string,
): Fault[] {
  return text.split('\n').flatMap((line, index) =>
    [...line.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, target = '']) => {
      if (/^[a-z]+:/.test(target)) return [];
      const [file = '', anchor] = target.split('#');
      const place = file ? posix.join(posix.dirname(path), file) : path;
      const isThere = exists(place) && (!anchor || anchorsOf(read(place)).has(anchor));
      return isThere ? [] : [{ file: path, line: index + 1, message: `the link "${target}" leads nowhere` }];
    }),
  );
}

/** The anchors that GitHub gives to headings. */
const anchorsOf = (text: string): ReadonlySet<string> =>
  new Set(
    [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
      title
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
