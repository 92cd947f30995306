/**
 * Builds programs of other projects, from the Go modules in test/cluster, and prints their directory. For the cluster lane `kube`:
 * kube-apiserver, with Debian's etcd beside it (KUBEBUILDER_ASSETS), and `ipam`: a host-local that knows CNI 1.1.0, and libcni's own
 * cnitool. For the node lane `node`: the kubelet, its companions and kubectl beside kube-apiserver, and Multus. A program that is there
 * already is not built again.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { ipamAssets, kubeAssets, multusAssets, nodePrograms } from '../test/support/requirements.ts';

const help = `npm run kube-assets: builds kube-apiserver (5 minutes, once), with etcd beside it
npm run ipam-assets: builds a host-local that knows CNI 1.1.0, and cnitool (seconds)
npm run node-assets: builds the first, kubelet, kube-controller-manager, kube-scheduler, kubectl and Multus (15 minutes, once)
Each prints the directory. KUBEBUILDER_ASSETS names another one for the first, XDG_CACHE_HOME another place for all.
Needs Go (https://go.dev, or the package golang-go); the first also etcd (apt-get install etcd-server).
`;

const say = (text: string): void => void process.stderr.write(`${text}\n`);

function fail(text: string): never {
  say(text);
  process.exit(1);
}

function find(program: string): string | undefined {
  const found = spawnSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' });
  return found.status === 0 ? found.stdout.trim() : undefined;
}

const moduleDirectory = (module: string): string => new URL(`../test/cluster/${module}`, import.meta.url).pathname;

function build(module: string, source: string, directory: string, name: string): void {
  const target = join(directory, name);
  if (existsSync(target)) return;
  if (!find('go')) fail('Go is missing: install it from https://go.dev, or apt-get install golang-go');
  mkdirSync(directory, { recursive: true });
  say(`building ${name}`);
  const fresh = `${target}.${process.pid}`;
  const flags = ['build', '-mod=readonly', '-trimpath', '-ldflags', '-s -w', '-o', fresh, source];
  const { status } = spawnSync('go', flags, { cwd: moduleDirectory(module), stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) fail('go build failed: the module proxy has to be reachable');
  renameSync(fresh, target);
}

function kube(): string {
  const directory = kubeAssets();
  const whole = ['etcd', 'kube-apiserver'].every((name) => existsSync(join(directory, name)));
  if (whole) return directory;
  if (process.env.KUBEBUILDER_ASSETS) fail(`KUBEBUILDER_ASSETS "${directory}" has not both of etcd and kube-apiserver`);
  const etcd = find('etcd') ?? fail('etcd is missing: apt-get install etcd-server');
  build('kube-assets', 'k8s.io/kubernetes/cmd/kube-apiserver', directory, 'kube-apiserver');
  rmSync(join(directory, 'etcd'), { force: true });
  symlinkSync(etcd, join(directory, 'etcd'));
  return directory;
}

function ipam(): string {
  const source = 'github.com/containernetworking/plugins/plugins/ipam/host-local';
  build('ipam-assets', source, ipamAssets(), 'host-local');
  build('ipam-assets', 'github.com/containernetworking/cni/cnitool', ipamAssets(), 'cnitool');
  return ipamAssets();
}

const multus = 'gopkg.in/k8snetworkplumbingwg/multus-cni.v4';

/** Multus and, from the same module, the manifest with its CRD. */
function node(): string {
  const directory = kube();
  for (const name of nodePrograms) build('kube-assets', `k8s.io/kubernetes/cmd/${name}`, directory, name);
  build('multus-assets', `${multus}/cmd/multus`, multusAssets(), 'multus');
  const manifest = join(multusAssets(), 'multus-daemonset.yml');
  if (!existsSync(manifest)) {
    const listed = ['list', '-mod=readonly', '-m', '-f', '{{.Dir}}', multus];
    const { stdout } = spawnSync('go', listed, { cwd: moduleDirectory('multus-assets'), encoding: 'utf8' });
    copyFileSync(join(stdout.trim(), 'deployments/multus-daemonset.yml'), manifest);
    // The module cache is read-only.
    chmodSync(manifest, 0o644);
  }
  return directory;
}

const [what] = process.argv.slice(2);
if (what === 'kube') console.log(kube());
else if (what === 'ipam') console.log(ipam());
else if (what === 'node') console.log(node());
else say(help);
