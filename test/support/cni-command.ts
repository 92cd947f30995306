/** A whole call as the executable makes it by itself: the answer of the handlers, and its delivery. */
import { answerOf, type CniCall, type Handlers, type Status } from '../../src/cni/command.ts';
import { deliver, type Outlets } from '../../src/cni/deliver.ts';

/** @returns the exit code */
export async function runCniCommand(
  streams: CniCall & Outlets,
  handlers: () => Promise<Handlers>,
  status: () => Promise<Status>,
): Promise<number> {
  return await deliver(await answerOf(streams, handlers, status), streams.env.CNI_COMMAND, streams);
}
