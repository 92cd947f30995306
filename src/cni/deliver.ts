/** The end of a call: its answer goes out, and its exit code says whether it arrived. Imports nothing, because every call loads it. */

/** The end of a call: its exit code, and its document for stdout, which may be empty. */
export interface CniAnswer {
  readonly exitCode: number;
  readonly stdout: string;
}

export interface Outlets {
  /** Waits for its reader for a bounded time. @returns whether the reader took it */
  readonly stdout: (text: string) => Promise<boolean>;
  /** Neither fails nor waits. */
  readonly stderr: (text: string) => void;
}

/** @returns the exit code */
export async function deliver(answer: CniAnswer, command: string | undefined, outlets: Outlets): Promise<number> {
  const { exitCode, stdout } = answer;
  if (stdout === '' || (await outlets.stdout(stdout))) return exitCode;
  outlets.stderr(`userspace: ${command}: stdout was not read: the answer is lost\n`);
  return 1;
}
