/**
 * The marks of this plugin: the external_ids of its rows in tables Port and Bridge. By them a row is found without a journal, and told
 * from a row of another attachment, of another data directory or of another tool.
 */

import { existsSync, realpathSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { AttachmentKey } from '../../attachment.ts';
import { code, keyText, owner, type Trouble } from '../../attachment.ts';
import type { Call } from '../../machines/protocol.ts';
import type { AttachmentSwitch } from './switch.ts';

/** What every row of ours bears in external_ids. */
export const instanceMarks = (call: Pick<Call, 'instance'>) => ({ owner, instance: call.instance });

/** Whose a port of ours is, whichever data directory it was made through. */
export const ownerMarks = (key: AttachmentKey) => ({ owner, key: keyText(key) });

/** The mark that tells a person, and a data directory that lost its id, where the journal of a port is. */
export const dataDirMark = 'data-dir';

/** What tells a sandbox's namespace from another at its path (netns.ts). */
export const netnsMarks = { file: 'netns-file', directory: 'netns-directory' } as const;

/** Whether marks of this key are of the call's own data directory: by its id, or by its path where the id was lost with it. */
export const isOwn = (marks: Marks, call: Pick<Call, 'instance' | 'dataDir'>): boolean =>
  marks.instance === call.instance || isSameDirectory(marks[dataDirMark], call.dataDir);

/** Whether they name another data directory, which is there: this one may be a copy of it, under the same id. */
export function isOfAnother(marks: Marks, dataDir: string | undefined): boolean {
  const named = marks[dataDirMark];
  return named !== undefined && !isSameDirectory(named, dataDir) && existsSync(join(named, 'instance'));
}

/** Root's own directories. One that is not there is known by its name alone. */
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

/** An attachment is removed, and made again, through the data directory that it was made through. */
export function madeElsewhere(key: AttachmentKey, marks: Marks): Trouble {
  const where = marks[dataDirMark] ? `the data directory "${marks[dataDirMark]}"` : 'another data directory';
  const message = `${keyText(key)} was made through ${where} (instance ${marks.instance}), and its port is still there: use that "dataDir"; if it is lost, remove the port by hand`;
  return { code: code.invalidConfig, message };
}

/** What a port of ours bears, and by what it is found again. */
export const keyMarks = ({ plan, call }: Pick<AttachmentSwitch, 'plan' | 'call'>) => ({
  ...instanceMarks(call),
  key: keyText(plan.key),
});

export type Marks = { readonly [name: string]: string | undefined };

/** Whether a row bears the owner's mark of this plugin. */
export const isOurs = (marks: Marks): boolean => marks.owner === owner;
