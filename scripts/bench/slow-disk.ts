/**
 * Calls on a disk whose flush takes long: each fsync returns 10 ms later. A preloaded library does that where cc is there, because Bun
 * calls libc's functions. Else strace does, which slows every start of a process a little.
 *
 * Neither the switch's database nor host-local is slowed: the one is not ours, the other never syncs.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { executable } from '../../test/support/requirements.ts';
import { Agent, alone, unwrapped, type Wrapping } from './agent.ts';
import { crowdOf } from './crowds.ts';
import { atOnce, type Command, type Crowd, median, quantile } from './measure.ts';
import { hasMapped, pidsOf } from './processes.ts';
import { oneLine, rotated, type Scene } from './scene.ts';
import { ordinary } from './stage.ts';
import { pluginWay, type Verb, verbs } from './ways.ts';

/** One alone shows what the flushes of a call add up to. */
const sizes = [1, 20] as const;
const rounds = 5;
const lateMs = 10;

const source = `#include <sys/syscall.h>
#include <unistd.h>
static int late(int result) { usleep(${lateMs * 1000}); return result; }
int fsync(int fd) { return late(syscall(SYS_fsync, fd)); }
int fdatasync(int fd) { return late(syscall(SYS_fdatasync, fd)); }
`;

/** The beginning of a note that says that a table does not measure what its title promises. */
export const notMeasured = 'NOT slow';

interface Slowness extends Wrapping {
  readonly how: string;
  /** The library that every process has to have mapped. */
  readonly library?: string;
}

function slowness(directory: string): Slowness {
  const [file, library] = [join(directory, 'late.c'), join(directory, 'late.so')];
  writeFileSync(file, source);
  const cc = Bun.which('cc');
  if (cc && Bun.spawnSync([cc, '-shared', '-fPIC', '-O2', '-o', library, file]).exitCode === 0)
    return { how: 'a preloaded library', before: [], env: { LD_PRELOAD: library }, library };
  const calls = 'fsync,fdatasync';
  const inject = `inject=${calls}:delay_exit=${lateMs * 1000}`;
  const before = ['strace', '-D', '-f', '--seccomp-bpf', '-e', `trace=${calls}`, '-e', inject, '-o', '/dev/null'];
  return { how: 'strace, which costs some milliseconds for each process', before, env: {} };
}

/** Puts the wrapping around a call. */
const wrapped = ({ program, args, env, ...rest }: Command, { before, env: more }: Wrapping): Command => {
  const [first = program, ...words] = [...before, program, ...args];
  return { ...rest, program: first, args: words, env: { ...env, ...more } };
};

export async function onSlowDisk(scene: Scene): Promise<void> {
  const { stage, agent } = scene;
  const slow = slowness(stage.directory);
  const slowAgent = await Agent.start(join(stage.directory, 'slow-agent'), slow);
  const sides = [
    { name: 'alone', disk: 'slow', env: alone, wrapping: slow },
    { name: 'alone', disk: 'ordinary', env: alone, wrapping: unwrapped },
    { name: 'agent', disk: 'slow', env: slowAgent.env, wrapping: slow },
    { name: 'agent', disk: 'ordinary', env: agent.env, wrapping: unwrapped },
  ];
  const crowds = new Map<string, Crowd[]>();
  try {
    for (const size of sizes) {
      for (let round = 0; round < rounds; round++) {
        for (const { name, disk, env, wrapping } of rotated(sides, round)) {
          const way = pluginWay(stage, { name, program: executable, env });
          const place = { suffix: '', ways: [way], prepare: async () => ordinary } as const;
          const calls = await crowdOf(stage.freshIds(size), place, way);
          for (const verb of verbs) {
            const chains = calls[verb].map((chain) => chain.map((command) => wrapped(command, wrapping)));
            const key = keyOf({ size, verb, name, disk });
            crowds.set(key, [...(crowds.get(key) ?? []), await atOnce(chains)]);
          }
        }
      }
    }
    slowAgent.expectAlive();
    print(scene, slow, crowds, unslowed(slowAgent, slow));
  } finally {
    await slowAgent.stop();
  }
}

interface Case {
  readonly size: number;
  readonly verb: Verb;
  readonly name: string;
  readonly disk: string;
}

const keyOf = ({ size, verb, name, disk }: Case): string => `${size} ${verb}, ${name}, ${disk} disk`;

/** The processes of the slow agent that lack the library, because they were started with another environment. */
function unslowed({ pid }: Agent, { library }: Slowness): number {
  if (pid === undefined || library === undefined) return 0;
  return pidsOf(pid).filter((one) => !hasMapped(one, library)).length;
}

function print(
  { report }: Scene,
  { how }: Slowness,
  crowds: ReadonlyMap<string, readonly Crowd[]>,
  unslowedCount: number,
): void {
  const of = (one: Case) => crowds.get(keyOf(one)) ?? [];
  const seconds = (one: Case) => median(of(one).map((crowd) => crowd.seconds));
  const cases = sizes.flatMap((size) =>
    verbs.flatMap((verb) => ['alone', 'agent'].map((name) => ({ size, verb, name, disk: 'slow' }))),
  );
  const rows = cases.map((one) => {
    const [slow, ordinaryS] = [seconds(one), seconds({ ...one, disk: 'ordinary' })];
    const failed = of(one).reduce((sum, crowd) => sum + crowd.failed, 0);
    const callMs = median(of(one).map(({ wallMs }) => quantile(wallMs, 0.5)));
    const ratios = [slow / seconds({ ...one, name: 'alone' }), slow / ordinaryS];
    const { size, verb, name } = one;
    return [`${size} ${verb}`, name, ...ratios, `${failed}/${size * rounds}`, slow, ordinaryS, callMs];
  });
  const troubles = [...crowds].flatMap(([key, some]) => {
    const trouble = some.find((one) => one.trouble !== undefined)?.trouble;
    return trouble === undefined ? [] : [`${key}: ${oneLine(trouble)}`];
  });
  report.print({
    title: `${sizes.join(' and ')} at once on a slow disk: each fsync takes ${lateMs} ms more`,
    notes: [
      `${rounds} rounds; made slow by ${how}`,
      ...(unslowedCount > 0 ? [`${notMeasured}: ${unslowedCount} processes of the agent lack the library`] : []),
      ...troubles,
    ],
    columns: [
      ['call'],
      ['way'],
      ['x alone', 2],
      ['x ordinary disk', 2],
      ['failed'],
      ['s', 3],
      ['s ordinary', 3],
      ['median ms', 0],
    ],
    rows,
  });
}
