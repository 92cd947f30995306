/** The order of `userspace daemonset`'s work, on a node that is a shell script: nsenter(1), of which it starts everything there. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { runDaemonset } from '../../src/daemonset/daemonset.ts';
import { freePort } from '../support/cluster/cluster.ts';
import { authority } from '../support/stand-in/certificates.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const path = process.env.PATH;
let server: ReturnType<typeof Bun.serve> | undefined;
afterEach(async () => {
  process.env.PATH = path;
  await server?.stop(true);
});

interface Stage {
  /** What the node does with a program and its words; by default all succeed. */
  readonly node?: string;
  readonly args?: readonly string[];
  readonly account?: boolean;
  readonly answers?: boolean;
  /** Why this is no place for it. */
  readonly trouble?: string;
}

/** @returns the programs that were started on the node, the log, and the end of it all */
function stage({ node = '', args = [], account = true, answers = true, trouble }: Stage) {
  const home = temporaryDirectory();
  const own = authority(join(home, 'ca'));
  const status = { token: 'the-token', expirationTimestamp: '2031-01-02T03:04:05Z' };
  server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    tls: own.server(),
    fetch: () => (answers ? Response.json({ status }, { status: 201 }) : new Response('no', { status: 503 })),
  });
  const accountDir = join(home, 'account');
  mkdirSync(accountDir);
  const files = account ? { token: 'own', namespace: 'here', 'ca.crt': own.ca } : {};
  for (const [name, text] of Object.entries(files)) writeFileSync(join(accountDir, name), text);
  const program = `#!/bin/sh
H='${home}'
shift 4; echo "$*" >> "$H/started"
${node}
case "$*" in
  *--write-kubeconfig) cat > "$H/kubeconfig" ;;
  *' agent'*) trap 'echo ended >> "$H/started"; exit 0' TERM; while :; do sleep 0.01; done ;;
esac`;
  writeFileSync(join(home, 'nsenter'), program, { mode: 0o755 });
  process.env.PATH = `${home}:${path}`;
  const stop = new AbortController();
  const log: string[] = [];
  const started = () => (existsSync(join(home, 'started')) ? readFileSync(join(home, 'started'), 'utf8').trim() : '');
  const ended = runDaemonset({
    args: [`--server=https://127.0.0.1:${server.port}`, ...args],
    env: {},
    pid: 42,
    stdin: () => '',
    stop: stop.signal,
    accountDir,
    troubleOfPlace: () => trouble,
    log: (line) => log.push(line),
  });
  const until = async (text: string): Promise<void> => {
    while (!`${started()}\n${log.join('\n')}`.includes(text)) await delay(5);
  };
  return { home, stop, log, started, ended, until };
}

describe('userspace daemonset', () => {
  it('installs, writes the kubeconfig, starts the agent, and ends it when it is told to end', async () => {
    const { home, stop, started, ended, until } = stage({ args: ['/plugins', '--', '--recover', '--x=y'] });
    await until('agent --recover');
    // The script has to be asleep before it is told.
    await delay(100);
    stop.abort();
    expect(await ended).toBe(0);
    expect(started().split('\n')).toEqual([
      '/proc/42/exe --version',
      '/proc/42/exe install /plugins',
      '/proc/42/exe daemonset --write-kubeconfig',
      '/proc/42/exe install /plugins',
      '/plugins/userspace agent --recover --x=y',
      'ended',
    ]);
    expect(readFileSync(join(home, 'kubeconfig'), 'utf8')).toContain('user: {"token":"the-token"}');
  });

  it('takes the executable for musl where the other one does not run', async () => {
    const { stop, started, ended, until } = stage({ node: 'case "$1" in */exe) exit 127 ;; esac' });
    await until('agent');
    stop.abort();
    expect(await ended).toBe(0);
    const musl = '/proc/42/root/usr/local/lib/userspace/userspace-musl';
    expect(started()).toContain(`/proc/42/exe --version\n${musl} --version\n${musl} install /opt/cni/bin\n`);
  });

  it('ends and says why if no executable runs there', async () => {
    const { log, ended } = stage({ node: 'echo "cannot run $1" >&2; exit 126', args: ['--host-process=7'] });
    expect(await ended).toBe(1);
    expect(log).toEqual([
      expect.stringMatching(
        /^no executable of the image runs .* of process 7: cannot run \/proc\/42\/exe; cannot run .*musl$/,
      ),
    ]);
  });

  it('touches nothing where it would install into its own container', async () => {
    const { log, started, ended } = stage({ trouble: 'the pod needs hostPID' });
    expect(await ended).toBe(1);
    expect([log, started()]).toEqual([['the pod needs hostPID'], '']);
  });

  it('ends and says why if it cannot install', async () => {
    const { log, ended } = stage({ node: 'case "$2" in install) echo "no directory" >&2; exit 1 ;; esac' });
    expect(await ended).toBe(1);
    expect(log).toEqual(['the executable cannot be installed: no directory']);
  });

  it.each([
    { what: 'there is no account', given: { account: false }, said: 'the pod needs a serviceAccountName' },
    { what: 'the API server gives no token', given: { answers: false }, said: 'answered 503' },
    {
      what: 'it cannot be written',
      given: { node: 'case "$*" in *--write-kubeconfig) echo "disk full" >&2; exit 1 ;; esac' },
      said: '/etc/cni/net.d/userspace.d/kubeconfig" cannot be written: disk full',
    },
  ])('starts no agent before there is a kubeconfig: $what', async ({ given, said }) => {
    const { stop, log, started, ended, until } = stage(given);
    await until('no new kubeconfig, again in ');
    stop.abort();
    expect(await ended).toBe(0);
    expect(log.join('\n')).toContain(said);
    expect(started()).not.toContain('agent');
  });

  it('uninstalls when nothing lives, tells it to the probe, and stays', async () => {
    const health = `127.0.0.1:${await freePort()}`;
    const { stop, started, ended, until } = stage({ args: ['--uninstall', `--health=${health}`] });
    await until('uninstall /opt/cni/bin');
    let answer: Response | undefined;
    while (answer?.status !== 200) {
      await delay(20);
      answer = await fetch(`http://${health}/healthz`);
    }
    expect(await answer.text()).toBe('removed\n');
    stop.abort();
    expect(await ended).toBe(0);
    expect(started().split('\n')).toEqual(['/proc/42/exe --version', '/proc/42/exe uninstall /opt/cni/bin']);
  });

  it('waits for what lives, names it to the probe, and keeps the kubeconfig fresh meanwhile', async () => {
    const health = `127.0.0.1:${await freePort()}`;
    const node = 'case "$2" in uninstall) echo "pod a/b lives"; exit 3 ;; esac';
    const { stop, log, started, ended, until } = stage({ node, args: ['--uninstall', `--health=${health}`] });
    await until('pod a/b lives');
    await until('--write-kubeconfig');
    const answer = await fetch(`http://${health}/healthz`);
    expect([answer.status, await answer.text()]).toEqual([503, 'pod a/b lives\n']);
    stop.abort();
    expect(await ended).toBe(0);
    expect(started()).not.toContain('agent');
    expect(log.filter((line) => line.includes('lives'))).toHaveLength(1);
  });

  it('refuses words that it does not know', async () => {
    const { log, ended } = stage({ args: ['--nosuch'] });
    expect(await ended).toBe(2);
    expect(log).toEqual(["Unknown option '--nosuch'; see userspace --help"]);
  });
});
