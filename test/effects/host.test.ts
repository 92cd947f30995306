import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createHost } from '../../src/effects/host.ts';
import { type Facts, type Outcome, type Plan, type Step, steps, type Verb } from '../../src/machines/protocol.ts';
import { programs } from '../support/programs.ts';
import { emptyWorld, look } from '../support/real/world.ts';
import { call, type Scene, scene, troubleOf, type WholePlan } from '../support/stand-in/scene.ts';

const verbs: Verb[] = ['ensure', 'find', 'remove'];

const answer = '{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.5/24"}]}';

/** A node with a whole plan: an IPAM program that keeps its address in a file, and device information. */
async function node(mode: 'client' | 'server' = 'client') {
  const s = await scene({ reconnectMs: 0 });
  const ipamDir = join(s.sharedDir, '..', 'addresses');
  mkdirSync(ipamDir);
  const own = programs();
  own.write(
    'pool',
    `case $CNI_COMMAND in ADD) : > ${ipamDir}/10.0.0.5; echo '${answer}';; DEL) rm -f ${ipamDir}/10.0.0.5;; *) test -e ${ipamDir}/10.0.0.5;; esac`,
  );
  const plan: WholePlan & Required<Pick<Plan, 'address' | 'deviceInfo'>> = {
    ...s.plan({ port: { mode } }),
    address: { program: 'pool', path: [own.directory] },
    deviceInfo: { path: join(s.sharedDir, 'devinfo', 'net1'), mode: 'client', socket: '/x' },
  };
  const host = createHost(s.deadlines);
  onTestFinished(() => host.close());
  const places = { sharedDir: s.sharedDir, dataDir: join(s.sharedDir, '..', 'data'), ipamDir };
  return { s, plan, host, world: () => look(s.ovsdb, places) };
}

type Node = Awaited<ReturnType<typeof node>>;

const perform = (
  { host, plan }: Pick<Node, 'host' | 'plan'>,
  verb: Verb,
  step: Step,
  facts: Facts = {},
): Promise<Outcome> => host.perform({ step, verb, plan, facts }, call());

/** Every step in its order, as the machine asks for them. */
async function make(one: Node): Promise<Facts> {
  let facts: Facts = {};
  for (const step of steps) {
    const outcome = await perform(one, 'ensure', step, facts);
    expect({ step, outcome }).toMatchObject({ step, outcome: { kind: 'ok' } });
    if (outcome.kind === 'ok' && outcome.facts) facts = { ...facts, [step]: outcome.facts };
  }
  return facts;
}

describe.each(['client', 'server'] as const)('the steps of a plan in %s mode', (mode) => {
  it('are found as they were made, and leave nothing when they are removed; removing twice is the same as once', async () => {
    const one = await node(mode);
    const facts = await make(one);
    expect(facts).toMatchObject({ address: { ips: [{ address: '10.0.0.5/24' }] }, bridge: { created: true } });
    for (const step of steps)
      expect({ step, outcome: await perform(one, 'find', step, facts) }).toEqual({ step, outcome: { kind: 'ok' } });
    for (let round = 0; round < 2; round++) {
      for (const step of steps.toReversed())
        expect(await perform(one, 'remove', step, facts), step).toMatchObject({ kind: 'ok' });
      const { files, ...rest } = await one.world();
      expect(rest).toEqual({ ...rest, ...emptyWorld, files: undefined });
      expect(files).toEqual(['devinfo/']);
    }
  });
});

describe('a step that is not planned', () => {
  it('succeeds at once for each verb', async () => {
    const { host, plan } = await node();
    const { key, ovsdb, request } = plan;
    for (const step of steps)
      for (const verb of verbs)
        expect(await host.perform({ step, verb, plan: { key, ovsdb, request }, facts: {} }, call())).toMatchObject({
          kind: 'ok',
        });
  });

  it('is removed nevertheless if it is the port: its marks tell that it exists', async () => {
    const one = await node();
    await make(one);
    const { port: _, ...without } = one.plan;
    expect(await one.host.perform({ step: 'port', verb: 'remove', plan: without, facts: {} }, call())).toMatchObject({
      kind: 'ok',
    });
    expect((await one.world()).ports).toEqual([]);
  });
});

describe('a failure', () => {
  const spoilt = async (spoil: (s: Scene) => unknown) => {
    const one = await node();
    await spoil(one.s);
    return one;
  };

  it.each(['bridge', 'port'] as const)(
    'of the switch at %s is code 11, saying what could not be done',
    async (step) => {
      const one = await spoilt(({ ovsdb }) => ovsdb.stopDatabase());
      for (const verb of verbs) {
        const trouble = troubleOf(await perform(one, verb, step));
        expect(trouble.code).toBe(11);
        expect(trouble.message).toContain(`cannot ${verb} ${step}: `);
        expect(trouble.message).toContain(one.s.ovsdb.ovsdb);
      }
    },
  );

  it('of a transaction is code 11 with the database’s words', async () => {
    const one = await spoilt(({ ovsdb }) => {
      ovsdb.faults.request = (method) => (method === 'transact' ? { kind: 'error', error: 'no' } : undefined);
    });
    expect(troubleOf(await perform(one, 'ensure', 'bridge')).code).toBe(11);
    const wrong = await node();
    const port = { ...wrong.plan.port, vlan: { mode: 7 as never } };
    const outcome = await wrong.host.perform(
      { step: 'port', verb: 'ensure', plan: { ...wrong.plan, port }, facts: {} },
      call(),
    );
    expect(troubleOf(outcome)).toMatchObject({
      code: 11,
      message: expect.stringContaining('Open vSwitch refused the change'),
    });
  });

  it.each(['publication', 'deviceInfo', 'socketDir'] as const)(
    'of the file system at %s is code 5, with the path, and says that nothing was made',
    async (step) => {
      const one = await node();
      const file = join(one.s.sharedDir, 'file');
      writeFileSync(file, '');
      const plan = {
        ...one.plan,
        publication: { ...one.plan.publication, directory: join(file, 'x') },
        deviceInfo: { ...one.plan.deviceInfo, path: join(file, 'x') },
        socketDir: { ...one.plan.socketDir, base: join(file, 'x') },
      };
      const outcome = await perform({ host: one.host, plan }, 'ensure', step);
      const trouble = troubleOf(outcome);
      expect(trouble.code).toBe(5);
      expect(trouble.message).toContain(file);
      // Kind 1: nothing has to be undone.
      expect(outcome).toMatchObject({ made: 'nothing' });
    },
  );

  it('that is a bug is an outcome too, code 999 with its stack, so that the step is undone', async () => {
    const { host, plan } = await node();
    mkdirSync(plan.publication.directory);
    // JSON cannot hold it, so the code that writes it throws.
    const broken = { ...plan, publication: { ...plan.publication, data: { odd: 1n } } };
    const trouble = troubleOf(
      await host.perform({ step: 'publication', verb: 'ensure', plan: broken, facts: {} }, call()),
    );
    expect(trouble.code).toBe(999);
    expect(trouble.message).toContain('cannot ensure publication: ');
    expect(trouble.details).toContain('published-file.ts');
  });

  it('of the address while ovs-vswitchd holds on to the port keeps the address (case A32)', async () => {
    const one = await node();
    const facts = await make(one);
    one.s.ovsdb.faults.idle = true;
    const { facts: port } = (await perform(one, 'remove', 'port', facts)) as { facts: Facts['port'] };
    const later: Facts = { ...facts, ...(port && { port }) };
    const kept = await one.host.perform({ step: 'address', verb: 'remove', plan: one.plan, facts: later }, call(1_000));
    expect(troubleOf(kept).message).toContain('ovs-vswitchd has applied');
    expect((await one.world()).addresses).toEqual(['10.0.0.5']);
    one.s.ovsdb.resume();
    expect(await perform(one, 'remove', 'address', later)).toEqual({ kind: 'ok' });
    expect((await one.world()).addresses).toEqual([]);
  });
});

describe('recalling an attachment without a journal', () => {
  it('corrects the known plan by the marks', async () => {
    const one = await node();
    await make(one);
    const { key, ovsdb, request } = one.plan;
    const stripped = { key, ovsdb, request, bridge: { name: 'br-default' } };
    const { bridge, socketDir, publication } = one.plan;
    expect(await one.host.recall(stripped, call())).toMatchObject({
      kind: 'known',
      isProved: true,
      plan: { bridge, socketDir, publication: { directory: publication.directory, file: publication.file } },
    });
  });

  it('kind 2: knows nothing while the switch cannot be asked, says so, and ends in time', async () => {
    const one = await node();
    one.s.ovsdb.faults.request = () => ({ kind: 'silence' });
    expect(await one.host.recall(one.plan, call(30))).toMatchObject({ kind: 'unsettled', trouble: { code: 11 } });
  });

  it('forgets an address of a program that does not exist, because it cannot have given one', async () => {
    const { host, plan } = await node();
    const moved = { ...plan, address: { program: 'no', path: ['/nowhere'] } };
    expect(await host.recall(moved, call())).not.toHaveProperty('plan.address');
    expect(await host.recall(plan, call())).toHaveProperty('plan.address');
  });
});

describe('the state of a pod’s netns', () => {
  it('does not matter to a removal, which never looks into it (bug B24)', async () => {
    const one = await node();
    const facts = await make(one);
    const plan = { ...one.plan, port: { ...one.plan.port, marks: { netns: '/nowhere' } } };
    for (const step of steps.toReversed())
      expect((await perform({ host: one.host, plan }, 'remove', step, facts)).kind).toBe('ok');
  });
});
