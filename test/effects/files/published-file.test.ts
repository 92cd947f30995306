import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Addresses, keyHash } from '../../../src/attachment.ts';
import { ensurePublication, findPublication, removePublication } from '../../../src/effects/files/published-file.ts';
import { codeOf } from '../../../src/effects/outcome.ts';
import type { FilePlan } from '../../../src/machines/protocol.ts';
import { kindAt, plantCanary, plants } from '../../support/real/hostile.ts';
import { keyOf, noHolder, soon, troubleOf } from '../../support/stand-in/scene.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const key = keyOf('c0ffee00c0ffee00');
const addresses: Addresses = {
  ips: [{ address: '10.0.0.5/24', gateway: '10.0.0.1' }, { address: 'fd00::5/64' }],
  routes: [{ dst: '0.0.0.0/0', gw: '10.0.0.1' }],
};

function planned(): FilePlan & { readonly outside: string; readonly path: string } {
  const outside = temporaryDirectory();
  const directory = join(outside, 'pod');
  mkdirSync(directory);
  const file = 'configData-c0ffee00c0ff-net1.json';
  return {
    directory,
    file,
    data: { containerId: key.containerId, ifName: 'net1' },
    outside,
    path: join(directory, file),
  };
}

/** The name follows from the key, so a container that knows the key knows it too. */
const temporaryOf = (plan: FilePlan): string => join(plan.directory, `.${keyHash(key)}.tmp`);

const ensure = (plan: FilePlan, given: Addresses | undefined = addresses) =>
  ensurePublication(plan, { key, addresses: given, findHolder: noHolder, end: soon() });
const remove = (plan: FilePlan) => removePublication(plan, key, soon());
const find = (plan: FilePlan, given: Addresses | undefined = addresses) => findPublication(plan, given, soon());

describe('the published file', () => {
  it('is the predecessor’s, byte for byte, with the addresses in the shape of 0.4.0 that consumers read', async () => {
    const plan = planned();
    expect(await ensure(plan)).toEqual({ kind: 'ok' });
    expect(readFileSync(plan.path, 'utf8')).toBe(`{
    "containerId": "c0ffee00c0ffee00",
    "ifName": "net1",
    "ipResult": {
        "cniVersion": "0.4.0",
        "ips": [
            {
                "version": "4",
                "address": "10.0.0.5/24",
                "gateway": "10.0.0.1"
            },
            {
                "version": "6",
                "address": "fd00::5/64"
            }
        ],
        "routes": [
            {
                "dst": "0.0.0.0/0",
                "gw": "10.0.0.1"
            }
        ]
    }
}
`);
    expect(statSync(plan.path).mode & 0o777).toBe(0o644);
    expect(readdirSync(plan.directory)).toEqual([plan.file]);
  });

  it('has a result without addresses if there are none', async () => {
    const plan = planned();
    await ensurePublication(plan, { key, addresses: undefined, findHolder: noHolder, end: soon() });
    expect(JSON.parse(readFileSync(plan.path, 'utf8')).ipResult).toEqual({ cniVersion: '0.4.0' });
  });

  it('replaces a stale one of the same interface, and the half one of a killed call', async () => {
    const plan = planned();
    await ensure(plan);
    const whole = readFileSync(plan.path, 'utf8');
    writeFileSync(plan.path, 'stale, and longer than what follows'.repeat(99));
    writeFileSync(temporaryOf(plan), '{"cont');
    await ensure(plan);
    await ensure(plan);
    expect(readFileSync(plan.path, 'utf8')).toBe(whole);
    expect(readdirSync(plan.directory)).toEqual([plan.file]);
  });

  it('goes, and the half one of a killed call with it; twice is the same as once', async () => {
    const plan = planned();
    await ensure(plan);
    writeFileSync(join(plan.directory, 'theirs'), '');
    // A call that is killed between writing and renaming leaves this.
    writeFileSync(temporaryOf(plan), '{"cont');
    for (let round = 0; round < 2; round++) {
      expect(await remove(plan)).toEqual({ kind: 'ok' });
      expect(readdirSync(plan.directory).sort()).toEqual(['theirs']);
    }
  });

  it('of another container whose id begins alike is left by the removal of the refused one (bug B27)', async () => {
    const plan = planned();
    await ensure(plan);
    for (const other of [keyOf('c0ffee00c0ff9999'), { ...key, network: 'other' }]) {
      const named = { ...plan, data: { ...plan.data, name: key.network } };
      await ensurePublication(named, { key, addresses, findHolder: noHolder, end: soon() });
      expect(await removePublication(plan, other, soon())).toEqual({ kind: 'ok' });
      expect(readdirSync(plan.directory)).toEqual([plan.file]);
    }
    expect(await remove(plan)).toEqual({ kind: 'ok' });
    expect(readdirSync(plan.directory)).toEqual([]);
  });

  it('kind 1: of another container is replaced only once its port is gone', async () => {
    const plan = planned();
    const socketfile = 'c0ffee00c0ff-net1';
    const theirs = { ...plan, data: { containerId: 'c0ffee00c0ff9999', config: { vhost: { socketfile } } } };
    await ensure(theirs);
    const before = readFileSync(plan.path, 'utf8');
    const standing = async (port: string) => (port === socketfile ? 'attachment "other"' : undefined);
    expect(await ensurePublication(plan, { key, addresses, findHolder: standing, end: soon() })).toEqual({
      kind: 'failed',
      made: 'nothing',
      trouble: { code: 7, message: expect.stringMatching(/belongs to attachment "other"/) },
    });
    expect(readFileSync(plan.path, 'utf8')).toBe(before);
    expect(readdirSync(plan.directory)).toEqual([plan.file]);
    expect(await ensure(plan)).toEqual({ kind: 'ok' });
    expect(await find(plan)).toEqual({ kind: 'ok' });
  });

  it('is removed already if its directory is gone', async () => {
    const plan = planned();
    rmSync(plan.directory, { recursive: true });
    expect(await remove(plan)).toEqual({ kind: 'ok' });
    await expect(ensure(plan)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('does not follow a directory that was swapped for a symlink (bug B30)', async () => {
    const plan = planned();
    const elsewhere = join(plan.outside, 'elsewhere');
    mkdirSync(elsewhere);
    writeFileSync(join(elsewhere, plan.file), 'untouched');
    renameSync(plan.directory, `${plan.directory}.old`);
    symlinkSync(elsewhere, plan.directory);
    expect(codeOf(await ensure(plan).catch((error) => error))).toMatch(/^(ELOOP|ENOTDIR)$/);
    expect(await remove(plan)).toEqual({ kind: 'ok' });
    expect(troubleOf(await find(plan)).message).toContain('is gone');
    expect(readFileSync(join(elsewhere, plan.file), 'utf8')).toBe('untouched');
  });
});

describe('looking at the published file', () => {
  it('finds it as it was written', async () => {
    const plan = planned();
    await ensure(plan);
    expect(await find(plan)).toEqual({ kind: 'ok' });
  });

  it('names it when it is gone, and when it is not as it was written', async () => {
    const plan = planned();
    expect(troubleOf(await find(plan))).toEqual({ code: 100, message: `"${plan.path}" is gone` });
    await ensure(plan);
    expect(troubleOf(await find(plan, { ips: [], routes: [] })).message).toBe(
      `"${plan.path}" is not as it was written`,
    );
    writeFileSync(plan.path, '{}');
    expect(troubleOf(await find(plan)).message).toContain('is not as it was written');
  });
});

describe.each(Object.keys(plants))('a %s that a container planted', (kind) => {
  it('at the file’s name is never written through, nor removed (bug B30)', async () => {
    const plan = planned();
    const canary = plantCanary(plan.outside);
    await plants[kind]?.(plan.path, canary.path);
    const was = kindAt(plan.path);
    const before = canary.state();
    expect(troubleOf(await find(plan)).code).toBe(100);
    expect(await remove(plan)).toEqual({ kind: 'ok' });
    expect(kindAt(plan.path)).toBe(was);
    const outcome = await ensure(plan).then(({ kind: done }) => done, codeOf);
    expect(outcome).toBe(kind === 'directory' ? 'EISDIR' : 'ok');
    expect(canary.state()).toEqual(before);
  });

  it('at the temporary name stops the publication, is not written through and not removed', async () => {
    const plan = planned();
    const canary = plantCanary(plan.outside);
    const temporary = temporaryOf(plan);
    await plants[kind]?.(temporary, canary.path);
    const was = kindAt(temporary);
    const before = canary.state();
    await expect(ensure(plan)).rejects.toMatchObject({ code: 'EEXIST' });
    expect(await remove(plan)).toEqual({ kind: 'ok' });
    expect(kindAt(temporary)).toBe(was);
    expect(canary.state()).toEqual(before);
  });
});
