/** The published JSON Schema and the plugin's own reader agree about any network, as far as a JSON Schema can. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonSchema } from '../../src/cni/config/json-schema.ts';
import { configKeys } from '../../src/cni/config/reference.ts';
import { readAdd } from '../../src/cni/request.ts';
import { environment, type Json, network } from '../support/cni-requests.ts';
import { schemaFaults } from '../support/network-validator.ts';
import { withSeed } from '../support/seed.ts';

/** Values at and beside each limit of a key, words that it takes, and others. */
function valuesOf(shape: JsonSchema): fc.Arbitrary<unknown> {
  const branches = [shape, ...((shape.anyOf as JsonSchema[] | undefined) ?? [])];
  const edges = branches.flatMap(({ minimum, maximum, maxLength }) => [
    ...[minimum, maximum].flatMap((limit) => (typeof limit === 'number' ? [limit - 1, limit, limit + 1] : [])),
    ...(typeof maxLength === 'number' ? ['a'.repeat(maxLength), 'a'.repeat(maxLength + 1)] : []),
  ]);
  const words = branches.flatMap((one) => [...((one.enum as unknown[] | undefined) ?? []), one.const]);
  const some = [
    '',
    0,
    1,
    1500,
    true,
    'a',
    '/a',
    '/a/../b',
    '/a/..',
    '/',
    'unix:/a',
    'configData-x',
    '02:00:00:00:00:01',
  ];
  const own = words.filter((word) => word !== undefined);
  const any = fc.constantFrom(...own, ...edges, ...some, [], [1, 2], {}, 1.5);
  return own.length > 0 ? fc.oneof({ weight: 2, arbitrary: fc.constantFrom(...own) }, any) : any;
}

/** Keys without members: an object is made of those. */
const leaves = configKeys().filter(
  ({ path, shape }) => !path.startsWith('CNI_ARGS') && shape.properties === undefined && path !== 'type',
);

/** Keys of rules that join several: any five of all keys would seldom meet in one. */
const joined = leaves.filter(({ path }) =>
  /^(cniVersion|ipam\.type|deadlines\.(addMs|rollbackMs)|(host|container)\.vhost\.mode|host\.vhost\.(socketfile|ingress.*)|host\.bridge\.(vlan.*|trunks))$/.test(
    path,
  ),
);

/** Keys that nothing knows. */
const strange = [
  'colour',
  'host.colour',
  'host.vhost.colour',
  'container.bridge.colour',
  'deadlines.colour',
  'ipam.colour',
];

const change = fc
  .oneof(
    { weight: 4, arbitrary: fc.constantFrom(...leaves) },
    { weight: 8, arbitrary: fc.constantFrom(...joined) },
    { weight: 1, arbitrary: fc.constantFrom(...strange).map((path) => ({ path, shape: {}, example: 'blue' })) },
  )
  .chain(({ path, shape, example }) =>
    fc.tuple(fc.constant(path), fc.oneof(valuesOf(shape), fc.constant(example ?? 'x'))),
  );

/** Sets a member, unless something in its way is no object. */
function set(whole: Json, path: string, value: unknown): Json {
  const [name = '', ...rest] = path.split('.');
  if (rest.length === 0) return { ...whole, [name]: value };
  return { ...whole, [name]: set((whole[name] as Json | undefined) ?? {}, rest.join('.'), value) };
}

const networks = fc
  .array(change, { maxLength: 5 })
  .map((changes) => changes.reduce((whole, [path, value]) => set(whole, path, value), network()))
  .map((whole) => JSON.parse(JSON.stringify(whole)) as Json);

/** Faults of two values that no JSON Schema compares, and of a result's inside. */
const beyond =
  /: an ADD of "addMs"|^"mtu" is \d+ and |^"logFile" is .* name of a journal|^"prevResult" is no CNI result/;

const pod = 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=pod';

describe(withSeed('the schema and the reader'), () => {
  it('refuse and take the same networks, apart from what the schema says that it cannot know', () => {
    fc.assert(
      fc.property(networks, (one) => {
        const { troubles, remarks } = readAdd(environment({ CNI_ARGS: pod }), JSON.stringify(one));
        const strict = remarks.filter(({ message }) => !message.includes('has no effect'));
        const known = [...troubles, ...strict].filter(({ message }) => !beyond.test(message));
        const said = schemaFaults(one);
        if (known.length > 0) expect(said).not.toEqual([]);
        else if (troubles.length === 0) expect(said).toEqual([]);
      }),
      { numRuns: 2_000 },
    );
  });

  it('meet both kinds of networks', () => {
    const seen = fc.sample(networks, 300).map((one) => schemaFaults(one).length === 0);
    expect(new Set(seen)).toEqual(new Set([true, false]));
  });
});
