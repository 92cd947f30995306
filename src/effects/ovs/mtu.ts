/**
 * Whether the switch honours the MTU that a port asks for. It answers no error to one that it cannot have, nor does it say what it can.
 *
 * Column `mtu` of a vhost-user port is 0 until an application has connected: only then it is the size that is used. Before that, that
 * it was refused is said in ovs-vswitchd's log alone, at once and with the port's name. Neither an absent value nor a silent log is
 * taken for a refusal.
 */

import { open } from 'node:fs/promises';
import { code } from '../../attachment.ts';
import { type Moment, now, sleep, within } from '../../deadlines.ts';
import type { Outcome, PortPlan } from '../../machines/protocol.ts';
import { attempting } from '../attempt.ts';
import { inTime } from '../outcome.ts';
import { usedMtu } from './columns.ts';
import { select } from './operations.ts';
import { runDirectory, selectSwitch } from './root-row.ts';
import type { AttachmentSwitch } from './switch.ts';
import { findVswitchd, logOf } from './vswitchd.ts';

/** What a port has for which nothing else is asked, or whose request was refused (ovs-vswitchd.conf.db(5), mtu_request). */
const defaultMtu = 1500;

/** Makes a port, and fails with code 7 if its MTU is not what was asked for. */
export async function honouringMtu(
  ovs: AttachmentSwitch,
  port: PortPlan,
  make: () => Promise<Outcome>,
): Promise<Outcome> {
  const { end } = ovs;
  const [root] = await ovs.read([selectSwitch]);
  const daemon = findVswitchd(runDirectory(ovs.ovsdb, root?.rows?.[0]));
  const log = daemon && logOf(daemon.pid);
  const from = log && (await sizeOf(log.through, end));
  const outcome = await make();
  if (outcome.kind !== 'ok' || !outcome.facts) return outcome;
  const { facts } = outcome;
  return await attempting(facts, async (): Promise<Outcome> => {
    const [devices] = await ovs.read([select('Interface', [['name', '==', port.name]], ['mtu'])]);
    const used = usedMtu(devices?.rows?.[0]);
    const isAsked = used === undefined && log && from !== undefined;
    const line = isAsked ? await refusalIn(log.through, from, port.name, end) : undefined;
    if (line === undefined && (used ?? port.mtu) === port.mtu) return outcome;
    const why = line === undefined ? '' : ` (${line}, says its log "${log?.path}")`;
    const message = `Open vSwitch does not take "mtu" ${port.mtu} for port "${port.name}" and would leave it at ${used ?? defaultMtu}${why}: ask for one that it can have, or for none`;
    return { kind: 'failed', trouble: { code: code.invalidConfig, message }, facts };
  });
}

/** It is written asynchronously, but before what follows it there: a few milliseconds. */
const logMs = 50;
/** Of what others log meanwhile, no more is looked through. */
const logBytesMax = 4 * 1024 * 1024;

async function refusalIn(file: string, from: number, name: string, end: Moment): Promise<string | undefined> {
  const until = within(end, logMs);
  for (;;) {
    const lines = (await textFrom(file, from, end)).split('\n');
    const refusal = lines.find((line) => isRefusal(line, name));
    if (refusal !== undefined) return refusal.replace(/^[^|]*\|\d+\|/, '').trim();
    if (lines.some((line) => line.includes(`added interface ${name} on port`)) || now() >= until) return undefined;
    await sleep(10);
  }
}

/** In the words of the DPDK ports (netdev-dpdk.c), and of all kinds of ports (netdev.c). */
const isRefusal = (line: string, name: string): boolean =>
  line.includes(`|${name}: unsupported MTU `) || line.includes(`failed to set MTU for network device ${name}:`);

const sizeOf = (file: string, end: Moment): Promise<number | undefined> =>
  reading(file, end, async (handle) => (await handle.stat()).size);

/** One that is shorter by now was begun anew. */
const textFrom = async (file: string, from: number, end: Moment): Promise<string> =>
  (await reading(file, end, async (handle) => {
    const { size } = await handle.stat();
    const start = Math.max(size < from ? 0 : from, size - logBytesMax);
    const { buffer, bytesRead } = await handle.read(new Uint8Array(size - start), 0, size - start, start);
    return new TextDecoder().decode(buffer.subarray(0, bytesRead));
  })) ?? '';

/** @returns undefined where it cannot be read, or is no file */
async function reading<T>(
  file: string,
  end: Moment,
  action: (handle: Awaited<ReturnType<typeof open>>) => Promise<T>,
): Promise<T | undefined> {
  const look = async () => {
    const handle = await open(file, 'r');
    try {
      return (await handle.stat()).isFile() ? await action(handle) : undefined;
    } finally {
      await handle.close();
    }
  };
  return await inTime(look, end, `"${file}"`).catch(() => undefined);
}
