/** A containerd of the test's own: its files in a directory of the test, its /run in a mount namespace of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { vi } from 'vitest';

/** Copies files instead of layering them, because overlayfs cannot always lie on the machine's own. */
const snapshotter = ['--snapshotter', 'native'];

export class Containerd {
  readonly #process: ChildProcess;
  readonly #home: string;
  readonly #socket: string;

  private constructor(child: ChildProcess, home: string, socket: string) {
    this.#process = child;
    this.#home = home;
    this.#socket = socket;
  }

  static async start(): Promise<Containerd> {
    const home = mkdtempSync(join(tmpdir(), 'usw-c-'));
    const [socket, log, settings] = ['socket', 'log', 'config.toml'].map((name) => join(home, name)) as [
      string,
      string,
      string,
    ];
    mkdirSync(join(home, 'opt'));
    const lines = [
      'version = 2',
      `root = "${join(home, 'root')}"`,
      `state = "${join(home, 'state')}"`,
      'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
      `grpc = { address = "${socket}" }`,
      `plugins = { "io.containerd.internal.v1.opt" = { path = "${join(home, 'opt')}" } }`,
    ];
    writeFileSync(settings, `${lines.join('\n')}\n`);
    // runc keeps its state below /run, and two of them must not meet.
    const script = 'mount -t tmpfs tmpfs /run && exec containerd --config "$1" >"$2" 2>&1';
    const child = spawn('unshare', ['--mount', 'sh', '-c', script, 'sh', settings, log], { stdio: 'ignore' });
    const started = new Containerd(child, home, socket);
    await vi.waitFor(
      () => {
        if (child.exitCode !== null)
          throw new Error(`containerd ended: ${existsSync(log) ? readFileSync(log, 'utf8') : ''}`);
        if (!existsSync(socket)) throw new Error('containerd does not listen yet');
      },
      { timeout: 30_000, interval: 50 },
    );
    return started;
  }

  /** @returns what ctr(8) printed */
  async #ctr(...args: readonly string[]): Promise<string> {
    const inside = ['--target', String(this.#process.pid), '--mount', '--'];
    const { stdout } = await execa('nsenter', [
      ...inside,
      'ctr',
      '--address',
      this.#socket,
      '--namespace',
      'test',
      ...args,
    ]);
    return stdout;
  }

  async load(archive: string): Promise<void> {
    await this.#ctr('images', 'import', ...snapshotter, archive);
  }

  /** @returns what the command in a container of the image printed; no command: the image's own */
  async run(image: string, ...command: readonly string[]): Promise<string> {
    return await this.#ctr('run', '--rm', ...snapshotter, image, `one-${crypto.randomUUID()}`, ...command);
  }

  async stop(): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGTERM');
    await ended;
    rmSync(this.#home, { recursive: true, force: true });
  }
}
