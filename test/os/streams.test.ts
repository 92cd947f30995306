import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { readToEnd } from '../../src/os/streams.ts';
import { bunChild } from '../support/real/child.ts';
import { brokenPipe, fullPipe, type Pipe, pipe } from '../support/real/pipes.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const speaker = new URL('../support/real/speaker.ts', import.meta.url);

/** Runs in a process of its own, which can be ended if it hangs. */
async function said(way: string, length: number, to: Pipe): Promise<unknown> {
  const child = bunChild(speaker, [way, String(length)], [to.fd]);
  const line = JSON.parse(await child.line());
  expect(await child.ended()).toBe(0);
  return line;
}

describe('kind 6: a reader that', () => {
  it.each(['offer', 'queue'])('does not read delays no writer (%s)', async (way) => {
    await said(way, 100_000, fullPipe());
    const half = pipe();
    await said(way, 100_000, half);
    // The part that it takes at once is written.
    expect(half.read()).toMatch(/^x{4096,}$/);
  });

  it('has gone ends no process that writes to it', async () => {
    for (const way of ['offer', 'queue']) await said(way, 100, brokenPipe());
    expect(await said('finish', 100, brokenPipe())).toBe(false);
  });

  it('does not read is waited for until the time limit, and has not everything then', async () => {
    expect(await said('finish', 100, fullPipe())).toBe(false);
    expect(await said('finish', 100, pipe())).toBe(true);
  });

  it('reads late gets everything queued, in order, and nothing that was only offered', async () => {
    const late = fullPipe();
    const child = bunChild(speaker, ['late', '0'], [late.fd]);
    expect(await child.line()).toBe('"waiting"');
    expect(late.read()).toMatch(/^\.+$/);
    expect(JSON.parse(await child.line())).toBe(true);
    expect(late.read()).toBe('queued and more');
  });
});

describe('standard input', () => {
  const text = `{"name":"${'ä'.repeat(100_000)}"}`;

  it('kind 6: is read to its end, even if it comes late and in parts', async () => {
    const child = bunChild(speaker, ['read', '0']);
    child.process.stdin?.write(text.slice(0, 50_000));
    child.process.stdin?.end(text.slice(50_000));
    expect(JSON.parse(await child.line())).toBe(text);
  });

  it('may be a file or a pipe', async () => {
    const path = join(temporaryDirectory(), 'file');
    writeFileSync(path, text);
    const fd = openSync(path, 'r');
    onTestFinished(() => closeSync(fd));
    expect(JSON.parse(await bunChild(speaker, ['read', '3'], [fd]).line())).toBe(text);
  });

  it('that is closed gives an error that says so', () => {
    expect(() => readToEnd(1_000_000)).toThrow('EBADF');
  });
});
