/** A call's first chunk, beside those of its verb. Joined, because a call that no agent makes needs all of it. */
export { code } from '../attachment.ts';
export { answerOf, type CniCall, type Status } from '../cni/command.ts';
export { CniError } from '../cni/error.ts';
export { handlers } from './handlers.ts';
