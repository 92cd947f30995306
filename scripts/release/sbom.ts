/** The bill of materials of a release, in CycloneDX 1.6: what is inside the executables and the images. Equal parts give equal bytes. */
import { createHash } from 'node:crypto';
import type { DebianPackage } from './debian.ts';
import type { Locked } from './runtimes.ts';

export interface Materials {
  readonly version: string;
  readonly commit: string;
  readonly license: string;
  /** The time of the commit, in seconds since 1970. */
  readonly epoch: number;
  /** The files of the release, with their SHA-256 sums. */
  readonly files: readonly { readonly name: string; readonly sha256: string }[];
  /** The packages inside each executable, by their places in package-lock.json. */
  readonly packages: readonly string[];
  /** The packages of the runtimes. */
  readonly runtimes: readonly string[];
  readonly locked: { readonly [path: string]: Locked };
  readonly debian: readonly DebianPackage[];
  /** Debian's release. */
  readonly suite: string;
}

interface Component {
  readonly type: 'library' | 'platform' | 'file';
  readonly 'bom-ref': string;
  readonly name: string;
}

export function billOf(materials: Materials): string {
  const { version, commit, license, epoch } = materials;
  const inside = [
    ...materials.packages.map((path) => npmComponent(path, 'library', materials)),
    ...materials.runtimes.map((name) => npmComponent(`node_modules/${name}`, 'platform', materials)),
    ...materials.debian.map((one) => debianComponent(one, materials.suite)),
  ];
  const files = materials.files.map(fileComponent);
  const components = [...files, ...inside].sort((a, b) => (a['bom-ref'] < b['bom-ref'] ? -1 : 1));
  const purl = `pkg:generic/userspace-cni@${version}`;
  const bill = {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      timestamp: new Date(epoch * 1000).toISOString(),
      component: {
        type: 'application',
        'bom-ref': purl,
        name: 'userspace-cni',
        version,
        licenses: [{ license: { id: license } }],
        purl,
        properties: [{ name: 'userspace-cni:commit', value: commit }],
      },
    },
    components,
    dependencies: [{ ref: purl, dependsOn: inside.map((one) => one['bom-ref']).sort() }],
  };
  return `${JSON.stringify({ ...bill, serialNumber: serialOf(JSON.stringify(bill)) }, null, 2)}\n`;
}

/** A UUID of version 8, "custom", from the content. */
function serialOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex');
  const groups = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ];
  return `urn:uuid:${groups.join('-')}`;
}

function npmComponent(path: string, type: Component['type'], { locked }: Materials): Component {
  const found = locked[path];
  if (!found?.integrity) throw new Error(`package-lock.json does not have "${path}"`);
  const name = path.replace(/^.*node_modules\//, '');
  const purl = `pkg:npm/${name.replace('@', '%40')}@${found.version}`;
  const content = Buffer.from(found.integrity.replace(/^sha512-/, ''), 'base64').toString('hex');
  const component = {
    type,
    'bom-ref': purl,
    name,
    version: found.version,
    hashes: [{ alg: 'SHA-512', content }],
    ...(found.license && { licenses: [licenseOf(found.license)] }),
    purl,
  };
  return component;
}

/** An expression has words between its identifiers. */
const licenseOf = (text: string): object => (/[ (]/.test(text) ? { expression: text } : { license: { id: text } });

function debianComponent({ name, version, architecture, sha256 }: DebianPackage, suite: string) {
  const purl = `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${architecture}&distro=${suite}`;
  const hashes = [{ alg: 'SHA-256', content: sha256 }];
  return { type: 'library' as const, 'bom-ref': purl, name, version, hashes, purl };
}

const fileComponent = ({ name, sha256 }: Materials['files'][number]) => ({
  type: 'file' as const,
  'bom-ref': `file:${name}`,
  name,
  hashes: [{ alg: 'SHA-256', content: sha256 }],
});
