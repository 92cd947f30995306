/**
 * The power fails while an agent makes a call: its worker is held at a call that changes something, all processes die, and the disk
 * keeps what was fsynced. An answer that was given is true afterwards; of the rest nothing is left.
 */
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type AgentScene,
  type AgentVerb,
  agentVerbs,
  attached,
  callsThrough,
  holdAt,
  killProcess,
  removed,
} from '../../support/real/agent-matrix.ts';
import { AgentSeat } from '../../support/real/agent-seat.ts';
import { answer } from '../../support/real/cni.ts';
import { complete, dice, Tally } from '../../support/real/fault-suite.ts';
import { plainGround } from '../../support/real/kill-matrix.ts';
import { type FileSystem, LoopDisk } from '../../support/real/loop-disk.ts';
import { type Mode, TestNode } from '../../support/real/node.ts';
import { onRealSwitch } from '../../support/real/suite.ts';
import { byItself } from '../../support/real/way.ts';
import { expectNothingLeft, tree } from '../../support/real/world.ts';
import { withSeed } from '../../support/seed.ts';

/** In server mode the switch makes the socket, and it does not cross file systems: only the data directory is on the disk. */
const allRows: readonly { fileSystem: FileSystem; mode: Mode }[] = [
  { fileSystem: 'ext4', mode: 'client' },
  { fileSystem: 'xfs', mode: 'client' },
  { fileSystem: 'ext4', mode: 'server' },
];
const rows = complete ? allRows : allRows.slice(0, 1);
/** The sample of the calls; beside them, after the answer. */
const sampled = 16;

onRealSwitch(
  withSeed('a power cut around an agent'),
  (theSwitch) => {
    const tally = new Tally('agent-power-cut');
    const die = dice('agent-power-cut');
    afterAll(() => tally.print());

    describe.each(rows)('$fileSystem, $mode mode', ({ fileSystem, mode }) => {
      let disk: LoopDisk;
      let node: TestNode;
      let seat: AgentSeat;
      beforeEach(async () => {
        disk = await LoopDisk.create(fileSystem);
        const dataDir = join(disk.path, 'lib', 'data');
        const sharedDir = join(disk.path, 'pods');
        node = await TestNode.create(theSwitch(), mode, mode === 'client' ? { dataDir, sharedDir } : { dataDir });
        seat = new AgentSeat();
      });
      afterEach(async () => {
        await seat?.end();
        await node?.end();
        await disk?.end();
      });

      const nothingLeft = async () => {
        expectNothingLeft(await node.world());
        const files = (await tree(disk.path)).filter((path) => !path.endsWith('/') && path !== 'lib/data/instance');
        expect(files).toEqual([]);
      };
      const sceneOf = async (): Promise<AgentScene> => ({
        ground: plainGround(node, fileSystem, {}),
        pod: await node.pod(),
        way: byItself,
      });
      /** @returns how many are attached */
      const recover = async (): Promise<number> => {
        const { exitCode, json } = await node.recover();
        expect({ exitCode, json }).toMatchObject({ exitCode: 0, json: { owed: 0, held: 0 } });
        return json.kept;
      };

      /** @param nth beyond the answer: the power fails once it was given */
      const cutAt = async (verb: AgentVerb, nth: number, total: number): Promise<void> => {
        const isAnswered = nth > total;
        const scene = await sceneOf();
        const { command } = verb;
        const call = await verb.prepare(scene);
        await disk.sync();
        const { shim, tracer, at, agent, worker } = await holdAt(isAnswered ? 0 : nth, { command, call, seat });
        if (isAnswered) expect(answer(await shim)).toMatchObject({ exitCode: 0 });
        else shim.kill('SIGKILL');
        await shim;
        for (const pid of [agent.pid, worker]) killProcess(pid);
        await agent.ended;
        await tracer.release();
        await disk.powerCut();
        tally.cases++;
        tally.faults += Number(at !== undefined);
        const kept = await recover();
        if (isAnswered) expect(kept).toBe(verb.command === 'ADD' ? 1 : 0);
        if (kept > 0) await removed(scene);
        await tally.clean(nothingLeft);
        await scene.ground.dispose(scene.pod);
      };

      test.each(agentVerbs.filter(({ command }) => ['ADD', 'DEL'].includes(command)))(
        'I2 I4 at any call of $command: an answer stays true, nothing else is left',
        async (verb) => {
          const first = await sceneOf();
          await attached(first);
          await removed(first);
          const { length } = await callsThrough(verb, seat, await sceneOf());
          const all = Array.from({ length }, (_, index) => index + 1);
          const chosen = complete ? all : die.sample(all, sampled);
          for (const nth of [...chosen, length + 1]) {
            try {
              await cutAt(verb, nth, length);
            } catch (cause) {
              throw new Error(`${verb.command}, the power fails at call ${nth} of ${length}: ${cause}`, { cause });
            }
          }
          console.log(
            `${verb.command}, ${fileSystem}, ${mode} mode: the power failed at ${chosen.length} of ${length} calls`,
          );
        },
      );
    });
  },
  { parts: ['disks'] },
);
