/**
 * The process of the switch, found by its pid file and /proc. It may have its own pid namespace, or files that are invisible from
 * here. So a process that is not found may still run.
 */
import { closeSync, constants, fstatSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

export interface Vswitchd {
  readonly pid: number;
  /** Stopped by a signal or a debugger (proc_pid_stat(5), state T or t): it applies nothing until it is continued. */
  readonly isStopped: boolean;
}

/** Named after the program. The second name is that of Debian's openvswitch-switch-dpdk, if it is started by itself. */
const pidFiles = ['ovs-vswitchd.pid', 'ovs-vswitchd-dpdk.pid'];

/** @returns undefined if no pid file there names a living process of that name */
export function findVswitchd(rundir: string): Vswitchd | undefined {
  for (const file of pidFiles) {
    try {
      const pid = Number(textOf(join(rundir, file)));
      // "pid (name) state …": a name may hold any character, but this one does not.
      const [, name, state = ''] = /\((.*)\) (.)/s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [];
      if (name?.startsWith('ovs-vswitchd') && !'ZX'.includes(state)) return { pid, isStopped: 'Tt'.includes(state) };
    } catch {
      // Then the next file is tried.
    }
  }
  return undefined;
}

/** Reads files only: the run directory may be an unprivileged user's, and a FIFO in it would never end. */
function textOf(path: string): string {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    return fstatSync(fd).isFile() ? readFileSync(fd, 'utf8') : '';
  } finally {
    closeSync(fd);
  }
}

/** O_ACCMODE | O_APPEND, and those of them that a log is opened with (open(2); the flags are octal in proc_pid_fdinfo(5)). */
const [howOpened, asLog] = [0o2003, 0o2001];

/** @returns a path through /proc that works whatever mounts that process has, and the process's own path of its log */
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
    // The process is another user's, or has ended.
  }
  return undefined;
}

/** Describes the process and a remedy, for a person whose change it does not apply. */
export function describeDaemon(rundir: string): string {
  const daemon = findVswitchd(rundir);
  if (!daemon) return `no pid file in "${rundir}" names a process of that name: is it running?`;
  const { pid, isStopped } = daemon;
  if (isStopped) return `its process ${pid} is stopped: continue it (kill -CONT ${pid}) or restart it`;
  const log = logOf(pid);
  return `its process ${pid} runs${log ? `, and its log is "${log.path}"` : ', and its log may say more'}`;
}
