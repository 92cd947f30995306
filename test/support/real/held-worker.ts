/** A worker of an agent, or its supervisor, under the tracer: it stands still at its n-th call that changes something, until the test lets go of it. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bunChild, type Child } from './child.ts';

const tracer = new URL('./tracer.ts', import.meta.url);

export class HeldWorker {
  readonly pid: number;
  readonly #child: Child;
  readonly #directory: string;

  private constructor(pid: number, child: Child, directory: string) {
    this.pid = pid;
    this.#child = child;
    this.#directory = directory;
  }

  /**
   * Returns when it will be counted.
   * @param nth 0: it is never held
   * @param from `take-over`: the calls of a worker count from the moment when the next call is handed to it
   */
  static async seize(pid: number, nth: number, from: 'take-over' | 'now' = 'take-over'): Promise<HeldWorker> {
    const directory = mkdtempSync(join(tmpdir(), 'usw-t-'));
    const child = bunChild(tracer, ['--hold', String(nth), join(directory, 'calls'), String(pid), from]);
    const worker = new HeldWorker(pid, child, directory);
    await child.line();
    return worker;
  }

  /** @returns the call at which it is held; undefined if it has ended, or was let go */
  held(): Promise<string | undefined> {
    return this.#child.line().then(
      (line) => line.slice('held '.length),
      () => undefined,
    );
  }

  /** It goes on, if it lives. @returns its calls that change something, as far as it came */
  async release(): Promise<readonly string[]> {
    try {
      this.#child.process.stdin?.end();
      await this.#child.ended();
      return JSON.parse(readFileSync(join(this.#directory, 'calls'), 'utf8')) as string[];
    } finally {
      rmSync(this.#directory, { recursive: true, force: true });
    }
  }
}
