/** The kubeconfig of the plugin on its node: its text, and how it is written there. */
import { chmodSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { placeFile } from '../cli/setup/place.ts';

/** Networks name it, so it is the same on every node. */
export const pluginKubeconfig = '/etc/cni/net.d/userspace.d/kubeconfig';

interface Credentials {
  /** The URL of the API server. */
  readonly server: string;
  /** The authority of its certificate, PEM. */
  readonly ca: string;
  readonly token: string;
}

export function kubeconfigText({ server, ca, token }: Credentials): string {
  const authority = Buffer.from(ca).toString('base64');
  return `# Of "userspace daemonset", which replaces it before its token expires.
apiVersion: v1
kind: Config
current-context: node
contexts:
- name: node
  context: {cluster: node, user: plugin}
clusters:
- name: node
  cluster: ${JSON.stringify({ server, 'certificate-authority-data': authority })}
users:
- name: plugin
  user: ${JSON.stringify({ token })}
`;
}

/** Its name leads to the old or to the new text at any moment, and root alone can read it at any moment. */
export function writePluginKubeconfig(contents: string, path = pluginKubeconfig): void {
  const directory = dirname(path);
  mkdirSync(dirname(directory), { recursive: true });
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  chmodSync(directory, 0o700);
  placeFile({ path, contents, mode: 0o600 });
}
