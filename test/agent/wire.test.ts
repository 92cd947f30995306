/** Messages over a connection: whole in any pieces, and an end to every wait. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CallSays, Listener, say } from '../../src/agent/wire.ts';
import { now } from '../../src/deadlines.ts';
import { sendAll } from '../../src/os/unix-sockets.ts';
import { withSeed } from '../support/seed.ts';
import { close, connection, sendText } from '../support/sockets.ts';

const soon = (ms = 50): number => now() + ms;
const go = { say: 'go' } as const;
const call = (stdin: string): CallSays => ({
  say: 'call',
  env: { CNI_COMMAND: 'ADD' },
  stdin,
  cwd: '/',
  cwdFile: '1:2',
  startedMs: 1,
});

const framed = (text: string): string => `${new TextEncoder().encode(text).length}\n${text}`;

/** A listener, and the end that speaks to it. */
function heard(): { readonly listener: Listener<CallSays>; readonly from: number; readonly to: number } {
  const [from, to] = connection();
  return { listener: new Listener<CallSays>(to, ['call', 'go']), from, to };
}

describe('a message', () => {
  it('arrives as it was sent, several in one read', () => {
    const { listener, from } = heard();
    for (const message of [call('{"a":"ä😀\\u0000"}'), go, call('')]) expect(say(from, message, soon())).toBe(true);
    expect(listener.hear(soon())).toEqual({ kind: 'message', message: call('{"a":"ä😀\\u0000"}') });
    expect(listener.hear(soon())).toEqual({ kind: 'message', message: go });
    expect(listener.hear(soon())).toEqual({ kind: 'message', message: call('') });
    expect(listener.hear(soon(5))).toEqual({ kind: 'silence' });
  });

  it('is heard although its sender has closed the connection behind it', () => {
    const { listener, from } = heard();
    say(from, go, soon());
    close(from);
    expect(listener.hear(soon())).toEqual({ kind: 'message', message: go });
    expect(listener.hear(soon())).toEqual({ kind: 'closed' });
  });

  it('that is cut off by the end of the connection is none', () => {
    const { listener, from } = heard();
    sendText(from, framed(JSON.stringify(go)).slice(0, -1));
    close(from);
    expect(listener.hear(soon())).toEqual({ kind: 'closed' });
  });

  it.each([
    ['no length', 'go\n{"say":"go"}'],
    ['an empty length', '\n{"say":"go"}'],
    ['a negative length', '-1\n'],
    ['a length in another notation', '1e1\n{"say":"go"}'],
    ['a head without an end', '123456789'],
    ['more than 32 MiB', `${32 * 1024 * 1024 + 1}\n`],
    ['no JSON', framed('{"say":"go"')],
    ['JSON that is no object', framed('null')],
    ['a word that this end does not hear', framed('{"say":"answer","exitCode":0,"stdout":"","stderr":""}')],
    ['bytes that are no text', '3\n\u0000\u0001\u0002'],
  ])('with %s is garbled', (_, text) => {
    const { listener, from } = heard();
    sendText(from, text);
    expect(listener.hear(soon())).toEqual({ kind: 'garbled' });
  });

  it('of which only a length of 32 MiB has come is waited for', () => {
    const { listener, from } = heard();
    sendText(from, `${32 * 1024 * 1024}\n`);
    expect(listener.hear(soon(5))).toEqual({ kind: 'silence' });
  });

  it('that a reader does not take is given up at its end', () => {
    const { from } = heard();
    const began = now();
    expect(say(from, call('x'.repeat(8 * 1024 * 1024)), soon(60))).toBe(false);
    expect(now() - began).toBeGreaterThanOrEqual(59);
    expect(now() - began).toBeLessThan(1_000);
  });

  it('to a connection that has ended is not sent, and ends no process', () => {
    const { from, to } = heard();
    close(to);
    expect(say(from, call('x'.repeat(1024 * 1024)), soon(5_000))).toBe(false);
  });
});

describe('a wait', () => {
  it('is not renewed by a sender by drops', async () => {
    const { listener, from } = heard();
    const end = soon(120);
    const bytes = framed(JSON.stringify(call('x'.repeat(100))));
    let outcome = listener.hear(now());
    for (let at = 0; outcome.kind === 'silence' && at < 20; at++) {
      sendText(from, bytes[at] ?? '');
      outcome = listener.hear(Math.min(end, soon(10)));
    }
    // Every drop came in time, and the end stays where it was.
    expect(outcome).toEqual({ kind: 'silence' });
    sendText(from, bytes.slice(20));
    expect(listener.hear(end)).toMatchObject({ kind: 'message' });
  });

  it('that is over takes a message that has come already', () => {
    const { listener, from } = heard();
    say(from, go, soon());
    expect(listener.hear(now() - 1)).toEqual({ kind: 'message', message: go });
  });
});

describe(withSeed('any list of messages'), () => {
  const message: fc.Arbitrary<CallSays> = fc.oneof(
    fc.constant(go),
    fc.string({ unit: 'binary', maxLength: 300 }).map(call),
    fc.integer({ min: 60_000, max: 140_000 }).map((length) => call('é'.repeat(length))),
  );

  it('arrives in any cut', () => {
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 5 }),
        fc.array(fc.integer({ min: 1, max: 80_000 }), { minLength: 2, maxLength: 12 }),
        (messages, cuts) => {
          const [from, to] = connection();
          const listener = new Listener<CallSays>(to, ['call', 'go']);
          const parts = messages.map((one) => framed(JSON.stringify(one)));
          const bytes = new TextEncoder().encode(parts.join(''));
          const found: CallSays[] = [];
          let turn = 0;
          for (let at = 0; at < bytes.length; ) {
            const size = cuts[turn++ % cuts.length] ?? 1;
            expect(sendAll(from, bytes.subarray(at, at + size), soon())).toBe(true);
            at += size;
            for (let one = listener.hear(now()); one.kind !== 'silence'; one = listener.hear(now())) {
              if (one.kind !== 'message') throw new Error(one.kind);
              found.push(one.message);
            }
          }
          while (found.length < messages.length) {
            const one = listener.hear(soon(1_000));
            if (one.kind !== 'message') throw new Error(one.kind);
            found.push(one.message);
          }
          for (const fd of [from, to]) close(fd);
          expect(found).toEqual(messages.map((one) => JSON.parse(JSON.stringify(one))));
        },
      ),
      { numRuns: 60 },
    );
  });
});
