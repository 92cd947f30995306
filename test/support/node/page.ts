/** The blocks of a page that is for a person with a cluster, run one after the other as they stand: at a desk, or on the node. */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import type { Installation } from './installation.ts';

const root = join(import.meta.dirname, '../../..');
const blockMs = 180_000;

interface Block {
  readonly where: 'desk' | 'node';
  readonly text: string;
}

/** Fences with `sh`, and with `sh node` for the node. */
const blocksFor = (page: string): Block[] =>
  [...readFileSync(join(root, page), 'utf8').matchAll(/^```sh( node)?\n([\s\S]*?)^```$/gm)].map(
    ([, node, text = '']) => ({ where: node ? 'node' : 'desk', text }),
  );

export class Page {
  /** The blocks that are left. */
  readonly #blocks: Block[];
  readonly #desk: string;

  /** @param files of the release, by their names, which a person has in the working directory */
  constructor(
    page: string,
    readonly installed: Installation,
    files: { readonly [name: string]: string },
  ) {
    const { worker } = installed;
    this.#blocks = blocksFor(page);
    this.#desk = join(worker.node.directory, 'desk');
    mkdirSync(join(this.#desk, 'bin'), { recursive: true });
    for (const [name, file] of Object.entries(files)) symlinkSync(file, join(this.#desk, name));
    installed.overlay(join(this.#desk, 'deploy/kubernetes'), '');
    installed.overlay(join(this.#desk, 'deploy/kubernetes/uninstall'), 'uninstall');
    this.#putNetwork();
    const words = installed.kubectlWords.map((word) => `'${word}'`).join(' ');
    writeFileSync(join(this.#desk, 'bin/kubectl'), `#!/bin/sh\nexec ${words} "$@"\n`, { mode: 0o755 });
  }

  /** The example's network. The switch of a test does not see the mounts of the test's node, so the kubelet's directory is elsewhere. */
  #putNetwork(): void {
    const example = 'deploy/kubernetes/examples/network.yaml';
    const { kubeletRootDir, shortDir } = this.installed.worker.home;
    const text = readFileSync(join(root, example), 'utf8');
    const places = JSON.stringify({ type: 'userspace', kubeletRootDir, shortDir }).slice(1, -1);
    mkdirSync(join(this.#desk, dirname(example)));
    writeFileSync(join(this.#desk, example), text.replace('"type": "userspace"', places));
  }

  get left(): number {
    return this.#blocks.length;
  }

  /** Runs the next block, which has to hold `words`. @returns what it printed */
  async next(words: string): Promise<string> {
    const block = this.#blocks.shift();
    if (!block?.text.includes(words)) throw new Error(`the next block does not say "${words}": ${block?.text}`);
    const under = block.where === 'node' ? this.installed.worker.space.under : [];
    const shell = ['bash', '-euc', `cd '${this.#desk}'\n${block.text}`];
    const [program = '', ...args] = [...under, ...shell];
    const env = { PATH: `${join(this.#desk, 'bin')}:${process.env.PATH}` };
    const { stdout } = await execa(program, args, { env, timeout: blockMs });
    return stdout;
  }
}
