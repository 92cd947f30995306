/** The kubeconfig of the plugin on its node: its text, and how it is written there. */
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';

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
export function writePluginKubeconfig(text: string, path = pluginKubeconfig): void {
  const directory = dirname(path);
  fs.mkdirSync(dirname(directory), { recursive: true });
  fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
  fs.chmodSync(directory, 0o700);
  const fresh = join(directory, '.kubeconfig.new');
  fs.rmSync(fresh, { force: true });
  try {
    writeDurably(fresh, text);
    fs.renameSync(fresh, path);
  } catch (error) {
    fs.rmSync(fresh, { force: true });
    throw error;
  }
  const fd = fs.openSync(directory, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  fs.fsyncSync(fd);
  fs.closeSync(fd);
}

function writeDurably(path: string, text: string): void {
  const fd = fs.openSync(path, 'wx', 0o600);
  try {
    fs.writeSync(fd, text);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
