/** The cases of an engine on the real switch: the ones that the engine in memory and the stand-in database answer (test/effects/engine.test.ts). */
import { afterEach, it } from 'vitest';
import { defaultDeadlines } from '../../src/deadlines.ts';
import { openVswitch } from '../../src/effects/ovs/engine.ts';
import { engineCases } from '../support/engine-cases.ts';
import { onRealSwitch } from '../support/real/suite.ts';
import { ovsScene } from '../support/stand-in/engine-scene.ts';

onRealSwitch('Open vSwitch keeps the face of an engine', (theSwitch) => {
  let clean: () => Promise<void> = async () => undefined;
  afterEach(() => clean());

  it.each(engineCases.map((one) => [one.title, one] as const))('%s', async (_, { run }) => {
    const view = theSwitch();
    const { scene, end } = ovsScene(view, {
      setDaemon: (state) => (state === 'away' ? view.pauseVswitchd() : view.resumeVswitchd()),
      setDatabase: (state) => (state === 'away' ? view.stopDatabase() : view.startDatabase()),
    });
    const engine = openVswitch({ deadlines: defaultDeadlines });
    clean = async () => {
      engine.close();
      await end();
    };
    await run(engine, scene);
  });
});
