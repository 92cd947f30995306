/** The image of all containers of a node, made on the spot: a static busybox, as the archive that `docker save` writes. */
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { busyboxPath } from '../requirements.ts';

export const imageName = 'test.local/box:1';

const applets = ['cat', 'ls', 'sh', 'sleep'];

/** @returns the path of the archive in `directory` */
export async function writeImage(directory: string): Promise<string> {
  const work = mkdtempSync(join(directory, 'image-'));
  const bin = join(work, 'root/bin');
  mkdirSync(bin, { recursive: true });
  copyFileSync(busyboxPath, join(bin, 'busybox'));
  for (const applet of applets) symlinkSync('busybox', join(bin, applet));
  await execa('tar', ['-C', join(work, 'root'), '-cf', join(work, 'layer.tar'), '.']);
  const layer = createHash('sha256')
    .update(readFileSync(join(work, 'layer.tar')))
    .digest('hex');
  const image = {
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: { Env: ['PATH=/bin'], Cmd: ['sleep', '2147483647'] },
    rootfs: { type: 'layers', diff_ids: [`sha256:${layer}`] },
  };
  writeFileSync(join(work, 'config.json'), JSON.stringify(image));
  const manifest = [{ Config: 'config.json', RepoTags: [imageName], Layers: ['layer.tar'] }];
  writeFileSync(join(work, 'manifest.json'), JSON.stringify(manifest));
  const archive = join(directory, 'image.tar');
  await execa('tar', ['-C', work, '-cf', archive, 'manifest.json', 'config.json', 'layer.tar']);
  rmSync(work, { recursive: true });
  return archive;
}
