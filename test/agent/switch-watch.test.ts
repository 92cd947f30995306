/** A switch of two sockets, whose servers the test plays. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { SwitchWatch } from '../../src/agent/switch-watch.ts';
import { now } from '../../src/deadlines.ts';
import { acceptFrom, isClosed, listenAt, readyOf } from '../../src/os/unix-sockets.ts';
import { close, receivedText, sendText } from '../support/sockets.ts';
import { temporaryDirectory } from '../support/temporary.ts';

/** A server at a path, and the connection to it. */
class Server {
  readonly path: string;
  readonly #listener: number;
  #accepted: number | undefined;

  constructor(path: string) {
    this.path = path;
    this.#listener = listenAt(path, 4);
    onTestFinished(() => this.stop());
  }

  /** The last connection that was made. */
  get connection(): number {
    this.#accepted = acceptFrom(this.#listener) ?? this.#accepted;
    if (this.#accepted === undefined) throw new Error('nothing has connected');
    return this.#accepted;
  }

  stop(): void {
    if (this.#accepted !== undefined) close(this.#accepted);
    close(this.#listener);
    rmSync(this.path, { force: true });
  }
}

function switchIn(directory = temporaryDirectory()) {
  const database = () => new Server(join(directory, 'db.sock'));
  const daemon = (pid: number) => new Server(join(directory, `ovs-vswitchd-dpdk.${pid}.ctl`));
  const watch = new SwitchWatch(join(directory, 'db.sock'));
  onTestFinished(() => watch.close());
  return { database, daemon, watch };
}

const look = (watch: SwitchWatch): boolean => watch.look(new Set(readyOf(watch.fds, 0)));

/** Looks whenever the watch wants to, until it has seen a return. */
function lookUntilBack(watch: SwitchWatch): void {
  for (let looks = 0; looks < 50; looks++) {
    readyOf(watch.fds, Math.max(1, watch.at - now()));
    if (look(watch)) return;
  }
  throw new Error('it was not seen to come back');
}

describe('the watch over the switch', () => {
  it('holds a connection to both servers, and asks neither again while they are there', () => {
    const { database, daemon, watch } = switchIn();
    const both = [database(), daemon(4711)];
    expect(look(watch)).toBe(false);
    expect(watch.fds).toHaveLength(2);
    for (const { connection } of both) expect(isClosed(connection)).toBe(false);
    expect([look(watch), watch.at]).toEqual([false, Number.POSITIVE_INFINITY]);
  });

  it.each(['ovs-vswitchd', 'ovsdb-server'])('tells once that %s has come back, under another process', (name) => {
    const { database, daemon, watch } = switchIn();
    const servers = { 'ovsdb-server': database(), 'ovs-vswitchd': daemon(4711) };
    look(watch);
    const one = servers[name as keyof typeof servers];
    expect(isClosed(one.connection)).toBe(false);
    one.stop();
    expect(look(watch)).toBe(false);
    expect(watch.fds).toHaveLength(1);
    expect(watch.at).toBeLessThan(Number.POSITIVE_INFINITY);
    if (name === 'ovsdb-server') database();
    else daemon(4712);
    lookUntilBack(watch);
    expect([look(watch), watch.fds.length]).toEqual([false, 2]);
  });

  it('tells that a switch has come that was not there at first', () => {
    const { database, watch } = switchIn();
    expect(look(watch)).toBe(false);
    database();
    lookUntilBack(watch);
  });

  it('passes over the control socket of a process that is dead', () => {
    const directory = temporaryDirectory();
    const { database, daemon, watch } = switchIn(directory);
    database();
    close(listenAt(join(directory, 'ovs-vswitchd-dpdk.17.ctl'), 1));
    daemon(4711);
    look(watch);
    expect(watch.fds).toHaveLength(2);
  });

  it('answers the probes of a database, also one that comes in two pieces', () => {
    const { database, watch } = switchIn();
    const server = database();
    look(watch);
    const probe = '{"id":"echo","method":"echo","params":[]}';
    sendText(server.connection, `${probe}${probe.slice(0, 20)}`);
    look(watch);
    expect(JSON.parse(receivedText(server.connection) ?? '')).toEqual({ id: 'echo', result: [], error: null });
    sendText(server.connection, probe.slice(20));
    look(watch);
    expect(JSON.parse(receivedText(server.connection) ?? '')).toEqual({ id: 'echo', result: [], error: null });
  });
});
