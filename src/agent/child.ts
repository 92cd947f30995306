/** The parts that every process has which the supervisor starts: a worker, and the meter. */
import { writeFileSync } from 'node:fs';

/** The descriptor of its connection to the supervisor, which closes its end when it no longer needs this process. */
export const controlFd = 3;

/** The kernel has named this process "exe", after the last part of /proc/self/exe. */
export const takeName = (): void => writeFileSync('/proc/self/comm', 'userspace');
