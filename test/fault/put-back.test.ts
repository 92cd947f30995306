/**
 * Putting back the port that the switch has lost of a living attachment, and everything that can refuse it. After a death in any
 * window, or with any call between, the living attachment keeps all that it has. It is whole once the refusal's cause is gone.
 */
import { afterAll, describe, expect, it } from 'vitest';
import { type Crash, explore, fork } from '../support/fake/crash-points.ts';
import { bytesOf } from '../support/fake/damage.ts';
import type { HostFault } from '../support/fake/fake-host.ts';
import {
  type Answer,
  type Attachment,
  attachmentShapes,
  bridge,
  directoryOf,
  FakeNode,
  type Fate,
  keyOf,
  portOf,
  socketOf,
} from '../support/fake/fake-node.ts';
import { type FakePort, type FakeWorld, switchDir } from '../support/fake/fake-world.ts';
import { everyMomentIn, heldAt, placeText, until } from '../support/fake/held-call.ts';
import { VirtualTime } from '../support/fake/virtual-time.ts';
import { faultsOf, isGoing, lawsBroken, leftOf, othersThan } from '../support/fake/world-checker.ts';
import { skippedTitle } from '../support/skip-reporter.ts';

afterAll(new VirtualTime().install());

interface Refusal {
  readonly title: string;
  /** Before the attachment is made. */
  readonly prepare?: (world: FakeWorld) => void;
  /** The cause, and its end. */
  readonly begin?: (world: FakeWorld, one: Attachment) => void;
  readonly end?: (world: FakeWorld, one: Attachment) => void;
  /** The event in the put-back itself. */
  readonly fate?: (one: Attachment) => Fate;
  /** It is known before anything is written or changed. */
  readonly isForeseen?: true;
  readonly modes?: readonly Attachment['mode'][];
  /** A removal leaves the socket, because another port of the switch names it. */
  readonly isSocketKept?: true;
}

const adminsPort = (more: Partial<FakePort> = {}): FakePort => ({
  uuid: 'row-admin',
  by: 'admin',
  mode: 'client',
  tag: undefined,
  marks: {},
  ...more,
});

const failing = (...host: readonly HostFault[]) => ({ fate: (): Fate => ({ host }) });
const restore = { step: 'port', verb: 'restore' } as const;

/** Right before the row is made, when the question was answered already. */
const beforeTheRow = (change: (world: FakeWorld, one: Attachment) => void) => ({
  fate: (one: Attachment): Fate => ({
    watch: ({ step, verb, at }, world) => {
      if (step === 'port' && verb === 'restore' && at === 'before') change(world, one);
    },
  }),
});

const takeName = (world: FakeWorld, one: Attachment) => void world.ports.set(portOf(one), adminsPort());
const giveName = ({ ports }: FakeWorld, one: Attachment) => {
  if (ports.get(portOf(one))?.by === 'admin') ports.delete(portOf(one));
};

/** Through the symlink, if there is one. */
function takeSocket(world: FakeWorld, one: Attachment): void {
  const link = [...world.files].find(([, { kind, by }]) => kind === 'symlink' && by === keyOf(one))?.[0];
  world.ports.set('admin7', adminsPort({ path: `${link ?? directoryOf(one)}/${portOf(one)}` }));
}

const refusals: readonly Refusal[] = [
  {
    title: 'ovs-vswitchd is not there',
    begin: (world) => world.setDaemon('away'),
    end: (world) => world.setDaemon('running'),
    isForeseen: true,
  },
  {
    title: 'the bridge is gone, and was an administrator’s',
    prepare: ({ bridges }) => void bridges.set(bridge, { instance: undefined, ports: [] }),
    begin: ({ bridges }) => void bridges.delete(bridge),
    end: ({ bridges }) => void bridges.set(bridge, { instance: undefined, ports: [] }),
    isForeseen: true,
  },
  {
    title: 'the bridge came back with another datapath',
    begin: ({ bridges }) => void bridges.set(bridge, { instance: undefined, ports: [], datapath: 'system' }),
    end: ({ bridges }) => void bridges.set(bridge, { instance: undefined, ports: [] }),
    isForeseen: true,
  },
  { title: 'an administrator’s port took the name', begin: takeName, end: giveName, isForeseen: true },
  {
    title: 'an administrator’s port took the socket',
    begin: takeSocket,
    end: ({ ports }) => void ports.delete('admin7'),
    isForeseen: true,
    modes: ['client'],
    isSocketKept: true,
  },
  {
    title: 'the switch cannot be asked',
    ...failing({ step: 'restorable', verb: 'find', how: { code: 11 } }),
    isForeseen: true,
  },
  {
    title: 'the IPAM program says that the address is gone',
    ...failing({ step: 'address', verb: 'find', how: { code: 100 } }),
    isForeseen: true,
  },
  { title: 'the name is taken after the question', ...beforeTheRow(takeName), end: giveName },
  {
    title: 'ovs-vswitchd goes away after the question',
    ...beforeTheRow((world) => world.setDaemon('away')),
    end: (world) => world.setDaemon('running'),
  },
  { title: 'the bridge goes away after the question', ...beforeTheRow(({ bridges }) => void bridges.delete(bridge)) },
  { title: 'the port fails after its row was made', ...failing({ ...restore, how: { code: 11 }, at: 'during' }) },
  { title: 'the row is made, and no answer comes', ...failing({ ...restore, how: { code: 11 }, at: 'after' }) },
  { title: 'the port hangs after its row was made', ...failing({ ...restore, how: 'hang', at: 'during' }) },
  {
    title: 'the port fails, and so does taking back its row',
    ...failing({ ...restore, how: { code: 11 }, at: 'during' }, { step: 'port', verb: 'withdraw', how: { code: 11 } }),
  },
  { title: 'the directory cannot be made', ...failing({ step: 'socketDir', verb: 'ensure', how: { code: 5 } }) },
  { title: 'the bridge cannot be made', ...failing({ step: 'bridge', verb: 'ensure', how: { code: 11 } }) },
  {
    title: 'the bridge is made, and no answer comes',
    ...failing({ step: 'bridge', verb: 'ensure', how: { code: 11 }, at: 'after' }),
  },
  { title: 'nothing', fate: () => ({}) },
];

/** Every refusal in every shape; otherwise each refusal's windows in one of them, in turn. */
const everyWindow = process.env.CRASH_POINTS === 'all';

const counted = { refusals: 0, windows: 0, ends: 0, nodes: 0, judged: 0, met: 0 };

afterAll(() => {
  const { refusals: refused, windows, ends, nodes, judged, met } = counted;
  console.log(
    `put-backs: ${refused} refusals; ${windows} windows, ${ends} with every end in them; ${nodes} different nodes found, ` +
      `${judged} follow-ups judged; ${met} meetings with a DEL`,
  );
});

/** Attached, and the switch has lost it. */
async function lost(one: Attachment, { prepare, begin }: Refusal): Promise<FakeNode> {
  const node = new FakeNode().withNetns(one);
  node.world.addOthers();
  prepare?.(node.world);
  expect(await node.add(one)).toMatchObject({ kind: 'ok' });
  if (one.mode === 'client') node.world.files.set(socketOf(one), { kind: 'socket', by: keyOf(one), text: 'app' });
  node.world.loseSwitch();
  const { bridges } = node.world;
  for (const [name, found] of bridges)
    bridges.set(name, { ...found, ports: found.ports.filter((port) => port !== portOf(one)) });
  begin?.(node.world, one);
  return node;
}

/** Expects all its parts but the port, and its application's socket. */
function faultsOfLost(one: Attachment, node: FakeNode): string[] {
  const isOfPort = (fault: string) => fault.includes('port') || fault.includes(switchDir);
  const socket = node.world.files.get(socketOf(one));
  return [
    ...faultsOf(one, node).filter((fault) => !isOfPort(fault)),
    ...(socket?.by === keyOf(one) && socket.kind === 'socket' ? [] : ['its socket is gone']),
    ...lawsBroken(node),
  ];
}

const wholeFaults = (one: Attachment, node: FakeNode): string[] => [...faultsOfLost(one, node), ...faultsOf(one, node)];

async function faultsAfter(crash: Crash, one: Attachment, refusal: Refusal): Promise<string[]> {
  counted.judged += crash.powerCut ? 1 : 3;
  const late = fork(crash.node);
  refusal.end?.(late.world, one);
  const others = othersThan([one], late);
  if (crash.powerCut) {
    // No sandbox of that boot lives.
    await late.recover();
    return [...leftOf(one, late), ...(othersThan([one], late) === others ? [] : ['others were touched'])];
  }
  const early = fork(crash.node);
  const found = faultsOfLost(one, early).map((fault) => `as it is found: ${fault}`);
  await early.recover();
  const refused = faultsOfLost(one, early).map((fault) => `after another try: ${fault}`);
  refusal.end?.(early.world, one);
  await early.recover();
  const restored = wholeFaults(one, early).map((fault) => `once the cause is gone: ${fault}`);
  const { kind } = await early.del(one);
  await late.del(one);
  const left = [early, late].flatMap((node) => [...leftOf(one, node), ...lawsBroken(node)]);
  const touched = [early, late].some((node) => othersThan([one], node) !== others) ? ['others were touched'] : [];
  return [...found, ...refused, ...restored, ...(kind === 'ok' ? [] : ['DEL fails']), ...left, ...touched];
}

const ofLost = (answer: Answer, one: Attachment) =>
  answer.kind === 'ok' ? answer.recovered?.find(({ key }) => key === keyOf(one)) : undefined;

for (const one of attachmentShapes) {
  const fitting = refusals.filter(({ modes }) => !modes || modes.includes(one.mode));
  describe.each(fitting.map((refusal) => [refusal.title, refusal] as const))(
    `kind 1: a put-back (${one.mode} mode${one.pod ? ' in an emptyDir' : ''}) that is refused because %s`,
    (title, refusal) => {
      const { fate, isForeseen } = refusal;
      const isTurn =
        everyWindow || fitting.indexOf(refusal) % attachmentShapes.length === attachmentShapes.indexOf(one);

      it('changes nothing that lives, leaves no more records each time, and comes true once the cause is gone', async () => {
        const node = await lost(one, refusal);
        const [before, bytes] = [node.world.describe(), bytesOf(one, node)];
        let length = 0;
        for (const round of [1, 2, 3]) {
          const answer = await node.recover(fate?.(one));
          if (title === 'nothing') break;
          const result = ofLost(answer, one)?.result;
          // The row that is there without an answer is found by the next one.
          if (round === 1) expect(result).toBe('owed');
          expect(faultsOfLost(one, node)).toEqual([]);
          if (isForeseen) expect([node.world.describe(), bytesOf(one, node)]).toEqual([before, bytes]);
          if (round > 1) expect(bytesOf(one, node).length).toBeLessThanOrEqual(length + 16);
          length = Math.max(length, bytesOf(one, node).length);
        }
        counted.refusals++;
        refusal.end?.(node.world, one);
        await node.recover();
        expect(wholeFaults(one, node)).toEqual([]);
      });

      const walked = (what: string): string =>
        isTurn
          ? what
          : skippedTitle(what, 'its windows are walked for another attachment shape; CRASH_POINTS=all walks all');

      it.runIf(isTurn)(
        walked('and dies in any window leaves it alive, or takes it away with the power; its DEL leaves nothing'),
        async () => {
          const found = await explore(await lost(one, refusal), 'recover', one, fate?.(one));
          counted.windows += found.windows;
          counted.ends += found.ends;
          counted.nodes += found.crashes.length;
          const faulty: string[] = [];
          for (const crash of found.crashes) {
            for (const fault of await faultsAfter(crash, one, refusal)) faulty.push(`${crash.how}: ${fault}`);
            if (faulty.length >= 5) break;
          }
          expect(faulty).toEqual([]);
        },
      );

      it.runIf(isTurn)(
        walked('and meets a DEL in any window leaves nothing, whichever of the two ends first'),
        async () => {
          const places = await everyMomentIn(async (see) => {
            const node = await lost(one, refusal);
            const given = fate?.(one) ?? {};
            await node.recover({
              ...given,
              watch: async (instant, world) => {
                see(instant);
                await given.watch?.(instant, world);
              },
            });
          });
          for (const place of places) {
            for (const waits of [true, false]) {
              counted.met++;
              const node = await lost(one, refusal);
              const given = fate?.(one) ?? {};
              const putBack = await heldAt(place, (pass) =>
                node.recover({
                  ...given,
                  watch: async (instant, world) => {
                    await given.watch?.(instant, world);
                    await pass(instant);
                  },
                }),
              );
              const del = node.del(one);
              // It waits in vain, and leaves its mark; or the put-back ends while it waits.
              if (waits) expect(await del).toMatchObject({ kind: 'ok' });
              else await until(() => isGoing(one, node.disk));
              putBack.open();
              await putBack.answer;
              const answer = await del;
              refusal.end?.(node.world, one);
              // The removal that the cause held up is owed. Otherwise the put-back has seen the mark.
              if (refusal.end && isGoing(one, node.disk)) await node.recover();
              const where = [placeText(place), waits];
              const left = leftOf(one, node).filter((thing) => !refusal.isSocketKept || !thing.startsWith('socket '));
              expect([...where, answer.kind, ...left, ...lawsBroken(node)]).toEqual([...where, 'ok']);
            }
          }
        },
      );
    },
  );
}
