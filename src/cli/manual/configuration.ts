/** The manual page of the network configuration, userspace.conf(5), from the reference that `userspace explain` shows. */
import { type ConfigKey, configKeys, meaningOf, plainText } from '../../cni/config/reference.ts';
import { keyOrigins } from '../../cni/config/word-shape.ts';
import { takesOf } from '../explain.ts';
import { bold, letters, literal, page, section, terms } from './roff.ts';

function meaningWith(key: ConfigKey): string {
  const { values, limits } = takesOf(key.shape);
  const usual = key.default === undefined ? key.absent : String(key.default);
  return [
    meaningOf(key),
    ...(key.hasEffect ? [] : ['It has no effect.']),
    ...(values ? [`One of ${values.join(', ')}.`] : []),
    ...(limits ? [`Limits: ${limits}.`] : []),
    ...(usual === undefined ? [] : [usual === 'required' ? 'Required.' : `Default: ${plainText(usual)}.`]),
    ...(key.whose === 'ours' ? [] : [`Key of ${keyOrigins[key.whose]}.`]),
  ].join(' ');
}

const termsOf = (keys: readonly ConfigKey[]): string =>
  terms(keys.map((key) => [`${bold(key.path)} (${takesOf(key.shape).type})`, meaningWith(key)]));

const example = {
  cniVersion: '1.0.0',
  name: 'dpdk-net',
  type: 'userspace',
  sharedDir: '/var/lib/vhost_sockets',
  host: { engine: 'ovs-dpdk', iftype: 'vhostuser', vhost: { mode: 'client' }, bridge: { bridgeName: 'br-dpdk' } },
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.56.0.0/16' }]] },
};

export function configurationPage(version: string): string {
  const keys = configKeys();
  const isArgument = ({ path }: ConfigKey): boolean => path.startsWith('CNI_ARGS');
  const brief = 'network configuration of the CNI plugin userspace';
  return page(
    { name: 'userspace.conf', section: 5, version, brief },
    section(
      'DESCRIPTION',
      letters(
        'A network is a JSON object with "type": "userspace", alone, as a plugin of a list, or in a NetworkAttachmentDefinition of Multus. Runtimes read networks in /etc/cni/net.d. Keys are read in any case of letters, and null counts as absent.',
      ),
      letters(
        'userspace check names every fault of a file, and userspace explain --schema prints a JSON Schema for editors.',
      ),
    ),
    section('KEYS', termsOf(keys.filter((key) => !isArgument(key)))),
    section('ARGUMENTS', termsOf(keys.filter(isArgument))),
    section('EXAMPLE', literal(JSON.stringify(example, null, 2))),
    section('SEE ALSO', [`${bold('userspace-check')}(1),`, `${bold('userspace-explain')}(1)`].join('\n')),
  );
}
