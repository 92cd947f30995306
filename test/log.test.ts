import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Log, openLog, owesLines } from '../src/log.ts';
import { temporaryDirectory } from './support/temporary.ts';

const levels = ['panic', 'error', 'warning', 'info', 'debug', 'verbose'] as const;
const at = '2025-01-17T12:00:00.000Z';

function opened(options: { logFile?: string; logLevel?: (typeof levels)[number] } = {}) {
  const err: string[] = [];
  const log = openLog(
    { logLevel: 'verbose', ...options },
    (text) => void err.push(text),
    () => new Date(at),
  );
  return { log, err: () => err.join('') };
}

async function sayAll(log: Log): Promise<void> {
  log.error('an error');
  log.warning('a warning');
  log.info('some news');
  await log.close();
}

describe('the log file', () => {
  it('is owed an answer until its line is written, so that a process that stays can tell (WO3)', async () => {
    const { log } = opened({ logFile: join(temporaryDirectory(), 'log') });
    expect(owesLines()).toBe(false);
    log.info('news');
    expect(owesLines()).toBe(true);
    await log.close();
    expect(owesLines()).toBe(false);
  });

  it.each([
    ['panic', []],
    ['error', ['error']],
    ['warning', ['error', 'warning']],
    ['info', ['error', 'warning', 'info']],
    ['debug', ['error', 'warning', 'info']],
    ['verbose', ['error', 'warning', 'info']],
  ] as const)('with level %s holds %j', async (logLevel, kept) => {
    const logFile = join(temporaryDirectory(), 'log');
    await sayAll(opened({ logFile, logLevel }).log);
    const lines = existsSync(logFile) ? readFileSync(logFile, 'utf8').split('\n').filter(Boolean) : [];
    expect(lines.map((line) => /\[(\w+)\]/.exec(line)?.[1])).toEqual(kept);
  });

  it('has one line for each message, with time, level and our name, even for a message of several lines', async () => {
    const logFile = join(temporaryDirectory(), 'log');
    const { log } = opened({ logFile });
    log.warning('two\nlines');
    await log.close();
    expect(readFileSync(logFile, 'utf8')).toBe(`${at} [warning] userspace: two lines\n`);
  });

  it('is appended to, and other users may not read it', async () => {
    const logFile = join(temporaryDirectory(), 'log');
    for (const word of ['one', 'two']) {
      const { log } = opened({ logFile });
      log.info(word);
      await log.close();
    }
    expect(readFileSync(logFile, 'utf8')).toMatch(/one\n.*two\n$/);
    expect(statSync(logFile).mode & 0o007).toBe(0);
  });
});

describe('stderr', () => {
  it.each(levels)(
    'gets every error and every warning, and nothing else, with level %s too (need N7)',
    async (logLevel) => {
      const { log, err } = opened({ logLevel });
      await sayAll(log);
      expect(err()).toBe(`${at} [error] userspace: an error\n${at} [warning] userspace: a warning\n`);
    },
  );

  it('gets each message once, however often the log file gets it (need N7)', async () => {
    const logFile = join(temporaryDirectory(), 'log');
    const { log, err } = opened({ logFile });
    await sayAll(log);
    await sayAll(log);
    expect(err().split('\n')).toHaveLength(3);
    expect(readFileSync(logFile, 'utf8').split('\n')).toHaveLength(7);
  });
});

describe('a log file that cannot be written', () => {
  const root = temporaryPlaces();

  it.each(Object.keys(root))(
    'because it is %s neither fails nor delays a call, and stderr still gets the lines',
    async (place) => {
      const { log, err } = opened({ logFile: root[place as keyof typeof root](temporaryDirectory()) });
      await sayAll(log);
      expect(err()).toContain('an error');
    },
  );
});

function temporaryPlaces() {
  return {
    'in a directory that is not there': (directory: string) => join(directory, 'no', 'log'),
    'a directory': (directory: string) => {
      mkdirSync(join(directory, 'log'));
      return join(directory, 'log');
    },
    'below a file': (directory: string) => {
      writeFileSync(join(directory, 'file'), '');
      return join(directory, 'file', 'log');
    },
    'a FIFO that nobody reads': (directory: string) => {
      execFileSync('mkfifo', [join(directory, 'log')]);
      return join(directory, 'log');
    },
    'on a full disk': () => '/dev/full',
    'no path': () => 'a\u0000b',
  };
}
