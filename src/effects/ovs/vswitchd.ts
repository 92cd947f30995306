/**
 * The process of the switch, as its pid file and /proc tell. Where it has a pid namespace of its own, or none of its files is seen
 * from here, nothing can be said: that is no proof that it is not there.
 */
import { closeSync, constants, fstatSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

export interface Vswitchd {
  readonly pid: number;
  /** By a signal or a debugger (proc_pid_stat(5), state T or t): it applies nothing until it is continued. */
  readonly isStopped: boolean;
}

/** In the run directory, by the name of the program: of RHEL and most others; of Debian's openvswitch-switch-dpdk, started by itself. */
const pidFiles = ['ovs-vswitchd.pid', 'ovs-vswitchd-dpdk.pid'];

/** @returns undefined where no pid file there names a process that is called so and lives */
export function findVswitchd(rundir: string): Vswitchd | undefined {
  for (const file of pidFiles) {
    try {
      const pid = Number(textOf(join(rundir, file)));
      // "pid (name) state …": a name may hold anything, this one does not.
      const [, name, state = ''] = /\((.*)\) (.)/s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [];
      if (name?.startsWith('ovs-vswitchd') && !'ZX'.includes(state)) return { pid, isStopped: 'Tt'.includes(state) };
    } catch {
      // The next one.
    }
  }
  return undefined;
}

/** The run directory of a switch that is not root is that user's, and a FIFO there would never be read to its end. */
function textOf(path: string): string {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    return fstatSync(fd).isFile() ? readFileSync(fd, 'utf8') : '';
  } finally {
    closeSync(fd);
  }
}

/** O_ACCMODE | O_APPEND, and what of them a log is opened with (open(2); the flags are octal in proc_pid_fdinfo(5)). */
const [howOpened, asLog] = [0o2003, 0o2001];

/** @returns where it can be read through /proc, whatever mounts that process has, and what that process calls it */
export function logOf(pid: number): { readonly through: string; readonly path: string } | undefined {
  try {
    for (const fd of readdirSync(`/proc/${pid}/fd`)) {
      const through = `/proc/${pid}/fd/${fd}`;
      const path = readlinkSync(through);
      const [, flags = ''] = /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8')) ?? [];
      const isLog = (Number.parseInt(flags, 8) & howOpened) === asLog;
      if (isLog && path.startsWith('/') && !path.startsWith('/dev/')) return { through, path };
    }
  } catch {
    // Another user's, or gone meanwhile.
  }
  return undefined;
}

/** What is seen of it, for a person who waits for it in vain: with the remedy. */
export function describeDaemon(rundir: string): string {
  const daemon = findVswitchd(rundir);
  if (!daemon) return `no pid file in "${rundir}" names a process of that name: is it running?`;
  const { pid, isStopped } = daemon;
  if (isStopped) return `its process ${pid} is stopped: continue it (kill -CONT ${pid}) or restart it`;
  const log = logOf(pid);
  return `its process ${pid} runs${log ? `, and its log is "${log.path}"` : ', and its log may say more'}`;
}
