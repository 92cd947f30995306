/** The arguments of effects in their tests: plans of one attachment on a stand-in switch, calls, moments. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { type AttachmentKey, configDataName, holdFileName, portName, shortId } from '../../../src/attachment.ts';
import { type Deadlines, defaultDeadlines, now } from '../../../src/deadlines.ts';
import { Kubernetes } from '../../../src/effects/kubernetes/api-server.ts';
import { AttachmentSwitch, Switch } from '../../../src/effects/ovs/switch.ts';
import type { Call, Facts, FilePlan, Outcome, Plan, PortPlan, SocketDirPlan } from '../../../src/machines/protocol.ts';
import { instance } from '../instance.ts';
import { temporaryDirectory } from '../temporary.ts';
import { StandInOvsdb } from './stand-in-ovsdb.ts';

export const keyOf = (containerId: string, ifName = 'net1'): AttachmentKey => ({ network: 'net', containerId, ifName });

/** A moment so late that only a hanging call reaches it. */
export const soon = (ms = 5_000): number => now() + ms;

export const call = (ms?: number, more: Partial<Call> = {}): Call => ({ instance, end: soon(ms), ...more });

/** A client of the API server that a kubeconfig names, as one call has it. */
export const openApi = (kubeconfig: string, deadlines: Partial<Deadlines> = {}): Promise<Kubernetes> =>
  Kubernetes.open(kubeconfig, {
    deadlines: { ...defaultDeadlines, ...deadlines },
    end: soon(20_000),
    credentials: new Map(),
  });

/** A plan with its socket directory, bridge, port and publication. */
export type WholePlan = Plan &
  Required<Pick<Plan, 'bridge' | 'port'>> & {
    readonly socketDir: SocketDirPlan & { readonly own: string };
    readonly publication: FilePlan;
  };

export interface PlanChanges {
  readonly key?: AttachmentKey;
  readonly bridge?: string;
  readonly port?: Partial<PortPlan>;
}

/** A running stand-in, its shared directory beside it, and a session of one call. */
export interface Scene {
  readonly ovsdb: StandInOvsdb;
  readonly ovs: Switch;
  readonly sharedDir: string;
  readonly deadlines: Deadlines;
  /** Another call's session: another process, as far as the switch can tell. */
  another(): Switch;
  plan(changes?: PlanChanges): WholePlan;
}

export async function scene(deadlines: Partial<Deadlines> = {}): Promise<Scene> {
  const directory = temporaryDirectory();
  const ovsdb = await StandInOvsdb.start(directory);
  onTestFinished(() => ovsdb.stop());
  const all = { ...defaultDeadlines, ...deadlines };
  const another = (): Switch => {
    const ovs = new Switch(all);
    onTestFinished(() => ovs.close());
    return ovs;
  };
  const sharedDir = join(directory, 'pods');
  mkdirSync(sharedDir);
  return {
    ovsdb,
    ovs: another(),
    another,
    sharedDir,
    deadlines: all,
    plan: (changes) => planAt(ovsdb.ovsdb, sharedDir, changes),
  };
}

export function planAt(ovsdb: string, sharedDir: string, changes: PlanChanges = {}): WholePlan {
  const { key = keyOf('c0ffee00c0ffee00'), bridge = 'br0' } = changes;
  const own = join(sharedDir, shortId(key));
  return {
    key,
    ovsdb,
    request: { stdin: '{}', env: {} },
    socketDir: { base: sharedDir, own, hold: holdFileName(key) },
    bridge: { name: bridge },
    port: {
      bridge,
      name: portName(key),
      mode: 'client',
      directory: own,
      file: portName(key),
      vlan: {},
      marks: { netns: '/run/netns/a' },
      ...changes.port,
    },
    publication: { directory: own, file: configDataName(key), data: { containerId: key.containerId } },
  };
}

/** A switch, bound to one call on one attachment. */
export const bound = (ovs: Switch, plan: Plan, ours: Call): AttachmentSwitch => new AttachmentSwitch(ovs, plan, ours);

/** The facts of a port that has no record beyond its plan. */
export const sought = (plan: Plan, facts: Facts = {}) => ({ plan, facts });

/** The trouble of an outcome that has to be one. @throws if it succeeded. */
export function troubleOf(outcome: Outcome) {
  if (outcome.kind === 'ok') throw new Error(`it succeeded: ${JSON.stringify(outcome)}`);
  return outcome.trouble;
}

/** The question for holders, on a switch with no other attachment's port. */
export const noHolder = () => Promise.resolve(undefined);
