/** The parts of a dump that tell what was configured: the networks, and which kubeconfigs there are. */
import { dirname, resolve } from 'node:path';
import { isObject } from '../../cni/leniency.ts';
import type { Moment } from '../../deadlines.ts';
import { codeOf } from '../../effects/outcome.ts';
import { parseYaml } from '../../os/native.ts';
import type { Bag } from './bag.ts';
import { fileNameOf, lineOf, namesIn, tailOf } from './files.ts';
import type { Sources } from './sources.ts';

type Json = { readonly [key: string]: unknown };

/** Only the networks of our type, each as it would be handed to us: what other plugins' files hold is not our business. */
export async function collectNetworks(bag: Bag, { networks, bad, call }: Sources, end: Moment): Promise<string> {
  for (const [index, { file, raw, namespace }] of networks.entries()) {
    const shown = { file, ...(namespace && { namespace }), network: bag.redactor.network(raw) };
    bag.file(`networks/${index + 1}-${fileNameOf(file)}.json`, `${JSON.stringify(shown, null, 2)}\n`);
  }
  for (const { file, message, health } of bad) {
    const told = `"${file}" ${message}`;
    if (health === 'sick') bag.lacks(told);
    else bag.lines('networks/unreadable.txt', [told]);
  }
  const { configs, networkDir } = call;
  if (!configs) bag.lines('networks/files.txt', await listing(networkDir, end));
  return `${networks.length} of type userspace${configs ? '' : ` in ${networkDir}`}`;
}

async function listing(directory: string, end: Moment): Promise<string[]> {
  const own = await lineOf(directory, end);
  const names = await namesIn(directory, end).catch(() => []);
  return [own, ...(await Promise.all(names.map((name) => lineOf(`${directory}/${name}`, end))))];
}

const kubeconfigBytesMax = 1024 * 1024;

/** Tells that a kubeconfig is there, its server, and the kind of its credentials. Its secrets are learnt, to be hidden elsewhere. */
export async function collectKubeconfigs(bag: Bag, { kubeconfigs }: Sources, end: Moment): Promise<string> {
  const lines: string[] = [];
  for (const path of kubeconfigs) {
    lines.push(await lineOf(path, end));
    try {
      const { text } = await tailOf(path, kubeconfigBytesMax, end);
      lines.push(...(await describeKubeconfig({ text, path }, bag, end)).map((line) => `  ${line}`));
    } catch (error) {
      const code = codeOf(error);
      bag.lacks(`kubeconfig "${path}" cannot be read: ${code || 'it is not a file of YAML'}`);
    }
  }
  if (kubeconfigs.length > 0) bag.lines('kubeconfigs.txt', lines);
  return `${kubeconfigs.length} named by networks or attachments; only their kind is told`;
}

interface KubeconfigFile {
  readonly text: string;
  readonly path: string;
}

/** @throws on any other form */
async function describeKubeconfig({ text, path }: KubeconfigFile, { redactor }: Bag, end: Moment): Promise<string[]> {
  const config = parseYaml(text) as Json;
  const clusters = listOf(config.clusters, 'cluster');
  const users = listOf(config.users, 'user');
  redactor.hide([users, clusters.map(({ server: _, ...rest }) => rest)]);
  for (const { tokenFile } of users) {
    if (typeof tokenFile !== 'string') continue;
    const token = await tailOf(resolve(dirname(path), tokenFile), kubeconfigBytesMax, end).catch(() => undefined);
    redactor.hide(token?.text);
  }
  return [
    ...clusters.map(({ server }) => `server ${hostOf(server, redactor.hide.bind(redactor))}`),
    ...users.map(kindsOf),
  ];
}

function listOf(value: unknown, member: string): Json[] {
  const all = Array.isArray(value) ? value : [];
  return all.map((one: unknown) => (isObject(one) ? one[member] : undefined)).filter(isObject);
}

/** A URL may hold a password. */
function hostOf(server: unknown, hide: (value: unknown) => string): string {
  if (typeof server !== 'string' || !URL.canParse(server)) return 'that is not a URL';
  const { protocol, host, username, password } = new URL(server);
  hide([decodeURIComponent(username), decodeURIComponent(password)]);
  return `${protocol}//${host}`;
}

const kinds = [
  ['token', 'tokenFile', 'exec', 'auth-provider', 'username', 'password'],
  ['client-certificate', 'client-certificate-data', 'client-key', 'client-key-data'],
].flat();

const kindsOf = (user: Json): string =>
  `signs in by ${kinds.filter((kind) => user[kind] !== undefined && user[kind] !== '').join(', ') || 'none that is known'}`;
