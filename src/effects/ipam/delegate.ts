/**
 * An IPAM plugin as one call asks it (CNI SPEC section 4): same environment, same standard input, and a deadline.
 */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { type AttachmentKey, keyText } from '../../attachment.ts';
import { type Deadlines, sleep, within } from '../../deadlines.ts';
import type { AddressPlan, Call, CallText } from '../../machines/protocol.ts';
import { type Finished, run } from '../../os/subprocess.ts';
import { type Away, askedBefore } from '../away.ts';
import { type IpamAnswer, notAskedAgain, readAnswer } from './answer.ts';

/** What an IPAM program is asked with. */
export interface IpamCall {
  readonly plan: AddressPlan;
  readonly text: CallText;
  readonly call: Call;
  readonly deadlines: Deadlines;
  /** The attachment; absent where a whole network is meant. */
  readonly key?: AttachmentKey;
  /** Directories where to look too, if the plan's have the program no more. */
  readonly elsewhere?: readonly string[];
  /** What did not answer in time a moment ago is not asked again. */
  readonly away?: Away;
}

type Command = 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS' | 'VERSION';

/** The plugin is being replaced on disk: the kernel refuses to run a file that is open for writing (libcni tries again too). */
const busyTriesMax = 5;
const busyPauseMs = 200;

const neverStarted: Finished = {
  exitCode: null,
  signal: null,
  timedOut: false,
  stdout: '',
  stderr: '',
  spawnError: 'ENOENT',
};

const interpreterMissing = 'the interpreter that its first line names is missing (ENOENT)';

/** The IPAM plugin of a plan, where it was found, bound to what it is asked with. */
export class Delegate {
  readonly #asked: IpamCall;
  readonly #file: string | undefined;

  /** @param file undefined: it is nowhere */
  constructor(asked: IpamCall, file: string | undefined) {
    this.#asked = asked;
    this.#file = file;
  }

  /** The same plugin, told something else on its standard input. */
  withStdin(stdin: string): Delegate {
    return this.#withText({ stdin });
  }

  /**
   * A DEL goes by container and interface. The address that its ADD was to ask for is read all the same, and one that the program cannot
   * read ("IP=a,b" of two families, for host-local) fails that DEL for ever.
   * @returns the same plugin, not told of an address; undefined where it is told of none anyway
   */
  withoutIp(): Delegate | undefined {
    const { env } = this.#asked.text;
    const args = (env.CNI_ARGS ?? '').split(';');
    const others = args.filter((arg) => !arg.startsWith('IP='));
    if (others.length === args.length) return undefined;
    return this.#withText({ env: { ...env, CNI_ARGS: others.join(';') } });
  }

  #withText(text: Partial<CallText>): Delegate {
    return new Delegate({ ...this.#asked, text: { ...this.#asked.text, ...text } }, this.#file);
  }

  /** @param gate a lock that the program has to keep, beside the attachment's */
  async ask(command: Command, gate?: number): Promise<IpamAnswer> {
    const { plan, away } = this.#asked;
    const what = `IPAM plugin "${plan.program}" ${command}`;
    const file = this.#file;
    if (file === undefined) return readAnswer(what, plan, neverStarted);
    const silence = away?.findError(file);
    if (silence) return notAskedAgain(what, askedBefore(silence.message));
    const finished = await this.#runUnlessBusy(command, file, gate);
    if (finished.timedOut) away?.note(file, new Error('no answer in time; it was killed'));
    return readAnswer(what, plan, finished);
  }

  async #runUnlessBusy(command: Command, file: string, gate: number | undefined): Promise<Finished> {
    let finished = await this.#run(command, file, gate);
    for (let tries = 1; finished.spawnError === 'ETXTBSY' && tries < busyTriesMax; tries++) {
      await sleep(busyPauseMs);
      finished = await this.#run(command, file, gate);
    }
    const lacksInterpreter = finished.spawnError === 'ENOENT' && existsSync(file);
    return lacksInterpreter ? { ...finished, spawnError: interpreterMissing } : finished;
  }

  async #run(command: Command, file: string, gate: number | undefined): Promise<Finished> {
    const { plan, text, call, deadlines, key } = this.#asked;
    return await run({
      file,
      env: {
        PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        ...text.env,
        ...extendPath(plan, file, text),
        CNI_COMMAND: command,
      },
      stdin: text.stdin,
      end: within(call.end, deadlines.ipamMs),
      locks: [call.lockFd, gate].filter((fd) => fd !== undefined),
      purpose: key ? keyText(key) : command,
    });
  }
}

/** Of a program that moved: what it calls itself in turn moved with it. */
function extendPath({ path }: AddressPlan, file: string, { env }: CallText): { CNI_PATH?: string } {
  const directory = dirname(file);
  return path.includes(directory) ? {} : { CNI_PATH: [directory, env.CNI_PATH].filter(Boolean).join(':') };
}
