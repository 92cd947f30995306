/**
 * The log of one call: `logFile` as the predecessor wrote it, and stderr for errors always. A log that can not be written never
 * fails a call. Nothing secret is ever handed to it (I12).
 */
import { closeSync, constants, openSync, writeSync } from 'node:fs';

const { O_APPEND, O_CREAT, O_NONBLOCK, O_WRONLY } = constants;

const levels = ['panic', 'error', 'warning', 'info', 'debug', 'verbose'] as const;
type LogLevel = (typeof levels)[number];

export interface Log {
  error(message: string): void;
  warning(message: string): void;
  info(message: string): void;
}

interface Options {
  readonly logFile?: string;
  readonly logLevel: LogLevel;
}

export function openLog({ logFile, logLevel }: Options, stderr: (text: string) => void, clock: () => Date): Log {
  const write = (level: LogLevel) => (message: string) => {
    const line = `${clock().toISOString()} [${level}] userspace: ${message.replaceAll('\n', ' ')}\n`;
    if (level === 'error') stderr(line);
    if (levels.indexOf(level) > levels.indexOf(logLevel)) return;
    if (logFile) appendLine(logFile, line);
  };
  return { error: write('error'), warning: write('warning'), info: write('info') };
}

/** O_NONBLOCK: a FIFO that nobody reads must not hold the call. */
function appendLine(path: string, line: string): void {
  try {
    const fd = openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, 0o640);
    try {
      writeSync(fd, line);
    } finally {
      closeSync(fd);
    }
  } catch {
    // Said in the header: never fails a call.
  }
}
