/** The agent over a long time: whether calls, or recoveries, leave anything in its memory or among its open files. */
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type AgentSays, Listener, say } from '../../src/agent/wire.ts';
import { now } from '../../src/deadlines.ts';
import { closeFile, fileText, sinceBootMs } from '../../src/os/bare.ts';
import { connectTo } from '../../src/os/unix-sockets.ts';
import { Agent } from '../../test/support/real/agent.ts';
import { pssMb } from './processes.ts';
import type { Scene } from './scene.ts';
import type { Stage } from './stage.ts';

/** Calls for each recovery, and rows of the table. */
const callsPerRecovery = 10;
const looks = 10;
const answerMs = 10_000;
/** A question to the switch after as many refused calls. */
const questionEvery = 10;
/** The supervisor hears of the end of a recovery when a call wakes it. */
const pauseMs = 20;

/** @param calls to be served, and a tenth as many recoveries beside them and after them */
export async function soak({ stage, report }: Scene, calls: number): Promise<void> {
  const directory = join(stage.directory, 'soak-agent');
  mkdirSync(directory, { mode: 0o700 });
  const words = ['--recover', '--recover-every', '0', '--data-dir', stage.dataDir, '--ovsdb', stage.ovs.ovsdb];
  const agent = await Agent.start({ directory, words });
  try {
    const recoveries = Math.floor(calls / callsPerRecovery);
    const rows: (string | number)[][] = [];
    let served = 0;
    const look = () => rows.push([served, ended(agent), ...figuresOf(agent)]);
    while (served < calls) {
      serve(agent, stage, served++);
      // Its lines are read here.
      if (served % 100 === 0) await delay(0);
      if (served % Math.ceil(calls / looks) === 0) look();
    }
    for (let goal = ended(agent); goal < recoveries; ) {
      goal = Math.min(recoveries, goal + Math.ceil(recoveries / looks));
      for (; ended(agent) < goal; await delay(pauseMs)) serve(agent, stage, served++);
      look();
    }
    report.print({
      title: `the agent over ${served} calls and ${ended(agent)} recoveries`,
      notes: [
        `one call in ${questionEvery} is a STATUS that asks the switch; the others are refused, as fast as one caller can ask`,
        'PSS in MB. The supervisor stays. The others are workers, which end after a thousand calls, and recoveries',
      ],
      columns: [['calls'], ['recoveries'], ['supervisor MB', 1], ['its files'], ['others MB', 1], ['others']],
      rows,
    });
  } finally {
    await agent.stop();
  }
}

const ended = ({ said }: Agent): number => said.filter((line) => line.includes(') has ended: ')).length;

function figuresOf({ pid, workers }: Agent): number[] {
  return [pssMb([pid]), readdirSync(`/proc/${pid}/fd`).length, pssMb(workers), workers.length];
}

/** One call, as its process would have it made. @throws if it has no answer */
function serve({ socket }: Agent, stage: Stage, index: number): void {
  const isQuestion = index % questionEvery === 0;
  const changes = isQuestion ? { cniVersion: '1.1.0', ipam: undefined } : { host: { engine: 'none' } };
  const { env = {}, input = '' } = stage.call(isQuestion ? 'STATUS' : 'ADD', 'soak', { changes, env: {} });
  const fd = connectTo(socket) ?? fail('it does not listen');
  try {
    const place = { cwd: '/', cwdFile: fileText('/') };
    say(fd, { say: 'call', env, stdin: input, ...place, startedMs: sinceBootMs() }, now() + answerMs);
    const heard = new Listener<AgentSays>(fd, ['queued', 'accepted', 'answer']);
    for (;;) {
      const incoming = heard.hear(now() + answerMs);
      if (incoming.kind !== 'message') fail(incoming.kind);
      else if (incoming.message.say === 'accepted') say(fd, { say: 'go' }, now() + answerMs);
      else if (incoming.message.say === 'answer') {
        expectAnswer(incoming.message.stdout, isQuestion);
        return;
      }
    }
  } finally {
    closeFile(fd);
  }
}

function expectAnswer(stdout: string, isQuestion: boolean): void {
  if ((stdout === '') !== isQuestion) fail(stdout);
}

function fail(why: string): never {
  throw new Error(`the agent did not serve a call: ${why}`);
}
