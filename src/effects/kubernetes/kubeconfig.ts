/**
 * Reading a kubeconfig file: how to reach its current cluster as its current user. Usual files are read here. Unusual, broken or
 * missing ones are left to @kubernetes/client-node. It knows every kind of credentials and costs 20 ms, so it is loaded for those
 * alone. The error messages are ours. It starts no program, because it would neither bound the program's output nor kill it.
 *
 * Invariant: I12 nothing of the file's content ends up in an error, since half of it is secret.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import type { RequestOptions } from 'node:https';
import { dirname, resolve } from 'node:path';
import type { KubeConfig } from '@kubernetes/client-node';
import { code } from '../../attachment.ts';
import type { Moment } from '../../deadlines.ts';
import type { Tls } from '../../os/https.ts';
import { parseYaml } from '../../os/native.ts';
import { codeOf, DirectoryTimeout, inTime } from '../outcome.ts';
import { ApiError, CredentialError } from './api-error.ts';
import type { Credential, CredentialCache, ExecSource } from './exec-credential.ts';

/** How requests are made: where to, and with what TLS settings and headers. */
export interface Endpoint {
  readonly server: URL;
  readonly tls: Tls;
  readonly headers: { readonly [name: string]: string };
  /** URL of an HTTP proxy. */
  readonly proxy?: string;
}

/**
 * @param end for a program that gives credentials @param cache credentials that programs gave before
 * @throws ApiError 7 naming the file and what it lacks.
 */
export async function readKubeconfig(path: string, end: Moment, cache: CredentialCache = new Map()): Promise<Endpoint> {
  const text = readText(path, (why) => kubeconfigError(path, why));
  return readUsualFile(text, path) ?? (await readAnyFile({ text, path }, end, cache));
}

const kubeconfigError = (path: string, why: string, reason?: ApiError['why']): ApiError =>
  new ApiError(code.invalidConfig, `"kubeconfig" "${path}" ${why}`, reason);

/** The largest clusters' files, with their certificates inside, have some ten thousand. A network may name any file of the node. */
const bytesMax = 1024 * 1024;

/** Reads a regular file only, because a FIFO without a writer or a device without an end would block the call. */
function readRegularFile(path: string, encoding: 'utf8' | 'latin1'): string {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw Object.assign(new Error('no file'), { code: 'it is no regular file' });
    if (stats.size > bytesMax) throw Object.assign(new Error('too long'), { code: `it is over ${bytesMax} bytes` });
    return readFileSync(fd, encoding);
  } finally {
    closeSync(fd);
  }
}

function readText(path: string, refused: (why: string) => Error): string {
  try {
    return readRegularFile(path, 'utf8');
  } catch (error) {
    throw refused(`cannot be read: ${codeOf(error)}`);
  }
}

// ---- the usual file: a server by HTTPS, a token or a client's certificate

const clusterKeys = ['server', 'certificate-authority', 'certificate-authority-data'];
const userKeys = [
  'token',
  'tokenFile',
  'client-certificate',
  'client-certificate-data',
  'client-key',
  'client-key-data',
];

const keys = [...clusterKeys, ...userKeys, 'current-context', 'contexts', 'clusters', 'users'];
const keyPattern = new RegExp(`(?<![\\w-])(${keys.join('|')})["']?\\s*:`, 'g');

/** Tags, anchors and merges are unusual, because parsers read them differently. So is a repeated key: our parser takes the last. */
function isUnusual(text: string): boolean {
  const said = [...text.matchAll(keyPattern)].map(([, key]) => key);
  return /(^|[\s,[{])(!|&|\*|<<)/m.test(text) || new Set(said).size < said.length;
}

/**
 * Some installers put brackets around every host, though only an IPv6 address needs them (RFC 3986, 3.2.2). Go's URLs accept them
 * around anything. Around an IPv4 address or a name they mean nothing.
 */
const stripBrackets = (url: string): string => url.replace(/^([\w+.-]+:\/\/(?:[^/?#@]*@)?)\[([^\]:/?#@]*)\]/, '$1$2');

type Texts = { readonly [key: string]: string | undefined };

/** @returns undefined if the file holds anything unusual or wrong. */
export function readUsualFile(text: string, path: string): Endpoint | undefined {
  try {
    if (isUnusual(text)) return undefined;
    const config = parseYaml(text) as Kubeconfig;
    const context = findOnly(config.contexts, config['current-context'])?.context;
    const cluster = textsOf(findOnly(config.clusters, context?.cluster)?.cluster, clusterKeys);
    const user = textsOf(findOnly(config.users, context?.user)?.user, userKeys);
    if (!cluster?.server || !user) return undefined;
    const server = new URL(stripBrackets(cluster.server));
    if (server.protocol !== 'https:') return undefined;
    const pem = (data: string | undefined, file: string | undefined) => {
      if (data === undefined && file === undefined) return undefined;
      if (data !== undefined && file !== undefined) throw new Error('two ways to say it');
      const said = data === undefined ? readRegularFile(resolve(dirname(path), file ?? ''), 'latin1') : atob(data);
      if (said.trim() === '') throw new Error('nothing is said');
      return said;
    };
    const ca = pem(cluster['certificate-authority-data'], cluster['certificate-authority']);
    const cert = pem(user['client-certificate-data'], user['client-certificate']);
    const key = pem(user['client-key-data'], user['client-key']);
    const token = user.tokenFile === undefined ? user.token : readToken(user.tokenFile, path);
    return {
      server,
      tls: { rejectUnauthorized: true, ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) },
      headers: token ? { Authorization: `Bearer ${token}` } : {},
    };
  } catch {
    return undefined;
  }
}

/** clientcmd/api/v1: lists of named things. */
interface Kubeconfig {
  readonly 'current-context'?: string;
  readonly contexts?: readonly { readonly name?: string; readonly context?: { cluster?: string; user?: string } }[];
  readonly clusters?: readonly { readonly name?: string; readonly cluster?: object }[];
  readonly users?: readonly { readonly name?: string; readonly user?: object }[];
}

function findOnly<T extends { readonly name?: string }>(list: readonly T[] | undefined, name: string | undefined) {
  const found = list?.filter((one) => one.name === name) ?? [];
  return found.length === 1 ? found[0] : undefined;
}

function textsOf(value: object | undefined, known: readonly string[]): Texts | undefined {
  const entries = Object.entries(value ?? {});
  const usual = value && entries.every(([key, text]) => known.includes(key) && typeof text === 'string' && text !== '');
  return usual ? Object.fromEntries(entries) : undefined;
}

const readToken = (file: string, path: string): string => readRegularFile(resolve(dirname(path), file), 'utf8').trim();

// ---- any file

/** A kubeconfig's text and path. */
interface File {
  readonly text: string;
  readonly path: string;
}

/** Providers of client-node that start no program (clientcmd/api/v1, AuthProviderConfig). */
const harmlessProviders: readonly (string | undefined)[] = ['oidc', 'tokenFile', undefined];

/** @throws ApiError */
export async function readAnyFile(file: File, end: Moment, cache: CredentialCache): Promise<Endpoint> {
  const { path } = file;
  const refused = (why: string) => kubeconfigError(path, why);
  const { KubeConfig: Reader } = await import('@kubernetes/client-node');
  const config = new Reader();
  try {
    config.loadFromFile(path);
  } catch (error) {
    throw refused(`cannot be used: ${describeSafely(error)}`);
  }
  const [cluster, user] = [config.getCurrentCluster(), config.getCurrentUser()];
  if (!cluster) throw refused(`has no cluster for its current context "${config.getCurrentContext() ?? ''}"`);
  if (!user) throw refused(`has no user for its current context "${config.getCurrentContext() ?? ''}"`);
  const server = stripBrackets(cluster.server);
  // A URL may hold a password, so no message quotes one.
  if (!URL.canParse(server)) throw refused('has a server that is no URL');
  const { proxyUrl } = cluster;
  if (proxyUrl && !/^https?:/.test(proxyUrl))
    throw refused('has a proxy-url of a kind that is not known: only HTTP ones are');
  const { options, token, given } = await findCredentials(file, config, { end, cache }).catch((error) => {
    const isSilent = error instanceof DirectoryTimeout || (error instanceof CredentialError && error.why === 'silent');
    throw kubeconfigError(
      path,
      `has credentials that cannot be used: ${describeSafely(error)}`,
      isSilent ? 'silent' : undefined,
    );
  });
  const { auth, headers } = options;
  const bearer = token ?? given.token;
  const authorization = bearer ? `Bearer ${bearer}` : auth && `Basic ${Buffer.from(auth).toString('base64')}`;
  const tls = { ...tlsOf(options, { isVerified: cluster.skipTLSVerify !== true }), ...certificateOf(given) };
  // With an empty authority every public one would be trusted.
  if ((cluster.caFile || cluster.caData) && !tls.ca?.trim()) throw refused('names an authority that is empty');
  return {
    server: new URL(server),
    tls,
    headers: { ...(headers as Endpoint['headers']), ...(authorization && { Authorization: authorization }) },
    ...(proxyUrl && { proxy: stripBrackets(proxyUrl) }),
  };
}

/** Until when a program may give credentials, and the credentials that programs gave before. */
interface ProgramLimits {
  readonly end: Moment;
  readonly cache: CredentialCache;
}

/** Finds the current user's credentials for the current cluster. @throws an error that names their fault */
async function findCredentials(file: File, config: KubeConfig, { end, cache }: ProgramLimits) {
  const [cluster, user] = [config.getCurrentCluster(), config.getCurrentUser()];
  if (!cluster || !user) throw new CredentialError('there are none');
  const { exec, ...quiet } = user;
  refuseProvider(user.authProvider);
  const token = tokenOfFile(file, user.name);
  // Credentials in the file take precedence over a program, as in client-go.
  const isSaid = token || user.token || user.username;
  const source = { path: file.path, exec, cluster: rawCluster(file, cluster.name) };
  const given = exec && !isSaid ? await askProgram(source, end, cache) : {};
  config.loadFromClusterAndUser(cluster, quiet);
  const options: RequestOptions = {};
  await inTime(config.applyToHTTPSOptions(options), end, 'their provider');
  return { options, token, given };
}

async function askProgram(source: ExecSource, end: Moment, cache: CredentialCache): Promise<Credential> {
  const { askCredential } = await import('./exec-credential.ts');
  return await askCredential(source, end, cache);
}

/** Any other provider would run a configured program through a shell and without a deadline. */
function refuseProvider(provider: { readonly name?: string; readonly config?: object } | null | undefined): void {
  if (harmlessProviders.includes(provider?.name) && !(provider?.config && 'exec' in provider.config)) return;
  throw new CredentialError('an "auth-provider" that starts a program is not run: say it as "exec"');
}

const certificateOf = ({ cert, key }: Credential): Pick<Tls, 'cert' | 'key'> => (cert && key ? { cert, key } : {});

/** The kubeconfig alone decides; the environment (NODE_TLS_REJECT_UNAUTHORIZED) is ignored. */
function tlsOf(options: RequestOptions, { isVerified }: { readonly isVerified: boolean }): Tls {
  const [ca, cert, key] = [options.ca, options.cert, options.key].map((pem) => (pem ? String(pem) : undefined));
  const { servername } = options;
  return {
    rejectUnauthorized: isVerified,
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
    ...(servername && { serverName: servername }),
  };
}

/** Reads `tokenFile`, which client-node does not know. As in client-go it precedes a token (clientcmd/api/v1, AuthInfo). */
function tokenOfFile({ text, path }: File, userName: string): string | undefined {
  const { users } = parseYaml(text) as { users?: readonly { name?: string; user?: { tokenFile?: string } }[] };
  const file = users?.find(({ name }) => name === userName)?.user?.tokenFile;
  return file === undefined ? undefined : readToken(file, path);
}

/** The cluster's entry as written, because client-node does not know all of its keys. */
function rawCluster({ text }: File, clusterName: string): unknown {
  const { clusters } = parseYaml(text) as Kubeconfig;
  return clusters?.find(({ name }) => name === clusterName)?.cluster;
}

/** Tells only an errno or the kind of error, because messages of parsers and of credential programs quote their input. */
function describeSafely(error: unknown): string {
  const path = error instanceof Error && 'path' in error ? ` "${error.path}"` : '';
  if (codeOf(error)) return `${codeOf(error)}${path}`;
  if (error instanceof DirectoryTimeout || error instanceof CredentialError) return error.message;
  const kind = error instanceof Error ? error.name : 'unknown error';
  return `its reader failed (${kind}), whose words may quote it and are not told: "kubectl --kubeconfig" on the node tells them`;
}
