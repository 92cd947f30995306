/** A removal is not done again to things that came since; orphans and removals come before put-backs. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Application } from '../support/real/application.ts';
import { whileAway } from '../support/real/away.ts';
import type { Changes } from '../support/real/node.ts';
import { onRealSwitch, useNode } from '../support/real/suite.ts';
import { expectNothingLeft, readSwitch } from '../support/real/world.ts';

const ok = { exitCode: 0 };
const impatient = { deadlines: { delMs: 1_500, reconnectMs: 200, switchMs: 500 } };

onRealSwitch('a removal that was done', (theSwitch) => {
  const node = useNode(theSwitch);

  const payDebts = async () => {
    const other = await node().pod();
    expect(await other.add()).toMatchObject(ok);
    expect(await other.del()).toMatchObject(ok);
  };

  /** A sandbox whose address alone is owed, with whatever a configuration names by a path that the next one has too. */
  async function owingItsAddress(changes: Changes, under: readonly string[] = []) {
    await node().program(
      'bad-local',
      '[ -e "$0.broken" ] && [ "$CNI_COMMAND" = DEL ] && exit 1\nexec /usr/lib/cni/host-local',
    );
    const all = { ...changes, ipam: { type: 'bad-local' } };
    const broken = join(node().binDir, 'bad-local.broken');
    const pod = await node().pod();
    expect(await pod.add('net1', all, { under })).toMatchObject(ok);
    writeFileSync(broken, '');
    expect(await pod.del('net1', all, { under })).toMatchObject(ok);
    expect(await node().list()).toMatchObject([{ state: 'owed', owed: [{ step: 'address' }] }]);
    return { pod, mend: () => rmSync(broken) };
  }

  const boots: [string, () => readonly string[]][] = [
    ['of this boot', () => []],
    ['of another boot', () => anotherBoot(join(node().directory, 'boot'))],
  ];
  test.each(boots)(
    'kind 1: a debt %s does not take away the device information of the next sandbox',
    async (_, under) => {
      const file = join(node().directory, 'device.json');
      const changes = { runtimeConfig: { CNIDeviceInfoFile: file } };
      const { mend } = await owingItsAddress(changes, under());
      const next = await node().pod();
      expect(await next.add('net1', changes)).toMatchObject(ok);
      const written = readFileSync(file, 'utf8');
      await payDebts();
      mend();
      expect(await node().recover()).toMatchObject({ ...ok, json: { removed: 1, kept: 1 } });
      expect(existsSync(file) && readFileSync(file, 'utf8')).toBe(written);
      expect(await next.del('net1', changes)).toMatchObject(ok);
      expect(existsSync(file)).toBe(false);
      expectNothingLeft(await node().world());
    },
  );

  test.each(boots)(
    'kind 1: a debt %s does not take away the port and the socket name of the next sandbox',
    async (_, under) => {
      const file = `s${node().bridge}`;
      const changes = { host: { vhost: { socketfile: file } } };
      const { mend } = await owingItsAddress(changes, under());
      const next = await node().pod();
      expect(await next.add('net1', changes)).toMatchObject(ok);
      const application = await Application.listen(join(node().sharedDir, next.shortId, file));
      await payDebts();
      mend();
      expect(await node().recover()).toMatchObject({ ...ok, json: { removed: 1, kept: 1 } });
      expect(application.isReachable).toBe(true);
      expect((await node().world()).ports).toEqual([file]);
      expect(await next.del('net1', changes)).toMatchObject(ok);
      expectNothingLeft(await node().world());
    },
  );

  test('kind 1: an orphan that has the name of a lost port goes first, and the port is put back by the same recover', async () => {
    const file = `s${node().bridge}`;
    const changes = { host: { vhost: { socketfile: file } }, ipam: undefined };
    const [old, next] = [await node().pod(), await node().pod()];
    expect(await old.add('net1', changes)).toMatchObject(ok);
    const marks = (await node().port(file))?.externalIds ?? {};
    rmSync(old.journal());
    await theSwitch().vsctl('del-port', file);
    expect(await next.add('net1', changes)).toMatchObject(ok);
    const application = await Application.listen(join(node().sharedDir, next.shortId, file));
    await theSwitch().vsctl('del-port', file);
    const settings = Object.entries(marks).map(([name, value]) => `external_ids:${name}="${value}"`);
    const device = ['type=dpdkvhostuserclient', `options:vhost-server-path=${marks.socket}`];
    await theSwitch().vsctl('add-port', node().bridge, file, '--', 'set', 'Interface', file, ...device, '--', 'set', 'Port', file, ...settings); // biome-ignore format: one command
    await old.removeNetns();
    expect(await node().recover()).toMatchObject({ ...ok, json: { removed: 1, restored: 1, owed: 0 } });
    expect(application.isReachable).toBe(true);
    expect(await node().port(file)).toMatchObject({ externalIds: { socket: application.path } });
    expect(await next.del('net1', changes)).toMatchObject(ok);
    rmSync(join(node().sharedDir, old.shortId), { recursive: true, force: true });
    expectNothingLeft(await node().world());
  });

  test('kind 1: a removal that has the name of a lost port goes first, and the port is put back by the same recover', async () => {
    const file = `s${node().bridge}`;
    const changes = { host: { vhost: { socketfile: file } } };
    const [living, dead] = [await node().pod(), await node().pod()];
    expect(await living.add('net1', changes)).toMatchObject(ok);
    const application = await Application.listen(join(node().sharedDir, living.shortId, file));
    await theSwitch().vsctl('del-port', file);
    // With the name free another sandbox takes it, and dies with its DEL owed.
    expect(await dead.add('net1', changes)).toMatchObject(ok);
    expect(await whileAway(theSwitch(), () => dead.del('net1', { ...changes, ...impatient }))).toMatchObject(ok);
    expect(await node().recover()).toMatchObject({ ...ok, json: { removed: 1, restored: 1, owed: 0 } });
    expect(application.isReachable).toBe(true);
    expect((await node().world()).ports).toEqual([file]);
    expect(await living.del('net1', changes)).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });

  test('kind 1: a DEL repeated after success takes nothing of the next sandbox of the same container name', async () => {
    const pod = await node().pod();
    expect(await pod.add()).toMatchObject(ok);
    const twin = await node().pod(`${pod.shortId}${'e'.repeat(52)}`);
    // Twelve characters in common: port, socket and directory have one name. Refused, and nothing of it is undone at the first's.
    const application = await Application.listen(pod.socket());
    expect(await twin.add()).toMatchObject({ exitCode: 1, json: { code: 7 } });
    for (let time = 0; time < 2; time++) expect(await twin.del()).toMatchObject(ok);
    expect(application.isReachable).toBe(true);
    expect((await readSwitch(theSwitch())).ports.map(({ name }) => name)).toContain(pod.portName());
    expect((await node().world()).files).toHaveLength(4);
    expect(await pod.del()).toMatchObject(ok);
    expectNothingLeft(await node().world());
  });
});

/** The words that start a call as if the machine had another boot id. */
function anotherBoot(file: string): readonly string[] {
  writeFileSync(file, '00000000-0000-0000-0000-000000000000\n');
  const machine = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"';
  return ['unshare', '--mount', 'sh', '-c', machine, file];
}
