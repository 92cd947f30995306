import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { figuresSocket, sendReport } from '../../src/agent/report.ts';
import { acceptFrom, listenAt } from '../../src/os/unix-sockets.ts';
import { close, receivedText } from '../support/sockets.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const report = { kind: 'call', verb: 'ADD', code: 0, ms: 1, steps: [] } as const;

describe('a report', () => {
  it('reaches the meter of the directory', () => {
    const directory = temporaryDirectory();
    const listener = listenAt(figuresSocket(directory), 1);
    sendReport(directory, report);
    const fd = acceptFrom(listener) ?? -1;
    expect(JSON.parse(receivedText(fd) ?? '')).toEqual(report);
    expect(receivedText(fd)).toBeUndefined();
    for (const one of [fd, listener]) close(one);
  });

  it.each([
    ['there is no directory', (path: string) => join(path, 'absent')],
    ['there is no meter', (path: string) => path],
    ['its path is too long for a socket', (path: string) => join(path, 'x'.repeat(200))],
    ['calls ask no agent', () => 'off'],
  ])('is lost, and nothing else, if %s', (_, placeIn) => {
    expect(() => sendReport(placeIn(temporaryDirectory()), report)).not.toThrow();
  });

  it('is lost if the meter takes none just now', () => {
    const directory = join(temporaryDirectory(), 'full');
    mkdirSync(directory);
    const listener = listenAt(figuresSocket(directory), 0);
    for (let count = 0; count < 5; count++) sendReport(directory, report);
    close(listener);
  });
});
