import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ensureDeviceInfo, findDeviceInfo, removeDeviceInfo } from '../../../src/effects/files/device-info.ts';
import type { FindHolder } from '../../../src/effects/files/holder.ts';
import type { DeviceInfoPlan } from '../../../src/machines/protocol.ts';
import { keyOf, noHolder, soon, troubleOf } from '../../support/stand-in/scene.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

function planned(
  name = 'net1',
  directory = join(temporaryDirectory(), 'devinfo', 'cni'),
): DeviceInfoPlan & { directory: string } {
  return { path: join(directory, name), mode: 'server', socket: `/pods/c0ffee/${name}`, directory };
}

const key = keyOf('c0ffee00c0ffee00');
const ensure = (plan: DeviceInfoPlan, holder: FindHolder = noHolder) => ensureDeviceInfo(plan, holder, soon());
const remove = (plan: DeviceInfoPlan, holder: FindHolder = noHolder) =>
  removeDeviceInfo(plan, { key, findHolder: holder, end: soon() });

/** A switch with a port of another attachment. */
const standing =
  (name: string): FindHolder =>
  async (port) =>
    port === name ? 'attachment "net:beef:net1"' : undefined;

describe('the device information file', () => {
  it('is written as its specification says, readable for all, its directory made; twice is the same as once', async () => {
    const plan = planned();
    for (let round = 0; round < 2; round++) {
      expect(await ensure(plan)).toEqual({ kind: 'ok' });
      expect(JSON.parse(readFileSync(plan.path, 'utf8'))).toEqual({
        type: 'vhost-user',
        version: '1.1.0',
        'vhost-user': { mode: 'server', path: '/pods/c0ffee/net1' },
      });
      expect(statSync(plan.path).mode & 0o777).toBe(0o444);
      expect(readdirSync(plan.directory)).toEqual(['net1']);
    }
  });

  it('replaces one that an earlier call left, whole', async () => {
    const plan = planned();
    mkdirSync(plan.directory, { recursive: true });
    for (const stale of ['', '{"ty', `{"type":"vhost-user",${'stale'.repeat(1000)}`, ' { "version": "1.0.0" }']) {
      writeFileSync(plan.path, stale, { mode: 0o444 });
      await ensure(plan);
      expect(await findDeviceInfo(plan, soon())).toEqual({ kind: 'ok' });
    }
  });

  it.each(['root:x:0:0:root:/root:/bin/bash\n', '{"kind":"KubeletConfiguration"}', '[]', 'null', '{}'])(
    'takes no file of something else for its own, whatever path a network names: %j',
    async (text) => {
      const plan = planned();
      mkdirSync(plan.directory, { recursive: true });
      writeFileSync(plan.path, text);
      expect(troubleOf(await ensure(plan))).toMatchObject({ code: 7, message: expect.stringContaining(plan.path) });
      expect(readFileSync(plan.path, 'utf8')).toBe(text);
    },
  );

  it('follows no link to a file of something else', async () => {
    const plan = planned();
    const outside = join(temporaryDirectory(), 'outside');
    writeFileSync(outside, '');
    mkdirSync(plan.directory, { recursive: true });
    symlinkSync(outside, plan.path);
    expect(troubleOf(await ensure(plan))).toMatchObject({ code: 7, message: expect.stringContaining(plan.path) });
    expect(readFileSync(outside, 'utf8')).toBe('');
    expect(readdirSync(plan.directory)).toEqual(['net1']);
  });

  it('goes, its directory stays; twice is the same as once', async () => {
    const plan = planned();
    await ensure(plan);
    for (let round = 0; round < 2; round++) {
      expect(await remove(plan)).toEqual({ kind: 'ok' });
      expect(readdirSync(plan.directory)).toEqual([]);
    }
  });

  it('is removed already if its directory is gone', async () => {
    expect(await remove(planned())).toEqual({ kind: 'ok' });
    const file = join(temporaryDirectory(), 'file');
    writeFileSync(file, '');
    expect(await remove(planned('net1', file))).toEqual({ kind: 'ok' });
    expect(existsSync(file)).toBe(true);
  });

  it('is removed together with write-file-atomic’s file of a killed call, cut anywhere', async () => {
    const plan = planned();
    await ensure(plan);
    const text = readFileSync(plan.path, 'utf8');
    const cuts = [0, 1, Math.floor(text.length / 2), text.length];
    for (const [index, cut] of cuts.entries()) writeFileSync(`${plan.path}.${1_000 + index}`, text.slice(0, cut));
    await remove(plan);
    expect(readdirSync(plan.directory)).toEqual([]);
  });

  it('of another interface stays, though its name looks like a left-over of ours: "net1" never takes "net1.100"', async () => {
    const plan = planned();
    const other = planned('net1.100', plan.directory);
    await ensure(plan);
    await ensure(other);
    for (const name of ['net1.x', 'net1.100.json', 'net10', 'net1', 'xnet1.5'])
      writeFileSync(join(plan.directory, `${name}~`), '');
    const others = readdirSync(plan.directory).filter((name) => name !== 'net1');
    await remove(plan);
    expect(readdirSync(plan.directory)).toEqual(others);
    expect(await findDeviceInfo(other, soon())).toEqual({ kind: 'ok' });
  });

  it('must be a file: a directory or a link at its name stays, and is not a debt', async () => {
    for (const plant of [
      (path: string) => mkdirSync(join(path, 'full'), { recursive: true }),
      (path: string) => symlinkSync('/', path),
    ]) {
      const plan = planned();
      mkdirSync(plan.directory, { recursive: true });
      plant(plan.path);
      expect(await remove(plan)).toEqual({ kind: 'ok' });
      expect(readdirSync(plan.directory)).toEqual(['net1']);
    }
  });

  it('is named when it is gone or not as it was written', async () => {
    const plan = planned();
    expect(troubleOf(await findDeviceInfo(plan, soon()))).toEqual({
      code: 100,
      message: `device info "${plan.path}" is gone`,
    });
    await ensure(plan);
    expect(troubleOf(await findDeviceInfo({ ...plan, mode: 'client' }, soon())).message).toContain(
      'is not as it was written',
    );
  });

  it('that cannot be written is an error with its path, and leaves nothing', async () => {
    const file = join(temporaryDirectory(), 'file');
    writeFileSync(file, '');
    await expect(ensure(planned('net1', file))).rejects.toThrow(file);
    const plan = planned();
    mkdirSync(plan.path, { recursive: true });
    await expect(ensure(plan)).rejects.toThrow(plan.path);
    expect(readdirSync(plan.directory)).toEqual(['net1']);
  });
});

describe('kind 6: of two attachments that were given one name for it', () => {
  const two = () => {
    const living = planned();
    return { living, other: { ...living, socket: '/pods/beef/beef-net1' }, standing: standing('net1') };
  };

  it('the second is refused with the file and its owner, and made nothing; the first keeps its file', async () => {
    const { living, other, standing } = two();
    await ensure(living);
    expect(await ensure(other, standing)).toEqual({
      kind: 'failed',
      made: 'nothing',
      trouble: {
        code: 7,
        message: `device info "${living.path}" belongs to attachment "net:beef:net1" (socket "/pods/c0ffee/net1"): give each attachment a CNIDeviceInfoFile of its own, or remove the file if its pod is gone`,
      },
    });
    expect(await findDeviceInfo(living, soon())).toEqual({ kind: 'ok' });
  });

  it('a removal takes its own alone, with a journal and without one', async () => {
    const { living, other } = two();
    await ensure(living);
    for (const socket of [other.socket, 'beef-net1']) {
      expect(await remove({ ...other, socket })).toEqual({ kind: 'ok' });
      expect(await findDeviceInfo(living, soon())).toEqual({ kind: 'ok' });
    }
  });

  it('a removal without a journal knows its own by the name of the socket', async () => {
    const living = planned();
    await ensure(living);
    expect(await remove({ ...living, mode: 'client', socket: 'net1' })).toEqual({ kind: 'ok' });
    expect(readdirSync(living.directory)).toEqual([]);
    // A journal of an older version has the key alone.
    await ensure({ ...living, socket: '/pods/c0ffee/c0ffee00c0ff-net1' });
    expect(await remove({ ...living, mode: 'client', socket: '' })).toEqual({ kind: 'ok' });
    expect(readdirSync(living.directory)).toEqual([]);
  });

  it('a late removal leaves the file of the next sandbox, whose socket has the same fixed name', async () => {
    const { living, standing } = two();
    await ensure(living);
    expect(await remove(living, standing)).toEqual({ kind: 'ok' });
    expect(await findDeviceInfo(living, soon())).toEqual({ kind: 'ok' });
  });

  it('the file of a dead one blocks no other', async () => {
    const { living, other } = two();
    await ensure(other);
    expect(await ensure(living)).toEqual({ kind: 'ok' });
    expect(await findDeviceInfo(living, soon())).toEqual({ kind: 'ok' });
  });

  it('the file of another kind of device is neither replaced nor removed', async () => {
    const { living } = two();
    mkdirSync(living.directory, { recursive: true });
    writeFileSync(living.path, '{"type":"pci","version":"1.1.0","pci":{"pci-address":"0000:00:00.0"}}');
    expect(troubleOf(await ensure(living))).toMatchObject({ code: 7, message: expect.stringContaining('type "pci"') });
    await remove(living);
    expect(readdirSync(living.directory)).toEqual(['net1']);
  });
});
