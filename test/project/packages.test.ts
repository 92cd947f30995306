/** package.json and the lock file give no cause for npm's warnings on README's machines. `.ci/run` tries it with npm itself. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };

const root = join(import.meta.dirname, '../..');

interface Locked {
  readonly version?: string;
  readonly engines?: { readonly node?: string };
  readonly hasInstallScript?: boolean;
  readonly deprecated?: string;
}

const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
  packages: Record<string, Locked>;
};
const locked = Object.entries(packages).filter(([path]) => path !== '');

/** The oldest of each range: "^20.19.0 || >=24.0.0" promises 20.19.0 and 24.0.0. */
const oldest = manifest.engines.node.match(/\d+(\.\d+)+/g) ?? [];
/** Any later Node. */
const newest = '999.0.0';

test.each([...oldest, newest])('no package of the lock file asks for another Node than %s (need N16)', (node) => {
  const refusing = locked.filter(([, { engines }]) => engines?.node && !Bun.semver.satisfies(node, engines.node));
  expect(refusing.map(([path, { version, engines }]) => `${path} ${version}: ${engines?.node}`)).toEqual([]);
});

test('README names the oldest Node of each range that package.json promises (need N16)', () => {
  const sentence = readFileSync(join(root, 'README.md'), 'utf8').match(/Node [^\n]+? or newer/)?.[0];
  for (const version of oldest) expect(sentence).toContain(version.replace(/(\.0)+$/, ''));
});

test('each package with an install script is allowed by its name only: the lock file has no addresses that tell versions (need N16)', () => {
  const scripted = locked
    .filter(([, one]) => one.hasInstallScript)
    .map(([path]) => path.replace(/^.*node_modules\//, ''));
  expect(manifest.allowScripts).toEqual(Object.fromEntries(scripted.map((name) => [name, true])));
});

test('no package of the lock file is deprecated (need N16)', () => {
  expect(locked.filter(([, one]) => one.deprecated)).toEqual([]);
});
