/**
 * `userspace check FILE...`: every fault of a network's file, as an ADD would find it, and the keys that an ADD takes without doing what
 * they say. It reads the files and nothing else: no switch, no API server, no directory. `status --config` reads them the same way, and
 * looks at the node too.
 */
import { schemaKeys } from '../cni/config/paths.ts';
import { nearKey } from './near-key.ts';
import { namedNetworks } from './networks.ts';
import { type Colour, type Paint, plain } from './print.ts';
import { readNetwork } from './read-network.ts';

/** One fault or warning. */
interface Said {
  readonly file: string;
  /** The network's name, if it is about one. */
  readonly network?: string;
  /** Dotted path. */
  readonly key?: string;
  /** The CNI error code of an ADD. */
  readonly code?: number;
  readonly message: string;
}

interface Checked {
  readonly networks: readonly { readonly file: string; readonly network: string }[];
  readonly faults: readonly Said[];
  /** Remarks: an ADD takes the file with them. */
  readonly warnings: readonly Said[];
}

/** @param files paths; "-" is standard input, like /dev/stdin */
export function checkFiles(files: readonly string[]): Checked {
  const { networks, bad, repeated } = namedNetworks(files.map((file) => (file === '-' ? '/dev/stdin' : file)));
  const read = networks.map((network) => readNetwork(network, []));
  const placeOf = ({ file, name }: { file: string; name: string }) => ({ file, network: name });
  return {
    networks: networks.map(placeOf),
    faults: [
      ...bad.map(({ file, message }) => ({ file, message })),
      ...read.flatMap(({ network, troubles }) => troubles.map((one) => ({ ...placeOf(network), ...withHint(one) }))),
    ],
    warnings: [
      ...repeated.map((one) => ({ ...one, message: `"${one.key}" stands twice: the last one is taken` })),
      ...read.flatMap(({ network, remarks }) => remarks.map((one) => ({ ...placeOf(network), ...withHint(one) }))),
    ],
  };
}

/** An unknown key may be a known one, mistyped or misplaced. */
function withHint<T extends { readonly key?: string; readonly message: string }>(one: T): T {
  const isKnown = one.key === undefined || schemaKeys.some(({ path }) => path === one.key);
  const near = isKnown ? undefined : nearKey(one.key);
  return near ? { ...one, message: `${one.message} (did you mean "${near}"?)` } : one;
}

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? '' : 's'}`;

export function checkedText({ networks, faults, warnings }: Checked, colours: Paint): string {
  const line = ({ file, network, code: number, message }: Said, word: string, colour: Colour): string => {
    const place = [file, ...(network ? [network] : [])].map(plain).join(': ');
    const of = number === undefined ? '' : ` (code ${number})`;
    return `${place}: ${colours(colour, word)}${of}: ${plain(message)}`;
  };
  const isClean = (one: { file: string; network: string }): boolean =>
    ![...faults, ...warnings].some(({ file, network }) => file === one.file && network === one.network);
  const clean = networks.filter(isClean).map((one) => line({ ...one, message: 'an ADD takes it' }, 'ok', 'green'));
  const lines = [
    ...faults.map((one) => line(one, 'fault', 'red')),
    ...warnings.map((one) => line(one, 'warning', 'yellow')),
    ...clean,
  ];
  const hasKey = [...faults, ...warnings].some(({ key }) => key !== undefined);
  const total = `${count(faults.length, 'fault')} and ${count(warnings.length, 'warning')} in ${count(networks.length, 'network')}.`;
  return [
    ...lines,
    '',
    `${total}${hasKey ? ' What a key takes: userspace explain KEY.' : ''}`,
    'This node was not looked at: userspace status --config FILE looks at its switch, directories, programs and API server.',
    '',
  ].join('\n');
}
