/**
 * Two attachments that were given one device information file.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft } from '../support/real/world.ts';

onRealSwitch('device information', (theSwitch) => {
  const node = useNode(theSwitch);

  test('kind 6: of a living attachment is neither replaced nor removed by another one, with a journal or without (I7)', async () => {
    const file = join(node().directory, 'device.json');
    const changes = { runtimeConfig: { CNIDeviceInfoFile: file } };
    const socketIn = async () => JSON.parse(await readFile(file, 'utf8'))['vhost-user'].path;
    const [living, other] = [await node().pod(), await node().pod()];
    // The file of a dead attachment hinders no other.
    await writeFile(
      file,
      '{"type":"vhost-user","version":"1.1.0","vhost-user":{"mode":"server","path":"/x/dead-net1"}}',
    );
    expect(await living.add('net1', changes)).toMatchObject({ exitCode: 0 });
    expect(await socketIn()).toBe(living.socket());
    const { exitCode, json } = await other.add('net1', changes);
    expect({ exitCode, code: json.code }).toEqual({ exitCode: 1, code: 7 });
    for (const word of [file, living.containerId, living.socket()]) expect(json.msg).toContain(word);
    expect(await other.del('net1', changes)).toMatchObject({ exitCode: 0 });
    expect(await socketIn()).toBe(living.socket());
    expect(await living.del('net1', changes)).toMatchObject({ exitCode: 0 });
    await expect(readFile(file)).rejects.toMatchObject({ code: 'ENOENT' });
    expectNothingLeft(await node().world());
  });
});
