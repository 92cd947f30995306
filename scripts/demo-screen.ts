/**
 * How the demo looks: progress lines with the time since the start, quotes, tables. Colours on a terminal only.
 */
import type { World } from '../test/support/world.ts';

const rows: readonly (readonly [label: string, part: keyof World])[] = [
  ['switch: ports', 'ports'],
  ['switch: bridges', 'bridges'],
  ['switch: ports in error', 'errors'],
  ['switch: sockets', 'sockets'],
  ['address store: addresses', 'addresses'],
  ['disk: shared directory', 'files'],
  ['disk: journals', 'journals'],
];

export class Screen {
  readonly #colours = process.stdout.isTTY === true && !process.env.NO_COLOR;

  say(text: string): void {
    const seconds = (performance.now() / 1000).toFixed(1).padStart(5);
    console.log(`${this.#paint('2', `[${seconds} s]`)} ${text}`);
  }

  quote(title: string, text: string): void {
    const lines = text.trimEnd().split('\n');
    console.log([this.#paint('1', `    $ ${title}`), ...lines.map((line) => `    ${line}`)].join('\n'));
  }

  table(title: string, world: World): void {
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
