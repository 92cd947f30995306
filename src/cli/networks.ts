/**
 * Network configurations as people have them in files: a network, a list of plugins (libcni), a NetworkAttachmentDefinition of Multus,
 * or what kubectl prints of many; as JSON or YAML.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseYaml } from '../native.ts';

/** One configuration of type "userspace", as a runtime would hand it over. */
export interface Network {
  readonly file: string;
  readonly name: string;
  readonly raw: Raw;
  /** Of its NetworkAttachmentDefinition: pods of this one use it. */
  readonly namespace?: string;
}

/** What is wrong with a file that a person named. */
export interface BadFile {
  readonly file: string;
  readonly message: string;
}

interface Found {
  readonly networks: readonly Network[];
  readonly bad: readonly BadFile[];
}

type Raw = { readonly [key: string]: unknown };

/** As libcni loads them (ConfFiles). */
const isConfiguration = (name: string): boolean => /\.(conf|conflist|json)$/.test(name);

/** What a person named has to be there and of our type. */
export function namedNetworks(files: readonly string[]): Found {
  const found = files.map((file) => {
    try {
      const networks = networksIn(file);
      if (networks.length > 0) return { networks, bad: [] };
      return { networks, bad: [{ file, message: 'has no network of type "userspace"' }] };
    } catch (error) {
      return { networks: [], bad: [{ file, message: error instanceof Error ? error.message : String(error) }] };
    }
  });
  return { networks: found.flatMap(({ networks }) => networks), bad: found.flatMap(({ bad }) => bad) };
}

/** Of the runtime's own directory. A file that cannot be understood is not ours to judge. */
export function installedNetworks(directory: string): Network[] {
  return attempt(() => readdirSync(directory).filter(isConfiguration).sort()).flatMap((name) =>
    attempt(() => networksIn(join(directory, name))),
  );
}

function attempt<T>(action: () => T[]): T[] {
  try {
    return action();
  } catch {
    return [];
  }
}

/** @throws Error in words for people */
function networksIn(file: string): Network[] {
  const text = readFileSync(file, 'utf8');
  return documentsIn(parse(text)).flatMap((document) => networksOf(document, file));
}

/** JSON is YAML too, but its own parser says better what is wrong with it. */
function parse(text: string): unknown {
  const isJson = /^\s*[{[]/.test(text);
  try {
    return isJson ? JSON.parse(text) : parseYaml(text);
  } catch (error) {
    throw new Error(`is no ${isJson ? 'JSON' : 'YAML'}: ${error instanceof Error ? error.message : error}`);
  }
}

/** The documents of a YAML stream, the items of a list. */
function documentsIn(value: unknown): Raw[] {
  if (Array.isArray(value)) return value.flatMap(documentsIn);
  if (typeof value !== 'object' || value === null) return [];
  const { kind, items } = value as Raw;
  return typeof kind === 'string' && kind.endsWith('List') ? documentsIn(items ?? []) : [value as Raw];
}

function networksOf(document: Raw, file: string): Network[] {
  if (document.kind !== 'NetworkAttachmentDefinition') return pluginsOf(document).flatMap((raw) => network(raw, file));
  const { metadata, spec } = document as { metadata?: Raw; spec?: Raw };
  if (typeof spec?.config !== 'string') {
    throw new Error(
      `NetworkAttachmentDefinition "${metadata?.name}" has no spec.config: Multus takes the file of that name`,
    );
  }
  // Multus names what has no name.
  const config = { name: metadata?.name, ...(parse(spec.config) as Raw) };
  const { namespace } = metadata ?? {};
  return pluginsOf(config).flatMap((raw) =>
    network(raw, file).map((one) => ({ ...one, ...(typeof namespace === 'string' && { namespace }) })),
  );
}

/** Each plugin of a list is handed the list's name and version. */
function pluginsOf(config: Raw): Raw[] {
  const { plugins, name, cniVersion } = config;
  if (!Array.isArray(plugins)) return [config];
  return plugins.map((plugin) => ({ ...plugin, name, ...(cniVersion !== undefined && { cniVersion }) }));
}

const network = (raw: Raw, file: string): Network[] =>
  raw.type === 'userspace' ? [{ file, name: String(raw.name ?? ''), raw }] : [];
