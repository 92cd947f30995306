/**
 * Makes a directory with a file in it, or takes both away. A call that is killed leaves its journal. The next call finds by it that all is
 * made, or takes away what the dead call began.
 */
import type * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import type { Disk, MachineOf, Outcome, RequestOf, StateOf, StepEntry, StepFamily } from 'userspace-cni/library';
import { drive, goingTrouble, isSystemError, Journal, now, start } from 'userspace-cni/library';

type Goal = 'make' | 'remove';
type Files = Pick<typeof fs, 'existsSync' | 'mkdirSync' | 'readFileSync' | 'rmdirSync' | 'rmSync' | 'writeFileSync'>;
/** The plan is in the journal before the first step, because a removal goes by it. */
type Plan = { directory: string; text: string };
export type Call = { disk: Disk; files: Files; journal: string; plan: Plan };

// 1. The steps. Each has three verbs, which are safe to repeat; find changes nothing.
const steps = ({ disk, files, plan: { directory, text } }: Call, file = join(directory, 'file')) => ({
  directory: {
    ensure: () => files.existsSync(directory) || files.mkdirSync(directory),
    find: () => files.existsSync(directory),
    remove: () => {
      if (files.existsSync(directory)) files.rmdirSync(directory);
      // The journal goes next, so a power cut must not bring this back.
      disk.fsyncDirectory(dirname(directory));
    },
  },
  file: {
    ensure: () => files.writeFileSync(file, text),
    find: () => files.existsSync(file) && files.readFileSync(file, 'utf8') === text,
    remove: () => files.rmSync(file, { force: true }),
  },
});
type Step = keyof ReturnType<typeof steps>;

// 2. The machine. It says which step comes next, and does nothing itself.
type Family = StepFamily & { step: Step; event: { type: Goal }; call: Call };
const ask = (step: Step, verb: 'ensure' | 'remove') => ({ type: 'request', params: () => ({ step, verb }) }) as const;
const making = (step: Step, next: string, giveUp = { target: 'noFile' }): StateOf<Family> => ({
  entry: ask(step, 'ensure'),
  on: { [`${step}.begun`]: {}, [`${step}.ensured`]: { target: next }, [`${step}.refused`]: giveUp, abandon: giveUp },
});
const taking = (step: Step, next: string): StateOf<Family> => ({
  entry: ask(step, 'remove'),
  on: { [`${step}.removed`]: { target: next }, [`${step}.owed`]: { target: 'owed' } },
});
const machine: MachineOf<Family> = {
  id: 'directory with file',
  rules: { holds: () => true, change: () => ({}) },
  context: {},
  initial: 'idle',
  states: {
    idle: { on: { make: { target: 'directory' }, remove: { target: 'noFile' } } },
    directory: making('directory', 'file'),
    file: making('file', 'made'),
    noFile: taking('file', 'noDirectory'),
    noDirectory: taking('directory', 'gone'),
    made: { type: 'final' },
    gone: { type: 'final' },
    owed: { type: 'final' },
  },
};

// 3. The effects. An expected failure is an outcome; anything else that is thrown is a bug, and goes on.
async function perform({ step, verb }: RequestOf<Family>, call: Call): Promise<Outcome<unknown>> {
  try {
    steps(call)[step][verb === 'ensure' ? verb : 'remove']();
    return { kind: 'ok' };
  } catch (error) {
    if (!isSystemError(error)) throw error;
    return { kind: 'failed', trouble: { code: 5, message: error.message } };
  }
}

// 4. The call: lock, look at the past, drive, record the end.
type Entry = { kind: 'begin'; plan: Plan } | StepEntry<Step, unknown> | { kind: 'made' };
const isMade = (records: readonly Entry[]) => records.at(-1)?.kind === 'made';
const tells = (records: readonly Entry[]) => (isMade(records) ? 'rest' : undefined);

async function run(goal: Goal, journal: Journal<Entry>, call: Call): Promise<void> {
  const end = { make: now() + 10_000, remove: now() + 10_000 };
  const options = { journal, perform, call, end, reasonToStop: () => goingTrouble(journal) };
  const { value } = await drive(machine, start(machine), { type: goal }, options);
  if (value === 'made') journal.append({ kind: 'made' });
  if (value === 'gone') journal.unlink();
  if (value === 'owed') journal.markGoing();
  if (value === (goal === 'make' ? 'made' : 'gone')) return;
  const failed = journal.records.flatMap((entry) => (entry.kind === 'outcome' ? entry.outcome : []));
  const reasons = failed.flatMap((outcome) => (outcome.kind === 'ok' ? [] : outcome.trouble.message));
  throw new Error(`${goal} failed: ${reasons.join('; ') || 'it is being removed'}`);
}

/** @throws Error if it fails: then nothing is left, or a later call removes it */
export async function bring(goal: Goal, call: Call): Promise<void> {
  const open = { create: true, clock: () => new Date(), tells };
  const journal = Journal.open<Entry>(call.disk, call.journal, open);
  if (!journal) throw new Error(`"${call.journal}" cannot be made`);
  try {
    // The mark comes before the wait, so that a call that is at work makes nothing more.
    if (goal === 'remove') journal.markGoing();
    const outcome = await journal.lock(now() + 5_000);
    if (outcome === 'busy') throw new Error(`another process works on "${call.journal}"`);
    if (outcome === 'held') {
      const { records, going } = journal;
      const { directory, file } = steps(call);
      if (goal === 'make' && !going && isMade(records) && directory.find() && file.find()) return;
      if (goal === 'make' && !going && records.length === 0) {
        journal.append({ kind: 'begin', plan: call.plan });
        journal.fsyncName();
        return await run('make', journal, call);
      }
      const plan = records.find((entry) => entry.kind === 'begin')?.plan ?? call.plan;
      await run('remove', journal, { ...call, plan });
      if (goal === 'remove') return;
    }
  } finally {
    journal.close();
  }
  await bring(goal, call);
}
