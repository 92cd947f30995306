/**
 * The log of one call: `logFile` as the predecessor wrote it, and stderr for errors always. A log that can not be written never
 * fails a call. Nothing secret is ever handed to it (I12).
 */
import { appendFileSync } from 'node:fs';

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
    try {
      if (logFile) appendFileSync(logFile, line, { mode: 0o640 });
    } catch {
      // Said in the header: never fails a call.
    }
  };
  return { error: write('error'), warning: write('warning'), info: write('info') };
}
