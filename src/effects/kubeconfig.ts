/**
 * A kubeconfig file -> how to reach its current cluster as its current user. @kubernetes/client-node reads it and knows every kind
 * of credentials; it is loaded here, by the calls that need it and by no others.
 *
 * Invariant: I12 nothing of the file's content ends up in an error, since half of it is secret.
 */
import { readFileSync } from 'node:fs';
import type { RequestOptions } from 'node:https';
import { dirname, resolve } from 'node:path';
import { code } from '../attachment.ts';
import type { Moment } from '../deadlines.ts';
import { parseYaml } from '../native.ts';
import { ApiError } from './api-error.ts';
import { codeOf, DirectoryTimeout, inTime } from './directory.ts';

/** How requests are made: where to, and with what TLS settings and headers. */
export interface Access {
  readonly server: URL;
  readonly options: RequestOptions;
}

/** @param end for a program that gives credentials. @throws ApiError 7 naming the file and what it lacks. */
export async function readKubeconfig(path: string, end: Moment): Promise<Access> {
  const refused = (why: string) => new ApiError(code.invalidConfig, `"kubeconfig" "${path}" ${why}`);
  const text = read(path, refused);
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  try {
    config.loadFromFile(path);
  } catch (error) {
    throw refused(`cannot be used: ${harmless(error)}`);
  }
  const [cluster, user] = [config.getCurrentCluster(), config.getCurrentUser()];
  if (!cluster) throw refused(`has no cluster for its current context "${config.getCurrentContext() ?? ''}"`);
  if (!user) throw refused(`has no user for its current context "${config.getCurrentContext() ?? ''}"`);
  if (!URL.canParse(cluster.server)) throw refused(`names "${cluster.server}" as its server, which is no URL`);
  const options: RequestOptions = {};
  try {
    const token = tokenOfFile(text, user.name, path);
    await inTime(config.applyToHTTPSOptions(options), end, 'their program');
    if (token) options.headers = { ...options.headers, Authorization: `Bearer ${token}` };
  } catch (error) {
    throw refused(`has credentials that cannot be used: ${harmless(error)}`);
  }
  // Only a proxy needs an agent of its own: the default one keeps the connection for the next request.
  const { agent, ...direct } = options;
  return {
    server: new URL(cluster.server),
    options: {
      ...direct,
      ...(cluster.proxyUrl && agent && { agent }),
      // The environment (NODE_TLS_REJECT_UNAUTHORIZED) has no say: only the kubeconfig has.
      rejectUnauthorized: !cluster.skipTLSVerify,
    },
  };
}

function read(path: string, refused: (why: string) => Error): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw refused(`cannot be read: ${codeOf(error)}`);
  }
}

/** `tokenFile` as client-go has it (clientcmd/api/v1, AuthInfo), before a token: client-node does not know the key. */
function tokenOfFile(text: string, userName: string, path: string): string | undefined {
  const { users } = parseYaml(text) as { users?: readonly { name?: string; user?: { tokenFile?: string } }[] };
  const file = users?.find(({ name }) => name === userName)?.user?.tokenFile;
  return file === undefined ? undefined : readFileSync(resolve(dirname(path), file), 'utf8').trim();
}

/** An errno, or the kind of error: messages of parsers and of credential programs quote what they were given. */
function harmless(error: unknown): string {
  const path = error instanceof Error && 'path' in error ? ` "${error.path}"` : '';
  if (codeOf(error)) return `${codeOf(error)}${path}`;
  if (error instanceof DirectoryTimeout) return error.message;
  return error instanceof Error ? error.name : 'unknown error';
}
