/** The command line of `userspace daemonset`. The words behind `--` are the agent's. */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

const usualBinDir = '/opt/cni/bin';
/** A day: an API server that is away for a night stops no pod. */
const usualTokenSeconds = '86400';
/** The least that an API server gives. */
const tokenSecondsMin = 600;

const flags = {
  uninstall: { type: 'boolean', default: false },
  'write-kubeconfig': { type: 'boolean', default: false },
  'host-process': { type: 'string', default: '1' },
  server: { type: 'string' },
  'service-account': { type: 'string', default: 'userspace-cni' },
  'token-seconds': { type: 'string', default: usualTokenSeconds },
  'renew-after': { type: 'string' },
  health: { type: 'string', default: '127.0.0.1:9468' },
} as const;

export interface DaemonsetWords {
  readonly binDir: string;
  readonly uninstall: boolean;
  /** The part that runs in the node's mount namespace. */
  readonly writeKubeconfig: boolean;
  readonly hostPid: number;
  readonly server: string | undefined;
  readonly account: string;
  readonly tokenSeconds: number;
  readonly renewAfterMs: number | undefined;
  readonly health: { readonly host: string; readonly port: number };
  readonly agent: readonly string[];
}

/** @throws an Error that names the wrong word */
export function parseDaemonsetWords(args: readonly string[]): DaemonsetWords {
  const at = args.indexOf('--');
  const [own, agent] = at < 0 ? [args, []] : [args.slice(0, at), args.slice(at + 1)];
  const { values, positionals } = parseArgs({ args: [...own], options: flags, strict: true, allowPositionals: true });
  if (positionals.length > 1) throw new Error(`it takes one directory, and no word "${positionals[1]}"`);
  const renewAfter = values['renew-after'];
  return {
    binDir: resolve('/', positionals[0] ?? usualBinDir),
    uninstall: values.uninstall,
    writeKubeconfig: values['write-kubeconfig'],
    hostPid: countOf('host-process', values['host-process'], 1),
    server: values.server === undefined ? undefined : serverOf(values.server),
    account: values['service-account'],
    tokenSeconds: countOf('token-seconds', values['token-seconds'], tokenSecondsMin),
    renewAfterMs: renewAfter === undefined ? undefined : countOf('renew-after', renewAfter, 1) * 1000,
    health: healthOf(values.health),
    agent,
  };
}

function countOf(name: string, text: string, least: number): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || count < least) throw new Error(`--${name} "${text}" is no number from ${least}`);
  return count;
}

function serverOf(text: string): string {
  if (!URL.canParse(text) || new URL(text).protocol !== 'https:') throw new Error(`--server "${text}" is no https URL`);
  return text;
}

function healthOf(text: string): DaemonsetWords['health'] {
  const [, host, port] = /^(127\.\d+\.\d+\.\d+|\[::1\]):(\d+)$/.exec(text) ?? [];
  if (!host || !port || Number(port) > 65_535)
    throw new Error(`--health "${text}" is no address of this node alone, such as 127.0.0.1:9468`);
  return { host: host.replace(/[[\]]/g, ''), port: Number(port) };
}
