import { rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft } from '../support/real/world.ts';

const ok = { exitCode: 0 };
const noAddress = { ipam: undefined };

onRealSwitch('recovery, killed', (theSwitch) => {
  const node = useNode(theSwitch);

  test('I5 a recovery that is killed while it removes a port without a journal is completed by the next one, whenever it died', async () => {
    const calls = 'fsync,fdatasync,unlink,unlinkat,fchmod,sendmsg,sendto,write';
    const left: unknown[] = [];
    for (let when = 1, died = true; died && when <= 40; when++) {
      const pod = await node().pod();
      expect(await pod.add('net1', noAddress)).toMatchObject(ok);
      await pod.removeNetns();
      rmSync(pod.journal());
      const under = ['strace', '-f', '-o', '/dev/null', '-e', `inject=${calls}:signal=SIGKILL:when=${when}`];
      died = (await node().recoverUnder(under)).signal === 'SIGKILL';
      const { exitCode, json } = await node().recover();
      const { ports } = await node().world();
      if (ports.length > 0)
        left.push({ when, exitCode, found: json.attachments.map(({ found }: { found: string }) => found) });
      await pod.del('net1', noAddress);
    }
    expect(left).toEqual([]);
    expectNothingLeft(await node().world());
  });

  test('kind 1: a put-back waits for a switch that is busy for a moment, and does not call it "behind, or not running"', async () => {
    const pod = await node().pod();
    expect(await pod.add('net1', noAddress)).toMatchObject(ok);
    await theSwitch().vsctl('del-port', pod.portName());
    theSwitch().pauseVswitchd();
    // A foreign change, such as the ADD of another pod.
    const change = theSwitch().vsctl('set', 'Open_vSwitch', '.', 'external_ids:somebody=else');
    await delay(100);
    const recovering = node().recover();
    await delay(300);
    theSwitch().resumeVswitchd();
    const { exitCode, json } = await recovering;
    await change;
    expect({ exitCode, json }).toMatchObject({ ...ok, json: { restored: 1, owed: 0 } });
  });

  test('a port of ours without a journal, whose mark tells no key, is listed', async () => {
    const pod = await node().pod();
    expect(await pod.add('net1', noAddress)).toMatchObject(ok);
    await pod.removeNetns();
    rmSync(pod.journal());
    await theSwitch().vsctl('remove', 'Port', pod.portName(), 'external_ids', 'key');
    const { exitCode, stdout } = await node().recover();
    const { ports } = await node().world();
    expect({ exitCode, isSaid: stdout.includes(pod.portName()), ports }).not.toEqual({
      exitCode: 0,
      isSaid: false,
      ports: [pod.portName()],
    });
  });
});
