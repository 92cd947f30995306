/** The image of executables, as an OCI archive: Debian's files around them, the labels, the name. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import manifest from '../../package.json' with { type: 'json' };
import { imagePackages, lockedDebian } from './debian.ts';
import { writeArchive } from './image.ts';
import { type Contents, layRoot } from './root.ts';

interface Build extends Pick<Contents, 'architecture' | 'executables'> {
  readonly commit: string;
  /** The time of all files, in seconds since 1970. */
  readonly epoch: number;
}

/** The name that the manifests in deploy/kubernetes use. */
export const imageReference = `docker.io/library/${manifest.name}:${manifest.version}`;

/** @param work an empty directory, in which `root` will be the image's file system */
export async function packImage(build: Build, work: string, archive: string): Promise<void> {
  const { architecture, executables, commit, epoch } = build;
  const { version, license } = manifest;
  const [root, unpacked] = [join(work, 'root'), join(work, 'unpacked')];
  for (const directory of [root, unpacked]) mkdirSync(directory);
  const packages = lockedDebian(architecture, imagePackages);
  layRoot(root, unpacked, { architecture, executables, packages, license: readFileSync('LICENSE', 'utf8') });
  const words = {
    created: new Date(epoch * 1000).toISOString(),
    description: manifest.description,
    licenses: license,
    revision: commit,
    title: manifest.name,
    version,
  };
  const labels = Object.fromEntries(
    Object.entries(words).map(([name, value]) => [`org.opencontainers.image.${name}`, value]),
  );
  const [name = '', tag = ''] = imageReference.split(/:(?=[^:]*$)/);
  const image = { root, architecture, name, tag, entrypoint: ['/usr/local/bin/userspace'], labels, epoch };
  await writeArchive(image, work, archive);
}
