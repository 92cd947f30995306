/**
 * The tests' work at an API server, real (cluster.ts) or not (stand-in-api.ts): making and looking at pods as an administrator, a
 * second writer, and kubeconfigs for the plugin's account and for accounts with fewer rights.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const namespace = 'blue';

/** The plugin's account has both rights, the teller's that of `recover --events` too, the others fewer. */
export const accounts = {
  teller: ['pods/get', 'pods/status/patch', 'events/create'],
  plugin: ['pods/get', 'pods/status/patch'],
  witness: ['pods/get', 'events/create'],
  reader: ['pods/get'],
  writer: ['pods/status/patch'],
  nobody: [],
} as const;
export type Account = keyof typeof accounts;

export const tokenOf = (account: string): string => `${account}-token-5a1f7c`;
export const adminToken = tokenOf('admin');

// biome-ignore lint/suspicious/noExplicitAny: the tests look into foreign JSON, and a wrong path fails them.
export type Json = any;

export interface PodOptions {
  readonly name: string;
  readonly annotations?: { readonly [key: string]: string };
  readonly volumes?: readonly object[];
  readonly containers?: readonly object[];
}

/** A pod that shares its sockets in a volume, as its containers see it. */
export const sharing = (volume: object, mountPath = '/run/app'): Pick<PodOptions, 'volumes' | 'containers'> => ({
  volumes: [{ name: 'shared-dir', ...volume }],
  containers: [{ name: 'app', image: 'app', volumeMounts: [{ name: 'shared-dir', mountPath }] }],
});

/** The pod for the API server. It is on a node already, so that it needs no scheduler. */
export const manifest = ({ name, annotations, volumes = [], containers }: PodOptions): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace, ...(annotations && { annotations }) },
  spec: { nodeName: 'node-1', volumes, containers: containers ?? [{ name: 'app', image: 'app' }] },
});

export interface Answer {
  readonly status: number;
  readonly json: Json;
}

export interface ApiClient {
  readonly server: string;
  /** The authority of the server's certificate, PEM. */
  readonly ca: string;
}

/** One request with a token. */
export async function ask(
  { server, ca }: ApiClient,
  method: string,
  path: string,
  body?: object,
  token = adminToken,
  type = 'application/json',
): Promise<Answer> {
  const response = await fetch(`${server}${path}`, {
    method,
    headers: { Authorization: `Bearer ${token}`, ...(body && { 'Content-Type': type }) },
    ...(body && { body: JSON.stringify(body) }),
    tls: { ca },
  } as RequestInit);
  const text = await response.text();
  return { status: response.status, json: text.startsWith('{') ? JSON.parse(text) : text };
}

/** An administrator's view of one API server. */
export class Api implements ApiClient {
  constructor(
    readonly server: string,
    readonly ca: string,
  ) {}

  async createPod(options: PodOptions): Promise<Json> {
    return await this.#done('POST', '', manifest(options));
  }

  async pod(name: string): Promise<Json | undefined> {
    const { status, json } = await ask(this, 'GET', podPath(name));
    if (status !== 200 && status !== 404) throw new Error(`GET ${name}: ${status} ${JSON.stringify(json)}`);
    return status === 200 ? json : undefined;
  }

  async annotations(name: string): Promise<{ readonly [key: string]: string }> {
    return (await this.pod(name))?.metadata.annotations ?? {};
  }

  /** Deletes it at once and for good, as `kubectl delete --force` does. */
  async deletePod(name: string): Promise<void> {
    await this.#done('DELETE', `/${name}`, { gracePeriodSeconds: 0 });
  }

  /** Writes as the kubelet and others do meanwhile: unguarded, so the last writer wins. */
  async patchStatus(name: string, patch: object): Promise<Json> {
    return await this.#done('PATCH', `/${name}/status`, patch, 'application/merge-patch+json');
  }

  async #done(method: string, path: string, body: object, type?: string): Promise<Json> {
    const { status, json } = await ask(
      this,
      method,
      `${podPath('')}`.replace(/\/$/, '') + path,
      body,
      adminToken,
      type,
    );
    if (status > 299) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(json)}`);
    return json;
  }
}

export const podPath = (name: string): string => `/api/v1/namespaces/${namespace}/pods/${name}`;

interface Credentials {
  readonly token?: string;
  readonly tokenFile?: string;
  /** PEM. */
  readonly certificate?: { readonly cert: string; readonly key: string };
}

/** Writes a kubeconfig as kubectl would. @returns its path */
export function writeKubeconfig(
  directory: string,
  { server, ca }: ApiClient,
  { token, tokenFile, certificate }: Credentials,
  cluster: { readonly [key: string]: unknown } = {},
): string {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, 'kubeconfig');
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const user = {
    ...(token && { token }),
    ...(tokenFile && { tokenFile }),
    ...(certificate && {
      'client-certificate-data': base64(certificate.cert),
      'client-key-data': base64(certificate.key),
    }),
  };
  const lines = [
    'apiVersion: v1',
    'kind: Config',
    'current-context: node',
    'contexts:',
    '- name: node',
    '  context: {cluster: home, user: me}',
    'clusters:',
    '- name: home',
    `  cluster: ${JSON.stringify({ server, 'certificate-authority-data': base64(ca), ...cluster })}`,
    'users:',
    '- name: me',
    `  user: ${JSON.stringify(user)}`,
  ];
  writeFileSync(path, `${lines.join('\n')}\n`, { mode: 0o600 });
  return path;
}
