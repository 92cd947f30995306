/**
 * Makes a directory with etcd and kube-apiserver for the cluster lane and prints its name (KUBEBUILDER_ASSETS): etcd is Debian's,
 * kube-apiserver is built from the Go module in test/cluster/assets. Both are there already? Then nothing is done.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { clusterParts, kubeAssets, missing } from '../test/support/requirements.ts';

const help = `npm run kube-assets: builds kube-apiserver (5 minutes, once) and prints the directory that holds it and etcd.
KUBEBUILDER_ASSETS names another directory, XDG_CACHE_HOME another place for this one.
Needs Go (https://go.dev, or the package golang-go) and etcd (apt-get install etcd-server).
`;

const module = new URL('../test/cluster/assets', import.meta.url).pathname;
const say = (text: string): void => void process.stderr.write(`${text}\n`);

function fail(text: string): never {
  say(text);
  process.exit(1);
}

function find(program: string): string | undefined {
  const found = spawnSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' });
  return found.status === 0 ? found.stdout.trim() : undefined;
}

if (process.argv.includes('--help')) {
  say(help);
  process.exit(0);
}
const directory = kubeAssets();
if (missing(clusterParts).length > 0) {
  if (process.env.KUBEBUILDER_ASSETS) fail(`KUBEBUILDER_ASSETS "${directory}" has not both of etcd and kube-apiserver`);
  const etcd = find('etcd') ?? fail('etcd is missing: apt-get install etcd-server');
  if (!find('go')) fail('Go is missing: install it from https://go.dev, or apt-get install golang-go');
  mkdirSync(directory, { recursive: true });
  const target = join(directory, 'kube-apiserver');
  if (!existsSync(target)) {
    say('building kube-apiserver: about five minutes the first time');
    const fresh = `${target}.${process.pid}`;
    const flags = [
      'build',
      '-mod=readonly',
      '-trimpath',
      '-ldflags',
      '-s -w',
      '-o',
      fresh,
      'k8s.io/kubernetes/cmd/kube-apiserver',
    ];
    const { status } = spawnSync('go', flags, { cwd: module, stdio: ['ignore', 'inherit', 'inherit'] });
    if (status !== 0) fail('go build failed: the module proxy has to be reachable');
    renameSync(fresh, target);
  }
  rmSync(join(directory, 'etcd'), { force: true });
  symlinkSync(etcd, join(directory, 'etcd'));
}
console.log(directory);
