/** Figures as pictures (SVG): a bar for each call and way, in one panel for each kind of figure. */

export interface Bar {
  /** The group that it stands in, such as `ADD in a pod`. */
  readonly call: string;
  readonly way: string;
  /** A figure for each panel; null: there is none. */
  readonly ratios: readonly (number | null)[];
  /** Words behind the first figure. */
  readonly note?: string;
}

export interface Chart {
  readonly title: string;
  /** The titles of the panels. */
  readonly panels: readonly string[];
  readonly bars: readonly Bar[];
}

const [left, panelWidth, between, barHeight, gap, head] = [170, 290, 60, 14, 12, 60];

/**
 * The palette of Okabe and Ito, which stays distinct for the colour-blind. Each bar also has its way's name beside it. The ground is
 * white by itself, so that the picture is the same on a dark page.
 */
const colours: { readonly [way: string]: string } = {
  agent: '#009e73',
  alone: '#0072b2',
  before: '#56b4e9',
  R1: '#999999',
  floor: '#e69f00',
  peer: '#cc79a7',
};

/** One bar's place, and the scale of its panel. */
interface Place {
  readonly x: number;
  readonly y: number;
  readonly scale: number;
}

/** A picture of 870 columns: bars from the top, the groups apart, a line at 1. */
export function chart({ title, panels, bars }: Chart): string {
  const tops = topsOf(bars);
  const bottom = (tops.at(-1) ?? head) + barHeight + 2;
  const [width, height] = [left + panels.length * (panelWidth + between), bottom + gap];
  const parts = panels.flatMap((panel, index) => {
    const x = left + index * (panelWidth + between);
    const scale = panelWidth / Math.max(1, ...bars.map(({ ratios }) => ratios[index] ?? 0));
    const one = (x + scale).toFixed(1);
    return [
      text({ x, y: 46, words: panel }),
      `<line x1="${one}" x2="${one}" y1="${head - 6}" y2="${bottom}" stroke="#222222" stroke-dasharray="2 3"/>`,
      ...bars.map((bar, row) => drawnBar(bar, index, { x, y: tops[row] ?? head, scale })),
    ];
  });
  const names = bars.flatMap((bar, row) => namesOf(bar, bars[row - 1], tops[row] ?? head));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title figures" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="sans-serif" font-size="12">`,
    `<title id="title">${escaped(title)}</title>`,
    `<desc id="figures">${escaped(inWords(panels, bars))}</desc>`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    text({ x: 8, y: 22, words: title, more: ' font-size="15"' }),
    ...names,
    ...parts,
    '</svg>\n',
  ].join('\n');
}

/** The upper edge of each bar. */
function topsOf(bars: readonly Bar[]): number[] {
  const tops: number[] = [];
  for (const [row, bar] of bars.entries()) {
    const above = bars[row - 1];
    const from = (tops.at(-1) ?? head - barHeight - 2) + barHeight + 2;
    tops.push(above && above.call !== bar.call ? from + gap : from);
  }
  return tops;
}

/** The names left of a bar: its way's, and the group's beside its first. */
const namesOf = (bar: Bar, above: Bar | undefined, y: number): string[] => [
  ...(above?.call === bar.call ? [] : [text({ x: 8, y: y + 11, words: bar.call, more: ' font-weight="bold"' })]),
  text({ x: left - 8, y: y + 11, words: bar.way, more: ' text-anchor="end"' }),
];

function drawnBar({ way, ratios, note }: Bar, panel: number, { x, y, scale }: Place): string {
  const ratio = ratios[panel];
  if (ratio === null || ratio === undefined) return text({ x: x + 4, y: y + 11, words: '-' });
  const width = Number((ratio * scale).toFixed(1));
  const bar = `<rect x="${x}" y="${y}" width="${width}" height="${barHeight}" fill="${colours[way] ?? '#444444'}"/>`;
  const words = panel === 0 && note ? `${ratio.toFixed(2)}, ${note}` : ratio.toFixed(2);
  // A long note stands in the bar's own end.
  const fits = width + 4 + words.length * 7 <= panelWidth + between;
  const place = fits ? { x: x + width + 4 } : { x: x + width - 4, more: ' text-anchor="end" font-weight="bold"' };
  // The ground's colour around the letters keeps the line at 1 out of them.
  const more = `${place.more ?? ''} paint-order="stroke" stroke="#ffffff" stroke-width="3"`;
  return bar + text({ x: place.x, y: y + 11, words, more });
}

/** The whole picture for a reader of screens. */
const inWords = (panels: readonly string[], bars: readonly Bar[]): string =>
  bars
    .map(({ call, way, ratios, note }) => {
      const figures = panels.map((panel, index) => `${panel} ${ratios[index]?.toFixed(2) ?? 'unknown'}`);
      return `${call}, ${way}: ${[...figures, ...(note ? [note] : [])].join(', ')}.`;
    })
    .join(' ');

interface Words {
  readonly x: number;
  readonly y: number;
  readonly words: string;
  readonly more?: string;
}

const text = ({ x, y, words, more = '' }: Words): string =>
  `<text x="${x.toFixed(1)}" y="${y}" fill="#222222"${more}>${escaped(words)}</text>`;

const escaped = (words: string): string => words.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
