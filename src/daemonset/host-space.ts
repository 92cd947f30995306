/**
 * Programs in the mount namespace of the node, started from a container that sees the node's processes (hostPID). Files there are found by
 * the node's own names, symbolic links included, and a program runs with the node's C library.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readlinkSync } from 'node:fs';

/** The installer reads and writes 120 MB and waits for the disk. */
const runMs = 120_000;

type LinkReader = (path: string) => string;

/**
 * Tells what keeps this process from being the node's own but for its mounts. Unchecked, it would install into its own container, or start an
 * agent that no call finds.
 * @returns undefined if it is, or if that cannot be seen: then nsenter(1) says more
 */
export function troubleOfPlace(hostPid: number, read: LinkReader = readlinkSync): string | undefined {
  const isShared = (kind: string): boolean | undefined => {
    try {
      return read(`/proc/${hostPid}/ns/${kind}`) === read(`/proc/self/ns/${kind}`);
    } catch {
      return undefined;
    }
  };
  if (isShared('mnt'))
    return `process ${hostPid} has the files of this container, not those of the node: the pod needs hostPID`;
  if (isShared('net') === false)
    return `process ${hostPid} has another network than this container: the pod needs hostNetwork`;
  return undefined;
}

export interface Ran {
  /** The exit code, or the name of the signal that ended it. */
  readonly ended: number | string;
  readonly out: string;
  readonly err: string;
}

export class HostSpace {
  /**
   * @param hostPid a process of the node itself
   * @param ownPid this process, by its number on the node
   */
  constructor(
    readonly hostPid: number,
    readonly ownPid: number,
  ) {}

  /**
   * The executables of the image, by names of the node: this one, and the one for a node with musl. A link of proc(5) leads into this
   * container, also from another mount namespace.
   */
  get executables(): readonly string[] {
    const root = `/proc/${this.ownPid}/root`;
    return [`/proc/${this.ownPid}/exe`, `${root}/usr/local/lib/userspace/userspace-musl`];
  }

  /** Starts a program that writes where this one writes. nsenter(1) becomes the program, so signals reach it. */
  start(words: readonly string[]): ChildProcess {
    return spawn('nsenter', this.#inside(words), { stdio: ['ignore', 'inherit', 'inherit'] });
  }

  /** Runs a program to its end. @param input its standard input */
  async run(words: readonly string[], input = ''): Promise<Ran> {
    const child = spawn('nsenter', this.#inside(words), { timeout: runMs, killSignal: 'SIGKILL' });
    const [out, err]: [string[], string[]] = [[], []];
    child.stdout.on('data', (chunk) => out.push(String(chunk)));
    child.stderr.on('data', (chunk) => err.push(String(chunk)));
    // A program that does not read its input may close it first.
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    const ended = await endOf(child, 'close');
    return { ended, out: out.join('').trim(), err: err.join('').trim() };
  }

  #inside(words: readonly string[]): string[] {
    return ['--target', String(this.hostPid), '--mount', '--', ...words];
  }
}

/** @param event exit: it has ended; close: and its output is read. @throws if it cannot be started */
export async function endOf(child: ChildProcess, event: 'exit' | 'close'): Promise<number | string> {
  const [code, signal] = (await once(child, event)) as [number | null, string | null];
  return code ?? signal ?? 'unknown';
}
