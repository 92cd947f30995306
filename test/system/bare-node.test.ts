/** docs/bare-node.md and docs/uninstall.md: every block as it stands there, in order, on a node that has nothing of ours. */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { expect, test } from 'vitest';
import { blocksOf } from '../support/blocks.ts';
import { imageName, writeImage } from '../support/node/image.ts';
import { type OwnPlaces, ownPlaces } from '../support/real/own-places.ts';
import { onRealSwitch } from '../support/real/suite.ts';
import { readSwitch } from '../support/real/world.ts';
import { executable, ipamAssets } from '../support/requirements.ts';
import { temporaryDirectory } from '../support/temporary.ts';

/** The files of ours below a directory. */
const filesIn = (places: OwnPlaces, directory: string): string[] =>
  readdirSync(places.outside(directory), { recursive: true }).map(String).sort();

/** Runs blocks as one shell does, and stops at the first line that fails. @returns what each block printed */
async function runBlocks(blocks: readonly string[], places: OwnPlaces): Promise<string[]> {
  const cwd = temporaryDirectory();
  copyFileSync(executable, join(cwd, 'userspace'));
  const script = blocks.map((block, index) => `echo "== block ${index}"\n${block}`).join('');
  // Whatever a line that fails has left running ends with the shell.
  const alone = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const [program = '', ...words] = [...places.under, ...alone, 'sh', '-eu', '-c', script];
  const ran = await execa(program, words, {
    cwd,
    env: { PATH: `${process.env.PATH}:${ipamAssets()}` },
    extendEnv: false,
    reject: false,
    all: true,
    stripFinalNewline: false,
    timeout: 60_000,
  });
  expect(ran.exitCode, ran.all).toBe(0);
  return ran.all.split(/^== block \d+\n/m).slice(1);
}

/** A containerd for the page's image, as blocks before and after the page's own. */
async function ownContainerd(places: OwnPlaces): Promise<{ begin: string; end: string }> {
  const archive = await writeImage(places.outside('/etc'));
  renameSync(archive, places.outside('/etc/image.tar'));
  const settings = ['version = 2', 'disabled_plugins = ["io.containerd.grpc.v1.cri"]'];
  writeFileSync(places.outside('/etc/containerd.toml'), settings.join('\n'));
  const begin = `
export CONTAINERD_SNAPSHOTTER=native
containerd --config /etc/containerd.toml > /etc/containerd.log 2>&1 &
containerd=$!
until ctr version > /etc/ctr.log 2>&1; do sleep 0.1; done
ctr images import --snapshotter native /etc/image.tar
ctr images tag ${imageName} docker.io/library/busybox:latest
`;
  return { begin, end: 'kill $containerd\n' };
}

onRealSwitch(
  'a bare node',
  (theSwitch) => {
    test('docs/bare-node.md leads from nothing to an attachment that is CHECKed, and back to nothing (need N29)', async () => {
      const places = ownPlaces(theSwitch().rundir);
      // The switch has mounts of its own here: where its process is not seen, its view is not compared with ours.
      rmSync(join(theSwitch().rundir, 'ovs-vswitchd-dpdk.pid'), { force: true });
      rmSync(places.outside('/opt/cni'), { recursive: true });
      const blocks = blocksOf('docs/bare-node.md', 'sh');
      const { begin, end: stop } = await ownContainerd(places);
      const said = (await runBlocks([begin, ...blocks, stop], places)).slice(1, -1);
      const of = (word: string) => said[blocks.findIndex((block) => block.includes(word))] ?? '';
      for (const path of [
        '/opt/cni/bin/userspace',
        '/etc/systemd/system/userspace-agent.service',
        '/etc/cni/net.d/50-userspace.conflist',
        '/usr/local/share/man/man1/userspace-recover.1',
      ])
        expect(of('install --units')).toContain(`${path}: installed`);
      expect(of('install --units')).toContain('systemctl enable --now userspace-agent.service');
      expect(of('userspace status')).not.toContain('sick');
      expect(of('cnitool add')).toContain('"ips"');
      expect(of('cnitool add')).toMatch(/ attached /);
      expect(of('|| test $? = 3')).toContain('nothing was removed');
      expect(of('cnitool del')).toContain('no attachments in /var/lib/cni/userspace');
      // The second address: the container had an attachment too.
      expect(of('ctr run')).toContain('no attachments in /var/lib/cni/userspace');
      const store = places.outside('/var/lib/cni/networks/dpdk-net/last_reserved_ip.0');
      expect(readFileSync(store, 'utf8')).toBe('10.56.0.3');
      const end = said.at(-1) ?? '';
      expect(end).toContain('/opt/cni/bin/userspace: removed');
      expect(end).not.toMatch(/: (left|failed)/);
      expect(filesIn(places, '/opt/cni')).toEqual(['bin']);
      expect(filesIn(places, '/etc/cni')).toEqual(['net.d']);
      expect(filesIn(places, '/etc/systemd')).toEqual(['system']);
      expect(filesIn(places, '/usr/local/share')).toEqual([]);
      expect(existsSync(places.outside('/run/userspace-cni'))).toBe(false);
      expect(filesIn(places, '/var/lib').filter((name) => /userspace|vhost/.test(name))).toEqual([]);
      expect((await readSwitch(theSwitch())).ports).toEqual([]);
    });

    test('docs/uninstall.md takes a node back, and says so the second time (need N29)', async () => {
      const places = ownPlaces(theSwitch().rundir);
      mkdirSync(places.outside('/etc/cni/net.d'), { recursive: true });
      const said = await runBlocks(
        ['./userspace install --units --conflist\n', ...blocksOf('docs/uninstall.md', 'sh')],
        places,
      );
      expect(said[1]).toContain('/opt/cni/bin/userspace: removed');
      expect(said[2]).toContain('/opt/cni/bin/userspace: not there');
      expect(filesIn(places, '/opt')).toEqual(['cni', 'cni/bin']);
    });
  },
  { parts: ['cnitool', 'runtime', 'busybox'] },
);
