/** The scenes of one executable without the other ways: beside debts, after a reboot, and beside another executable. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { cniPath, executable } from '../../test/support/requirements.ts';
import { copyDebt, writeDebtor } from './copies.ts';
import { type Command, Samples } from './measure.ts';
import type { Scene } from './scene.ts';
import { ifName, network, ordinary, type Stage } from './stage.ts';
import { verbs } from './ways.ts';

const inDirectory = (dataDir: string) => ({ ...ordinary, changes: { dataDir } });

/** Copies one real debt; then makes other attachments' calls in its data directory and in one without debts, by turns. */
export function besideDebts({ stage, options, report }: Scene): void {
  const { directory } = stage;
  const [owing, clean] = [join(directory, 'owing'), join(directory, 'clean')];
  const samples = new Samples();
  const { settle, paths } = makeDebts(stage, options.owed, owing);
  for (let round = 0; round < options.rounds; round++) {
    const [id, other] = [stage.freshId(), stage.freshId()];
    for (const verb of verbs) {
      samples.time(`${verb} beside debts`, stage.call(verb, id, inDirectory(owing)));
      samples.time(`${verb} without`, stage.call(verb, other, inDirectory(clean)));
    }
  }
  const recover = (dataDir: string, exitCode = 0) => recoverOf(stage, { dataDir, exitCode, paths });
  samples.time('recover without', recover(clean));
  samples.time('recover, owed', recover(owing, 3));
  settle();
  samples.time('recover, paid', recover(owing));
  const left = readdirSync(owing).filter((file) => file.endsWith('.journal')).length;
  if (left > 0) throw new Error(`${left} debts were not paid`);
  report.print({
    title: `beside ${options.owed} owed removals`,
    notes: [`${options.rounds} rounds`],
    columns: [['call'], ['ratio', 2], ['ms', 1], ['without ms', 1], ['at most ms', 1]],
    rows: verbs.map((verb) => {
      const [beside = Number.NaN, without = Number.NaN] = [`${verb} beside debts`, `${verb} without`].map((name) =>
        samples.median(name, 'wallMs'),
      );
      const most = Math.max(...samples.of(`${verb} beside debts`).map(({ wallMs }) => wallMs));
      return [verb, beside / without, beside, without, most];
    }),
  });
  const [base, del] = [samples.median('recover without', 'wallMs'), samples.median('DEL without', 'wallMs')];
  report.print({
    title: 'recover, for each debt',
    columns: [['after it the debt is'], ['ratio', 2], ['ms', 1], ['a DEL ms', 1]],
    rows: ['owed', 'paid'].map((what) => {
      const each = (samples.median(`recover, ${what}`, 'wallMs') - base) / options.owed;
      return [what, each / del, each, del];
    }),
  });
}

/** Makes one debt by an IPAM program that fails, and copies it. */
function makeDebts(stage: Stage, count: number, owing: string): { settle: () => void; paths: string } {
  const { directory } = stage;
  const { name: type, settle } = writeDebtor(directory, join(cniPath, 'host-local'));
  const paths = `${directory}:${cniPath}`;
  const ipam = { type, dataDir: join(directory, 'owed'), ranges: [[{ subnet: '10.0.0.0/8' }]] };
  const debtor = { changes: { dataDir: owing, ipam }, env: { CNI_PATH: paths } };
  const key = { network, containerId: 'd'.repeat(12), ifName };
  for (const verb of verbs) new Samples().time('a debt', stage.call(verb, key.containerId, debtor));
  const ids = Array.from({ length: count - 1 }, (_, index) => `${index}`.padStart(12, 'e'));
  copyDebt(owing, key, ids);
  return { settle, paths };
}

interface Recovery {
  readonly dataDir: string;
  readonly exitCode: number;
  readonly paths: string;
}

function recoverOf({ ovs }: Stage, { dataDir, exitCode, paths }: Recovery): Command {
  const args = ['recover', '--json', '--data-dir', dataDir, '--ovsdb', ovs.ovsdb];
  return { program: executable, args, env: { CNI_PATH: paths }, exitCode };
}

/** Times recover after a boot: so many attachments, with their switch away, silent, and there. */
export async function afterReboot({ stage, options, report }: Scene): Promise<void> {
  const { ovs, directory } = stage;
  const dataDir = join(directory, 'rebooted');
  const samples = new Samples();
  const key = { network, containerId: 'c'.repeat(12), ifName };
  samples.time('ADD', stage.call('ADD', key.containerId, inDirectory(dataDir)));
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  const ids = Array.from({ length: options.rebooted }, (_, index) => `${index}`.padStart(12, 'd'));
  copyDebt(dataDir, key, ids, (text) => text.replaceAll(boot, crypto.randomUUID()));
  samples.time('DEL', stage.call('DEL', key.containerId, inDirectory(dataDir)));
  const recover = (exitCode: number) => recoverOf(stage, { dataDir, exitCode, paths: cniPath });
  await ovs.stopDatabase();
  samples.time('away', recover(3));
  await ovs.startDatabase();
  ovs.pauseDatabase();
  samples.time('silent', recover(3));
  ovs.resumeDatabase();
  samples.time('there', recover(0));
  report.print({
    title: `recover, with ${options.rebooted} attachments of another boot`,
    columns: [['the switch'], ['s', 1], ['ms each', 1]],
    rows: ['away', 'silent', 'there'].map((what) => {
      const ms = samples.median(what, 'wallMs');
      return [what, ms / 1000, ms / options.rebooted];
    }),
  });
}

/** Calls every verb of both executables, each executable in a data directory of its own. */
export function besideBefore({ stage, options, report }: Scene, before: string): void {
  const samples = new Samples();
  const calls = ['VERSION', ...verbs];
  const sides = [
    { name: 'after', program: executable },
    { name: 'before', program: resolve(before) },
  ];
  for (let round = 0; round < options.rounds; round++) {
    const ids = new Map(sides.map(({ name }) => [name, stage.freshId()]));
    // The order alternates, because the first of a turn finds the caches as the other left them.
    const turns = round % 2 === 0 ? sides : [...sides].reverse();
    for (const verb of calls) {
      for (const { name, program } of turns) {
        const own = inDirectory(join(stage.directory, name));
        const call = verb === 'VERSION' ? stage.version() : stage.call(verb, ids.get(name) ?? '', own);
        samples.time(`${verb} ${name}`, { ...call, program });
      }
    }
  }
  report.print({
    title: `beside ${before}`,
    notes: [`${options.rounds} rounds, each executable in a data directory of its own`],
    columns: [
      ['call'],
      ['ratio', 2],
      ['CPU ratio', 2],
      ['ms', 1],
      ['before ms', 1],
      ['CPU ms', 1],
      ['before CPU ms', 1],
    ],
    rows: calls.map((verb) => {
      const figures = (['wallMs', 'cpuMs'] as const).map((of) => {
        const [a, b] = [samples.median(`${verb} after`, of), samples.median(`${verb} before`, of)];
        return { ratio: a / b, both: [a, b] };
      });
      return [verb, ...figures.map(({ ratio }) => ratio), ...figures.flatMap(({ both }) => both)];
    }),
  });
}
