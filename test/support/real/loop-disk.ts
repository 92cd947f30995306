/**
 * A disk of the test's own: a real file system that can be filled, made read-only, and lose its power.
 *
 * Owns: the image, the mount and its directory; `end` takes all of it away, whatever state the disk is in.
 */
import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';

export type FileSystem = 'ext4' | 'xfs' | 'tmpfs';

/** The least that mkfs.xfs accepts; an image is sparse. */
const bytes: Record<FileSystem, number> = { ext4: 64 * 2 ** 20, xfs: 300 * 2 ** 20, tmpfs: 2 ** 20 };

/** No discard (-K, nodiscard), no reserve for root (-m 0): it is full when it is full. */
const mkfs: Record<Exclude<FileSystem, 'tmpfs'>, string[]> = {
  ext4: ['mkfs.ext4', '-q', '-F', '-m', '0', '-E', 'nodiscard'],
  xfs: ['mkfs.xfs', '-q', '-f', '-K'],
};

const timeout = 30_000;

/** An orphan of a killed call may still hold a file of it for a moment. */
const releaseMs = 10_000;

const run = (program: string, ...args: string[]) => execa(program, args, { timeout });

export class LoopDisk {
  readonly path: string;
  readonly #image: string;

  private constructor(
    readonly directory: string,
    readonly fileSystem: FileSystem,
  ) {
    this.path = join(directory, 'disk');
    this.#image = join(directory, 'image');
  }

  static async create(fileSystem: FileSystem): Promise<LoopDisk> {
    const disk = new LoopDisk(await mkdtemp(join(tmpdir(), 'usw-d-')), fileSystem);
    try {
      await mkdir(disk.path);
      await disk.#format();
      await disk.#mount();
      return disk;
    } catch (error) {
      await disk.end();
      throw error;
    }
  }

  async #format(): Promise<void> {
    if (this.fileSystem === 'tmpfs') return;
    await writeFile(this.#image, '');
    await truncate(this.#image, bytes[this.fileSystem]);
    const [program = '', ...args] = mkfs[this.fileSystem];
    await run(program, ...args, this.#image);
  }

  async #mount(): Promise<void> {
    if (this.fileSystem === 'tmpfs') {
      await run('mount', '-t', 'tmpfs', '-o', `size=${bytes.tmpfs}`, 'tmpfs', this.path);
    } else {
      await run('mount', '-t', this.fileSystem, '-o', 'loop', this.#image, this.path);
    }
  }

  async #unmount(): Promise<void> {
    const deadline = performance.now() + releaseMs;
    for (;;) {
      const { exitCode, stderr } = await execa('umount', [this.path], { reject: false, timeout });
      if (exitCode === 0) return;
      if (performance.now() > deadline) throw new Error(`the disk cannot be unmounted: ${stderr}`);
      await delay(5);
    }
  }

  /** Everything that no fsync made durable is lost; then power returns and the file system replays its log. */
  async powerCut(): Promise<void> {
    await run('xfs_io', '-x', '-c', 'shutdown', this.path);
    const deadline = performance.now() + releaseMs;
    do {
      await this.#unmount();
      await this.#mount();
      if (performance.now() > deadline) throw new Error('the disk does not come back after the power cut');
    } while (!(await this.#works()));
  }

  /** A mount namespace that another process just made holds a copy of the mount: then it is still the one without power. */
  async #works(): Promise<boolean> {
    const works = await readdir(this.path).then(
      () => true,
      () => false,
    );
    if (!works) await delay(50);
    return works;
  }

  /** Everything is durable. */
  async sync(): Promise<void> {
    await run('sync', '-f', this.path);
  }

  /** Until neither a byte nor a new name fits. */
  async fill(): Promise<void> {
    await mkdir(this.#ballast, { recursive: true });
    for (const block of ['1M', '4k']) {
      await execa('dd', ['if=/dev/zero', `of=${join(this.#ballast, block)}`, `bs=${block}`], {
        reject: false,
        timeout,
      });
    }
    await this.sync();
    try {
      for (let count = 0; ; count++) await writeFile(join(this.#ballast, `${'n'.repeat(200)}${count}`), 'x');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  }

  async makeRoom(): Promise<void> {
    await rm(this.#ballast, { recursive: true, force: true });
    await this.sync();
  }

  async makeReadOnly(): Promise<void> {
    await run('mount', '-o', 'remount,ro', this.path);
  }

  async makeWritable(): Promise<void> {
    await run('mount', '-o', 'remount,rw', this.path);
  }

  /** Nothing is on it any more, and that is durable. */
  async empty(): Promise<void> {
    for (const name of await readdir(this.path)) {
      if (name !== 'lost+found') await rm(join(this.path, name), { recursive: true, force: true });
    }
    await this.sync();
  }

  async end(): Promise<void> {
    const mounted = async () => (await readFile('/proc/self/mounts', 'utf8')).includes(` ${this.path} `);
    if (await mounted()) await this.#unmount().catch(() => run('umount', '--lazy', this.path));
    await rm(this.directory, { recursive: true, force: true });
  }

  get #ballast(): string {
    return join(this.path, 'ballast');
  }
}
