/** Calls that are timed: one after the other, or a crowd of them at once. */

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Record<string, string>;
  readonly input?: string;
  /** The expected exit code, 0 by default. */
  readonly exitCode?: number;
}

interface Sample {
  readonly wallMs: number;
  /** The CPU time of the program and of the programs that it waited for. */
  readonly cpuMs: number;
}

const words = ({ program, args }: Command): string[] => [program, ...args];

const surroundings = ({ env, input = '' }: Command) => ({
  env: { PATH: process.env.PATH ?? '', ...env },
  stdin: Buffer.from(input),
});

/** The samples of one run, by the name of what was timed. */
export class Samples {
  readonly #all = new Map<string, Sample[]>();

  /** Several programs, one after the other, count as one. @throws if one of them fails */
  time(name: string, ...commands: readonly Command[]): void {
    let [wallMs, cpuMs] = [0, 0];
    for (const command of commands) {
      const began = performance.now();
      const child = Bun.spawnSync(words(command), { ...surroundings(command), stderr: 'pipe' });
      wallMs += performance.now() - began;
      cpuMs += Number(child.resourceUsage.cpuTime.total) / 1000;
      if (child.exitCode !== (command.exitCode ?? 0))
        throw new Error(`${name}: exit ${child.exitCode}: ${child.stdout}${child.stderr}`);
    }
    this.#all.set(name, [...this.of(name), { wallMs, cpuMs }]);
  }

  of(name: string): readonly Sample[] {
    return this.#all.get(name) ?? [];
  }

  has(name: string): boolean {
    return this.#all.has(name);
  }

  median(name: string, of: keyof Sample): number {
    return quantile(
      this.of(name).map((sample) => sample[of]),
      0.5,
    );
  }

  p90(name: string, of: keyof Sample): number {
    return quantile(
      this.of(name).map((sample) => sample[of]),
      0.9,
    );
  }
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

export interface Crowd {
  /** The time until the last chain has ended. */
  readonly seconds: number;
  readonly failed: number;
  /** The time of each chain. */
  readonly wallMs: readonly number[];
  /** The words of the first failure. */
  readonly trouble?: string;
}

/** Runs the chains of programs side by side; a chain ends with its first failure. */
export async function atOnce(chains: readonly (readonly Command[])[]): Promise<Crowd> {
  const began = performance.now();
  const ends = await Promise.all(chains.map(runChain));
  const failures = ends.flatMap(({ trouble }) => (trouble === undefined ? [] : [trouble]));
  return {
    seconds: (performance.now() - began) / 1000,
    failed: failures.length,
    wallMs: ends.map(({ wallMs }) => wallMs),
    ...(failures[0] !== undefined && { trouble: failures[0] }),
  };
}

async function runChain(chain: readonly Command[]): Promise<{ wallMs: number; trouble?: string }> {
  const began = performance.now();
  for (const command of chain) {
    const child = Bun.spawn(words(command), { ...surroundings(command), stdout: 'pipe', stderr: 'pipe' });
    const [code, out, err] = await Promise.all([child.exited, textOf(child.stdout), textOf(child.stderr)]);
    if (code !== 0) return { wallMs: performance.now() - began, trouble: `exit ${code}: ${out}${err}` };
  }
  return { wallMs: performance.now() - began };
}

const textOf = (stream: ReadableStream): Promise<string> => new Response(stream).text();
