/**
 * Whether the switch honours the MTU that a port asks for. For an MTU that it cannot have it reports no error, nor the MTU that it
 * can have.
 *
 * Column `mtu` of a vhost-user port is 0 until an application has connected; from then on it is the size in use. Before that, only
 * ovs-vswitchd's log tells of a refusal, at once and with the port's name. Neither an absent value nor a silent log is taken for a
 * refusal.
 */
import { open } from 'node:fs/promises';
import { code } from '../../attachment.ts';
import { type Moment, now, sleep, within } from '../../deadlines.ts';
import type { Outcome, PortPlan } from '../../machines/protocol.ts';
import { attempting } from '../attempt.ts';
import { inTime } from '../outcome.ts';
import { usedMtu } from './columns.ts';
import { select, withName } from './operations.ts';
import { runDirectory, selectSwitch } from './root-row.ts';
import type { AttachmentSwitch } from './switch.ts';
import { findVswitchd, logOf } from './vswitchd.ts';

/** The MTU of a port that asks for none, or whose request was refused (ovs-vswitchd.conf.db(5), mtu_request). */
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
    const [devices] = await ovs.read([select('Interface', [withName(port.name)], ['mtu'])]);
    const used = usedMtu(devices?.rows?.[0]);
    const isAsked = used === undefined && log && from !== undefined;
    const line = isAsked ? await refusalIn(log.through, from, port.name, end) : undefined;
    if (line === undefined && (used ?? port.mtu) === port.mtu) return outcome;
    const why = line === undefined ? '' : ` (${line}, says its log "${log?.path}")`;
    const message = `Open vSwitch does not take "mtu" ${port.mtu} for port "${port.name}" and would leave it at ${used ?? defaultMtu}${why}: ask for one that it can have, or for none`;
    return { kind: 'failed', trouble: { code: code.invalidConfig, message }, facts };
  });
}

/** The log is written asynchronously, a few milliseconds later, but in order. */
const logMs = 50;
/** Other ports log too: no more of the log than this is searched. */
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

/** The log lines of DPDK ports (netdev-dpdk.c) and of all kinds of ports (netdev.c). */
const isRefusal = (line: string, name: string): boolean =>
  line.includes(`|${name}: unsupported MTU `) || line.includes(`failed to set MTU for network device ${name}:`);

const sizeOf = (file: string, end: Moment): Promise<number | undefined> =>
  reading(file, end, async (handle) => (await handle.stat()).size);

/** A log that is shorter than before was started over, and is read from its start. */
const textFrom = async (file: string, from: number, end: Moment): Promise<string> =>
  (await reading(file, end, async (handle) => {
    const { size } = await handle.stat();
    const start = Math.max(size < from ? 0 : from, size - logBytesMax);
    const { buffer, bytesRead } = await handle.read(new Uint8Array(size - start), 0, size - start, start);
    return new TextDecoder().decode(buffer.subarray(0, bytesRead));
  })) ?? '';

/** @returns undefined if it cannot be read or is not a file */
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
