/** The switch's database wiped, restored, and edited by others. */
import { copyFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft } from '../support/real/world.ts';

const ok = { exitCode: 0 };

onRealSwitch('the database of the switch, restored', (theSwitch) => {
  const node = useNode(theSwitch);
  const file = () => join(theSwitch().directory, 'conf.db');
  const backup = () => copyFileSync(file(), join(node().directory, 'conf.bak'));
  const restore = async () => {
    await theSwitch().stopVswitchd();
    await theSwitch().stopDatabase();
    copyFileSync(join(node().directory, 'conf.bak'), file());
    await theSwitch().startDatabase();
    await theSwitch().startVswitchd();
  };

  test.each(['recover', 'DEL'])(
    'kind 2: a port that a restored database brought back is taken away before %s pays the address that is owed',
    async (payer) => {
      const good = join(node().directory, 'good');
      await node().program(
        'bad-local',
        `[ "$CNI_COMMAND" = DEL ] && [ ! -e ${good} ] && { echo '{"cniVersion":"1.0.0","code":11,"msg":"no"}'; exit 1; }\nexec /usr/lib/cni/host-local`,
      );
      const changes = { ipam: { type: 'bad-local' } };
      const pod = await node().pod();
      expect(await pod.add('net1', changes)).toMatchObject(ok);
      backup();
      expect(await pod.del('net1', changes)).toMatchObject(ok);
      await restore();
      expect((await node().world()).ports).toEqual([pod.portName()]);
      writeFileSync(good, '');
      expect(payer === 'DEL' ? await pod.del('net1', changes) : await node().recover()).toMatchObject(ok);
      expectNothingLeft(await node().world());
    },
  );

  test('kind 1: one recover after a restored database removes the dead port and puts the living one back: it does not take its own deletion for a switch that is behind', async () => {
    const changes = { host: { vhost: { socketfile: `s${node().bridge}` } } };
    const [dead, living] = [await node().pod(), await node().pod()];
    expect(await dead.add('net1', changes)).toMatchObject(ok);
    backup();
    expect(await dead.del('net1', changes)).toMatchObject(ok);
    expect(await living.add('net1', changes)).toMatchObject(ok);
    await restore();
    await dead.removeNetns();
    const { exitCode, json } = await node().recover();
    expect({ exitCode, json }).toMatchObject({ ...ok, json: { restored: 1, owed: 0 } });
  });

  test('a symlink for a long path that is gone (shortDir was cleared) is put back by recover', async () => {
    const changes = {
      sharedDir: join(node().directory, 'd'.repeat(60), 'e'.repeat(40)),
      shortDir: join(node().directory, 'short'),
    };
    const pod = await node().pod();
    const added = await pod.add('net1', changes);
    expect(added).toMatchObject(ok);
    rmSync(join(node().directory, 'short'), { recursive: true });
    expect(await pod.check(added.json, 'net1', changes)).toMatchObject({ exitCode: 1, json: { code: 100 } });
    await node().recover();
    expect(await pod.check(added.json, 'net1', changes)).toMatchObject(ok);
  });
});
