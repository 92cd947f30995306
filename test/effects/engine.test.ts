/** One suite of cases for two engines: the face of a switch is kept by both. The third one is the real switch (test/system/engine.test.ts). */
import { describe, it, onTestFinished } from 'vitest';
import { defaultDeadlines } from '../../src/deadlines.ts';
import { openVswitch } from '../../src/effects/ovs/engine.ts';
import { engineCases } from '../support/engine-cases.ts';
import { fakeScene } from '../support/fake/engine-scene.ts';
import { ovsScene } from '../support/stand-in/engine-scene.ts';
import { StandInOvsdb } from '../support/stand-in/stand-in-ovsdb.ts';
import { temporaryDirectory } from '../support/temporary.ts';

describe('the engine in memory', () => {
  const forFake = engineCases.filter(({ notForFake }) => notForFake === undefined);
  it.each(forFake.map((one) => [one.title, one] as const))('%s', async (_, { run }) => {
    const { engine, scene } = fakeScene();
    await run(engine, scene);
  });
});

describe('Open vSwitch with the stand-in database', () => {
  const titleOf = ({ title, notForFake }: (typeof engineCases)[number]) =>
    notForFake ? `${title} (not for the engine in memory: ${notForFake})` : title;
  it.each(engineCases.map((one) => [titleOf(one), one] as const))('%s', async (_, { run }) => {
    const standIn = await StandInOvsdb.start(temporaryDirectory());
    onTestFinished(() => standIn.stop());
    const { scene, end } = ovsScene(standIn, {
      setDaemon: (state) => {
        if (state === 'away') standIn.faults.idle = true;
        else standIn.resume();
      },
      setDatabase: (state) => (state === 'away' ? standIn.stopDatabase() : standIn.startDatabase()),
    });
    onTestFinished(end);
    const engine = openVswitch({ deadlines: defaultDeadlines });
    onTestFinished(() => engine.close());
    await run(engine, scene);
  });
});
