/**
 * Network configurations in people's files: a network, a list of plugins (libcni), a NetworkAttachmentDefinition of Multus, or
 * kubectl's output of many; as JSON or YAML.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../attachment.ts';
import { memberOf } from '../cni/leniency.ts';
import { type Document, documentsOf, looksLikeJson, parsed, textOfFile } from './documents.ts';
import { repeatedKeys } from './repeated-keys.ts';

/** One configuration of type "userspace", as a runtime would hand it over. */
export interface FoundNetwork {
  readonly file: string;
  readonly name: string;
  readonly raw: Document;
  /** The namespace of its NetworkAttachmentDefinition, and so of the pods that use it. */
  readonly namespace?: string;
}

/** A fault of a file, or of one item in it. */
export interface BadFile {
  readonly file: string;
  readonly message: string;
  /** `sick` if a person named the file; `unknown` if the runtime has it, because it may be another plugin's. */
  readonly health: 'sick' | 'unknown';
}

/** A key that stands twice, so that one of its values is lost. */
interface RepeatedKey {
  readonly file: string;
  readonly key: string;
}

interface Found {
  readonly networks: readonly FoundNetwork[];
  readonly bad: readonly BadFile[];
  readonly repeated: readonly RepeatedKey[];
}

/** The contents of one file. */
interface Contents {
  readonly networks: readonly FoundNetwork[];
  /** The faults of items that are ours, or may be. */
  readonly bad: readonly string[];
  /** Remarks that are printed only if nothing else was found. */
  readonly asides: readonly string[];
  /** Dotted paths. */
  readonly repeated: readonly string[];
}

/** As libcni loads them (ConfFiles). */
const isConfiguration = (name: string): boolean => /\.(conf|conflist|json)$/.test(name);

/** Reads the files that a person named: each has to exist and to hold a network of our type. */
export const namedNetworks = (files: readonly string[]): Found => merge(files.map(readNamed));

function readNamed(file: string): Found {
  const health = 'sick';
  try {
    const found = contentsOf(textOfFile(file), file);
    const { networks, bad, asides } = found;
    if (networks.length + bad.length > 0) return inFile(file, found, health);
    const none = ['has no network of type "userspace"', ...asides].join(': ');
    return { networks: [], bad: [{ file, message: none, health }], repeated: [] };
  } catch (error) {
    return { networks: [], bad: [{ file, message: messageOf(error), health }], repeated: [] };
  }
}

const inFile = (file: string, { networks, bad, repeated }: Contents, health: BadFile['health']): Found => ({
  networks,
  bad: bad.map((message) => ({ file, message, health })),
  repeated: repeated.map((key) => ({ file, key })),
});

/** Reads the runtime's own directory. A file that cannot be read as a network is reported only if it mentions us. */
export function installedNetworks(directory: string): Found {
  const health = 'unknown';
  try {
    const names = readdirSync(directory).filter(isConfiguration).sort();
    return merge(names.map((name) => readInstalled(join(directory, name))));
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const bad = isMissing ? [] : [{ file: directory, message: messageOf(error), health } as const];
    return { networks: [], bad, repeated: [] };
  }
}

function readInstalled(file: string): Found {
  const health = 'unknown';
  let text = 'userspace';
  try {
    text = textOfFile(file);
    return inFile(file, contentsOf(text, file), health);
  } catch (error) {
    const bad = mentionsUs(text) ? [{ file, message: messageOf(error), health } as const] : [];
    return { networks: [], bad, repeated: [] };
  }
}

const merge = (found: readonly Found[]): Found => ({
  networks: found.flatMap(({ networks }) => networks),
  bad: found.flatMap(({ bad }) => bad),
  repeated: found.flatMap(({ repeated }) => repeated),
});

const mentionsUs = (text: string): boolean => text.includes('userspace');

/** @throws Error in words for people */
function contentsOf(text: string, file: string): Contents {
  const found = documentsOf(text).map((document) => itemOf(document, file));
  return {
    networks: found.flatMap(({ networks }) => networks),
    bad: found.flatMap(({ bad }) => bad),
    asides: found.flatMap(({ asides }) => asides),
    repeated: [...repeatedIn(text), ...found.flatMap(({ repeated }) => repeated)],
  };
}

const repeatedIn = (text: string): readonly string[] => (looksLikeJson(text) ? repeatedKeys(text) : []);

function itemOf(document: Document, file: string): Contents {
  if (document.kind === 'NetworkAttachmentDefinition') return definitionOf(document, file);
  return { asides: [], repeated: [], ...networksIn(document, file) };
}

/** Returns a broken definition's fault, because a throw would hide the other definitions. */
function definitionOf({ metadata, spec }: { metadata?: Document; spec?: Document }, file: string): Contents {
  const { name, namespace } = metadata ?? {};
  const place = typeof namespace === 'string' ? `${namespace}/` : '';
  const said =
    typeof name === 'string'
      ? `NetworkAttachmentDefinition "${place}${name}"`
      : 'a NetworkAttachmentDefinition without a name';
  const text = spec?.config;
  const nothing = { networks: [], bad: [], asides: [], repeated: [] };
  if (text === undefined || text === null) {
    return { ...nothing, asides: [`${said} has no spec.config: Multus takes the file of that name`] };
  }
  try {
    if (typeof text !== 'string')
      throw new Error('has to be a string that holds JSON ("config: |" in YAML), and is none');
    // Multus gives the definition's name to a configuration without one.
    const config = { name, ...(parsed(text) as Document) };
    const { networks, bad } = networksIn(config, file);
    const ofPods = typeof namespace === 'string' ? { namespace } : {};
    return {
      ...nothing,
      networks: networks.map((one) => ({ ...one, ...ofPods })),
      bad: bad.map((message) => `${said}: ${message}`),
      repeated: repeatedIn(text),
    };
  } catch (error) {
    const message = `${said}: spec.config ${messageOf(error)}`;
    const isOurs = mentionsUs(typeof text === 'string' ? text : JSON.stringify(text));
    return isOurs ? { ...nothing, bad: [message] } : { ...nothing, asides: [message] };
  }
}

function networksIn(config: Document, file: string): Pick<Contents, 'networks' | 'bad'> {
  const ours = pluginsOf(config).filter((raw) => memberOf(raw, 'type') === 'userspace');
  const networks = ours.map((raw) => ({ file, name: String(memberOf(raw, 'name') ?? ''), raw }));
  // An attachment is known by network, container and interface: the second plugin would take the first one's for its own.
  const name = JSON.stringify(config.name ?? '');
  const twice = `the list ${name} has ${ours.length} plugins of type "userspace": one attachment for all of them; make a network of each`;
  return { networks, bad: ours.length > 1 ? [twice] : [] };
}

/** As a runtime does, gives the list's name and version to each plugin of the list. */
function pluginsOf(config: Document): Document[] {
  const { plugins, name, cniVersion } = config;
  if (!Array.isArray(plugins)) return [config];
  return plugins.map((plugin) => ({ ...plugin, name, ...(cniVersion !== undefined && { cniVersion }) }));
}
