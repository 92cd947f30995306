/**
 * The executable's name in the plugin directory, while it is taken away. A runtime that calls meanwhile finds nothing, and says so;
 * a call that has already begun is waited for, because it may leave an attachment. So the name goes first, and comes back if
 * something lives.
 */
import { fsyncSync, lstatSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../attachment.ts';
import { now, sleep } from '../../deadlines.ts';
import { freshName, isSame, name, type PluginDirectory, runVersion } from '../install.ts';
import type { Living } from './living.ts';

/** The executable without its name. Only the holder of the directory's lock renames it. */
const asideName = '.userspace.old';

/** An agent looks every five seconds whether its executable has changed, and its workers finish their calls. */
const endMs = 15_000;
const pauseMs = 100;

export class Name {
  readonly path: string;
  readonly #aside: string;
  readonly #bin: PluginDirectory;

  constructor(bin: PluginDirectory) {
    this.#bin = bin;
    this.path = join(bin.path, name);
    this.#aside = join(bin.path, asideName);
    // An uninstall was killed, and an install came after it.
    if (isThere(this.path) && isThere(this.#aside)) rmSync(this.#aside);
  }

  /** Why what has the name is not ours to take away; undefined if it is, or if nothing is there. */
  stranger(): string | undefined {
    const there = lstatSync(this.path, { throwIfNoEntry: false });
    if (!there) return undefined;
    if (!there.isFile()) return 'it is no regular file';
    if (isSame(this.path, statSync('/proc/self/exe').size) || isOurs(this.path)) return undefined;
    return 'its --version does not answer as this plugin does';
  }

  isThere(): boolean {
    return isThere(this.path) || isThere(this.#aside);
  }

  takeAway(): void {
    if (!isThere(this.path)) return;
    try {
      renameSync(this.path, this.#aside);
    } catch (cause) {
      throw new Error(`"${this.path}" cannot be removed (${messageOf(cause)}): nothing was removed`, { cause });
    }
    fsyncSync(this.#bin.fd);
  }

  /** Gives the name back, also after an uninstall that was killed. */
  putBack(): void {
    if (!isThere(this.#aside)) return;
    renameSync(this.#aside, this.path);
    fsyncSync(this.#bin.fd);
  }

  remove(): void {
    for (const one of [asideName, freshName]) rmSync(join(this.#bin.path, one), { force: true });
    fsyncSync(this.#bin.fd);
  }

  /** Waits for calls, agents and recoveries of this executable. @returns those that did not end */
  async ended(): Promise<Living[]> {
    if (!isThere(this.#aside)) return [];
    const { dev, ino } = statSync(this.#aside, { bigint: true });
    const end = now() + endMs;
    // A process that the kernel was just starting shows its new executable a moment later: so two looks have to find nothing.
    for (let quiet = 0; ; await sleep(pauseMs)) {
      const left = workersOf(dev, ino, this.path);
      quiet = left.length === 0 ? quiet + 1 : 0;
      if (quiet === 2 || now() >= end) return left;
    }
  }
}

const isThere = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined;

function isOurs(path: string): boolean {
  try {
    const said = JSON.parse(runVersion(path)) as { readonly [part: string]: unknown };
    return typeof said.version === 'string' && typeof said.commit === 'string' && typeof said.target === 'string';
  } catch {
    return false;
  }
}

/** The processes of this file that make calls or recover. Those that only look may go on. */
function workersOf(dev: bigint, ino: bigint, path: string): Living[] {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const file = statSync(`/proc/${pid}/exe`, { bigint: true });
      if (file.dev !== dev || file.ino !== ino) return [];
      const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').filter(Boolean);
      const variables = readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0');
      const isCall = variables.some((one) => /^CNI_COMMAND=./.test(one));
      if (!isCall && words[1] !== 'agent' && words[1] !== 'recover') return [];
      const remedy = `wait for its end, or end it: kill -9 ${pid}`;
      const what = isCall ? `a call of a runtime` : words.slice(1).join(' ');
      return [{ what: 'process' as const, name: `process ${pid}`, state: what, at: path, remedy }];
    } catch {
      // It has ended.
      return [];
    }
  });
}
