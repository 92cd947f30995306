/**
 * `userspace daemonset`: the only container of the DaemonSet. It installs the executable on its node, keeps the plugin's kubeconfig fresh and
 * the agent at work; with --uninstall it takes all of it away again, once no attachment lives. Everything is done in the node's mount
 * namespace (ADR 0015).
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { messageOf } from '../attachment.ts';
import { defaultDeadlines, now } from '../deadlines.ts';
import { requestToken, type Token } from '../effects/kubernetes/token-request.ts';
import { keepAgent } from './agent-keeper.ts';
import { serveHealth } from './health.ts';
import { HostSpace, type Ran, troubleOfPlace } from './host-space.ts';
import { OwnAccount, serverOfPod } from './own-account.ts';
import { pause } from './pause.ts';
import { kubeconfigText, pluginKubeconfig, writePluginKubeconfig } from './plugin-kubeconfig.ts';
import { keepFresh } from './renewal.ts';
import { type DaemonsetWords, parseDaemonsetWords } from './words.ts';

const uninstallMs = 10_000;
/** The exit code of `userspace uninstall` while attachments live. */
const attachmentsLive = 3;

export interface DaemonsetOptions {
  /** The words after `userspace daemonset`. */
  readonly args: readonly string[];
  readonly env: { readonly [name: string]: string | undefined };
  readonly pid: number;
  readonly stdin: () => string;
  readonly stop: AbortSignal;
  /** Says why this is no place for it, if not as usual. */
  readonly troubleOfPlace?: (hostPid: number) => string | undefined;
  /** Where the kubelet shows the pod's account, if not at the usual place. */
  readonly accountDir?: string;
  readonly log: (line: string) => void;
}

/** @returns the exit code: 0 if it was told to stop, 1 if it cannot go on, 2 if its words are wrong */
export async function runDaemonset(options: DaemonsetOptions): Promise<number> {
  const { args, stdin, log } = options;
  let words: DaemonsetWords;
  try {
    words = parseDaemonsetWords(args);
  } catch (error) {
    log(`${messageOf(error).split('. ')[0]}; see userspace --help`);
    return 2;
  }
  try {
    if (words.writeKubeconfig) writePluginKubeconfig(stdin());
    else await new Daemonset(words, options).run();
    return 0;
  } catch (error) {
    log(messageOf(error));
    return 1;
  }
}

class Daemonset {
  readonly #words: DaemonsetWords;
  readonly #options: DaemonsetOptions;
  readonly #host: HostSpace;
  readonly #own: OwnAccount;

  constructor(words: DaemonsetWords, options: DaemonsetOptions) {
    this.#words = words;
    this.#options = options;
    this.#host = new HostSpace(words.hostPid, options.pid);
    this.#own = new OwnAccount(words.server ?? serverOfPod(options.env), options.accountDir);
  }

  async run(): Promise<void> {
    const trouble = (this.#options.troubleOfPlace ?? troubleOfPlace)(this.#words.hostPid);
    if (trouble !== undefined) throw new Error(trouble);
    const program = await this.#chooseProgram();
    await (this.#words.uninstall ? this.#uninstall(program) : this.#serve(program));
  }

  /** Installs at once. The agent starts after the kubeconfig is written, so its health tells of a kubeconfig too. */
  async #serve(program: string): Promise<void> {
    const { stop, log } = this.#options;
    await this.#install(program);
    const begun = Promise.withResolvers<void>();
    stop.addEventListener('abort', () => begun.resolve());
    const fresh = this.#keepFresh(program, stop, begun.resolve);
    await begun.promise;
    await keepAgent({ start: () => this.#startAgent(program), stop, log });
    await fresh;
  }

  /** The first of the image's executables that the node's C library runs. @throws an Error with what each of them said */
  async #chooseProgram(): Promise<string> {
    const troubles: string[] = [];
    for (const program of this.#host.executables) {
      const ran = await this.#host.run([program, '--version']);
      if (ran.ended === 0) return program;
      troubles.push(describe(ran));
    }
    throw new Error(
      `no executable of the image runs in the mount namespace of process ${this.#words.hostPid}: ${troubles.join('; ')}`,
    );
  }

  async #install(program: string): Promise<void> {
    const ran = await this.#host.run([program, 'install', this.#words.binDir]);
    if (ran.ended !== 0) throw new Error(`the executable cannot be installed: ${describe(ran)}`);
    this.#options.log(ran.out);
  }

  /** Installs before each start, because the executable may have been removed since. */
  async #startAgent(program: string): Promise<ChildProcess> {
    await this.#install(program);
    const { binDir, agent } = this.#words;
    const child = this.#host.start([join(binDir, 'userspace'), 'agent', ...agent]);
    await once(child, 'spawn');
    return child;
  }

  async #keepFresh(program: string, stop: AbortSignal, ready: () => void): Promise<void> {
    const { account, tokenSeconds: seconds, renewAfterMs } = this.#words;
    const { log } = this.#options;
    const own = this.#own;
    const renew = async (): Promise<Token> => {
      const question = { namespace: own.namespace, account, seconds };
      const renewed = await requestToken(own.endpoint, question, now() + defaultDeadlines.apiMs);
      const text = kubeconfigText({ server: own.server, ca: own.authority(), token: renewed.token });
      const ran = await this.#host.run([program, 'daemonset', '--write-kubeconfig'], text);
      if (ran.ended !== 0) throw new Error(`"${pluginKubeconfig}" cannot be written: ${describe(ran)}`);
      return renewed;
    };
    await keepFresh({ renew, readAuthority: own.authority, ready, renewAfterMs, stop, log });
  }

  /** The DELs of attachments that live need the kubeconfig, so it stays fresh until the last of them is gone. */
  async #uninstall(program: string): Promise<void> {
    const { stop, log } = this.#options;
    let left: string | undefined = 'not begun';
    const health = serveHealth(this.#words.health, () => left);
    const removed = new AbortController();
    let fresh: Promise<void> | undefined;
    while (!stop.aborted) {
      const ran = await this.#host.run([program, 'uninstall', this.#words.binDir]);
      const said = describe(ran);
      if (said !== left) log(said);
      left = said;
      if (ran.ended === 0) break;
      if (ran.ended === attachmentsLive)
        fresh ??= this.#keepFresh(program, AbortSignal.any([stop, removed.signal]), () => undefined);
      await pause(uninstallMs, stop);
    }
    removed.abort();
    await fresh;
    // A renewal that was under way may have written its file again.
    if (!stop.aborted && fresh !== undefined) await this.#host.run([program, 'uninstall', this.#words.binDir]);
    left = undefined;
    await new Promise<void>((resolve) => {
      if (stop.aborted) return resolve();
      stop.addEventListener('abort', () => resolve());
    });
    health.close();
  }
}

/** For people: what a program said, else how it ended. */
const describe = ({ ended, out, err }: Ran): string =>
  [out, err].filter(Boolean).join('; ') || `it ended with ${ended}`;
