/**
 * Network configurations in people's files: a network, a list of plugins (libcni), a NetworkAttachmentDefinition of Multus, or
 * kubectl's output of many; as JSON or YAML.
 */
import { closeSync, constants, fstatSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../attachment.ts';
import { parseYaml } from '../os/native.ts';
import { readToEnd } from '../os/streams.ts';

/** One configuration of type "userspace", as a runtime would hand it over. */
export interface FoundNetwork {
  readonly file: string;
  readonly name: string;
  readonly raw: Raw;
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

interface Found {
  readonly networks: readonly FoundNetwork[];
  readonly bad: readonly BadFile[];
}

/** The contents of one file. */
interface Contents {
  readonly networks: readonly FoundNetwork[];
  /** The faults of items that are ours, or may be. */
  readonly bad: readonly string[];
  /** Remarks that are printed only if nothing else was found. */
  readonly asides: readonly string[];
}

type Raw = { readonly [key: string]: unknown };

/** As libcni loads them (ConfFiles). */
const isConfiguration = (name: string): boolean => /\.(conf|conflist|json)$/.test(name);

/** Reads the files that a person named: each has to exist and to hold a network of our type. */
export const namedNetworks = (files: readonly string[]): Found => merge(files.map(readNamed));

function readNamed(file: string): Found {
  const health = 'sick';
  try {
    const { networks, bad, asides } = contentsOf(textOf(file), file);
    if (networks.length + bad.length > 0) return { networks, bad: bad.map((message) => ({ file, message, health })) };
    const none = ['has no network of type "userspace"', ...asides].join(': ');
    return { networks, bad: [{ file, message: none, health }] };
  } catch (error) {
    return { networks: [], bad: [{ file, message: messageOf(error), health }] };
  }
}

/** Reads the runtime's own directory. A file that cannot be read as a network is reported only if it mentions us. */
export function installedNetworks(directory: string): Found {
  const health = 'unknown';
  try {
    const names = readdirSync(directory).filter(isConfiguration).sort();
    return merge(names.map((name) => readInstalled(join(directory, name))));
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    return { networks: [], bad: isMissing ? [] : [{ file: directory, message: messageOf(error), health }] };
  }
}

function readInstalled(file: string): Found {
  const health = 'unknown';
  let text = 'userspace';
  try {
    text = textOf(file);
    const { networks, bad } = contentsOf(text, file);
    return { networks, bad: bad.map((message) => ({ file, message, health })) };
  } catch (error) {
    return { networks: [], bad: mentionsUs(text) ? [{ file, message: messageOf(error), health }] : [] };
  }
}

const merge = (found: readonly Found[]): Found => ({
  networks: found.flatMap(({ networks }) => networks),
  bad: found.flatMap(({ bad }) => bad),
});

const mentionsUs = (text: string): boolean => text.includes('userspace');

const fileBytesMax = 4 * 1024 * 1024;

/**
 * Refuses FIFOs, which could block, and devices; except standard input, which is mostly a pipe.
 * @throws Error in words for people
 */
function textOf(file: string): string {
  if (file === '/dev/stdin') return readToEnd(0);
  const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw new Error('is no regular file: name one, or /dev/stdin');
    if (stats.size > fileBytesMax) throw new Error(`has ${stats.size} bytes: ${fileBytesMax} is the most that is read`);
    return readFileSync(fd, 'utf8');
  } finally {
    closeSync(fd);
  }
}

/** @throws Error in words for people */
function contentsOf(text: string, file: string): Contents {
  const found = documentsIn(parse(text)).map((document) => itemOf(document, file));
  return {
    networks: found.flatMap(({ networks }) => networks),
    bad: found.flatMap(({ bad }) => bad),
    asides: found.flatMap(({ asides }) => asides),
  };
}

/** JSON is YAML too, but a JSON parser explains a fault better. */
function parse(text: string): unknown {
  const isJson = /^\s*[{[]/.test(text);
  try {
    return isJson ? JSON.parse(text) : parseYaml(text);
  } catch (error) {
    throw new Error(`is no ${isJson ? 'JSON' : 'YAML'}: ${messageOf(error)}`);
  }
}

/** The documents of a YAML stream, or the items of a list. */
function documentsIn(value: unknown): Raw[] {
  if (Array.isArray(value)) return value.flatMap(documentsIn);
  if (typeof value !== 'object' || value === null) return [];
  const { kind, items } = value as Raw;
  return typeof kind === 'string' && kind.endsWith('List') ? documentsIn(items ?? []) : [value as Raw];
}

function itemOf(document: Raw, file: string): Contents {
  if (document.kind === 'NetworkAttachmentDefinition') return definitionOf(document, file);
  return { networks: pluginsOf(document).flatMap((raw) => networksIn(raw, file)), bad: [], asides: [] };
}

/** Returns a broken definition's fault, because a throw would hide the other definitions. */
function definitionOf({ metadata, spec }: { metadata?: Raw; spec?: Raw }, file: string): Contents {
  const { name, namespace } = metadata ?? {};
  const said = `NetworkAttachmentDefinition "${typeof namespace === 'string' ? `${namespace}/` : ''}${name}"`;
  const text = spec?.config;
  if (text === undefined || text === null) {
    const aside = `${said} has no spec.config: Multus takes the file of that name`;
    return { networks: [], bad: [], asides: [aside] };
  }
  try {
    if (typeof text !== 'string')
      throw new Error('has to be a string that holds JSON ("config: |" in YAML), and is none');
    // Multus gives the definition's name to a configuration without one.
    const config = { name, ...(parse(text) as Raw) };
    const networks = pluginsOf(config).flatMap((raw) => networksIn(raw, file));
    const ofPods = typeof namespace === 'string' ? { namespace } : {};
    return { networks: networks.map((one) => ({ ...one, ...ofPods })), bad: [], asides: [] };
  } catch (error) {
    const message = `${said}: spec.config ${messageOf(error)}`;
    const isOurs = mentionsUs(typeof text === 'string' ? text : JSON.stringify(text));
    return { networks: [], bad: isOurs ? [message] : [], asides: isOurs ? [] : [message] };
  }
}

/** As a runtime does, gives the list's name and version to each plugin of the list. */
function pluginsOf(config: Raw): Raw[] {
  const { plugins, name, cniVersion } = config;
  if (!Array.isArray(plugins)) return [config];
  return plugins.map((plugin) => ({ ...plugin, name, ...(cniVersion !== undefined && { cniVersion }) }));
}

const networksIn = (raw: Raw, file: string): FoundNetwork[] =>
  raw.type === 'userspace' ? [{ file, name: String(raw.name ?? ''), raw }] : [];
