/**
 * `userspace check FILE...`: every fault of a network's file for which an ADD would refuse it, and every key that an ADD takes without
 * doing what it says. It reads the files and nothing else: no switch, no API server, no directory. `status --config` reads them the same
 * way, and looks at the node too.
 */
import { schemaKeys } from '../cni/config/paths.ts';
import { nearKey } from './near-key.ts';
import { type FoundNetwork, namedNetworks } from './networks.ts';
import { type Colour, type Paint, plain } from './print.ts';
import { readNetwork } from './read-network.ts';

/** One fault or warning. */
interface Said {
  readonly file: string;
  /** The network's name; absent for a fault of the file. */
  readonly network?: string;
  /** Dotted path. */
  readonly key?: string;
  /** The CNI error code of an ADD. */
  readonly code?: number;
  readonly message: string;
}

interface Place {
  readonly file: string;
  readonly network: string;
}

interface Checked {
  /** As they were named, each once. */
  readonly files: readonly string[];
  readonly networks: readonly Place[];
  readonly faults: readonly Said[];
  /** Remarks: an ADD takes the file with them. */
  readonly warnings: readonly Said[];
}

/** @param named paths; "-" is standard input, like /dev/stdin */
export function checkFiles(named: readonly string[]): Checked {
  const files = [...new Set(named.map((file) => (file === '-' ? '/dev/stdin' : file)))];
  const { networks, bad, repeated } = namedNetworks(files);
  const read = networks.map((network) => readNetwork(network, []));
  const placeOf = ({ file, name }: FoundNetwork): Place => ({ file, network: name });
  return {
    files,
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

function sayLine({ file, network, code, message }: Said, word: string, colours: Paint): string {
  const place = [file, ...(network ? [network] : [])].map(plain).join(': ');
  const refusal = code === undefined ? '' : ` (code ${code})`;
  return `${place}: ${colours(wordColours[word] ?? 'dim', word)}${refusal}: ${plain(message)}`;
}

const wordColours: { readonly [word: string]: Colour } = { fault: 'red', warning: 'yellow', ok: 'green' };

/** A line for each fault and warning, file by file, and one for a network that has neither. */
export function checkedText({ files, networks, faults, warnings }: Checked, colours: Paint): string {
  const isQuiet = (one: Place): boolean =>
    ![...faults, ...warnings].some(
      ({ file, network }) => file === one.file && (network ?? one.network) === one.network,
    );
  const quiet = networks.filter(isQuiet).map((one) => ({ ...one, message: 'an ADD takes it' }));
  const lines = files.flatMap((each) =>
    Object.entries({ fault: faults, warning: warnings, ok: quiet }).flatMap(([word, said]) =>
      said.filter(({ file }) => file === each).map((one) => sayLine(one, word, colours)),
    ),
  );
  const hasKey = [...faults, ...warnings].some(({ key }) => key !== undefined);
  const total = [count(faults.length, 'fault'), count(warnings.length, 'warning')].join(' and ');
  return [
    ...lines,
    '',
    `${total} in ${count(networks.length, 'network')}.${hasKey ? ' userspace explain KEY says what a key takes.' : ''}`,
    'This node was not looked at: userspace status --config FILE looks at its switch, directories, programs and API server.',
    '',
  ].join('\n');
}
