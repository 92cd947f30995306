/** The ways to attach and detach that are compared. */
import { mkdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { cniPath, executable } from '../../test/support/requirements.ts';
import { type Agent, alone } from './agent.ts';
import type { Command } from './measure.ts';
import { bridge, type Changes, ordinary, type Stage } from './stage.ts';

export type Verb = 'ADD' | 'DEL';
export const verbs: readonly Verb[] = ['ADD', 'DEL'];

export const questions = ['STATUS', 'VERSION'] as const;
type Question = (typeof questions)[number];

export interface Way {
  readonly name: string;
  readonly knowsPods: boolean;
  /** Whether a failure of a single call is told instead of ending the run. */
  readonly mayFail: boolean;
  /** The programs of one call, run one after the other. */
  readonly calls: (verb: Verb, id: string, changes?: Changes) => readonly Command[];
  /** A call that changes nothing, for this plugin's executables. */
  readonly ask?: (verb: Question) => Command;
  /** Takes away what a failed chain of programs left. */
  readonly tidy?: (id: string) => readonly Command[];
}

/** A plugin's executable with what its calls have in their environment beside CNI's words. */
interface Plugin {
  readonly name: string;
  readonly program: string;
  readonly env: Record<string, string>;
  readonly mayFail?: boolean;
}

export interface Extra {
  readonly before: string | undefined;
  readonly peer: string | undefined;
}

export function waysOf(stage: Stage, agent: Agent, { before, peer }: Extra): Way[] {
  const plugin = (one: Plugin) => pluginWay(stage, one);
  return [
    ...(before === undefined ? [] : [plugin({ name: 'before', program: resolve(before), env: alone })]),
    plugin({ name: 'alone', program: executable, env: alone }),
    plugin({ name: 'agent', program: executable, env: agent.env }),
    r1Way(stage),
    ...(peer === undefined ? [] : [peerWay(stage, resolve(peer))]),
    floorWay(stage),
  ];
}

/** The changes of a STATUS: without an IPAM plugin, whose VERSION would be asked by a process of its own. */
const statusChanges = { cniVersion: '1.1.0', ipam: undefined };

export function pluginWay(stage: Stage, { name, program, env, mayFail = false }: Plugin): Way {
  const calls = (verb: Verb, id: string, { changes, env: more }: Changes = ordinary): Command[] => [
    { ...stage.call(verb, id, { changes, env: { ...more, ...env } }), program },
  ];
  const ask = (verb: Question): Command => {
    const call = verb === 'VERSION' ? stage.version(env) : stage.call(verb, 'status', { changes: statusChanges, env });
    return { ...call, program };
  };
  return { name, knowsPods: true, mayFail, calls, ...(!mayFail && { ask }) };
}

/** A plugin that calls ovs-vsctl finds this switch by OVS_RUNDIR. */
const peerWay = (stage: Stage, program: string): Way =>
  pluginWay(stage, { name: 'peer', program, env: { OVS_RUNDIR: ovsRundir(stage) }, mayFail: true });

const ovsRundir = ({ ovs }: Stage): string => dirname(ovs.ovsdb.replace(/^unix:/, ''));

/** The network name of R1 and of the floor in host-local's stores. */
const otherNetwork = 'r1';

const hostLocalProgram = join(cniPath, 'host-local');

function hostLocal(stage: Stage, verb: Verb, id: string, store: string): Command {
  const config = { cniVersion: '1.0.0', name: otherNetwork, type: 'userspace', ipam: stage.ipam(store) };
  return { program: hostLocalProgram, args: [], env: stage.cni(verb, id), input: JSON.stringify(config) };
}

/** The stores of host-local beside ours: they have to be as full as ours. */
export const otherStores = (stage: Stage): string[] =>
  ['r1', 'floor'].map((name) => join(stage.directory, `${name}-addresses`, otherNetwork));

function r1Way(stage: Stage): Way {
  const sockets = join(stage.directory, 'r1');
  mkdirSync(sockets);
  const vsctl = (...args: string[]): Command => ({
    program: 'ovs-vsctl',
    args: [`--db=${stage.ovs.ovsdb}`, ...args],
  });
  const ipam = (verb: Verb, id: string) => hostLocal(stage, verb, id, 'r1-addresses');
  const addPort = (id: string) => {
    const settings = ['type=dpdkvhostuserclient', `options:vhost-server-path=${join(sockets, id)}`];
    return vsctl('add-port', bridge, id, '--', 'set', 'interface', id, ...settings);
  };
  const calls = (verb: Verb, id: string): Command[] =>
    verb === 'ADD'
      ? [
          vsctl('--columns=name', 'find', 'bridge', `name=${bridge}`),
          addPort(id),
          vsctl('--columns=mac_in_use', 'find', 'interface', `name=${id}`),
          ipam('ADD', id),
        ]
      : [vsctl('del-port', bridge, id), vsctl('list-ports', bridge), ipam('DEL', id)];
  const tidy = (id: string) => [vsctl('--if-exists', 'del-port', bridge, id), ipam('DEL', id)];
  return { name: 'R1', knowsPods: false, mayFail: false, calls, tidy };
}

function floorWay(stage: Stage): Way {
  const program = stage.compile('floor', join(import.meta.dirname, 'floor.ts'), '--compile-jit-policy=100');
  const files = join(stage.directory, 'floor-files');
  mkdirSync(files);
  const calls = (verb: Verb, id: string): Command[] => {
    const { env = {}, input = '' } = hostLocal(stage, verb, id, 'floor-addresses');
    const places = [join(files, `${id}.sock`), join(files, id)];
    return [{ program, args: [verb, stage.ovs.ovsdb, bridge, id, ...places, hostLocalProgram], env, input }];
  };
  return { name: 'floor', knowsPods: false, mayFail: false, calls };
}
