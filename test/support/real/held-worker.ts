/** A worker of an agent under the tracer: it stands still at its n-th call that changes something, until the test lets go of it. */
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

  /** Returns when the next call that the worker takes over will be counted. @param nth 0: it is never held */
  static async seize(pid: number, nth: number): Promise<HeldWorker> {
    const directory = mkdtempSync(join(tmpdir(), 'usw-t-'));
    const child = bunChild(tracer, ['--hold', String(nth), join(directory, 'calls'), String(pid)]);
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
