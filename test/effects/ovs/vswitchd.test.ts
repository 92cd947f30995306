import { execFileSync } from 'node:child_process';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { describe, expect, it, onTestFinished } from 'vitest';
import { describeDaemon, findVswitchd, logOf } from '../../../src/effects/ovs/vswitchd.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

/** A process with the name of the switch's, with a log like its, and with a pid file. */
async function running(pidFile = 'ovs-vswitchd.pid', program = 'ovs-vswitchd') {
  const rundir = temporaryDirectory();
  const [file, log] = [join(rundir, program), join(rundir, 'vswitchd.log')];
  copyFileSync('/bin/sleep', file);
  const child = execa('sh', ['-c', `exec "$0" 60 >> "${log}"`, file], { reject: false });
  const pid = child.pid ?? 0;
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await child;
  });
  // The shell opens the log before it becomes the program.
  const isRunning = () => logOf(pid)?.path === log && readFileSync(`/proc/${pid}/comm`, 'utf8') !== 'sh\n';
  for (let tries = 0; tries < 1_000 && !isRunning(); tries++) await Bun.sleep(10);
  writeFileSync(join(rundir, pidFile), `${pid}\n`);
  return { rundir, pid, log, child };
}

describe('the process of the switch', () => {
  it.each([
    ['ovs-vswitchd.pid', 'ovs-vswitchd'],
    ['ovs-vswitchd-dpdk.pid', 'ovs-vswitchd-dpdk'],
    ['ovs-vswitchd.pid', 'ovs-vswitchd-dpdk'],
  ])('is found by %s if its name is %s, and so is its log (need N10)', async (pidFile, program) => {
    const { rundir, pid, log } = await running(pidFile, program);
    expect(findVswitchd(rundir)).toEqual({ pid, isStopped: false });
    expect(logOf(pid)).toMatchObject({ path: log });
    for (const words of [`process ${pid} runs`, log]) expect(describeDaemon(rundir)).toContain(words);
  });

  it('is stopped after SIGSTOP, and is not found once it has ended (need N11)', async () => {
    const { rundir, pid, child } = await running();
    child.kill('SIGSTOP');
    for (let tries = 0; tries < 1_000 && !findVswitchd(rundir)?.isStopped; tries++) await Bun.sleep(10);
    expect(findVswitchd(rundir)).toEqual({ pid, isStopped: true });
    expect(describeDaemon(rundir)).toContain(`kill -CONT ${pid}`);
    child.kill('SIGKILL');
    await child;
    expect(findVswitchd(rundir)).toBeUndefined();
    expect(describeDaemon(rundir)).toContain('is it running?');
  });

  it('need N2, kind 6: is not waited for if the switch’s user has put a FIFO at the name of its pid file', () => {
    const rundir = temporaryDirectory();
    execFileSync('mkfifo', [join(rundir, 'ovs-vswitchd.pid')]);
    expect(findVswitchd(rundir)).toBeUndefined();
  });

  it.each([
    ['there is no pid file', undefined],
    ['it names another program', `${process.pid}\n`],
    ['it is garbage', 'ovs\n'],
    ['it is empty', ''],
  ])('is not found if %s (need N11)', (_, text) => {
    const rundir = temporaryDirectory();
    if (text !== undefined) writeFileSync(join(rundir, 'ovs-vswitchd.pid'), text);
    expect(findVswitchd(rundir)).toBeUndefined();
  });
});
