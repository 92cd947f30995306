/** A command for people with the words that are given, and no others. */
import { runCli } from '../../src/cli/cli.ts';
import type { CliScene } from './fake/cli-scene.ts';

/** @param columns of a terminal; without it, no terminal */
export async function runWords(s: CliScene, args: readonly string[], columns?: number) {
  const [out, err]: [string[], string[]] = [[], []];
  const terminal = {
    args,
    stdout: (text: string) => void out.push(text),
    stderr: (text: string) => void err.push(text),
    interactive: false,
    charset: 'utf-8' as const,
    ...(columns !== undefined && { columns }),
    version: '1.2.3',
  };
  const exitCode = await runCli(terminal, s.machine());
  return { exitCode, out: out.join(''), err: err.join('') };
}
