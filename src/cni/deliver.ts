/** The end of a call: writes its answer, and gives its exit code. This file imports nothing, because every call loads it. */

/** The answer to a call. */
export interface CniAnswer {
  readonly exitCode: number;
  /** One JSON document, or nothing. */
  readonly stdout: string;
}

export interface Outlets {
  /** Writes the text, and waits a bounded time for its reader. @returns whether the reader took it */
  readonly stdout: (text: string) => Promise<boolean>;
  /** Writes the text. Neither fails nor waits: a reader that is not ready loses it. */
  readonly stderr: (text: string) => void;
}

/** @returns the call's exit code, or 1 if its answer was not read */
export async function deliver(answer: CniAnswer, command: string | undefined, outlets: Outlets): Promise<number> {
  const { exitCode, stdout } = answer;
  if (stdout === '' || (await outlets.stdout(stdout))) return exitCode;
  outlets.stderr(`userspace: ${command}: stdout was not read: the answer is lost\n`);
  return 1;
}
