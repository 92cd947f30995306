/** The OCI archive: its layout, and that equal files give equal bytes. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { writeArchive } from '../../scripts/release/image.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const epoch = 1_700_000_000;
const names = ['etc/one', 'usr/bin/two', 'usr/bin/three'];

/** The same files, made in an order, at a time and with a work directory of their own. */
async function archive(order: readonly string[], madeAt: number): Promise<string> {
  const home = temporaryDirectory();
  const root = join(home, 'root');
  for (const name of order) {
    mkdirSync(join(root, name, '..'), { recursive: true });
    writeFileSync(join(root, name), `text of ${name}`);
    chmodSync(join(root, name), 0o755);
    utimesSync(join(root, name), madeAt, madeAt);
  }
  symlinkSync('usr/bin', join(root, 'bin'));
  mkdirSync(join(home, 'work'));
  const labels = { 'org.opencontainers.image.version': '1.2.3' };
  const image = {
    root,
    architecture: 'arm64',
    name: 'example.org/one',
    tag: '1.2.3',
    entrypoint: ['/two'],
    labels,
    epoch,
  };
  await writeArchive(image, join(home, 'work'), join(home, 'image.tar'));
  return join(home, 'image.tar');
}

function unpack(path: string): string {
  const home = temporaryDirectory();
  execFileSync('tar', ['--extract', '--file', path, '--directory', home]);
  return home;
}

const json = (path: string) => JSON.parse(readFileSync(path, 'utf8'));
const sha256 = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

it('equal files give equal bytes, whenever and in whatever order they were made (need N26)', async () => {
  const first = readFileSync(await archive(names, 1_600_000_000));
  const second = readFileSync(await archive(names.toReversed(), 1_650_000_000));
  expect(first.equals(second)).toBe(true);
});

it('every descriptor leads to a blob of its digest and size, and no blob is without one (need N26)', async () => {
  const layout = unpack(await archive(names, epoch));
  expect(json(join(layout, 'oci-layout'))).toEqual({ imageLayoutVersion: '1.0.0' });
  const blob = ({ digest, size }: { digest: string; size: number }): Buffer => {
    const bytes = readFileSync(join(layout, 'blobs', digest.replace(':', '/')));
    expect({ digest: sha256(bytes), size: bytes.length }).toEqual({ digest, size });
    return bytes;
  };
  const { manifests } = json(join(layout, 'index.json'));
  expect(manifests).toHaveLength(1);
  expect(manifests[0]).toMatchObject({
    platform: { architecture: 'arm64', os: 'linux' },
    annotations: { 'io.containerd.image.name': 'example.org/one:1.2.3', 'org.opencontainers.image.ref.name': '1.2.3' },
  });
  const manifest = JSON.parse(blob(manifests[0]).toString());
  const config = JSON.parse(blob(manifest.config).toString());
  const layer = gunzipSync(blob(manifest.layers[0]));
  expect(config).toMatchObject({ architecture: 'arm64', os: 'linux', created: '2023-11-14T22:13:20.000Z' });
  expect(config.config).toMatchObject({
    Entrypoint: ['/two'],
    Labels: { 'org.opencontainers.image.version': '1.2.3' },
  });
  expect(config.rootfs.diff_ids).toEqual([sha256(layer)]);
  expect(readdirSync(join(layout, 'blobs/sha256'))).toHaveLength(3);
});

it("the layer has the files in order, as root's and of one time (need N26)", async () => {
  const layout = unpack(await archive(names, 1));
  const index = json(join(layout, 'index.json'));
  const manifest = json(join(layout, 'blobs', index.manifests[0].digest.replace(':', '/')));
  const layer = join(layout, 'blobs', manifest.layers[0].digest.replace(':', '/'));
  const list = execFileSync('tar', ['--list', '--verbose', '--numeric-owner', '--utc', '--file', layer], {
    encoding: 'utf8',
  });
  const lines = list.trim().split('\n');
  expect(lines.map((line) => line.split(/ +/).slice(5).join(' '))).toEqual([
    'bin -> usr/bin',
    'etc/',
    'etc/one',
    'usr/',
    'usr/bin/',
    'usr/bin/three',
    'usr/bin/two',
  ]);
  for (const line of lines) expect(line).toMatch(/ 0\/0 .* 2023-11-14 22:13 /);
});
