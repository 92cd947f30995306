/** The ways of recovery as a graph in Graphviz' language (dot): the states of `list`, the findings and the results, as columns. Pure. */
import { stateWords } from '../../src/cli/words.ts';
import { type Fate, fateWords, foundWords } from '../../src/recovery/words.ts';
import { boxes, fonts, plain } from './look.ts';
import { noJournal, type Way } from './recovery-ways.ts';

/** The colour of a result, and of the ways that lead to it. */
const colours: { readonly [fate in Fate]: string } = {
  removed: '#1f6f43',
  restored: '#1d5f9e',
  owed: '#a33327',
  kept: plain,
  held: '#8a6d1d',
  'not looked at': '#7a5195',
};

/** Letters of a line. Boxes of one width hold it in any of the fonts above. */
const lineMax = 32;
const boxInches = 2.85;

/** A text in lines. */
function wrapped(text: string): string {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && `${last} ${word}`.length <= lineMax) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines.join('<br/>');
}

const box = (id: string, word: string, meaning: string, colour: string = plain): string =>
  `"${id}" [color="${colour}" label=<<b>${word}</b><br/><font point-size="11">${wrapped(short(meaning))}</font>>];`;

/** The beginning of a meaning, up to the first remark: docs/recovery.md has the rest. */
const short = (meaning: string): string => meaning.split(/[:;(]/)[0]?.trim() ?? meaning;

/** One column under its heading. */
const column = (name: string, heading: string, boxes: readonly string[]): string[] => [
  `subgraph "cluster_${name}" {`,
  `label=<<b>${heading}</b>> labelloc=t fontsize=14 pencolor="white";`,
  ...boxes,
  '}',
];

export function recoveryDot(ways: readonly Way[]): string {
  const left = Object.entries({ ...stateWords, [noJournal]: 'list has no line for it' });
  const found = ways.map((way) => `"list ${way.state}" -> "found ${way.found}";`);
  const done = ways.map((way) => `"found ${way.found}" -> "done ${way.fate}" [color="${colours[way.fate]}"];`);
  return [
    'digraph recovery {',
    `graph [rankdir=LR ranksep=1.2 nodesep=0.1 bgcolor="white" ${fonts}];`,
    `node [${boxes} width=${boxInches} margin="0.12,0.05" ${fonts} fontsize=13];`,
    `edge [arrowsize=0.7 tailport=e headport=w color="${plain}"];`,
    ...column(
      'list',
      'list says',
      left.map(([word, meaning]) => box(`list ${word}`, word, meaning)),
    ),
    ...column(
      'found',
      'recover finds',
      Object.entries(foundWords).map(([word, meaning]) => box(`found ${word}`, word, meaning)),
    ),
    ...column(
      'done',
      'and the result is',
      Object.entries(fateWords).map(([word, meaning]) => box(`done ${word}`, word, meaning, colours[word as Fate])),
    ),
    ...new Set(found),
    ...new Set(done),
    '}',
    '',
  ].join('\n');
}
