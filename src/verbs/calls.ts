/** The first chunk that a process loads to make a call. The exports are joined here, because each such call needs all of them. */
export { code } from '../attachment.ts';
export { answerOf, type CniCall, type Status } from '../cni/command.ts';
export { CniError } from '../cni/error.ts';
export { handlers } from './handlers.ts';
