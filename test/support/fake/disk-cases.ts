/**
 * The properties of a disk that the journal relies on, written once and tried on the real disk and on the simulated one.
 *
 * A case returns its observations as plain data; both disks must give the same, and that must be `expected`.
 */
import { join } from 'node:path';
import { type Disk, isSystemError } from '../../../src/journal/disk.ts';

export interface DiskCase {
  readonly title: string;
  /** `directory` exists and is empty. */
  readonly run: (disk: Disk, directory: string) => unknown;
  readonly expected: unknown;
}

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
export const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** The errno code of a call that fails, or its result. */
export function attempt<T>(action: () => T): T | string {
  try {
    return action();
  } catch (error) {
    if (isSystemError(error)) return error.code;
    throw error;
  }
}

/** Above any limit of open files, so that it cannot be an open descriptor. */
const neverOpen = 2 ** 30;

const permissions = (disk: Disk, fd: number): string => (disk.stat(fd).mode & 0o777n).toString(8);

export const diskCases: readonly DiskCase[] = [
  {
    title: 'an append lands at the end, whatever another descriptor has written meanwhile',
    run: (disk, directory) => {
      const one = disk.open(join(directory, 'f'), 'a+', 0o600);
      const two = disk.open(join(directory, 'f'), 'a+', 0o600);
      const counts = [disk.write(one, bytesOf('a')), disk.write(two, bytesOf('bb')), disk.write(one, bytesOf('c'))];
      return [counts, textOf(disk.read(one)), Number(disk.stat(two).size)];
    },
    expected: [[1, 2, 1], 'abbc', 4],
  },
  {
    title: 'r+ appends to what is there, wherever its end is by then, and creates nothing',
    run: (disk, directory) => {
      disk.write(disk.open(join(directory, 'f'), 'a+', 0o600), bytesOf('abc'));
      const fd = disk.open(join(directory, 'f'), 'r+');
      disk.write(fd, bytesOf('X'));
      disk.truncate(fd, 2);
      disk.write(fd, bytesOf('Y'));
      return [textOf(disk.read(fd)), attempt(() => disk.open(join(directory, 'none'), 'r+')), disk.list(directory)];
    },
    expected: ['abY', 'ENOENT', ['f']],
  },
  {
    title: 'reading takes the whole file and moves nothing',
    run: (disk, directory) => {
      const fd = disk.open(join(directory, 'f'), 'a+', 0o600);
      disk.write(fd, bytesOf('abc'));
      return [textOf(disk.read(fd)), textOf(disk.read(fd)), disk.write(fd, bytesOf('d')), textOf(disk.read(fd))];
    },
    expected: ['abc', 'abc', 1, 'abcd'],
  },
  {
    title: 'a truncated file is cut or filled with NULs, and appends go to its new end',
    run: (disk, directory) => {
      const fd = disk.open(join(directory, 'f'), 'a+', 0o600);
      disk.write(fd, bytesOf('abcdef'));
      disk.truncate(fd, 2);
      disk.write(fd, bytesOf('X'));
      disk.truncate(fd, 5);
      return textOf(disk.read(fd));
    },
    expected: 'abX\0\0',
  },
  {
    title: 'every call that cannot be done says why in errno',
    run: (disk, directory) => {
      const file = join(directory, 'f');
      const reader = [disk.open(file, 'ax', 0o600), disk.open(file, 'r')][1] ?? -1;
      disk.mkdir(join(directory, 'd'), 0o700);
      return {
        openMissing: attempt(() => disk.open(join(directory, 'none'), 'r')),
        openMissingForWriting: attempt(() => disk.open(join(directory, 'none'), 'r+')),
        openBelowMissing: attempt(() => disk.open(join(directory, 'none', 'f'), 'a+', 0o600)),
        openBelowFile: attempt(() => disk.open(join(file, 'f'), 'a+', 0o600)),
        openDirectory: attempt(() => disk.open(join(directory, 'd'), 'a+', 0o600)),
        openTaken: attempt(() => disk.open(file, 'ax', 0o600)),
        openLong: attempt(() => disk.open(join(directory, 'n'.repeat(256)), 'a+', 0o600)),
        writeReader: attempt(() => disk.write(reader, bytesOf('x'))),
        truncateReader: attempt(() => disk.truncate(reader, 0)),
        unlinkMissing: attempt(() => disk.unlink(join(directory, 'none'))),
        unlinkLong: attempt(() => disk.unlink(join(directory, 'n'.repeat(256)))),
        unlinkDirectory: attempt(() => disk.unlink(join(directory, 'd'))),
        mkdirTaken: attempt(() => disk.mkdir(join(directory, 'd'), 0o700)),
        mkdirBelowMissing: attempt(() => disk.mkdir(join(directory, 'none', 'd'), 0o700)),
        listMissing: attempt(() => disk.list(join(directory, 'none'))),
        listFile: attempt(() => disk.list(file)),
        syncMissing: attempt(() => disk.fsyncDirectory(join(directory, 'none'))),
        syncFile: attempt(() => disk.fsyncDirectory(file)),
      };
    },
    expected: {
      openMissing: 'ENOENT',
      openMissingForWriting: 'ENOENT',
      openBelowMissing: 'ENOENT',
      openBelowFile: 'ENOTDIR',
      openDirectory: 'EISDIR',
      openTaken: 'EEXIST',
      openLong: 'ENAMETOOLONG',
      writeReader: 'EBADF',
      truncateReader: 'EINVAL',
      unlinkMissing: 'ENOENT',
      unlinkLong: 'ENAMETOOLONG',
      unlinkDirectory: 'EISDIR',
      mkdirTaken: 'EEXIST',
      mkdirBelowMissing: 'ENOENT',
      listMissing: 'ENOENT',
      listFile: 'ENOTDIR',
      syncMissing: 'ENOENT',
      syncFile: 'ENOTDIR',
    },
  },
  {
    title: 'a descriptor that is not open is good for nothing',
    run: (disk) => [
      attempt(() => disk.write(neverOpen, bytesOf('x'))),
      attempt(() => disk.read(neverOpen)),
      attempt(() => disk.fsync(neverOpen)),
      attempt(() => disk.truncate(neverOpen, 0)),
      attempt(() => disk.chmod(neverOpen, 0o600)),
      attempt(() => disk.stat(neverOpen)),
      attempt(() => disk.touch(neverOpen, new Date(0))),
      attempt(() => disk.tryLock(neverOpen)),
      attempt(() => disk.close(neverOpen)),
    ],
    expected: ['EBADF', 'EBADF', 'EBADF', 'EBADF', 'EBADF', 'EBADF', 'EBADF', false, 'EBADF'],
  },
  {
    title: 'a mode is seen at once through every descriptor, one that cannot write included',
    run: (disk, directory) => {
      const writer = disk.open(join(directory, 'f'), 'a+', 0o600);
      const reader = disk.open(join(directory, 'f'), 'r');
      const before = permissions(disk, reader);
      disk.chmod(reader, 0o700);
      return [before, permissions(disk, writer)];
    },
    expected: ['600', '700'],
  },
  {
    title: 'a lock excludes a second description of the same process until the first is closed',
    run: (disk, directory) => {
      const one = disk.open(join(directory, 'f'), 'a+', 0o600);
      const two = disk.open(join(directory, 'f'), 'r');
      const seen = [disk.tryLock(one), disk.tryLock(one), disk.tryLock(two)];
      disk.close(one);
      return [...seen, disk.tryLock(two)];
    },
    expected: [true, true, false, true],
  },
  {
    title: 'closing a descriptor that does not hold the lock leaves the lock alone',
    run: (disk, directory) => {
      const holder = disk.open(join(directory, 'f'), 'a+', 0o600);
      const other = disk.open(join(directory, 'f'), 'r+');
      const third = disk.open(join(directory, 'f'), 'r+');
      disk.tryLock(holder);
      disk.close(other);
      return disk.tryLock(third);
    },
    expected: false,
  },
  {
    title: 'an unlinked file lives on in its descriptors with no name and no link, and its name leads to a new inode',
    run: (disk, directory) => {
      const path = join(directory, 'f');
      const old = disk.open(path, 'a+', 0o600);
      disk.write(old, bytesOf('old'));
      const linked = disk.lookup(path)?.ino === disk.stat(old).ino;
      disk.unlink(path);
      const gone = disk.lookup(path);
      const fresh = disk.open(path, 'a+', 0o600);
      const locks = [disk.tryLock(old), disk.tryLock(fresh)];
      return [linked, gone, Number(disk.stat(old).nlink), textOf(disk.read(old)), disk.read(fresh).length, locks];
    },
    expected: [true, undefined, 0, 'old', 0, [true, true]],
  },
  {
    title: 'a name is looked up with its mode, its time and its size, without opening it',
    run: (disk, directory) => {
      const fd = disk.open(join(directory, 'f'), 'a+', 0o600);
      disk.write(fd, bytesOf('abc'));
      disk.chmod(fd, 0o700);
      const opened = disk.stat(fd);
      const found = disk.lookup(join(directory, 'f'));
      return (['ino', 'dev', 'nlink', 'mode', 'size', 'mtimeMs'] as const).map(
        (name) => found?.[name] === opened[name],
      );
    },
    expected: [true, true, true, true, true, true],
  },
  {
    title: 'a name below a file leads nowhere, as a name that is not there',
    run: (disk, directory) => {
      disk.close(disk.open(join(directory, 'f'), 'a+', 0o600));
      return [join(directory, 'none'), join(directory, 'f', 'g')].map((path) => attempt(() => disk.lookup(path)));
    },
    expected: [undefined, undefined],
  },
  {
    title: 'a directory lists the names in it, and no others',
    run: (disk, directory) => {
      disk.mkdir(join(directory, 'd'), 0o700);
      for (const name of ['a', 'b', 'd/below']) disk.close(disk.open(join(directory, name), 'a+', 0o600));
      disk.unlink(join(directory, 'b'));
      disk.fsyncDirectory(directory);
      return disk.list(directory).sort();
    },
    expected: ['a', 'd'],
  },
  {
    title: 'touching a file sets its time and leaves its content',
    run: (disk, directory) => {
      const fd = disk.open(join(directory, 'f'), 'a+', 0o600);
      disk.write(fd, bytesOf('abc'));
      const before = disk.stat(fd).mtimeMs;
      disk.touch(fd, new Date(86_400_000));
      return [before > 86_400_000n || before < 86_400_000n, disk.stat(fd).mtimeMs, textOf(disk.read(fd))];
    },
    expected: [true, 86_400_000n, 'abc'],
  },
  {
    title: 'an attribute stays with the file through appends and truncations, until it is taken away',
    run: (disk, directory) => {
      const fd = disk.open(join(directory, 'f'), 'a+', 0o600);
      const before = disk.hasAttribute(fd);
      disk.setAttribute(fd);
      disk.write(fd, bytesOf('abc'));
      disk.truncate(fd, 1);
      const other = disk.open(join(directory, 'f'), 'r');
      const kept = [disk.hasAttribute(fd), disk.hasAttribute(other)];
      disk.clearAttribute(fd);
      disk.clearAttribute(fd);
      return [before, kept, disk.hasAttribute(other)];
    },
    expected: [false, [true, true], false],
  },
  {
    title: 'nothing is written of nothing',
    run: (disk, directory) => disk.write(disk.open(join(directory, 'f'), 'a+', 0o600), new Uint8Array()),
    expected: 0,
  },
];

/** The same disk; it closes the descriptors that a case left open. */
export function withOpenFilesClosed<T>(disk: Disk, use: (disk: Disk) => T): T {
  const opened = new Set<number>();
  const open: Disk['open'] = (path, flags, mode) => {
    const fd = disk.open(path, flags, mode);
    opened.add(fd);
    return fd;
  };
  const close: Disk['close'] = (fd) => {
    disk.close(fd);
    opened.delete(fd);
  };
  try {
    return use({ ...disk, open, close });
  } finally {
    for (const fd of opened) disk.close(fd);
  }
}

/** The same for a file system that is read-only; `f` was there before. */
export const readOnlyCases: readonly DiskCase[] = [
  {
    title: 'a read-only disk can be read and locked, and refuses every change',
    run: (disk, directory) => {
      const path = join(directory, 'f');
      const fd = disk.open(path, 'r');
      return {
        read: textOf(disk.read(fd)),
        lock: disk.tryLock(fd),
        fsync: attempt(() => disk.fsync(fd)),
        append: attempt(() => disk.open(path, 'a+', 0o600)),
        write: attempt(() => disk.open(path, 'r+')),
        create: attempt(() => disk.open(join(directory, 'g'), 'a+', 0o600)),
        createTaken: attempt(() => disk.open(path, 'ax', 0o600)),
        openMissing: attempt(() => disk.open(join(directory, 'g'), 'r+')),
        chmod: attempt(() => disk.chmod(fd, 0o700)),
        touch: attempt(() => disk.touch(fd, new Date(0))),
        unlink: attempt(() => disk.unlink(path)),
        unlinkMissing: attempt(() => disk.unlink(join(directory, 'g'))),
        mkdir: attempt(() => disk.mkdir(join(directory, 'd'), 0o700)),
      };
    },
    expected: {
      read: 'abc',
      lock: true,
      fsync: undefined,
      append: 'EROFS',
      write: 'EROFS',
      create: 'EROFS',
      createTaken: 'EEXIST',
      openMissing: 'ENOENT',
      chmod: 'EROFS',
      touch: 'EROFS',
      unlink: 'EROFS',
      unlinkMissing: 'EROFS',
      mkdir: 'EROFS',
    },
  },
];
