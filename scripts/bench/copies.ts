/** Debts and attachments in bulk: one real one, and copies of its journal under other keys. */
import { chmodSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type AttachmentKey, holdFileName } from '../../src/attachment.ts';
import { decode, encode, type Stamped } from '../../src/journal/record.ts';

/** An IPAM program that calls Debian's, but whose DEL fails until the file `settled` is there. */
export function writeDebtor(directory: string, program: string): { name: string; settle: () => void } {
  const [name, settled] = ['bench-debtor', join(directory, 'settled')];
  const script = `#!/bin/sh
if [ "$CNI_COMMAND" = DEL ] && [ ! -e ${settled} ]; then echo '{"code":11,"msg":"the address store is away"}'; exit 1; fi
exec ${program}
`;
  writeFileSync(join(directory, name), script);
  chmodSync(join(directory, name), 0o755);
  return { name, settle: () => writeFileSync(settled, '') };
}

/** Copies every file of an owed attachment, with mode, times and extended attributes, because any of them may mark it. */
export function copyDebt(
  dataDir: string,
  key: AttachmentKey,
  ids: readonly string[],
  change = (text: string): string => text,
): void {
  const files = readdirSync(dataDir).filter((file) => file.includes(key.containerId));
  if (files.length === 0) throw new Error(`nothing is owed in ${dataDir}`);
  for (const id of ids) {
    const renamed = (text: string) =>
      change(
        text.replaceAll(holdFileName(key), holdFileName({ ...key, containerId: id })).replaceAll(key.containerId, id),
      );
    for (const file of files) copyAs(join(dataDir, file), join(dataDir, renamed(file)), renamed);
  }
}

function copyAs(from: string, to: string, renamed: (text: string) => string): void {
  const { exitCode, stderr } = Bun.spawnSync(['cp', '--preserve=all', from, to], { stderr: 'pipe' });
  if (exitCode !== 0) throw new Error(String(stderr));
  const { atime, mtime } = statSync(from);
  let chain = 0;
  const lines = decode<Stamped>(readFileSync(from)).records.map((record) => {
    const sealed = encode(JSON.parse(renamed(JSON.stringify(record))), chain);
    chain = sealed.chain;
    return sealed.line;
  });
  writeFileSync(to, Buffer.concat(lines));
  utimesSync(to, atime, mtime);
}
