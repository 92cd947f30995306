import { chmodSync, mkdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Trouble } from '../../../src/attachment.ts';
import { readList } from '../../../src/effects/files/acl.ts';
import { Access } from '../../../src/effects/ovs/access.ts';
import {
  accessDrift,
  accessTroubles,
  isToBeOpened,
  openWay,
  type Sought,
} from '../../../src/effects/ovs/switch-access.ts';
import type { SwitchUser } from '../../../src/effects/ovs/switch-user.ts';
import type { SocketDirPlan } from '../../../src/machines/protocol.ts';
import { accessList } from '../../../src/os/native.ts';
import { scene, soon, troubleOf } from '../../support/stand-in/scene.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

/** A user that the machine does not have, with only granted rights. Its group is the test's own, which a plain user may use. */
const user: SwitchUser = { uid: 65_532, groups: [process.getgid?.() ?? 0], name: 'uid 65532' };
const stranger: SwitchUser = { ...user, groups: [65_532] };

function root(): string {
  const directory = temporaryDirectory();
  chmodSync(directory, 0o755);
  return directory;
}

const file = 'c0ffee-net1';

/** A directory as the kubelet leaves it. */
function emptyDir(changes: Partial<SocketDirPlan> = {}): Sought & { readonly kubelet: string } {
  const kubelet = join(root(), 'kubelet');
  const base = join(kubelet, 'pods', 'uid', 'volumes', 'kubernetes.io~empty-dir', 'shared-dir');
  mkdirSync(base, { recursive: true });
  for (let path = base; path !== dirname(kubelet); path = dirname(path)) chmodSync(path, path === base ? 0o777 : 0o750);
  const port = { directory: base, file, link: join(dirname(kubelet), 'short', 'link') };
  return { kubelet, socketDir: { base, kubelet: true, hold: '.hold', ...changes }, port };
}

function below(base: string, changes: Partial<SocketDirPlan> = {}): Sought {
  const own = join(base, 'c0ffee');
  return { socketDir: { base, own, hold: '.hold', ...changes }, port: { directory: own, file } };
}

const noWarning = () => undefined;
const troubles = (sought: Sought, warn: (text: string) => void = noWarning): Promise<Trouble[]> =>
  accessTroubles(sought, stranger, soon(), warn);
const entryOf = (path: string, kind: 'access' | 'default' = 'access') => {
  const bytes = accessList(path, kind);
  return bytes && readList(bytes)?.find(({ id }) => id === stranger.uid)?.rights;
};

describe('the way of a switch that is not root', () => {
  it('through the kubelet’s directories is opened, entry by entry; twice is the same as once (need N2)', async () => {
    const sought = emptyDir();
    expect(await troubles(sought)).toEqual([]);
    expect(await isToBeOpened(sought, stranger, soon())).toBe(true);
    expect(await accessDrift(sought, stranger, soon())).toMatchObject({ code: 100 });
    const { base } = sought.socketDir;
    const closed = [
      sought.kubelet,
      ...['pods', 'pods/uid', 'pods/uid/volumes'].map((name) => join(sought.kubelet, name)),
    ];
    expect(await openWay(sought, stranger, soon())).toEqual({
      kind: 'ok',
      facts: {
        uid: stranger.uid,
        granted: [
          ...[...closed, dirname(base)].map((path) => ({ path, right: 'search' })),
          { path: base, right: 'connect' },
        ],
      },
    });
    for (const path of closed) {
      expect(entryOf(path)).toBe(1);
      expect(statSync(path).mode & 0o777).toBe(0o750);
    }
    expect(entryOf(base, 'default')).toBe(7);
    expect(await openWay(sought, stranger, soon())).toEqual({ kind: 'ok' });
    expect(await accessDrift(sought, stranger, soon())).toBeUndefined();
    expect(await isToBeOpened(sought, stranger, soon())).toBe(false);
  });

  it('through another owner’s directory is not opened: code 7 with its name, the user and the command (need N2)', async () => {
    const directory = join(root(), 'closed');
    mkdirSync(join(directory, 'pods'), { recursive: true });
    chmodSync(directory, 0o700);
    const sought = below(join(directory, 'pods'));
    const wanted = { code: 7, message: expect.stringContaining(`run setfacl -m u:65532:x '${directory}'`) };
    expect(await troubles(sought)).toMatchObject([wanted]);
    mkdirSync(sought.port.directory);
    expect(troubleOf(await openWay(sought, stranger, soon()))).toMatchObject(wanted);
    expect([entryOf(directory), await isToBeOpened(sought, stranger, soon())]).toEqual([undefined, false]);
    expect(await accessDrift(sought, stranger, soon())).toMatchObject({ ...wanted, code: 100 });
  });

  it('may lead through symlinks: a closed place is named by its real path (need N2)', async () => {
    const directory = root();
    mkdirSync(join(directory, 'real', 'pods'), { recursive: true });
    chmodSync(join(directory, 'real'), 0o700);
    symlinkSync('real', join(directory, 'one'));
    symlinkSync(join(directory, 'one', '..', 'one'), join(directory, 'two'));
    const [trouble, ...more] = await troubles(below(join(directory, 'two', 'pods')));
    expect(more).toEqual([]);
    expect(trouble?.message).toContain(`"${join(directory, 'real')}"`);
    symlinkSync('loop', join(directory, 'loop'));
    expect(await troubles(below(join(directory, 'loop', 'pods')))).toEqual([]);
  });

  it('with "grantAccess": false is not opened: each directory is named with its remedy, and nothing changes (need N2)', async () => {
    const sought = emptyDir({ grantAccess: false });
    const found = await troubles(sought);
    expect(found).toHaveLength(5);
    for (const { code, message } of found) {
      expect(code).toBe(7);
      expect(message).toMatch(/setfacl -m u:65532:x '.*', or set "grantAccess" to true$/);
    }
    expect(troubleOf(await openWay(sought, stranger, soon()))).toEqual(found[0]);
    expect([entryOf(sought.kubelet), entryOf(sought.port.directory, 'default')]).toEqual([undefined, undefined]);
    const own = below(root(), { grantAccess: false });
    expect(await troubles(own)).toMatchObject([{ code: 7, message: expect.stringContaining('"host.vhost.group"') }]);
    expect(await troubles(below(root(), { grantAccess: false, group: '65532' }))).toEqual([]);
  });

  it('into a directory of ours is opened to its group, or by an entry if a configured group has the directory (need N2)', async () => {
    for (const [before, who, after, entry] of [
      [0o700, user, 0o750, undefined],
      [0o770, stranger, 0o770, 1],
    ] as const) {
      const sought = below(root());
      const own = sought.port.directory;
      mkdirSync(own);
      chmodSync(own, before);
      const granted = [
        { path: own, right: 'search' },
        { path: own, right: 'connect' },
      ];
      expect(await openWay(sought, who, soon())).toEqual({ kind: 'ok', facts: { uid: who.uid, granted } });
      expect([entryOf(own), statSync(own).mode & 0o777]).toEqual([entry, after]);
      expect(await isToBeOpened(sought, who, soon())).toBe(false);
    }
  });

  it('ends at the application’s socket: a closed one is opened, or reported if its directory is not ours (need N2)', async () => {
    const base = root();
    const hostPath: Sought = { socketDir: { base, hold: '.hold' }, port: { directory: base, file } };
    const server = createServer().listen(join(base, file));
    onTestFinished(() => void server.close());
    await new Promise((resolve) => server.once('listening', resolve));
    chmodSync(join(base, file), 0o755);
    expect(await troubles(hostPath)).toEqual([]);
    expect(await openWay(hostPath, stranger, soon())).toEqual({ kind: 'ok' });
    const told = { code: 100, message: expect.stringContaining('umask 0002') };
    expect(await accessDrift(hostPath, stranger, soon())).toMatchObject(told);
    expect(await isToBeOpened(hostPath, stranger, soon())).toBe(false);
    const ours: Sought = { socketDir: { base: dirname(base), own: base, hold: '.hold' }, port: hostPath.port };
    expect(await isToBeOpened(ours, stranger, soon())).toBe(true);
    expect(await openWay(ours, stranger, soon())).toMatchObject({ kind: 'ok' });
    expect(entryOf(join(base, file))).toBe(7);
    expect(await accessDrift(ours, stranger, soon())).toBeUndefined();
  });

  it('that cannot be judged is one warning, and not a trouble (need N2)', async () => {
    const s = await scene();
    const plan = s.plan();
    const warnings: string[] = [];
    const access = new Access(s.ovs, (message) => warnings.push(message));
    rmSync(s.ovsdb.ovsdb.replace('unix:', ''));
    expect(await access.troubles(plan, soon())).toEqual([]);
    expect(await access.find(plan, soon())).toEqual({ kind: 'ok' });
    expect(warnings).toEqual([expect.stringContaining('cannot be known')]);
  });
});
