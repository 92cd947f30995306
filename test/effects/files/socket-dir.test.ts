import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { groupTroubles } from '../../../src/effects/files/group.ts';
import { ensureSocketDir, findSocketDir, removeSocketDir } from '../../../src/effects/files/socket-dir.ts';
import type { SocketDirPlan } from '../../../src/machines/protocol.ts';
import { kindAt, plantCanary, plants } from '../../support/real/hostile.ts';
import { soon, troubleOf } from '../../support/stand-in/scene.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

type OwnPlan = SocketDirPlan & { readonly own: string };

function planned(more: Partial<OwnPlan> = {}): OwnPlan {
  const base = join(temporaryDirectory(), 'pods', 'deep');
  return { base, own: join(base, 'c0ffee00c0ff'), hold: '.hold-1', ...more };
}

const sibling = (plan: OwnPlan, hold = '.hold-2'): OwnPlan => ({ ...plan, hold });
const ensure = (plan: SocketDirPlan) => ensureSocketDir(plan, soon());
const remove = (plan: SocketDirPlan) => removeSocketDir(plan, soon());

describe('the socket directory', () => {
  it('is made with everything above it, and held by a file of ours; twice is the same as once', async () => {
    const plan = planned();
    for (let round = 0; round < 2; round++) {
      expect(await ensure(plan)).toEqual({ kind: 'ok' });
      expect(readdirSync(plan.own)).toEqual(['.hold-1']);
      expect(statSync(plan.own).mode & 0o777).toBe(0o750);
      expect(statSync(join(plan.own, '.hold-1')).mode & 0o777).toBe(0o600);
    }
  });

  it('goes with its attachment, and the user’s directory stays (bug B16); twice is the same as once', async () => {
    const plan = planned();
    await ensure(plan);
    for (let round = 0; round < 2; round++) {
      expect(await remove(plan)).toEqual({ kind: 'ok' });
      expect(readdirSync(plan.base)).toEqual([]);
    }
  });

  it('stays while a sibling holds it, and goes with the last of them (case A6)', async () => {
    const plan = planned();
    await ensure(plan);
    await ensure(sibling(plan));
    await remove(plan);
    expect(readdirSync(plan.own)).toEqual(['.hold-2']);
    await remove(sibling(plan));
    expect(existsSync(plan.own)).toBe(false);
  });

  it('stays if another program put a file into it (bug B16)', async () => {
    const plan = planned();
    await ensure(plan);
    writeFileSync(join(plan.own, 'theirs'), '');
    expect(await remove(plan)).toEqual({ kind: 'ok' });
    expect(readdirSync(plan.own)).toEqual(['theirs']);
  });

  it('is made again by an ADD when siblings take it away in between, however often', async () => {
    const plan = planned();
    const rounds = 100;
    const mine = async () => {
      for (let round = 0; round < rounds; round++) {
        expect(await ensure(plan)).toEqual({ kind: 'ok' });
        expect(existsSync(join(plan.own, plan.hold))).toBe(true);
        await remove(plan);
      }
    };
    const theirs = async (hold: string) => {
      for (let round = 0; round < rounds; round++) {
        await ensure(sibling(plan, hold));
        await remove(sibling(plan, hold));
      }
    };
    // All calls are waited for, failed or not, because none may go on after the test.
    const ended = await Promise.allSettled([mine(), theirs('.hold-2'), theirs('.hold-3')]);
    expect(ended.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled']);
    expect(readdirSync(plan.base)).toEqual([]);
  });

  it('keeps its owner and mode if the user made it', async () => {
    const plan = planned();
    mkdirSync(plan.base, { recursive: true, mode: 0o711 });
    const before = statSync(plan.base);
    await ensure({ ...plan, group: String(process.getgid?.() ?? 0) });
    await remove(plan);
    const { mode, uid, gid } = statSync(plan.base);
    expect({ mode, uid, gid }).toEqual({ mode: before.mode, uid: before.uid, gid: before.gid });
  });

  it('with a group lets the group create sockets in it (bug B33)', async () => {
    const gid = process.getgid?.() ?? 0;
    const plan = planned({ group: String(gid) });
    expect(await ensure(plan)).toEqual({ kind: 'ok' });
    expect({ mode: statSync(plan.own).mode & 0o777, gid: statSync(plan.own).gid }).toEqual({ mode: 0o770, gid });
  });

  it('keeps its group: a sibling that names another gets code 7, and one that names none comes in (I7)', async () => {
    const gid = process.getgid?.() ?? 0;
    const plan = planned({ group: String(gid) });
    await ensure(plan);
    const { group: _, ...others } = plan;
    expect(troubleOf(await ensure({ ...sibling(plan), group: '4242' }))).toMatchObject({
      code: 7,
      message: expect.stringContaining(`"${plan.own}" is shared with group ${gid} already`),
    });
    expect(await ensure(sibling(others, '.hold-3'))).toEqual({ kind: 'ok' });
    expect({ mode: statSync(plan.own).mode & 0o777, gid: statSync(plan.own).gid }).toEqual({ mode: 0o770, gid });
  });
});

describe('a directory that the pod or its kubelet named', () => {
  const named = (more: Partial<SocketDirPlan> = {}): SocketDirPlan => ({
    base: join(temporaryDirectory(), 'volume'),
    hold: '.hold-1',
    ...more,
  });

  it('of a hostPath is made when it is missing, gets nothing of ours, and stays', async () => {
    const plan = named();
    for (let round = 0; round < 2; round++) {
      expect(await ensure(plan)).toEqual({ kind: 'ok' });
      expect(await findSocketDir(plan, soon())).toEqual({ kind: 'ok' });
      expect(readdirSync(plan.base)).toEqual([]);
    }
    expect(await remove(plan)).toEqual({ kind: 'ok' });
    expect(existsSync(plan.base)).toBe(true);
  });

  it('of a kubelet is not made, because the kubelet could not remove it without its pod', async () => {
    const plan = named({ kubelet: true });
    await expect(ensure(plan)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(existsSync(plan.base)).toBe(false);
  });

  it('lets the group in and shuts no user out; one that is open to all stays unchanged (bug B33)', async () => {
    const group = String(process.getgid?.() ?? 0);
    for (const [before, after] of [
      [0o755, 0o775],
      [0o700, 0o770],
      [0o777, 0o777],
    ] as const) {
      const plan = named({ group });
      mkdirSync(plan.base);
      chmodSync(plan.base, before);
      expect(await ensure(plan)).toEqual({ kind: 'ok' });
      expect(statSync(plan.base).mode & 0o7777).toBe(after);
    }
  });

  it('of another group that may create sockets there stays that group’s: code 7 names both', async () => {
    const plan = named({ group: '4242' });
    mkdirSync(plan.base);
    chmodSync(plan.base, 0o770);
    const { gid } = statSync(plan.base);
    expect(troubleOf(await ensure(plan))).toMatchObject({
      code: 7,
      message: expect.stringMatching(new RegExp(`shared with group ${gid} already, and "4242"`)),
    });
    expect(statSync(plan.base).gid).toBe(gid);
  });

  it('that is a symlink is not followed (bug B30)', async () => {
    const plan = named();
    const canary = plantCanary(dirname(plan.base));
    symlinkSync(canary.path, plan.base);
    await expect(ensure({ ...plan, group: '0' })).rejects.toThrow();
    expect(await remove(plan)).toEqual({ kind: 'ok' });
    expect(kindAt(plan.base)).toBe('symlink');
  });
});

describe('the symlink to a path that is too long', () => {
  const linked = (): SocketDirPlan & { link: string } => {
    const root = temporaryDirectory();
    return { base: join(root, 'volume'), hold: '.hold-1', link: join(root, 'short', '0123456789abcdef') };
  };

  it('leads to the directory and goes with its attachment; twice is the same as once', async () => {
    const plan = linked();
    for (let round = 0; round < 2; round++) {
      expect(await ensure(plan)).toEqual({ kind: 'ok' });
      expect(readlinkSync(plan.link)).toBe(plan.base);
    }
    expect(await findSocketDir(plan, soon())).toEqual({ kind: 'ok' });
    for (let round = 0; round < 2; round++) {
      expect(await remove(plan)).toEqual({ kind: 'ok' });
      expect(kindAt(plan.link)).toBe('nothing');
    }
    expect(troubleOf(await findSocketDir(plan, soon()))).toMatchObject({
      code: 100,
      message: expect.stringContaining(plan.link),
    });
  });

  it('is corrected if it led elsewhere; anything but a symlink at its name is refused and stays', async () => {
    const plan = linked();
    mkdirSync(dirname(plan.link));
    symlinkSync('/elsewhere', plan.link);
    await ensure(plan);
    expect(readlinkSync(plan.link)).toBe(plan.base);
    await remove(plan);
    writeFileSync(plan.link, 'theirs');
    await expect(ensure(plan)).rejects.toMatchObject({ code: 'EEXIST' });
    expect(await remove(plan)).toEqual({ kind: 'ok' });
    expect(kindAt(plan.link)).toBe('file');
  });
});

describe.each(Object.keys(plants))('a %s that another program planted', (kind) => {
  it('at the directory’s place is never taken for it, nor removed (bug B30)', async () => {
    const plan = planned();
    mkdirSync(plan.base, { recursive: true });
    const canary = plantCanary(plan.base);
    await plants[kind]?.(plan.own, canary.path);
    const before = canary.state();
    const was = kindAt(plan.own);
    const outcome = await ensure(plan);
    if (kind === 'directory') expect(outcome).toEqual({ kind: 'ok' });
    else expect(troubleOf(outcome)).toMatchObject({ code: 11, message: expect.stringContaining(plan.own) });
    expect(await remove(plan)).toEqual({ kind: 'ok' });
    expect(kindAt(plan.own)).toBe(was);
    expect(canary.state()).toEqual(before);
  });

  it('at the hold file’s place is not taken for it, nor removed, and nothing hangs', async () => {
    const plan = planned();
    mkdirSync(plan.own, { recursive: true });
    const canary = plantCanary(plan.base);
    const hold = join(plan.own, plan.hold);
    await plants[kind]?.(hold, canary.path);
    const before = canary.state();
    const was = kindAt(hold);
    await expect(ensure(plan)).rejects.toMatchObject({ code: 'EEXIST' });
    expect(troubleOf(await findSocketDir(plan, soon())).code).toBe(100);
    expect(await remove(plan)).toEqual({ kind: 'ok' });
    expect(kindAt(hold)).toBe(was);
    expect(canary.state()).toEqual(before);
  });
});

describe('looking at the socket directory', () => {
  it('finds it as it was made', async () => {
    const plan = planned();
    await ensure(plan);
    expect(await findSocketDir(plan, soon())).toEqual({ kind: 'ok' });
  });

  it('names it when it is gone, and the hold file when that is', async () => {
    const plan = planned();
    expect(troubleOf(await findSocketDir(plan, soon()))).toEqual({
      code: 100,
      message: `socket directory "${plan.own}" is gone`,
    });
    await ensure(plan);
    rmSync(join(plan.own, plan.hold));
    expect(troubleOf(await findSocketDir(plan, soon())).message).toContain(`${plan.own}/${plan.hold}`);
    rmSync(plan.own, { recursive: true });
    symlinkSync('/', plan.own);
    expect(troubleOf(await findSocketDir(plan, soon())).message).toContain('is gone');
  });
});

describe('a group', () => {
  it.each(['root', '0', '4242'])('%s is known', (group) => {
    expect(groupTroubles(planned({ group }))).toEqual([]);
  });

  it.each(['no-such-group', 'roo', 'root:', '-1', '1x'])('%s is refused with code 7, by name', (group) => {
    expect(groupTroubles(planned({ group }))).toEqual([
      { code: 7, message: `"host.vhost.group": there is no group "${group}" in /etc/group` },
    ]);
  });

  it('is not needed', () => {
    expect(groupTroubles(planned())).toEqual([]);
  });
});
