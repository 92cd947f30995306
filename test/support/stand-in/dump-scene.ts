/** A node for `userspace sysdump`, and its archive, unpacked. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { defaultDeadlines } from '../../../src/deadlines.ts';
import type { Entry } from '../../../src/drive/entry.ts';
import { createHost } from '../../../src/effects/host.ts';
import { writeProgram } from '../programs.ts';
import { temporaryDirectory } from '../temporary.ts';
import { node } from './status-scene.ts';

/** A node with a network in the runtime's directory, with a switch, a log and the system's programs. */
export async function dumpScene() {
  const n = await node();
  const { s, directory, network, ovsdb } = n;
  const host = createHost(defaultDeadlines);
  onTestFinished(() => host.close());
  s.preflight = host.preflight;
  s.databaseAt = host.databaseAt;
  s.rows = host.ownRows;
  const programs = join(directory, 'programs');
  mkdirSync(programs);
  s.programDirs = [join(directory, 'none'), programs];
  writeProgram(join(programs, 'containerd'), 'echo "containerd v1.7.24"');
  writeProgram(join(programs, 'journalctl'), `echo "$@" > ${directory}/asked; printf "newest\\noldest\\n"`);
  const log = join(directory, 'plugin.log');
  const config = network({ logFile: log });
  writeFileSync(join(s.networkDir, '10-dpdk.conf'), JSON.stringify(config));
  const out = join(directory, 'out');
  mkdirSync(out);
  const dump = async (...args: string[]) => {
    const said = await s.run('sysdump', '--ovsdb', ovsdb.ovsdb, '--output', out, ...args);
    const [archive = ''] = readdirSync(out);
    return { ...said, archive: join(out, archive) };
  };
  /** The entries of a journal whose database is this node's. */
  const here = (entries: readonly Entry[]): Entry[] =>
    entries.map((entry) =>
      entry.kind === 'begin' ? { ...entry, plan: { ...entry.plan, ovsdb: ovsdb.ovsdb } } : entry,
    );
  return { ...n, here, dump, out, log, config, programs };
}

/** Unpacked by tar(1), as the reader of a bug report would. @returns the texts by their names in the archive */
export function unpacked(archive: string): Map<string, string> {
  const to = temporaryDirectory();
  execFileSync('tar', ['-xzf', archive, '-C', to]);
  const [root = '', ...others] = readdirSync(to);
  expect(others).toEqual([]);
  const names = readdirSync(join(to, root), { recursive: true, encoding: 'utf8' });
  const files = names.filter((name) => statSync(join(to, root, name)).isFile());
  return new Map(files.map((name) => [name, readFileSync(join(to, root, name), 'utf8')]));
}
