/** The files of `install --manual`: manual pages and completions, in the places where man(1) and the shells look by themselves. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { completions } from '../completion/completion.ts';
import { manualPages } from '../manual/pages.ts';
import type { PlacedFile } from './place.ts';

/** @param root / */
export function manualFiles(root: string, version: string): PlacedFile[] {
  const pages = manualPages(version).map(
    ({ name, text }) => [`usr/local/share/man/man${name.slice(-1)}/${name}`, text] as const,
  );
  const scripts = Object.values(completions).map(({ place, script }) => [place, script()] as const);
  return [...pages, ...scripts].map(([place, contents]) => ({ path: join(root, place), contents, mode: 0o644 }));
}

/** The directories that files need and that are not there, the deepest first. */
export function missingDirectories(files: readonly PlacedFile[]): string[] {
  const missing = new Set<string>();
  for (const { path } of files)
    for (let directory = dirname(path); !existsSync(directory); directory = dirname(directory)) missing.add(directory);
  return [...missing].sort().reverse();
}
