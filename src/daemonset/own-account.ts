/** The account of this pod, as the kubelet shows it to each container that may know it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Endpoint } from '../effects/kubernetes/kubeconfig.ts';

const usualDirectory = '/var/run/secrets/kubernetes.io/serviceaccount';

export class OwnAccount {
  constructor(
    /** The URL of the API server. */
    readonly server: string,
    readonly directory = usualDirectory,
  ) {}

  get namespace(): string {
    return this.#read('namespace');
  }

  /** PEM. */
  readonly authority = (): string => this.#read('ca.crt');

  /** The kubelet replaces the files, so they are read for each request. */
  get endpoint(): Endpoint {
    return {
      server: new URL(this.server),
      tls: { rejectUnauthorized: true, ca: this.authority() },
      headers: { Authorization: `Bearer ${this.#read('token')}` },
    };
  }

  /** @throws an Error that says how such a file comes there */
  #read(name: string): string {
    const path = join(this.directory, name);
    try {
      return readFileSync(path, 'utf8').trim();
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code;
      throw new Error(`"${path}" cannot be read (${code}): the pod needs a serviceAccountName and its token`, {
        cause,
      });
    }
  }
}

type Variables = { readonly [name: string]: string | undefined };

/** The API server as the kubelet tells each container. @throws an Error outside a pod */
export function serverOfPod({ KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port }: Variables): string {
  if (!host || !port)
    throw new Error(
      'KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: name the API server with --server',
    );
  return `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
