/** The command line of `userspace daemonset`: what it takes, and what it refuses. */
import { describe, expect, it } from 'vitest';
import { parseDaemonsetWords } from '../../src/daemonset/words.ts';

const usual = {
  binDir: '/opt/cni/bin',
  uninstall: false,
  writeKubeconfig: false,
  hostPid: 1,
  server: undefined,
  account: 'userspace-cni',
  tokenSeconds: 86_400,
  renewAfterMs: undefined,
  health: { host: '127.0.0.1', port: 9468 },
  agent: [],
};

describe('the words of userspace daemonset', () => {
  it('need none', () => {
    expect(parseDaemonsetWords([])).toEqual(usual);
  });

  it('behind -- are the agent’s, whatever they are', () => {
    const words = parseDaemonsetWords(['/bin/dir', '--uninstall', '--', '--uninstall', 'x', '--', '--metrics=y']);
    expect(words).toEqual({
      ...usual,
      binDir: '/bin/dir',
      uninstall: true,
      agent: ['--uninstall', 'x', '--', '--metrics=y'],
    });
  });

  it('say where, who and how long', () => {
    const args = ['--host-process=7', '--server=https://[fd00::1]:6443', '--service-account', 'other'];
    const times = ['--token-seconds=600', '--renew-after=5', '--health=[::1]:80'];
    expect(parseDaemonsetWords([...args, ...times])).toEqual({
      ...usual,
      hostPid: 7,
      server: 'https://[fd00::1]:6443',
      account: 'other',
      tokenSeconds: 600,
      renewAfterMs: 5_000,
      health: { host: '::1', port: 80 },
    });
  });

  it.each([
    { args: ['/one', '/two'], said: 'no word "/two"' },
    { args: ['--nosuch'], said: "Unknown option '--nosuch'" },
    { args: ['--token-seconds=599'], said: '--token-seconds "599" is no number from 600' },
    { args: ['--token-seconds=1e9'], said: '--token-seconds "1e9"' },
    { args: ['--renew-after=0'], said: '--renew-after "0"' },
    { args: ['--host-process=-1'], said: '--host-process "-1"' },
    { args: ['--server=http://api'], said: '--server "http://api" is no https URL' },
    { args: ['--server='], said: '--server "" is no https URL' },
    { args: ['--health=0.0.0.0:9468'], said: 'no address of this node alone' },
    { args: ['--health=127.0.0.1:99999'], said: 'no address of this node alone' },
  ])('are refused: $args', ({ args, said }) => {
    expect(() => parseDaemonsetWords(args)).toThrow(said);
  });
});
