/** The words of `npm run bench`. */
import { parseArgs } from 'node:util';

export const help = `npm run bench [-- OPTIONS]: what a call costs beside what it replaces, on a private switch

Ways, interleaved in one run so that the ratios hold on a noisy machine:
  alone    this executable, a process per call that does everything itself (USERSPACE_CNI_AGENT=off)
  agent    this executable, whose calls ask a resident \`userspace agent\`. If it has no agent, this is said, and the way is a second alone
  before   another executable of this plugin (--before), without its agent
  R1       the least that a plugin made of programs does: for ADD ovs-vsctl find, add-port, find and host-local ADD; for DEL ovs-vsctl
           del-port, list-ports and host-local DEL
  peer     any other CNI plugin (--peer), given the same configuration and environment
  floor    one compiled program: an OVSDB transaction for one vhost-user port, the wait until ovs-vswitchd has applied it, host-local, one
           fsync. No journal, no checks
Scenes: on the node alone and, with etcd and kube-apiserver (npm run kube-assets), for a pod that an API server knows. R1 and the floor
know no pods: a ratio against them is one against the same call without a pod.

  --rounds N           rounds of calls one after the other (40)
  --ports N[,N...]     attachments of ours that stand on the node meanwhile (1). Several: the calls are timed beside each number of them
  --at-once N[,N...]   N calls at once too, how many failed, and the slowest call beside the median one; beside the first of --ports (none)
  --slow-disk          1 and 20 calls at once, alone and through an agent of their own, where each fsync takes 10 ms more
  --rest SECONDS       how long the agent is watched at rest (5)
  --before EXECUTABLE  another executable: a way of its own, and both by turns, each in a data directory of its own
  --peer PATH          another plugin's executable. A failure of it is told and ends nothing
  --owed N             a data directory of N debts beside an empty one: the price for other attachments' calls, and for recover
  --rebooted N         recover N attachments of another boot, with their switch there, away and silent
  --soak N             an agent over N calls and N/10 recoveries: its memory and its open files
  --json FILE          writes all figures as data too
  --write              writes docs/performance.md's tables, its pictures (docs/performance/*.svg) and its figures (docs/performance.json)
  --docs DIR           another directory for --write
  --from FILE          with --write: no run, but the figures of one (docs/performance.json), after a change of the pictures or the page
  --help

Figures. Ratios are ratios of medians. CPU is that of the process and of the programs that it waited for. For a call through the agent the
agent's share is added: what the agent and all its descendants took over a block of calls (/proc/PID/stat), divided by the calls. Memory is
the proportional set size (/proc/PID/smaps_rollup).

Needs what the system lane needs: root, Open vSwitch with DPDK, host-local, hugepages. kube-apiserver needs a default route.
`;

export interface Options {
  readonly rounds: number;
  readonly ports: readonly number[];
  readonly atOnce: readonly number[];
  readonly slowDisk: boolean;
  readonly restSeconds: number;
  readonly before: string | undefined;
  readonly peer: string | undefined;
  readonly owed: number;
  readonly rebooted: number;
  readonly soak: number;
  readonly json: string | undefined;
  readonly write: boolean;
  readonly docs: string | undefined;
  readonly from: string | undefined;
}

/** @returns undefined if help is wanted. @throws Error for wrong words */
export function readOptions(args: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string', default: '40' },
      ports: { type: 'string', default: '1' },
      'at-once': { type: 'string', default: '0' },
      'slow-disk': { type: 'boolean', default: false },
      rest: { type: 'string', default: '5' },
      before: { type: 'string' },
      peer: { type: 'string' },
      owed: { type: 'string', default: '0' },
      rebooted: { type: 'string', default: '0' },
      soak: { type: 'string', default: '0' },
      json: { type: 'string' },
      write: { type: 'boolean', default: false },
      docs: { type: 'string' },
      from: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  if (!values.write && (values.docs ?? values.from) !== undefined) throw new Error('--docs and --from go with --write');
  const ports = numbers('ports', values.ports).map((count) => Math.max(1, count));
  return {
    rounds: Math.max(1, number('rounds', values.rounds)),
    // At least one: a bridge without another port is a special case for every way. Ascending, because none is taken away.
    ports: [...new Set(ports)].sort((a, b) => a - b),
    atOnce: numbers('at-once', values['at-once']).filter((count) => count > 0),
    slowDisk: values['slow-disk'],
    restSeconds: number('rest', values.rest),
    before: values.before,
    peer: values.peer,
    owed: number('owed', values.owed),
    rebooted: number('rebooted', values.rebooted),
    soak: number('soak', values.soak),
    json: values.json,
    write: values.write,
    docs: values.docs,
    from: values.from,
  };
}

function number(name: string, text: string): number {
  if (!/^\d+$/.test(text)) throw new Error(`--${name} wants a number, not "${text}"`);
  return Number(text);
}

const numbers = (name: string, text: string): number[] => text.split(',').map((one) => number(name, one));
