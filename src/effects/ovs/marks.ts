/**
 * The marks of this plugin: the external_ids of its rows in tables Port and Bridge. They find a row without a journal. They also
 * tell it from rows of other attachments, data directories and tools.
 */
import { existsSync, realpathSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { AttachmentKey } from '../../attachment.ts';
import { code, keyText, owner, type Trouble } from '../../attachment.ts';
import type { Call } from '../../machines/protocol.ts';
import type { AttachmentSwitch } from './switch.ts';

/** The marks that every row of ours has. */
export const instanceMarks = (call: Pick<Call, 'instance'>) => ({ owner, instance: call.instance });

/** The marks of an attachment's port, whichever data directory it was made through. */
export const ownerMarks = (key: AttachmentKey) => ({ owner, key: keyText(key) });

/** The mark that tells a person, and a data directory that lost its id, where the journal of a port is. */
export const dataDirMark = 'data-dir';

/** The marks that tell a sandbox's namespace from another one at the same path (netns.ts). */
export const netnsMarks = { file: 'netns-file', directory: 'netns-directory' } as const;

/** Whether marks of this key are of the call's data directory: by its id, or by its path, because the id can be lost. */
export const isOwn = (marks: Marks, call: Pick<Call, 'instance' | 'dataDir'>): boolean =>
  marks.instance === call.instance || isSameDirectory(marks[dataDirMark], call.dataDir);

/** Whether the marks name another data directory that exists: this one may be a copy of it, with the same id. */
export function isOfAnother(marks: Marks, dataDir: string | undefined): boolean {
  const named = marks[dataDirMark];
  return named !== undefined && !isSameDirectory(named, dataDir) && existsSync(join(named, 'instance'));
}

/** Compares directories of root's. If one does not exist, its name alone counts. */
function isSameDirectory(one: string | undefined, other: string | undefined): boolean {
  if (one === undefined || other === undefined || one === other) return one !== undefined && one === other;
  const real = (path: string) => {
    try {
      return realpathSync(path);
    } catch {
      return resolve(path);
    }
  };
  return real(one) === real(other);
}

/** An attachment can be removed and made again only through the data directory that it was made through. */
export function madeElsewhere(key: AttachmentKey, marks: Marks): Trouble {
  const where = marks[dataDirMark] ? `the data directory "${marks[dataDirMark]}"` : 'another data directory';
  const message = `${keyText(key)} was made through ${where} (instance ${marks.instance}), and its port is still there: use that "dataDir"; if it is lost, remove the port by hand`;
  return { code: code.invalidConfig, message };
}

/** The marks by which a port of ours is found again. */
export const keyMarks = ({ plan, call }: Pick<AttachmentSwitch, 'plan' | 'call'>) => ({
  ...instanceMarks(call),
  key: keyText(plan.key),
});

export type Marks = { readonly [name: string]: string | undefined };

/** Whether a row has this plugin's owner mark. */
export const isOurs = (marks: Marks): boolean => marks.owner === owner;
