/** What the predecessor or its fork can do and this engine can not; and how a message shows a value. Pure. */
import { code, type Trouble } from '../../attachment.ts';
import type { Json } from '../leniency.ts';

/** A value as a message shows it, never longer than a line. */
export const shown = (value: unknown): string => (JSON.stringify(value) ?? 'nothing').slice(0, 120);

/** A member of what may be no object. */
export const at = (raw: unknown, key: string): unknown =>
  typeof raw === 'object' && raw !== null ? (raw as { [key: string]: unknown })[key] : undefined;

/** CNI code 2, with key and value. */
export function unsupported(raw: Json): Trouble[] {
  const no = (name: string, value: unknown, remedy: string): Trouble => ({
    code: code.unsupportedField,
    message:
      value === undefined
        ? `"${name}" is missing and needed: ${remedy}`
        : `unsupported "${name}" with value ${shown(value)}: ${remedy}`,
  });
  const found: Trouble[] = [];
  const { host, container, plugins } = raw;
  const isList = host === undefined && Array.isArray(plugins);
  const hint = isList
    ? '; "plugins" makes this a list: a runtime hands over one plugin of it, with the name of the list'
    : '';
  const engine = at(host, 'engine');
  const iftype = at(host, 'iftype');
  if (engine !== 'ovs-dpdk') found.push(no('host.engine', engine, `only "ovs-dpdk" is built in${hint}`));
  if (iftype !== 'vhostuser') found.push(no('host.iftype', iftype, 'only "vhostuser" is built in'));
  const hostNet = at(host, 'netType');
  if (![undefined, '', 'bridge'].includes(hostNet as string)) {
    found.push(no('host.netType', hostNet, 'only "bridge" is built in'));
  }
  const containerType = at(container, 'iftype');
  if (![undefined, '', 'vhostuser'].includes(containerType as string)) {
    found.push(no('container.iftype', containerType, 'the host side is "vhostuser"'));
  }
  return found;
}
