/** The bill of materials: each part with its version and hash, and equal parts give equal bytes. */
import { describe, expect, it } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { runtimePackages } from '../../scripts/release/compile.ts';
import { imagePackages, lockedDebian } from '../../scripts/release/debian.ts';
import { lockedPackages } from '../../scripts/release/runtimes.ts';
import { billOf, type Materials } from '../../scripts/release/sbom.ts';

const locked = lockedPackages();

const materials = (more: Partial<Materials> = {}): Materials => ({
  version: '1.2.3',
  commit: 'abcdef123456',
  license: 'Apache-2.0',
  epoch: 1_700_000_000,
  files: [{ name: 'userspace-1.2.3-linux-x64', sha256: 'ab'.repeat(32) }],
  packages: Object.keys(manifest.dependencies).map((name) => `node_modules/${name}`),
  runtimes: Object.values(runtimePackages),
  locked,
  debian: lockedDebian('arm64', imagePackages),
  suite: 'trixie',
  ...more,
});

const bill = (more?: Partial<Materials>) => JSON.parse(billOf(materials(more)));
const componentOf = (name: string, more?: Partial<Materials>) =>
  bill(more).components.find((one: { name: string }) => one.name === name);

describe('the bill of materials', () => {
  it('has equal bytes for equal parts, and another serial number for other ones (need N26)', () => {
    expect(billOf(materials())).toBe(billOf(materials()));
    expect(bill().serialNumber).toMatch(/^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(bill({ commit: '0'.repeat(12) }).serialNumber).not.toBe(bill().serialNumber);
  });

  it('names each package of package-lock.json with version, licence and hash (need N26)', () => {
    const { version = '', integrity = '' } = locked['node_modules/@kubernetes/client-node'] ?? {};
    expect(componentOf('@kubernetes/client-node')).toEqual({
      type: 'library',
      'bom-ref': `pkg:npm/%40kubernetes/client-node@${version}`,
      name: '@kubernetes/client-node',
      version,
      hashes: [{ alg: 'SHA-512', content: Buffer.from(integrity.slice('sha512-'.length), 'base64').toString('hex') }],
      licenses: [{ license: { id: 'Apache-2.0' } }],
      purl: `pkg:npm/%40kubernetes/client-node@${version}`,
    });
  });

  it('names each runtime, each package of Debian and each file (need N26)', () => {
    for (const name of Object.values(runtimePackages))
      expect(componentOf(name)).toMatchObject({ type: 'platform', version: manifest.devDependencies.bun });
    for (const { name, version, sha256 } of lockedDebian('arm64', imagePackages)) {
      const purl = `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=arm64&distro=trixie`;
      expect(componentOf(name)).toMatchObject({ version, purl, hashes: [{ alg: 'SHA-256', content: sha256 }] });
    }
    expect(componentOf('userspace-1.2.3-linux-x64')).toMatchObject({ type: 'file' });
  });

  it('says of each part once that it is inside, and names nothing else (need N26)', () => {
    const { components, dependencies } = bill();
    const refs: string[] = components.map((one: { 'bom-ref': string }) => one['bom-ref']);
    expect(new Set(refs).size).toBe(refs.length);
    expect(dependencies[0].dependsOn).toEqual(refs.filter((ref) => !ref.startsWith('file:')));
  });

  it('writes a licence of several as an expression (need N26)', () => {
    const own = { 'node_modules/two': { version: '1.0.0', integrity: 'sha512-AAAA', license: '(MIT OR Apache-2.0)' } };
    const { licenses } = componentOf('two', { locked: own, packages: ['node_modules/two'], runtimes: [] });
    expect(licenses).toEqual([{ expression: '(MIT OR Apache-2.0)' }]);
  });

  it('refuses a package that package-lock.json does not have (need N26)', () => {
    expect(() => bill({ packages: ['node_modules/none'] })).toThrow('node_modules/none');
  });
});
