/** README's examples as they stand there, with the default paths, which lead into a directory of the test's own. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { expect, test } from 'vitest';
import { blocksOf } from '../support/blocks.ts';
import { type Answer, type Call, cni } from '../support/real/cni.ts';
import { createNetns, removeNetns } from '../support/real/netns.ts';
import { onRealSwitch } from '../support/real/suite.ts';
import { readSwitch } from '../support/real/world.ts';
import { executable } from '../support/requirements.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const blocks = (language: string) => blocksOf('README.md', language);

const [network, result] = blocks('json').map((text) => JSON.parse(text));
const paths = (blocks('')[0] ?? '').split('\n').flatMap((line) => line.match(/^\/\S+/)?.[0] ?? []);
const commands = blocks('sh')
  .join('')
  .split('\n')
  .flatMap((line) => line.match(/^userspace [^#]*/)?.[0].trim() ?? [])
  .filter((command) => !command.includes('install'));

onRealSwitch('README', (theSwitch) => {
  test('its network gives the result that it shows, with the files that it shows, and its commands work (need N20)', async () => {
    const directory = temporaryDirectory();
    const [lib, run] = [join(directory, 'lib'), join(directory, 'run')];
    for (const path of [lib, join(run, 'openvswitch'), join(run, 'netns')]) mkdirSync(path, { recursive: true });
    const sandbox: string = result.interfaces[0].sandbox;
    const netns = await createNetns(join(run, 'netns'), sandbox.split('/').at(-1) ?? '');
    const mounts = 'mount --rbind "$1" /var/lib && mount --bind "$3" "$2/openvswitch" && mount --rbind "$2" /run';
    const under = [
      'unshare',
      '--mount',
      'sh',
      '-c',
      `${mounts} && shift 3 && exec "$@"`,
      'sh',
      lib,
      run,
      theSwitch().rundir,
    ];
    // The switch has mounts of its own here: where its process is not seen, its view is not compared with ours.
    rmSync(join(theSwitch().rundir, 'ovs-vswitchd-dpdk.pid'));
    const inside = (path: string): string => path.replace('/var/lib', lib);
    const id = '0123456789ab'.padEnd(64, '0');
    const call: Call = { containerId: id, ifName: 'net1', netns: sandbox, config: network };
    try {
      const added: Answer = await cni('ADD', call, { under });
      expect(added).toMatchObject({ exitCode: 0 });
      expect(added.json).toEqual(result);
      const checked = await cni('CHECK', { ...call, config: { ...network, prevResult: added.json } }, { under });
      expect(checked).toMatchObject({ exitCode: 0, stdout: '' });
      const [socket = '', configuration = ''] = paths;
      expect(existsSync(inside(dirname(socket)))).toBe(true);
      expect(existsSync(inside(configuration))).toBe(true);
      const { ports } = await readSwitch(theSwitch());
      expect(ports).toContainEqual(
        expect.objectContaining({ bridge: network.host.bridge.bridgeName, options: { 'vhost-server-path': socket } }),
      );
      expect(commands.map((command) => command.split(' ')[1])).toEqual([
        'status',
        'check',
        'list',
        'show',
        'recover',
        'sysdump',
      ]);
      writeFileSync(join(directory, 'network.json'), JSON.stringify(network));
      for (const command of commands) {
        const [, ...words] = command.split(' ');
        const [program = '', ...more] = [...under, executable, ...words];
        // A dump is written into the working directory.
        expect(await execa(program, more, { reject: false, cwd: directory })).toMatchObject({
          exitCode: 0,
          stderr: '',
        });
      }
      expect(await cni('DEL', call, { under })).toMatchObject({ exitCode: 0 });
      for (const path of paths) expect(existsSync(inside(path))).toBe(false);
    } finally {
      await removeNetns(netns);
      await theSwitch().removeBridge(network.host.bridge.bridgeName);
    }
  });
});
