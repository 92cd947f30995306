/**
 * The log of one call: `logFile` as the predecessor wrote it, and stderr for errors and warnings always, each of them once. A log
 * that cannot be written neither fails nor delays a call: lines wait for their file while the call works, and for a moment at its
 * end. No secret is ever handed to it (I12).
 */
import { constants, fstatSync, type Stats, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { type LogLevel, logLevels } from './attachment.ts';
import { logMs, sleep } from './deadlines.ts';

const { O_APPEND, O_CREAT, O_NOCTTY, O_NONBLOCK, O_WRONLY } = constants;

/** Where the one JSON document goes (I9). */
const answerFd = 1;

export interface Log {
  error(message: string): void;
  warning(message: string): void;
  info(message: string): void;
  /** Once, when the call is done. */
  close(): Promise<void>;
}

interface Options {
  readonly logFile?: string;
  readonly logLevel: LogLevel;
  /** The standard output of the process that called, if it is not this one. */
  readonly answerPath?: string;
}

export function openLog(options: Options, stderr: (text: string) => void, clock: () => Date): Log {
  const { logFile, logLevel, answerPath } = options;
  const file = logFile ? new LogFile(logFile, answerPath) : undefined;
  const saidBefore = new Set<string>();
  const write = (level: LogLevel) => (message: string) => {
    const line = `${clock().toISOString()} [${level}] userspace: ${message.replace(/\p{Cc}+/gu, ' ')}\n`;
    // No file is written by default, but runtimes log a plugin's stderr.
    if (level !== 'info' && !saidBefore.has(message)) stderr(line);
    saidBefore.add(message);
    if (logLevels.indexOf(level) <= logLevels.indexOf(logLevel)) file?.append(line);
  };
  return {
    error: write('error'),
    warning: write('warning'),
    info: write('info'),
    close: async () => await file?.close(),
  };
}

/** Log files that are being written. */
const written = new Set<LogFile>();

/** Whether a file system still owes this process an answer to a line: a thread is stuck until it comes. */
export const owesLines = (): boolean => written.size > 0;

/** The path is the user's: it may be a FIFO or a directory, or on a file system that is full or does not answer. */
class LogFile {
  readonly #path: string;
  readonly #answerPath: string | undefined;
  #waiting = '';
  #writing: Promise<void> | undefined;

  constructor(path: string, answerPath: string | undefined) {
    this.#path = path;
    this.#answerPath = answerPath;
  }

  append(line: string): void {
    this.#waiting += line;
    this.#writing ??= this.#write();
  }

  async close(): Promise<void> {
    await Promise.race([this.#writing, sleep(logMs)]);
  }

  async #write(): Promise<void> {
    written.add(this);
    while (this.#waiting !== '') await this.#writeOnce().catch(() => undefined);
    written.delete(this);
    this.#writing = undefined;
  }

  async #writeOnce(): Promise<void> {
    const lines = this.#waiting;
    this.#waiting = '';
    // O_NONBLOCK: a FIFO without a reader is refused, and a full one takes nothing.
    const file = await open(this.#path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY, 0o640);
    try {
      if (!isAt(this.#answerPath, await file.stat())) await file.write(lines);
    } finally {
      await file.close();
    }
  }
}

/** Whether the file is standard output, by whatever path: a log line before the answer would spoil the JSON document. */
function isAt(answerPath: string | undefined, { dev, ino }: Stats): boolean {
  const answer = answerPath === undefined ? fstatSync(answerFd) : statSync(answerPath);
  return answer.dev === dev && answer.ino === ino;
}
