/**
 * How the demo looks: progress lines with the time since the start, quotes, tables. Colours on a terminal only.
 *
 * The story stops here too: after a signal its next line throws instead of being printed, so no step is cut in two.
 */
import type { World } from '../test/support/real/world.ts';

const rows: readonly (readonly [label: string, part: keyof World])[] = [
  ['switch: ports', 'ports'],
  ['switch: bridges', 'bridges'],
  ['switch: ports in error', 'errors'],
  ['switch: sockets', 'sockets'],
  ['address store: addresses', 'addresses'],
  ['disk: shared directory', 'files'],
  ['disk: journals', 'journals'],
];

const columns = 80;
/** The width of the time before each line. */
const margin = 10;

/** Thrown after a signal, so that the story ends and its work is taken back. */
export class Interrupted extends Error {}

export class Screen {
  readonly #colours = process.stdout.isTTY === true && !process.env.NO_COLOR;
  #signal: string | undefined;

  /** Makes the next line of the story throw. */
  interrupt(signal: string): void {
    this.progress(`${signal}: this ends with the step that is under way, then everything is put back`);
    this.#signal = signal;
  }

  /** After the story lines are printed again, even after a signal. */
  endStory(): void {
    this.#signal = undefined;
  }

  /** @throws Interrupted after a signal */
  say(text: string): void {
    this.#heed();
    this.progress(text);
  }

  /** For lines within a step: never throws. */
  progress(text: string): void {
    const seconds = (performance.now() / 1000).toFixed(1).padStart(5);
    const [first = '', ...more] = wrapped(text, columns - margin);
    console.log(
      [`${this.#paint('2', `[${seconds} s]`)} ${first}`, ...more.map((line) => ' '.repeat(margin) + line)].join('\n'),
    );
  }

  #heed(): void {
    if (this.#signal !== undefined) throw new Interrupted(this.#signal);
  }

  quote(title: string, text: string): void {
    this.#heed();
    const lines = text === '' ? [] : text.trimEnd().split('\n');
    console.log([this.#paint('1', `    $ ${title}`), ...lines.map((line) => `    ${line}`)].join('\n'));
  }

  /** A line to be copied: never wrapped. */
  note(text: string): void {
    this.#heed();
    console.log(`    ${text}`);
  }

  table(title: string, world: World): void {
    this.#heed();
    console.log(`\n${this.#paint('1', title)}`);
    for (const [label, part] of rows) {
      const count = world[part].length;
      const shown = this.#paint(count === 0 ? '32' : '33', String(count).padStart(4));
      console.log(`  ${label.padEnd(26)}${shown}`);
    }
    console.log('');
  }

  verdict(good: boolean, text: string): void {
    console.log(this.#paint(good ? '32' : '31', `${good ? 'OK' : 'FAILED'}: ${text}`));
  }

  #paint(code: string, text: string): string {
    return this.#colours ? `\u001b[${code}m${text}\u001b[0m` : text;
  }
}

function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
