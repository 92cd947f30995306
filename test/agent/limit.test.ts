/** How long a call may take by its own configuration, read as its handlers read it. */
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { limitMs } from '../../src/agent/limit.ts';
import { defaultDeadlines } from '../../src/deadlines.ts';
import { added, type Json, network } from '../support/cni-requests.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const limitOf = (CNI_COMMAND: string | undefined, stdin: string): number | undefined =>
  limitMs({ env: { CNI_COMMAND }, stdin, cwd: '/', startedMs: 0 });

const limit = (config: Json, command = 'ADD') => limitOf(command, JSON.stringify(config));

describe('the limit', () => {
  it.each([
    ['ADD', defaultDeadlines.addMs],
    ['CHECK', defaultDeadlines.delMs],
    ['DEL', defaultDeadlines.delMs],
    ['GC', 20 * defaultDeadlines.delMs],
    ['STATUS', defaultDeadlines.statusMs],
  ])('of %s is %i ms by default', (command, ms) => {
    expect(limit(network(), command)).toBe(ms);
  });

  it.each(['VERSION', 'UPDATE', '', 'toString', undefined])('of %s does not exist', (command) => {
    expect(limitOf(command, '{}')).toBeUndefined();
  });

  it.each<[string, Json]>([
    ['as it is spelt', { deadlines: { addMs: 51_234 } }],
    ['in any letter case', { DEADLINES: { ADDMS: 51_234 } }],
    ['by the exact spelling, wherever it stands', { deadlines: { addMs: 51_234, ADDMS: 52_000 }, Deadlines: {} }],
    ['by the last one of others', { dEADLINES: { addMs: 52_000 }, Deadlines: { addMS: 53_000, aDDMs: 51_234 } }],
    ['and null is absent', { deadlines: { addMs: 51_234 }, Deadlines: null }],
  ])('is read %s, as the call itself reads it', (_, deadlines) => {
    expect(limit(network(deadlines))).toBe(51_234);
    expect(added(deadlines).config.deadlines.addMs).toBe(51_234);
  });

  it.each([
    ['no JSON', '{'],
    ['an array', '[]'],
    ['null', 'null'],
    ['a text', '"deadlines"'],
    ['deadlines that are no object', '{"deadlines":7}'],
    ['a deadline that is no number', '{"deadlines":{"addMs":"7"}}'],
    ['a deadline below zero', '{"deadlines":{"addMs":-7}}'],
    ['a name of every object', '{"deadlines":{"toString":7,"__proto__":{"addMs":7}}}'],
  ])('for %s is the usual one', (_, stdin) => {
    expect(limitOf('ADD', stdin)).toBe(defaultDeadlines.addMs);
  });
});

describe('a call that may write to its own process’s descriptors', () => {
  it.each([
    '/dev/stderr',
    '/dev/stdout',
    '/dev/fd/2',
    '/dev/tty',
    '/proc/self/fd/2',
    '/proc/thread-self/fd/2',
    '//dev//stderr',
    '/./dev/./fd/2',
    '/dev/../dev/stderr',
    '/dev/shm/../fd/2',
    '/proc/1/fd/2',
    '../dev/stderr',
  ])('is not for the agent: logFile %s', (logFile) => {
    expect(limit({ logFile })).toBeUndefined();
    expect(limit({ LOGFILE: logFile }, 'STATUS')).toBeUndefined();
  });

  it('is not for the agent where the log file is one in the caller’s directory', () => {
    const env = { CNI_COMMAND: 'ADD' };
    const limitIn = (cwd: string) => limitMs({ env, stdin: '{"logFile":"stderr"}', cwd, startedMs: 0 });
    expect(limitIn('/dev')).toBeUndefined();
    expect(limitIn('/')).toBeDefined();
  });

  it('is not for the agent, however JSON spells the path', () => {
    expect(limitOf('ADD', '{"logFile":"\\/dev\\/stderr"}')).toBeUndefined();
    expect(limitOf('ADD', '{"logFile":"\\u002fdev/\\u0073tderr"}')).toBeUndefined();
  });

  it('is not for the agent behind symlinks, also when they go round', () => {
    const directory = temporaryDirectory();
    symlinkSync('/dev/stderr', join(directory, 'log'));
    symlinkSync('.', join(directory, 'here'));
    symlinkSync('round', join(directory, 'round'));
    for (const path of ['log', 'here/here/log', 'round'])
      expect(limit({ logFile: join(directory, path) })).toBeUndefined();
    expect(limit({ logFile: join(directory, 'here/none') })).toBeDefined();
  });

  it.each(['/etc/passwd/x', `/${'x'.repeat(300)}/y`, `/${'x/'.repeat(3_000)}`, '/a\0b/c', '//'])(
    'and a text that no path can be is none of them (%#)',
    (text) => {
      expect(limit({ vendor: { note: text } })).toBeDefined();
    },
  );

  it.each(['/dev/null', '/dev/log', '/var/log/dev/stderr', '/device/std', 'some/where'])(
    'and %s is none of them',
    (logFile) => {
      expect(limit({ logFile })).toBeDefined();
    },
  );
});

describe('a call whose environment is read when a process starts', () => {
  it.each([
    'NODE_EXTRA_CA_CERTS',
    'NODE_USE_SYSTEM_CA',
    'SSL_CERT_FILE',
    'SSL_CERT_DIR',
    'BUN_CONFIG_HTTP_IDLE_TIMEOUT',
  ])('is not for the agent: %s', (name) => {
    const env = { CNI_COMMAND: 'ADD', [name]: '/a' };
    expect(limitMs({ env, stdin: '{}', cwd: '/', startedMs: 0 })).toBeUndefined();
    expect(
      limitMs({ env: { ...env, [name]: undefined, NODE_NAME: 'a' }, stdin: '{}', cwd: '/', startedMs: 0 }),
    ).toBeDefined();
  });
});
