/**
 * Notices that the switch was away and has come back, without asking it again and again: a connection to ovsdb-server and one to
 * ovs-vswitchd's control socket are held open (ovs-appctl(8)), and the kernel tells their end.
 *
 * Owns: the two connections. Does not own: what a return means (recoveries.ts).
 */
import { closeSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Moment, now } from '../deadlines.ts';
import { connectTo, receive, sendAll } from '../os/unix-sockets.ts';

/** A restart takes a second or two; a switch that stays away longer is looked for less often. */
const soonMs = 500;
const laterMs = 5_000;
const soonTries = 60;

/** One server, and the connection to it while it is there. */
class Held {
  fd: number | undefined;
  /** When to try again, while it is away. */
  at: Moment = 0;
  #tries = soonTries;
  readonly #connect: () => number | undefined;

  constructor(connect: () => number | undefined) {
    this.#connect = connect;
  }

  /** @returns whether it has just come */
  tryAgain(): boolean {
    if (this.fd !== undefined || now() < this.at) return false;
    this.fd = this.#connect();
    if (this.fd !== undefined) return true;
    this.#tries++;
    this.at = now() + (this.#tries < soonTries ? soonMs : laterMs);
    return false;
  }

  lose(): void {
    this.close();
    this.#tries = 0;
    this.at = now() + soonMs;
  }

  close(): void {
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
  }
}

export class SwitchWatch {
  readonly #database: Held;
  readonly #daemon: Held;
  #text = '';
  #isFirst = true;

  /** @param socket the database's; ovs-vswitchd's is in the same directory */
  constructor(socket: string) {
    this.#database = new Held(() => connectTo(socket));
    this.#daemon = new Held(() => connectToDaemon(dirname(socket)));
  }

  get fds(): readonly number[] {
    return this.#both.flatMap(({ fd }) => (fd === undefined ? [] : [fd]));
  }

  /** When it next looks for a server that is away. */
  get at(): Moment {
    return Math.min(...this.#both.filter(({ fd }) => fd === undefined).map(({ at }) => at), Number.POSITIVE_INFINITY);
  }

  /** @returns whether one of the two has come back. The first look is none: what was before is not known. */
  look(ready: ReadonlySet<number>): boolean {
    for (const held of this.#both) if (held.fd !== undefined && ready.has(held.fd)) this.#hear(held, held.fd);
    const came = this.#both.filter((held) => held.tryAgain()).length > 0;
    const isBack = came && !this.#isFirst;
    this.#isFirst = false;
    return isBack;
  }

  close(): void {
    for (const held of this.#both) held.close();
  }

  get #both(): readonly Held[] {
    return [this.#database, this.#daemon];
  }

  #hear(held: Held, fd: number): void {
    const bytes = new Uint8Array(4096);
    const count = receive(fd, bytes, now());
    if (count === undefined) return;
    if (count === 0) held.lose();
    else if (held === this.#database) this.#answerProbes(fd, new TextDecoder().decode(bytes.subarray(0, count)));
  }

  /** A database whose administrator has set an inactivity_probe ends a connection that does not answer (RFC 7047 section 4.1.11). */
  #answerProbes(fd: number, text: string): void {
    this.#text = `${this.#text}${text}`.slice(-4096);
    const probe = /\{[^{}]*"method"\s*:\s*"echo"[^{}]*\}/;
    for (let found = probe.exec(this.#text); found; found = probe.exec(this.#text)) {
      this.#text = this.#text.slice(found.index + found[0].length);
      sendAll(fd, new TextEncoder().encode('{"id":"echo","result":[],"error":null}'), now());
    }
  }
}

/**
 * The control socket is named after the program and its process (ovs-vswitchd-dpdk.4711.ctl), or as the administrator's --unixctl says.
 * A dead process's socket refuses.
 */
function connectToDaemon(runDirectory: string): number | undefined {
  let names: string[];
  try {
    names = readdirSync(runDirectory).filter((name) => /vswitchd.*\.ctl$/.test(name));
  } catch {
    return undefined;
  }
  for (const name of names) {
    const fd = connectTo(join(runDirectory, name));
    if (fd !== undefined) return fd;
  }
  return undefined;
}
