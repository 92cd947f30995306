/**
 * An IPAM program of a test: it notes its parent, its environment, its working directory and its descriptors, and then acts as
 * host-local.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cniPath } from '../requirements.ts';
import type { Changes, TestNode } from './node.ts';

/** One run of the program. */
export interface SpiedRun {
  readonly command: string;
  readonly containerId: string;
  /** The process that has started it. */
  readonly parent: number;
  readonly environment: string;
  readonly directory: string;
  /** Its descriptors by number, each with its kind. */
  readonly files: readonly string[];
}

export class Spy {
  readonly #notes: string;

  /** @param body runs before host-local does, with `$D` as the directory of the notes */
  constructor(node: TestNode, body = '') {
    this.#notes = join(node.directory, 'notes');
    mkdirSync(this.#notes, { recursive: true });
    node.program(
      'spy',
      `D='${this.#notes}'
N="$D/$CNI_COMMAND:$CNI_CONTAINERID:$$"
{ echo $PPID; pwd; ls -l /proc/$$/fd | sed -n 's/.* \\([0-9]*\\) -> \\(.*\\)/fd \\1 \\2/p'; env; } > "$N.part"
mv "$N.part" "$N"
${body}
exec ${cniPath}/host-local`,
    );
  }

  /** For a configuration: this program gives the addresses. */
  readonly changes: Changes = { ipam: { type: 'spy' } };

  get directory(): string {
    return this.#notes;
  }

  has(name: string): boolean {
    return existsSync(join(this.#notes, name));
  }

  /** The runs so far, of one command and one container if they are given. */
  runs(command?: string, containerId?: string): SpiedRun[] {
    const names = readdirSync(this.#notes).filter((name) => /^[A-Z]+:[^:]*:\d+$/.test(name));
    return names
      .map((name) => this.#read(name))
      .filter((run) => {
        const isCommand = command === undefined || run.command === command;
        return isCommand && (containerId === undefined || run.containerId === containerId);
      });
  }

  #read(name: string): SpiedRun {
    const [command = '', containerId = ''] = name.split(':');
    const [parent, directory = '', ...rest] = readFileSync(join(this.#notes, name), 'utf8').trimEnd().split('\n');
    const files = rest.filter((line) => line.startsWith('fd ')).map(kindOf);
    const environment = rest.filter((line) => !line.startsWith('fd ')).join('\n');
    return { command, containerId, parent: Number(parent), environment, directory, files: files.sort() };
  }
}

/** `fd 1 pipe:[123]` without its number; a file's name without its random parts. */
const kindOf = (line: string): string =>
  line
    .replace(/:\[\d+\]/, '')
    .replace(/ \/.*\//, ' ')
    .replace(/[0-9a-f]{64}/, 'ID')
    .replace(/ID:\d+/, 'ID');
