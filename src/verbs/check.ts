/**
 * CHECK: whether the attachment is still as its ADD left it. Changes nothing.
 */
import { code, keyText } from '../attachment.ts';
import { CniError, refuse } from '../cni/error.ts';
import type { AddRequest } from '../cni/request.ts';
import { within } from '../deadlines.ts';
import { fold, openJournal } from '../drive/past.ts';
import { survey } from '../drive/survey.ts';
import type { Plan } from '../machines/protocol.ts';
import { contradictions } from '../plan/result.ts';
import { busy, pathOf } from './locked.ts';
import type { Node } from './node.ts';

export async function check(request: AddRequest, node: Node): Promise<void> {
  const { key, config, netns, env } = request;
  const end = node.began + config.deadlines.delMs;
  const absent = new CniError(code.drift, `${keyText(key)} is not attached`);
  const journal = openJournal(node.disk, pathOf(request), { create: false, clock: node.clock });
  if (!journal) throw absent;
  try {
    const outcome = await journal.lock(within(end, config.deadlines.lockMs));
    if (outcome === 'busy') throw busy(request);
    const past = fold(journal.records);
    if (outcome === 'gone' || journal.going || past?.state !== 'attached') throw absent;
    const plan: Plan = { ...past.header.plan, request: { stdin: request.stdin, env } };
    const call = { instance: past.header.instance, lockFd: journal.fd, dataDir: config.dataDir, end };
    refuse([
      ...node.host.netnsTroubles(netns, env),
      ...contradictions(request, past.facts),
      ...(await survey({ plan, facts: past.facts }, node.host.perform, call)),
    ]);
  } finally {
    journal.close();
  }
}
