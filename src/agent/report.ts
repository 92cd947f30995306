/** The report of a call or a recovery that is done, sent to the agent's meter (meter.ts). Every call loads this file. */
import { now } from '../deadlines.ts';
import type { Report } from '../figures/report.ts';
import { closeFile, identityOf } from '../os/bare.ts';
import { connectTo, sendAll } from '../os/unix-sockets.ts';
import { agentDirectory } from './place.ts';

/** One for the directory, and not one for each executable: a call of another release counts too. */
export const figuresSocket = (directory: string): string => `${directory}/figures`;

/** A GC of many attachments takes more steps than are told: the rest would not fit into the socket at once. */
export const stepsMax = 500;

/**
 * Neither fails nor waits: a report that finds no meter, or no room, is lost.
 * @param setting the value of the variable that names the directory
 */
export function sendReport(setting: string | undefined, report: Report): void {
  try {
    const directory = agentDirectory(setting);
    if (directory === undefined) return;
    const path = figuresSocket(directory);
    // Where there is no meter, a look costs a tenth of loading the functions that connect.
    const fd = identityOf(path)?.isSocket ? connectTo(path) : undefined;
    if (fd === undefined) return;
    sendAll(fd, new TextEncoder().encode(JSON.stringify(report)), now());
    closeFile(fd);
  } catch {
    // The path is too long for a socket.
  }
}
