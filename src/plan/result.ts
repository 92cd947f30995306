/**
 * ADD's answer for an attachment, and the faults that CHECK finds in such an answer. Pure.
 */
import { join } from 'node:path';
import { code, type Trouble } from '../attachment.ts';
import { type AddRequest, parseAdd } from '../cni/request.ts';
import { formatResult, type Interface, parseResult, type Result } from '../cni/result.ts';
import type { Facts, Plan } from '../machines/protocol.ts';

/** The results of earlier plugins of a chain come first (CNI SPEC: prevResult must be passed on). */
export function resultOf({ key, netns, config }: AddRequest, plan: Plan, facts: Facts): Result {
  const before = parseResult(config.prevResult) ?? { interfaces: [], ips: [], routes: [] };
  const { mac, mtu } = config;
  const own: Interface = {
    name: key.ifName,
    ...(mac && { mac }),
    sandbox: netns,
    ...(mtu && { mtu }),
    ...(plan.port && { socketPath: join(plan.port.directory, plan.port.file) }),
  };
  const index = before.interfaces.length;
  const dns = facts.address?.dns ?? config.dns ?? before.dns;
  return {
    interfaces: [...before.interfaces, own],
    ips: [...before.ips, ...(facts.address?.ips ?? []).map((ip) => ({ interface: index, ...ip }))],
    routes: [...before.routes, ...(facts.address?.routes ?? [])],
    ...(dns && { dns }),
  };
}

/** The stdin for an IPAM plugin's CHECK, which wants to see ADD's answer. */
export function withPrevResult(request: AddRequest, plan: Plan, facts: Facts): string {
  const prevResult = formatResult(resultOf(request, plan, facts), request.config.cniVersion);
  return JSON.stringify({ ...JSON.parse(request.stdin), prevResult });
}

/** The plan with which an IPAM program's CHECK is called, from the journal alone. */
export function asChecked(plan: Plan, facts: Facts): Plan {
  const { stdin, env } = plan.request;
  return { ...plan, request: { env, stdin: withPrevResult(parseAdd(env, stdin), plan, facts) } };
}

/** prevResult must hold everything that we made. It may hold more, from later plugins of a chain. */
export function contradictions({ key, netns, config }: AddRequest, facts: Facts): Trouble[] {
  const before = parseResult(config.prevResult);
  const drift = (message: string): Trouble => ({ code: code.drift, message: `prevResult ${message}` });
  if (!before) return [drift('is no CNI result')];
  const ours = before.interfaces.some(({ name, sandbox }) => name === key.ifName && sandbox === netns);
  const missing = (facts.address?.ips ?? []).filter(({ address }) => !before.ips.some((ip) => ip.address === address));
  return [
    ...(ours ? [] : [drift(`has no interface "${key.ifName}" in "${netns}"`)]),
    ...missing.map(({ address }) => drift(`has no address ${address}`)),
  ];
}
