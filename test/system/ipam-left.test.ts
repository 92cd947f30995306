/** IPAM programs that hang, that outlive the call that asked them, that leave something behind, and that are this plugin itself. */
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { cni, start } from '../support/real/cni.ts';
import { gcConfig } from '../support/real/gc-among-living.ts';
import type { Changes } from '../support/real/node.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft } from '../support/real/world.ts';
import { cniPath, executable } from '../support/requirements.ts';

const ok = { exitCode: 0, stdout: '' };
const newest = { cniVersion: '1.1.0' };
const versions = `[ "$CNI_COMMAND" = VERSION ] && { echo '{"cniVersion":"1.1.0","supportedVersions":["1.0.0","1.1.0"]}'; exit 0; }`;

const lives = (pid: number): boolean =>
  existsSync(`/proc/${pid}`) && !/\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));

onRealSwitch('an IPAM program', (theSwitch) => {
  const node = useNode(theSwitch);
  const own = (name: string) => join(node().directory, name);
  const gc = (changes: Changes = {}) => ({
    config: node().config(gcConfig([], { ...newest, ...changes })),
    path: node().path,
  });
  const pidOf = async (name: string): Promise<number> => {
    for (let tries = 0; tries < 500 && !existsSync(own(name)); tries++) await Bun.sleep(10);
    const pid = Number(readFileSync(own(name), 'utf8'));
    onTestFinished(() => void (lives(pid) && process.kill(pid, 'SIGKILL')));
    return pid;
  };
  /** Writes its pid as one step, so that a reader has it whole. */
  const pidTo = (name: string) => `echo $$ > ${own(name)}.new; mv ${own(name)}.new ${own(name)}`;

  /** A GC whose IPAM program hangs; killed with its process group, as a runtime does. The program stays. */
  const killedGc = async (changes: Changes) => {
    // The node has served before: there is a data directory.
    const before = await node().pod();
    expect(await before.add()).toMatchObject({ exitCode: 0 });
    expect(await before.del()).toMatchObject(ok);
    await node().program('stuck', `${versions}\n${pidTo('pid')}\nexec sleep 600`);
    const call = start('GC', gc({ ipam: { type: 'stuck' }, ...changes }), { under: ['setsid'] });
    const pid = await pidOf('pid');
    process.kill(-(call.pid ?? 0), 'SIGKILL');
    await call;
    expect(lives(pid)).toBe(true);
    return pid;
  };

  test('kind 3: that outlives a killed GC keeps the ADDs of no other network waiting', async () => {
    const pid = await killedGc({});
    const pod = await node().pod();
    expect(await pod.add('net1', { name: 'net-b', deadlines: { lockMs: 500 } })).toMatchObject({ exitCode: 0 });
    expect(lives(pid)).toBe(true);
    const { json } = await pod.add('net2', { ipam: { type: 'stuck' }, deadlines: { lockMs: 500 } });
    expect(json).toMatchObject({ code: 11, msg: expect.stringContaining(`process ${pid} (sleep 600)`) });
    expect(await pod.del('net1', { name: 'net-b' })).toMatchObject(ok);
    expect(readdirSync(node().dataDir)).toEqual(['instance']);
  });

  test('kind 3: that outlives a killed GC is ended by the next ADD, once the GC’s own deadline is over', async () => {
    const pid = await killedGc({ deadlines: { ipamMs: 300 } });
    const pod = await node().pod();
    await node().program(
      'stuck',
      `${versions}\n[ "$CNI_COMMAND" = ADD ] && echo '{"cniVersion":"1.0.0","ips":[{"address":"10.56.0.9/24"}]}'\nexit 0`,
    );
    expect(await pod.add('net1', { ipam: { type: 'stuck' } })).toMatchObject({ exitCode: 0 });
    expect(lives(pid)).toBe(false);
    expect(await pod.del('net1', { ipam: { type: 'stuck' } })).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });

  const answer = `echo '{"cniVersion":"1.0.0","ips":[{"address":"10.56.0.7/24"}]}'`;
  const daemon = (body: string) => `setsid --fork sh -c '${body}' < /dev/null > /dev/null 2>&1`;

  test('kind 3: that overran its time allocates nothing later, in whatever session its child is, and with whatever environment', async () => {
    const late = join(node().ipamDir, 'late');
    await node().program(
      'late',
      `[ "$CNI_COMMAND" = ADD ] || exit 0\nenv -i PATH=/usr/bin:/bin ${daemon(`sleep 1; mkdir -p ${node().ipamDir}; touch ${late}`)}\nexec sleep 600`,
    );
    const pod = await node().pod();
    const changes = { ipam: { type: 'late' }, deadlines: { ipamMs: 300 } };
    expect(await pod.add('net1', changes)).toMatchObject({ exitCode: 1, json: { code: 11 } });
    expect(await pod.del('net1', changes)).toMatchObject(ok);
    await Bun.sleep(1_200);
    expect(existsSync(late)).toBe(false);
    expectNothingLeft(await node().world());
  });

  test('kind 3: of a killed ADD allocates nothing after the DEL, also without a descriptor of ours, in a session of its own', async () => {
    const [late, goOn] = [own('late'), own('go')];
    // dash: a descriptor that is not open can be closed.
    const closed = 'exec 3>&- 4>&- 5>&- 6>&-';
    await node().program(
      'sneaky',
      `[ "$CNI_COMMAND" = ADD ] || exit 0
${daemon(`${closed}; ${pidTo('pid')}; sleep 2; touch ${late}`)}
until [ -e ${goOn} ]; do sleep 0.01; done`,
    );
    const pod = await node().pod();
    const changes = { ipam: { type: 'sneaky' } };
    const call = start('ADD', pod.call('net1', changes), { under: ['setsid'] });
    const pid = await pidOf('pid');
    process.kill(-(call.pid ?? 0), 'SIGKILL');
    await call;
    await Bun.write(goOn, '');
    expect(await pod.del('net1', changes)).toMatchObject(ok);
    expect(lives(pid)).toBe(false);
    await Bun.sleep(2_200);
    expect(existsSync(late)).toBe(false);
    expectNothingLeft(await node().world());
  });

  test('kind 3: that leaves a child behind (a DHCP client) keeps no DEL waiting, and the child lives on', async () => {
    await node().program(
      'dhcp',
      `[ "$CNI_COMMAND" = ADD ] || exit 0\n${daemon(`${pidTo('pid')}; exec sleep 600`)}\n${answer}`,
    );
    const pod = await node().pod();
    const changes = { ipam: { type: 'dhcp' } };
    expect(await pod.add('net1', changes)).toMatchObject({ exitCode: 0 });
    const pid = await pidOf('pid');
    const began = performance.now();
    expect(await pod.del('net1', changes)).toMatchObject(ok);
    expect(performance.now() - began).toBeLessThan(5_000);
    expectNothingLeft(await node().world());
    expect(lives(pid)).toBe(true);
  });

  test.each(['a hard link', 'a symlink', 'a copy', 'a script around it'])(
    'kind 6: that is this plugin itself, by %s, ends an ADD and a STATUS at once, and its DEL leaves no process',
    async (how) => {
      const path = join(node().binDir, 'mirror');
      await node().program('script', `echo x >> ${own('runs')}\nexec ${executable}`);
      if (how === 'a hard link') linkSync(executable, own('linked'));
      if (how === 'a hard link') symlinkSync(own('linked'), path);
      if (how === 'a symlink') symlinkSync(executable, path);
      if (how === 'a copy') copyFileSync(executable, path);
      if (how === 'a script around it') renameSync(join(node().binDir, 'script'), path);
      const ipam = { ipam: { type: 'mirror' } };
      const pod = await node().pod();
      for (const answered of [
        await pod.add('net1', ipam),
        await cni('STATUS', { config: node().config({ ...newest, ...ipam }), path: node().path }),
      ]) {
        expect(answered.exitCode).toBe(1);
        expect(answered.json.msg).toContain('"ipam.type"');
      }
      expectNothingLeft(await node().world());
      const runs = existsSync(own('runs')) ? readFileSync(own('runs'), 'utf8').length / 2 : 0;
      expect(runs).toBeLessThan(6);
    },
  );

  /** An attachment whose IPAM program is not where it was any more. @returns where it is now */
  const moved = async (name: string) => {
    const [before, after] = [own('bin-old'), own('bin-new')];
    mkdirSync(before);
    copyFileSync(join(cniPath, 'host-local'), join(before, name));
    const pod = await node().pod();
    const ipam = { ipam: { type: name } };
    expect(await cni('ADD', { ...pod.call('net1', ipam), path: before })).toMatchObject({ exitCode: 0 });
    renameSync(before, after);
    return { pod, ipam, after };
  };

  test('kind 5: whose directory was renamed since the ADD is found in the CNI_PATH of the DEL', async () => {
    const { pod, ipam, after } = await moved('moving');
    expect(await cni('DEL', { ...pod.call('net1', ipam), path: after })).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });

  test('kind 5: whose directory is gone since the ADD is found by recover where the distribution has it', async () => {
    const { pod } = await moved('host-local');
    await pod.removeNetns();
    expect(await node().recover()).toMatchObject({ exitCode: 0 });
    expectNothingLeft(await node().world());
  });
});
