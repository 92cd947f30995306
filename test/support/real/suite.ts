/**
 * A suite of the system lane: a switch of its own, and a fresh node for each test.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe } from 'vitest';
import { missing, type PartName, switchParts } from '../requirements.ts';
import { skippedTitle } from '../skip-reporter.ts';
import { type Mode, TestNode } from './node.ts';
import { type Switch, type SwitchOptions, startSwitch } from './switch.ts';
import { useWay } from './way.ts';

interface SuiteOptions extends SwitchOptions {
  /** Needed beside the switch and the IPAM programs. */
  readonly parts?: readonly PartName[];
}

/**
 * A suite against a switch of its own. Without the real parts it fails in CI and is skipped elsewhere, the reason in its title.
 * @param body is given a function, since the switch runs only once the suite's hooks have.
 */
export function onRealSwitch(title: string, body: (theSwitch: () => Switch) => void, options: SuiteOptions = {}): void {
  const lacking = missing([...switchParts, 'ipam', 'executable', ...(options.parts ?? [])]);
  if (lacking.length > 0 && !process.env.CI) {
    describe.skip(skippedTitle(title, lacking.join('; ')), () => body(absent)); // never in CI: the title says what is missing
    return;
  }
  describe(title, () => {
    let running: Switch | undefined;
    beforeAll(async () => {
      if (lacking.length > 0) throw new Error(lacking.join('\n'));
      running = await startSwitch(options);
    });
    afterAll(() => running?.stop());
    useWay();
    body(() => running ?? absent());
  });
}

function absent(): never {
  throw new Error('the switch is not running');
}

/** A fresh node for each test of a suite. */
export function useNode(theSwitch: () => Switch, mode: Mode = 'client'): () => TestNode {
  let node: TestNode | undefined;
  beforeEach(async () => {
    node = await TestNode.create(theSwitch(), mode);
  });
  afterEach(() => node?.end());
  return () => node ?? absent();
}

/** A bridge made by hand, as an administrator would; it is not a leftover of the test. */
export async function adminBridge(node: TestNode, ...settings: string[]): Promise<void> {
  const { theSwitch, bridge } = node;
  await theSwitch.vsctl('add-br', bridge, '--', 'set', 'Bridge', bridge, 'datapath_type=netdev', ...settings);
  await node.takeBaseline();
}
