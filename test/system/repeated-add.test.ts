/** An ADD that a runtime repeats: the same request gets the same answer, in whatever order it comes; if the world cannot be asked, nothing is touched. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { whileAway } from '../support/real/away.ts';
import { cni } from '../support/real/cni.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft } from '../support/real/world.ts';

const ok = { exitCode: 0 };

onRealSwitch('a repeated ADD', (theSwitch) => {
  const node = useNode(theSwitch);
  const rowOf = (port: string) => theSwitch().vsctl('--columns=_uuid', 'list', 'Port', port);

  test('is answered again, with the same port and address, in whatever order a runtime hands it over (need N24)', async () => {
    const pod = await node().pod();
    const args = 'IgnoreUnknown=1;K8S_POD_NAMESPACE=a;K8S_POD_NAME=b;K8S_POD_UID=c';
    const call = { ...pod.call(), args };
    const first = await cni('ADD', call);
    expect(first).toMatchObject(ok);
    const before = [await rowOf(pod.portName()), await node().world()];
    for (let nth = 0; nth < 8; nth++) {
      const { exitCode, json } = await cni('ADD', call);
      expect({ nth, exitCode, json }).toEqual({ nth, exitCode: 0, json: first.json });
    }
    expect([await rowOf(pod.portName()), await node().world()]).toEqual(before);
    expect(await cni('DEL', call)).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });

  test.each([
    ['does not end', 'exec sleep 60'],
    ['asks to come again', `echo '{"code":11,"msg":"later"}'; exit 1`],
  ])('whose IPAM program %s touches nothing and answers 11 (need N24)', async (_, body) => {
    await node().program(
      'moody-local',
      `[ -e "$0.mood" ] && [ "$CNI_COMMAND" = CHECK ] && { ${body}; }\nexec /usr/lib/cni/host-local`,
    );
    const changes = { ipam: { type: 'moody-local' }, deadlines: { ipamMs: 500 } };
    const mood = join(node().binDir, 'moody-local.mood');
    const pod = await node().pod();
    const first = await pod.add('net1', changes);
    expect(first).toMatchObject(ok);
    const before = [await rowOf(pod.portName()), await node().world()];
    writeFileSync(mood, '');
    const { exitCode, json } = await pod.add('net1', changes);
    expect({ exitCode, code: json.code }).toEqual({ exitCode: 1, code: 11 });
    expect([await rowOf(pod.portName()), await node().world()]).toEqual(before);
    rmSync(mood);
    expect((await pod.add('net1', changes)).json).toEqual(first.json);
    expect(await pod.del('net1', changes)).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });

  test('whose address cannot be looked for, as host-local’s lock is a directory, touches nothing and answers 11 (need N24)', async () => {
    const pod = await node().pod();
    const first = await pod.add();
    expect(first).toMatchObject(ok);
    const rowBefore = await rowOf(pod.portName());
    const lock = join(node().ipamDir, 'net-a', 'lock');
    rmSync(lock);
    mkdirSync(lock);
    const before = await node().world();
    const { exitCode, json } = await pod.add();
    expect({ exitCode, code: json.code }).toEqual({ exitCode: 1, code: 11 });
    expect(await pod.check(first.json)).toMatchObject({ exitCode: 1, json: { code: 999 } });
    expect([await rowOf(pod.portName()), await node().world()]).toEqual([rowBefore, before]);
    rmSync(lock, { recursive: true });
    expect((await pod.add()).json).toEqual(first.json);
    expect(await pod.del()).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });

  test('while the switch is away touches nothing and answers 11 (need N24)', async () => {
    const pod = await node().pod();
    const first = await pod.add();
    const before = [await rowOf(pod.portName()), await node().world()];
    const { exitCode, json } = await whileAway(theSwitch(), () => pod.add());
    expect({ exitCode, code: json.code }).toEqual({ exitCode: 1, code: 11 });
    expect([await rowOf(pod.portName()), await node().world()]).toEqual(before);
    expect((await pod.add()).json).toEqual(first.json);
    expect(await pod.del()).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });

  test('of an attachment whose address is another’s now starts over (need N24)', async () => {
    const pod = await node().pod();
    expect(await pod.add()).toMatchObject(ok);
    const before = await rowOf(pod.portName());
    rmSync(join(node().ipamDir, 'net-a', '10.56.0.2'));
    expect(await pod.add()).toMatchObject(ok);
    expect(await rowOf(pod.portName())).not.toBe(before);
    expect(await pod.del()).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });
});
