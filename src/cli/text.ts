/** Text for a terminal's lines: characters that it has, widths, and lines that are cut or continued. */
import { textWidth } from '../os/native.ts';
import { plain } from './print.ts';

/** `ascii`: the terminal's locale has no UTF-8. */
export type Charset = 'utf-8' | 'ascii';

interface Variables {
  readonly [name: string]: string | undefined;
}

/** The characters of a locale: its first variable that is set counts (locale(7)). Without any it is POSIX's own, which has ASCII. */
export const charsetOf = ({ LC_ALL, LC_CTYPE, LANG }: Variables): Charset =>
  /utf-?8/i.test(LC_ALL || LC_CTYPE || LANG || '') ? 'utf-8' : 'ascii';

/** Text of other programs in characters that the terminal has. */
export const fitting = (text: string, charset: Charset): string =>
  charset === 'ascii' ? plain(text).replace(/[^\u0020-\u007e]/gu, '?') : plain(text);

const ellipsis: Record<Charset, string> = { 'utf-8': '…', ascii: '~' };

export function cutTo(width: number, text: string, charset: Charset): string {
  if (textWidth(text) <= width) return text;
  return `${headOf(text, width - 1)}${width > 0 ? ellipsis[charset] : ''}`;
}

/** The beginning of a text that takes at most so many columns. */
function headOf(text: string, width: number): string {
  let [head, taken] = ['', 0];
  for (const letter of text) {
    taken += textWidth(letter);
    if (taken > width) break;
    head += letter;
  }
  return head;
}

export const padTo = (width: number, text: string): string => text + ' '.repeat(Math.max(0, width - textWidth(text)));

/**
 * A text in lines of a width, broken at spaces.
 * @param longer what becomes of a longer word: broken anywhere, or a line of its own, so that it can be copied
 */
export function wrapped(text: string, width: number, longer: 'broken' | 'whole' = 'broken'): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && textWidth(line) + 1 + textWidth(word) > width) {
      lines.push(line);
      line = '';
    }
    line = line === '' ? word : `${line} ${word}`;
    while (longer === 'broken' && textWidth(line) > width) {
      // At least one letter, or a narrow line would never end.
      const head = headOf(line, width) || [...line][0] || '';
      lines.push(head);
      line = line.slice(head.length);
    }
  }
  return line === '' && lines.length > 0 ? lines : [...lines, line];
}
