/**
 * An image as an OCI archive: a tar file of the layout, with one layer. The files of both come from GNU tar and gzip, which are told
 * every owner, time and order, so that equal files give equal bytes.
 */

import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  createReadStream,
  createWriteStream,
  mkdirSync,
  readdirSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';

export interface Image {
  /** The directory with the image's files. */
  readonly root: string;
  readonly architecture: string;
  /** The name and tag that a runtime keeps it under. */
  readonly name: string;
  readonly tag: string;
  readonly entrypoint: readonly string[];
  readonly labels: { readonly [label: string]: string };
  /** The time of all files, in seconds since 1970. */
  readonly epoch: number;
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

const run = promisify(execFile);
const media = 'application/vnd.oci.image';

/** @param work an empty directory for the parts */
export async function writeArchive(image: Image, work: string, archive: string): Promise<void> {
  const layout = join(work, 'oci');
  const blobs = join(layout, 'blobs/sha256');
  mkdirSync(blobs, { recursive: true });
  const { layer, diffId } = await writeLayer(image, work, blobs);
  const config = putBlob(blobs, `${media}.config.v1+json`, configOf(image, diffId));
  const manifest = putBlob(blobs, `${media}.manifest.v1+json`, {
    schemaVersion: 2,
    mediaType: `${media}.manifest.v1+json`,
    config,
    layers: [layer],
    annotations: image.labels,
  });
  const index = {
    schemaVersion: 2,
    mediaType: `${media}.index.v1+json`,
    manifests: [
      { ...manifest, platform: { architecture: image.architecture, os: 'linux' }, annotations: namesOf(image) },
    ],
  };
  writeFileSync(join(layout, 'index.json'), JSON.stringify(index));
  writeFileSync(join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  await tar(layout, archive, image.epoch);
}

/** Tools look a name up under different annotations: containerd's has the whole one, OCI's the tag. */
const namesOf = ({ name, tag }: Image): object => ({
  'io.containerd.image.name': `${name}:${tag}`,
  'org.opencontainers.image.ref.name': tag,
});

function configOf({ architecture, entrypoint, labels, epoch }: Image, diffId: string): object {
  const created = new Date(epoch * 1000).toISOString();
  return {
    created,
    architecture,
    os: 'linux',
    config: {
      Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
      Entrypoint: entrypoint,
      WorkingDir: '/',
      Labels: labels,
    },
    rootfs: { type: 'layers', diff_ids: [diffId] },
    history: [{ created, created_by: 'npm run release' }],
  };
}

async function writeLayer({ root, epoch }: Image, work: string, blobs: string) {
  const [plain, packed] = [join(work, 'layer.tar'), join(work, 'layer.tar.gz')];
  await tar(root, plain, epoch);
  await compress(plain, packed);
  const [diffId, digest] = [await digestOf(plain), await digestOf(packed)];
  const size = statSync(packed).size;
  renameSync(packed, join(blobs, digest.replace('sha256:', '')));
  const layer: Descriptor = { mediaType: `${media}.layer.v1.tar+gzip`, digest, size };
  return { layer, diffId };
}

/** Packs what is in a directory: ordered by name, root's, and of one time. */
async function tar(directory: string, archive: string, epoch: number): Promise<void> {
  const same = ['--sort=name', '--format=ustar', '--numeric-owner', '--owner=0', '--group=0', `--mtime=@${epoch}`];
  const what = ['--create', '--file', archive, '--directory', directory, ...readdirSync(directory).sort()];
  await run('tar', [...same, ...what], { env: { PATH: process.env.PATH, LC_ALL: 'C' } });
}

/**
 * gzip(1), because its output depends on its input alone: libraries choose by the processor. Its fast way takes half the time, and a
 * fifteenth more room.
 */
async function compress(from: string, to: string): Promise<void> {
  const child = spawn('gzip', ['--fast', '--no-name', '--stdout', from], {
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  await pipeline(child.stdout, createWriteStream(to));
  const [status] = await ended;
  if (status !== 0) throw new Error(`gzip ended with ${status}`);
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return `sha256:${hash.digest('hex')}`;
}

function putBlob(blobs: string, mediaType: string, content: object): Descriptor {
  const text = JSON.stringify(content);
  const hex = createHash('sha256').update(text).digest('hex');
  writeFileSync(join(blobs, hex), text);
  return { mediaType, digest: `sha256:${hex}`, size: Buffer.byteLength(text) };
}
