/**
 * Running an IPAM plugin for one call (CNI SPEC section 4): with the same environment, the same standard input, and a deadline.
 */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { type AttachmentKey, keyText } from '../../attachment.ts';
import { type Deadlines, sleep, within } from '../../deadlines.ts';
import type { AddressPlan, Call, CallText } from '../../machines/protocol.ts';
import { type Finished, run } from '../../os/subprocess.ts';
import { type Away, askedBefore } from '../away.ts';
import { type IpamAnswer, notAskedAgain, readAnswer } from './answer.ts';

/** The input of an IPAM program's run. */
export interface IpamCall {
  readonly plan: AddressPlan;
  readonly text: CallText;
  readonly call: Call;
  readonly deadlines: Deadlines;
  /** The attachment; absent if a whole network is meant. */
  readonly key?: AttachmentKey;
  /** More directories to look in, if the plan's no longer have the program. */
  readonly elsewhere?: readonly string[];
  /** Programs that did not answer in time a moment ago: they are not asked again. */
  readonly away?: Away;
}

type Command = 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS' | 'VERSION';

/** While the plugin is replaced on disk, the kernel refuses to run the file that is open for writing (libcni tries again too). */
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

/** A plan's IPAM plugin: its file and its input. */
export class Delegate {
  readonly #asked: IpamCall;
  readonly #file: string | undefined;

  /** @param file undefined: it was not found */
  constructor(asked: IpamCall, file: string | undefined) {
    this.#asked = asked;
    this.#file = file;
  }

  /** The same plugin with another standard input. */
  withStdin(stdin: string): Delegate {
    return this.#withText({ stdin });
  }

  /**
   * A DEL goes by container and interface, but the program still reads the wanted address. If it cannot read it ("IP=a,b" of two
   * families, for host-local), that DEL fails for ever.
   * @returns the same plugin without the wanted address; undefined if the call names none
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

  /** @param gate a lock that the program has to hold, beside the attachment's */
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

/** If a program has moved, the programs that it runs itself have moved with it. */
function extendPath({ path }: AddressPlan, file: string, { env }: CallText): { CNI_PATH?: string } {
  const directory = dirname(file);
  return path.includes(directory) ? {} : { CNI_PATH: [directory, env.CNI_PATH].filter(Boolean).join(':') };
}
