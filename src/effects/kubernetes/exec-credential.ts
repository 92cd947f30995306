/**
 * Credentials that a program gives (`users[].user.exec` of a kubeconfig): the protocol of client.authentication.k8s.io, as
 * client-go speaks it to a program that has no terminal. The program runs with the limits of every other program (subprocess.ts).
 *
 * Invariant: I12 an error holds nothing of the program's input from the kubeconfig and nothing of its output.
 */
import { readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Moment } from '../../deadlines.ts';
import { environment } from '../../os/native.ts';
import { run } from '../../os/subprocess.ts';
import { isProgram } from '../program.ts';
import { CredentialError } from './api-error.ts';

/** A token, or a certificate and key in PEM, as the program printed them. */
export interface Credential {
  readonly token?: string;
  readonly cert?: string;
  readonly key?: string;
}

interface CachedCredential extends Credential {
  /** The expiry that the program gave, in milliseconds since the epoch. */
  readonly until: number;
}

/** The credentials that programs have given, by kubeconfig and program. */
export type CredentialCache = Map<string, CachedCredential>;

/** A credential that expires sooner is asked for again, because the request that carries it takes time. */
const marginMs = 60_000;

/** A kubeconfig's unchecked entries about a program and its cluster. */
export interface ExecSource {
  /** The kubeconfig's path. */
  readonly path: string;
  readonly exec: unknown;
  readonly cluster: unknown;
}

/** We are root: if others could write the file, its program would make them root. */
function refuseWritable(path: string): void {
  const { uid, mode } = statSync(path);
  // The owner of /proc/self is the process's effective user.
  const isOurs = uid === 0 || uid === statSync('/proc/self').uid;
  if (isOurs && (mode & 0o022) === 0) return;
  const whose = `owner ${uid}, mode ${(mode & 0o7777).toString(8).padStart(4, '0')}`;
  throw new CredentialError(
    `others may write the file (${whose}), so the program that it names is not run: chown it to root, and chmod go-w`,
  );
}

interface Exec {
  readonly apiVersion: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: { readonly [name: string]: string };
  readonly provideClusterInfo: boolean;
}

const group = 'client.authentication.k8s.io';
/** client-go no longer takes the first one. It stays, because kubeconfigs with it worked in earlier releases. */
const versions: readonly unknown[] = [`${group}/v1alpha1`, `${group}/v1beta1`, `${group}/v1`];

/** @throws CredentialError */
export async function askCredential(source: ExecSource, end: Moment, cache: CredentialCache): Promise<Credential> {
  const name = `${source.path}\n${JSON.stringify([source.exec, source.cluster])}`;
  const kept = cache.get(name);
  if (kept && kept.until - marginMs > Date.now()) return kept;
  cache.delete(name);
  refuseWritable(source.path);
  const exec = parseExec(source.exec);
  const own = environment();
  const file = findCommand(exec.command, source.path, own.PATH ?? '');
  // The program could be this plugin by mistake, so it must not find a CNI call in its environment.
  const inherited = Object.entries(own).filter(([variable]) => !variable.startsWith('CNI_'));
  const env = { ...Object.fromEntries(inherited), ...exec.env, KUBERNETES_EXEC_INFO: formatInfo(exec, source) };
  const { exitCode, signal, spawnError, timedOut, stdout } = await run({
    file,
    args: exec.args,
    env,
    stdin: '',
    // The program changes nothing that a lock guards.
    locks: [],
    end,
    purpose: `credentials of "${source.path}"`,
  });
  const program = `their program "${exec.command}"`;
  if (spawnError) throw new CredentialError(`${program} cannot be started: ${spawnError}`);
  if (timedOut) throw new CredentialError(`${program} did not answer in time and was killed`, 'silent');
  if (exitCode !== 0)
    throw new CredentialError(`${program} ended with ${signal ?? `exit code ${exitCode}`}: run it by hand`);
  const credential = readCredential(stdout, exec.apiVersion, program);
  cache.set(name, credential);
  return credential;
}

function parseExec(value: unknown): Exec {
  const { apiVersion, command, args, env, interactiveMode, provideClusterInfo } = membersOf(value);
  if (typeof command !== 'string' || command === '') throw new CredentialError('their program has no "command"');
  if (typeof apiVersion !== 'string' || !versions.includes(apiVersion)) {
    throw new CredentialError(`their program has an "apiVersion" that is not known: ${group}/v1 and v1beta1 are`);
  }
  if (interactiveMode === 'Always') {
    throw new CredentialError('their program wants a terminal ("interactiveMode": "Always"), and there is none');
  }
  const isTexts = (list: unknown): list is string[] =>
    Array.isArray(list) && list.every((one) => typeof one === 'string');
  if (!isTexts(args ?? [])) throw new CredentialError('their program has "args" that are no list of texts');
  const pairs = Array.isArray(env ?? []) ? ((env ?? []) as unknown[]).map(membersOf) : [{}];
  if (!pairs.every(({ name, value }) => typeof name === 'string' && typeof value === 'string')) {
    throw new CredentialError('their program has an "env" that is no list of names and values');
  }
  return {
    apiVersion,
    command,
    args: (args ?? []) as string[],
    env: Object.fromEntries(pairs.map(({ name, value }) => [name, value])) as Exec['env'],
    provideClusterInfo: provideClusterInfo === true,
  };
}

/** Resolves a path against the kubeconfig's directory, as client-go does, and looks a bare name up in PATH. */
function findCommand(command: string, kubeconfig: string, path: string): string {
  if (command.includes('/')) return resolve(dirname(kubeconfig), command);
  const directories = path.split(':').filter((directory) => directory.startsWith('/'));
  const found = directories.map((directory) => join(directory, command)).find(isProgram);
  if (found) return found;
  throw new CredentialError(`their program "${command}" is not in PATH (${path}): name it by its path`);
}

/** KUBERNETES_EXEC_INFO: the program's information about the cluster. */
function formatInfo({ apiVersion, provideClusterInfo }: Exec, { path, cluster }: ExecSource): string {
  const spec = {
    ...(provideClusterInfo && { cluster: describeCluster(membersOf(cluster), path) }),
    interactive: false,
  };
  return JSON.stringify({ kind: 'ExecCredential', apiVersion, spec });
}

const clusterKeys = ['server', 'tls-server-name', 'insecure-skip-tls-verify', 'proxy-url', 'disable-compression'];

function describeCluster(cluster: Members, path: string): Members {
  const { extensions, 'certificate-authority': file, 'certificate-authority-data': data } = cluster;
  const ca = typeof file === 'string' && data === undefined ? readAuthority(resolve(dirname(path), file)) : data;
  const named = (Array.isArray(extensions) ? extensions : []).map(membersOf);
  const config = named.find(({ name }) => name === `${group}/exec`)?.extension;
  return {
    ...Object.fromEntries(clusterKeys.filter((key) => key in cluster).map((key) => [key, cluster[key]])),
    ...(ca !== undefined && { 'certificate-authority-data': ca }),
    ...(config !== undefined && { config }),
  };
}

function readAuthority(file: string): string {
  try {
    return readFileSync(file).toString('base64');
  } catch {
    throw new CredentialError(`their program is to be told of an authority "${file}" that cannot be read`);
  }
}

/** Reads the ExecCredential that a program printed. */
function readCredential(stdout: string, apiVersion: string, program: string): CachedCredential {
  const wrong = (why: string) => new CredentialError(`${program} ${why}`);
  let said: unknown;
  try {
    said = JSON.parse(stdout);
  } catch {
    throw wrong('did not print an ExecCredential');
  }
  const { kind, apiVersion: version, status } = membersOf(said);
  if (kind !== 'ExecCredential') throw wrong('did not print an ExecCredential');
  if (version !== apiVersion) throw wrong(`answered in another version than "${apiVersion}"`);
  const { token, clientCertificateData: cert, clientKeyData: key, expirationTimestamp } = membersOf(status);
  const isText = (value: unknown): value is string => typeof value === 'string' && value.trim() !== '';
  if (isText(cert) !== isText(key)) throw wrong('gave only one of a certificate and its key');
  if (!isText(token) && !isText(cert)) throw wrong('gave neither a token nor a certificate');
  const until = expirationTimestamp === undefined ? Number.POSITIVE_INFINITY : Date.parse(String(expirationTimestamp));
  if (Number.isNaN(until)) throw wrong('gave an "expirationTimestamp" that is no time');
  return { ...(isText(token) && { token: token.trim() }), ...(isText(cert) && isText(key) && { cert, key }), until };
}

type Members = { readonly [name: string]: unknown };

const membersOf = (value: unknown): Members =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Members) : {};
