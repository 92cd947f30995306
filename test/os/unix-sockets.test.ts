/** Unix sockets by libc: connections, descriptors in messages, and the look at the other end. */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { now, sleep } from '../../src/deadlines.ts';
import {
  acceptFrom,
  connectTo,
  handOver,
  isClosed,
  listenAt,
  peerOf,
  readyOf,
  reapChildren,
  receive,
  takeOver,
} from '../../src/os/unix-sockets.ts';
import { startChild } from '../support/real/child.ts';
import { close, connection, listening, pair, receivedText, sendText } from '../support/sockets.ts';
import { temporaryDirectory } from '../support/temporary.ts';

/** Whether programs that this process starts are not given the descriptor (fdinfo's flags, O_CLOEXEC). */
const isOurs = (fd: number): boolean => isKept(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'));
const isKept = (fdinfo: string): boolean =>
  (Number.parseInt(/flags:\s+(\d+)/.exec(fdinfo)?.[1] ?? '', 8) & 0o2000000) !== 0;

const openFiles = (): number => readdir('/proc/self/fd');
const readdir = (path: string): number =>
  Number(
    spawnSync('sh', ['-c', `ls ${path.replace('self', String(process.pid))} | wc -l`], { encoding: 'utf8' }).stdout,
  );

describe('connecting', () => {
  it('to nothing, to a file, or to a socket whose listener has gone gives nothing, and leaves no descriptor', () => {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, 'file'), '');
    const stale = join(directory, 'stale');
    closeSync(listenAt(stale, 1));
    expect(statSync(stale).isSocket()).toBe(true);
    const before = openFiles();
    for (const name of ['none', 'file', 'stale']) expect(connectTo(join(directory, name))).toBeUndefined();
    expect(openFiles()).toBe(before);
  });

  it('to a listener whose queue is full gives nothing at once', () => {
    const { path } = listening(1);
    const began = now();
    const all = Array.from({ length: 4 }, () => connectTo(path));
    expect(all.filter((fd) => fd === undefined).length).toBeGreaterThan(0);
    expect(now() - began).toBeLessThan(1_000);
    for (const fd of all) if (fd !== undefined) close(fd);
  });

  it('by a path that is too long is refused, with the path in the message', () => {
    const path = join(temporaryDirectory(), 'x'.repeat(108));
    expect(() => listenAt(path, 1)).toThrow('longer than the path of a socket may be');
    expect(() => connectTo(path)).toThrow(path);
  });

  it('by the longest path works', () => {
    const directory = temporaryDirectory();
    const path = join(directory, 'x'.repeat(107 - directory.length - 1));
    expect(path).toHaveLength(107);
    const listener = listenAt(path, 1);
    const fd = connectTo(path);
    expect(fd).toBeDefined();
    for (const one of [listener, fd ?? -1]) close(one);
  });

  it('gives descriptors that no program inherits', () => {
    const { fd: listener, path } = listening();
    const [from, to] = [connectTo(path) ?? -1, acceptFrom(listener) ?? -1];
    for (const fd of [listener, from, to, ...pair()]) expect(isOurs(fd)).toBe(true);
    for (const fd of [from, to]) close(fd);
  });

  it('to a directory that is not there is told', () => {
    const directory = temporaryDirectory();
    rmSync(directory, { recursive: true });
    expect(() => listenAt(join(directory, 's'), 1)).toThrow('is its directory writable?');
  });
});

describe('a listener', () => {
  it('that has no connection gives none', () => {
    expect(acceptFrom(listening().fd)).toBeUndefined();
  });

  it('tells the process and the user at the other end', () => {
    const [from, to] = connection();
    expect(peerOf(to)).toEqual({ pid: process.pid, uid: process.getuid?.() });
    expect(peerOf(from)).toEqual({ pid: process.pid, uid: process.getuid?.() });
  });

  it('has no peer where there is no socket', () => {
    const fd = openSync('/dev/null', 'r');
    expect(peerOf(fd)).toBeUndefined();
    closeSync(fd);
  });
});

describe('a descriptor in a message', () => {
  it('arrives with its text, is the same open file, and is not inherited', () => {
    const [one, other] = pair();
    const path = join(temporaryDirectory(), 'file');
    writeFileSync(path, 'text');
    const fd = openSync(path, 'r');
    expect(handOver(one, 'call', fd)).toBe(true);
    closeSync(fd);
    const handed = takeOver(other);
    if (!handed || handed === 'closed') throw new Error('nothing came');
    expect(handed.text).toBe('call');
    expect(readlinkSync(`/proc/self/fd/${handed.fd}`)).toBe(path);
    expect(isOurs(handed.fd)).toBe(true);
    closeSync(handed.fd);
  });

  it('keeps the borders of several', () => {
    const [one, other] = pair();
    const fd = openSync('/dev/null', 'r');
    for (const text of ['a', 'bb', 'ccc']) expect(handOver(one, text, fd)).toBe(true);
    closeSync(fd);
    const texts = [0, 1, 2].map(() => {
      const handed = takeOver(other);
      if (!handed || handed === 'closed') throw new Error('nothing came');
      closeSync(handed.fd);
      return handed.text;
    });
    expect(texts).toEqual(['a', 'bb', 'ccc']);
    expect(takeOver(other)).toBeUndefined();
  });

  it('is absent from a message that has none', () => {
    const [one, other] = pair();
    sendText(one, 'idle');
    expect(takeOver(other)).toEqual({ text: 'idle', fd: -1 });
  });

  it('to an end that has gone is not handed over, and the end is seen', () => {
    const [one, other] = pair();
    const fd = openSync('/dev/null', 'r');
    close(one);
    expect(takeOver(other)).toBe('closed');
    expect(handOver(other, 'call', fd)).toBe(false);
    closeSync(fd);
  });
});

describe('the other end', () => {
  it('is there until it is closed, whatever it has sent', () => {
    const [from, to] = connection();
    expect(isClosed(to)).toBe(false);
    sendText(from, 'unread');
    expect(isClosed(to)).toBe(false);
    close(from);
    expect(isClosed(to)).toBe(true);
    expect(receivedText(to)).toBe('unread');
    expect(isClosed(to)).toBe(true);
  });

  it('counts as gone when it has ended its side of the connection', async () => {
    const { fd: listener, path } = listening();
    const { connect } = await import('node:net');
    const client = connect({ path, allowHalfOpen: true });
    await new Promise((resolve) => client.once('connect', resolve));
    const fd = acceptFrom(listener) ?? -1;
    expect(isClosed(fd)).toBe(false);
    client.end();
    await new Promise((resolve) => client.once('finish', resolve));
    expect(isClosed(fd)).toBe(true);
    client.destroy();
    close(fd);
  });

  it('that has sent nothing is waited for until the end, and no longer', () => {
    const [, to] = connection();
    const began = now();
    expect(receive(to, new Uint8Array(1), began + 40)).toBeUndefined();
    expect(now() - began).toBeGreaterThanOrEqual(39);
    expect(now() - began).toBeLessThan(1_000);
  });
});

describe('a wait in a process that handles a signal', () => {
  it('goes on to its end when the signal has come', async () => {
    const module = new URL('../../src/os/unix-sockets.ts', import.meta.url).pathname;
    // In a process of its own, because a signal comes to its first thread.
    const script = `const { receive, socketPair } = require(${JSON.stringify(module)});
process.on('SIGUSR2', () => undefined);
const [, fd] = socketPair();
require('fs').writeSync(1, 'waits\\n');
const began = performance.now();
const received = receive(fd, new Uint8Array(1), began + 400);
console.log(received, performance.now() - began);`;
    const child = startChild(process.execPath, ['-e', script]);
    expect(await child.line()).toBe('waits');
    for (let turn = 0; turn < 3; turn++) {
      await sleep(40);
      child.process.kill('SIGUSR2');
    }
    const [received, ms] = (await child.line()).split(' ');
    expect(received).toBe('undefined');
    expect(Number(ms)).toBeGreaterThanOrEqual(399);
  });
});

describe('a wait for several', () => {
  it('tells those that can be read or are closed, and no others', () => {
    const [a, b, c] = [connection(), connection(), connection()];
    expect(readyOf([a[1], b[1], c[1]], 5)).toEqual([]);
    sendText(b[0], 'x');
    close(c[0]);
    expect(readyOf([a[1], b[1], c[1]], 1_000)).toEqual([b[1], c[1]]);
  });

  it('for none is a pause', () => {
    const began = now();
    expect(readyOf([], 20)).toEqual([]);
    expect(now() - began).toBeGreaterThanOrEqual(19);
  });
});

it('a descriptor that was inherited can be kept from children', () => {
  const module = new URL('../../src/os/unix-sockets.ts', import.meta.url).pathname;
  const flags = (after: string): boolean => {
    const script = `const { keepFromChildren } = require(${JSON.stringify(module)}); ${after};
console.log(require('fs').readFileSync('/proc/self/fdinfo/3', 'utf8'))`;
    const fd = openSync('/dev/null', 'r');
    const { stdout } = spawnSync(process.execPath, ['-e', script], {
      stdio: ['ignore', 'pipe', 'inherit', fd],
      encoding: 'utf8',
    });
    closeSync(fd);
    return isKept(stdout);
  };
  expect(flags('')).toBe(false);
  expect(flags('keepFromChildren(3)')).toBe(true);
});

it('a process without children has none to reap', () => {
  expect(reapChildren()).toBe(false);
});
