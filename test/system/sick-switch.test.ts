/** A switch that is killed, stopped, without DPDK, or cannot have what it is asked for: ADD and STATUS say what it is, and where to look. */
import { readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Answer, cni } from '../support/real/cni.ts';
import type { Changes, Mode, TestNode } from '../support/real/node.ts';
import { startPeer } from '../support/real/peer.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import type { Switch } from '../support/real/switch.ts';
import { expectNothingLeft } from '../support/real/world.ts';

const ok = { exitCode: 0 };
const hasty = { deadlines: { switchMs: 500 } };
const pidFile = ({ rundir }: Switch) => join(rundir, 'ovs-vswitchd-dpdk.pid');
const pidOf = (theSwitch: Switch) => Number(readFileSync(pidFile(theSwitch), 'utf8'));
const logOf = ({ directory }: Switch) => join(directory, 'vswitchd.log');

/** As where the switch has mounts of its own: neither its process nor its log is seen. */
function hidePidFile(theSwitch: Switch): () => void {
  const file = pidFile(theSwitch);
  renameSync(file, `${file}.hidden.pid`);
  let isHidden = true;
  const show = () => {
    if (isHidden) renameSync(`${file}.hidden.pid`, file);
    isHidden = false;
  };
  onTestFinished(show);
  return show;
}

const status = (node: TestNode, changes: Changes = {}): Promise<Answer> =>
  cni('STATUS', { config: node.config({ cniVersion: '1.1.0', ipam: undefined, ...changes }), path: node.path });

const expectWords = (answer: Answer, code: number, ...words: (string | number)[]) => {
  expect({ exitCode: answer.exitCode, code: answer.json.code }).toEqual({ exitCode: 1, code });
  for (const word of words) expect(answer.json.msg).toContain(String(word));
};

onRealSwitch(
  'the MTU that a switch can have',
  (theSwitch) => {
    describe.each(['client', 'server'] satisfies Mode[])('in %s mode', (mode) => {
      const node = useNode(theSwitch, mode);

      test('an MTU that the switch does not take fails the ADD with both numbers, and nothing is left of it (need N4)', async () => {
        const pod = await node().pod();
        expectWords(
          await pod.add('net1', { host: { mtu: 65535 } }),
          7,
          65535,
          1500,
          pod.portName(),
          logOf(theSwitch()),
        );
        expectNothingLeft(await node().world());
      });

      test('an MTU that it takes is attached, although column mtu says nothing until an application connects (need N4)', async () => {
        const pod = await node().pod();
        const changes = { host: { mtu: 9000 } };
        const { exitCode, json } = await pod.add('net1', changes);
        expect(exitCode).toBe(0);
        expect(await theSwitch().vsctl('get', 'Interface', pod.portName(), 'mtu')).toBe('0');
        expect(await pod.check(json, 'net1', changes)).toMatchObject(ok);
        expect(await pod.del('net1', changes)).toMatchObject(ok);
        expectNothingLeft(await node().world());
      });
    });

    const node = useNode(theSwitch);
    const tooMuch = { host: { mtu: 65535 } };

    test('a refusal of an earlier port of that name is not taken for one of this port (need N4)', async () => {
      const pod = await node().pod();
      expectWords(await pod.add('net1', tooMuch), 7, 65535);
      const changes = { host: { mtu: 2000 } };
      expect(await pod.add('net1', changes)).toMatchObject(ok);
      expect(await pod.del('net1', changes)).toMatchObject(ok);
      expectNothingLeft(await node().world());
    });

    test('CHECK finds, once an application is there, an MTU that the switch does not honour and no log told of (need N4)', async () => {
      const pod = await node().pod();
      hidePidFile(theSwitch());
      const { json } = await pod.add('net1', tooMuch);
      expect(await pod.check(json, 'net1', tooMuch)).toMatchObject(ok);
      const peer = await startPeer(pod.socket(), 'server');
      try {
        await theSwitch().vsctl('wait-until', 'Interface', pod.portName(), 'mtu=1500');
        expectWords(await pod.check(json, 'net1', tooMuch), 100, 'mtu is "1500" instead of "65535"');
      } finally {
        await peer.stop();
      }
      expect(await pod.del('net1', tooMuch)).toMatchObject(ok);
      expectNothingLeft(await node().world());
    });

    test('a lost port of a pod that lives on such an MTU is put back as it was (need N4)', async () => {
      const pod = await node().pod();
      const show = hidePidFile(theSwitch());
      expect(await pod.add('net1', tooMuch)).toMatchObject(ok);
      show();
      await theSwitch().vsctl('del-port', pod.portName());
      expect(await node().recover()).toMatchObject({ ...ok, json: { restored: 1, owed: 0 } });
      expect(await node().port(pod.portName())).toMatchObject({ mtuRequest: 65535 });
      expect(await pod.del('net1', tooMuch)).toMatchObject(ok);
      expectNothingLeft(await node().world());
    });
  },
  { parts: ['peer'] },
);

onRealSwitch('a sick switch', (theSwitch) => {
  const node = useNode(theSwitch);

  /** As a crash ends it: the pid file stays. */
  async function killVswitchd(): Promise<void> {
    const pid = pidOf(theSwitch());
    process.kill(pid, 'SIGKILL');
    await theSwitch().stopVswitchd();
    onTestFinished(() => theSwitch().startVswitchd());
  }
  function pauseVswitchd(): void {
    theSwitch().pauseVswitchd();
    onTestFinished(() => theSwitch().resumeVswitchd());
  }
  const nextCfg = () => theSwitch().vsctl('get', 'Open_vSwitch', '.', 'next_cfg');

  test('STATUS of a healthy switch is success, and changes nothing in its database (need N11)', async () => {
    const before = await nextCfg();
    expect(await status(node())).toMatchObject({ ...ok, stdout: '' });
    expect(await nextCfg()).toBe(before);
  });

  test('STATUS is 50 while ovs-vswitchd is stopped, naming its process, and success once it is continued (need N11)', async () => {
    pauseVswitchd();
    const pid = pidOf(theSwitch());
    expectWords(await status(node()), 50, 'ovs-vswitchd', 'stopped', `kill -CONT ${pid}`);
    theSwitch().resumeVswitchd();
    expect(await status(node())).toMatchObject(ok);
  });

  test('STATUS is 50 after ovs-vswitchd was killed, although its database says that DPDK is initialized (need N11)', async () => {
    await killVswitchd();
    expect(await theSwitch().vsctl('get', 'Open_vSwitch', '.', 'dpdk_initialized')).toBe('true');
    for (let times = 0; times < 2; times++) {
      expectWords(await status(node()), 50, 'ovs-vswitchd has applied', 'is it running?', theSwitch().rundir);
    }
    // The second one found a next_cfg that waits, and raised none.
    const [next, current] = [await nextCfg(), await theSwitch().vsctl('get', 'Open_vSwitch', '.', 'cur_cfg')];
    expect(Number(next) - Number(current)).toBe(1);
  });

  test('where its pid file is not seen, STATUS goes by what ovs-vswitchd applies (need N11)', async () => {
    hidePidFile(theSwitch());
    expect(await status(node())).toMatchObject(ok);
    pauseVswitchd();
    expectWords(await status(node()), 50, 'ovs-vswitchd has applied');
    theSwitch().resumeVswitchd();
    expect(await status(node())).toMatchObject(ok);
  });

  test('a pid file that names another program proves nothing (need N11)', async () => {
    await killVswitchd();
    await Bun.write(pidFile(theSwitch()), `${process.pid}\n`);
    expectWords(await status(node()), 50, 'ovs-vswitchd');
  });

  test('an ADD that a stopped ovs-vswitchd does not take names bridge, port, process and remedy (need N10)', async () => {
    pauseVswitchd();
    const pod = await node().pod();
    const answer = await pod.add('net1', hasty);
    expectWords(answer, 11, node().bridge, pod.portName(), `kill -CONT ${pidOf(theSwitch())}`);
    theSwitch().resumeVswitchd();
    expect(await pod.del()).toMatchObject(ok);
  });

  test('an ADD without an ovs-vswitchd says where no process was found (need N10)', async () => {
    await killVswitchd();
    const pod = await node().pod();
    expectWords(await pod.add('net1', hasty), 11, node().bridge, 'is it running?', theSwitch().rundir);
    expect(await pod.del('net1', hasty)).toMatchObject(ok);
    await theSwitch().startVswitchd();
    await theSwitch().stopVswitchd();
  });

  test('an ADD whose bridge ovs-vswitchd cannot make names the bridge, the process that runs, and its log (need N10)', async () => {
    // The device of the datapath that all bridges of this kind share: it is gone with the last bridge.
    const tun = (verb: string) =>
      execa('nsenter', ['--net', `--target=${pidOf(theSwitch())}`, 'ip', 'tuntap', verb, 'ovs-netdev', 'mode', 'tun']);
    await tun('add');
    onTestFinished(async () => void (await tun('del')));
    const pod = await node().pod();
    const answer = await pod.add('net1', hasty);
    const words = [`bridge "${node().bridge}"`, 'was not made', pidOf(theSwitch()), logOf(theSwitch())];
    expectWords(answer, 11, ...words);
    expect(answer.json.msg).not.toContain('is it running');
    expect(await pod.del()).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });

  test('an ADD at a database that does not answer names the database, its socket and the time that it waited, without words of the protocol (need N10)', async () => {
    theSwitch().pauseDatabase();
    onTestFinished(() => theSwitch().resumeDatabase());
    const pod = await node().pod();
    const answer = await pod.add('net1', hasty);
    expectWords(answer, 11, `ovsdb-server at "${theSwitch().ovsdb}"`, 'did not answer in 0.5 s');
    expect(answer.json.msg).not.toContain('transact');
    theSwitch().resumeDatabase();
    expectNothingLeft(await node().world());
  });

  test.each([
    ['stopped', () => theSwitch().pauseVswitchd(), () => theSwitch().resumeVswitchd()],
    ['gone', () => theSwitch().stopVswitchd(), () => theSwitch().startVswitchd()],
  ])(
    'a repeated ADD, and CHECK, while ovs-vswitchd is %s are code 11, and touch nothing (need N24)',
    async (_, stop, go) => {
      const pod = await node().pod();
      const added = await pod.add();
      expect(added).toMatchObject({ exitCode: 0 });
      await stop();
      try {
        for (const again of [await pod.add(), await pod.check(added.json)]) {
          expect(again).toMatchObject({
            exitCode: 1,
            json: { code: 11, msg: expect.stringContaining('ovs-vswitchd') },
          });
        }
      } finally {
        await go();
      }
      expect((await pod.add()).json).toEqual(added.json);
      expect(await pod.del()).toMatchObject({ exitCode: 0 });
      expectNothingLeft(await node().world());
    },
  );
});

onRealSwitch(
  'a switch without DPDK',
  (theSwitch) => {
    const node = useNode(theSwitch);

    test('an ADD says, as STATUS does, that there is no DPDK, and how to set it (need N10)', async () => {
      const pod = await node().pod();
      const added = await pod.add();
      expectWords(added, 11, pod.portName(), node().bridge);
      const asked = await status(node());
      expectWords(asked, 51, 'has no DPDK', 'dpdk-init');
      expect(added.json.msg).toContain(asked.json.msg);
      expectNothingLeft(await node().world());
    });
  },
  { dpdk: false },
);
