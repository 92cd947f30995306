/** The few words of man(7) that the manual pages need. */

/** A text as roff shows it letter by letter: a hyphen that can be copied, and no line that begins with a request. */
export const letters = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('`', '\\(ga')
    .replaceAll('^', '\\(ha')
    .replaceAll('~', '\\(ti')
    .replace(/^\./gm, '\\&.');

export const bold = (text: string): string => `\\fB${letters(text)}\\fR`;
const italic = (text: string): string => `\\fI${letters(text)}\\fR`;

/** Words such as `--config FILE` or `show ID [IFNAME]`: what is typed stands bold, what stands for another word italic. */
export const typed = (text: string): string =>
  text
    .split(/(\b[A-Z]{2,}\b)/)
    .map((part) => (/^[A-Z]{2,}$/.test(part) ? italic(part) : part && bold(part)))
    .join('');

export const section = (title: string, ...paragraphs: readonly string[]): string =>
  `.SH ${title}\n${paragraphs.join('\n.PP\n')}\n`;

/** A list of terms, each with its meaning. */
export const terms = (entries: readonly (readonly [term: string, meaning: string])[]): string =>
  entries.map(([term, meaning]) => `.TP\n${term}\n${letters(meaning)}`).join('\n');

/** Lines that are shown as they are. */
export const literal = (text: string): string => `.nf\n${letters(text)}\n.fi`;

interface PageHead {
  readonly name: string;
  readonly section: 1 | 5;
  readonly version: string;
  /** A line for whatis(1). */
  readonly brief: string;
}

/** A whole page. It has no date: equal sources make equal pages. No hyphen is put into a word, which may be one to type. */
export function page({ name, section: number, version, brief }: PageHead, ...sections: readonly string[]): string {
  const manual = number === 1 ? 'User Commands' : 'File Formats';
  const head = `.TH ${letters(name).toUpperCase()} ${number} "" "userspace ${version}" "${manual}"\n.nh\n.ad l\n`;
  return `${head}${section('NAME', `${letters(name)} \\- ${letters(brief)}`)}${sections.join('')}`;
}
