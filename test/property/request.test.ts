/** For any input of a runtime, parsing gives a request or a CNI error, and nothing else. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keyText } from '../../src/attachment.ts';
import { CniError } from '../../src/cni/error.ts';
import { type Environment, parseAdd, parseCheck, parseDel } from '../../src/cni/request.ts';
import { formatResult, parseResult, supportedVersions } from '../../src/cni/result.ts';
import { planOf } from '../../src/plan/attach.ts';
import { removalPlan } from '../../src/plan/removal.ts';
import { environment, host, network } from '../support/cni-requests.ts';
import { withSeed } from '../support/seed.ts';

const codes = [1, 2, 4, 6, 7];

/** A word that means something somewhere, or any text. */
const word = fc.oneof(
  fc.constantFrom(
    '',
    'ovs-dpdk',
    'vhostuser',
    'client',
    'server',
    'bridge',
    'br0',
    '..',
    '-x',
    '/a',
    'unix:/a',
    'access',
  ),
  fc.constantFrom('1.0.0', '0.4.0', '0.2.0', 'host-local', '02:00:00:00:00:01', '__proto__', 'constructor'),
  fc.string({ unit: 'binary', maxLength: 20 }),
);

const leaf = fc.oneof(
  word,
  fc.integer(),
  fc.double(),
  fc.boolean(),
  fc.constant(null),
  fc.constantFrom(68, 4094, 4095),
);

const key = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.constantFrom('engine', 'iftype', 'netType', 'vhost', 'bridge', 'memif', 'mtu', 'mac', 'mode'),
  },
  {
    weight: 9,
    arbitrary: fc.constantFrom('group', 'socketfile', 'bridgeName', 'vlanId', 'trunks', 'vlanMode', 'type'),
  },
  { weight: 2, arbitrary: fc.constantFrom('__proto__', 'constructor', 'toString', 'length', '') },
  { weight: 1, arbitrary: fc.string({ maxLength: 8 }) },
);

const tree = fc.letrec<{ node: unknown }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    leaf,
    fc.array(tie('node'), { maxLength: 3 }),
    fc.dictionary(key, tie('node'), { maxKeys: 5 }),
  ),
})).node;

const topLevel = [
  'cniVersion',
  'name',
  'type',
  'sharedDir',
  'logFile',
  'logLevel',
  'dataDir',
  'ovsdb',
  'deadlines',
  'mtu',
].concat([
  'host',
  'container',
  'ipam',
  'dns',
  'prevResult',
  'runtimeConfig',
  'args',
  'kubeconfig',
  '__proto__',
  'colour',
]);

/** A good configuration with some keys replaced by anything. */
const nearlyGood = fc
  .dictionary(fc.constantFrom(...topLevel), tree, { maxKeys: 4 })
  .map((changes) => JSON.stringify({ ...network(), ...changes }));

const stdin = fc.oneof(
  { weight: 6, arbitrary: nearlyGood },
  { weight: 2, arbitrary: fc.json() },
  { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
  // Cut anywhere, as a runtime that died while writing leaves it.
  { weight: 1, arbitrary: fc.tuple(nearlyGood, fc.nat()).map(([text, cut]) => text.slice(0, cut % (text.length + 1))) },
);

const variable = fc.option(fc.oneof(word, fc.constantFrom('IgnoreUnknown=1', 'MAC=x', 'A=b;C', '=', ';;')), {
  nil: undefined,
});

const environments: fc.Arbitrary<Environment> = fc.oneof(
  fc.constant(environment()),
  fc
    .dictionary(
      fc.constantFrom('CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH', 'CNI_ARGS', 'CNI_X'),
      variable,
    )
    .map(environment),
);

/** The request, or the error. Any other throw fails the property. */
function outcome<T>(parse: (env: Environment, text: string) => T, env: Environment, text: string): T | CniError {
  try {
    return parse(env, text);
  } catch (error) {
    if (error instanceof CniError) return error;
    throw error;
  }
}

describe(withSeed('parsing of any input'), () => {
  it.each([
    ['ADD', parseAdd],
    ['CHECK', parseCheck],
    ['DEL', parseDel],
  ] as const)(
    'for %s ends in a request or in a CNI error with a known code and a text, never in code 3',
    (_, parse) => {
      fc.assert(
        fc.property(environments, stdin, (env, text) => {
          const parsed = outcome<object>(parse, env, text);
          if (!(parsed instanceof CniError)) return;
          expect(codes).toContain(parsed.code);
          expect(parsed.message).not.toBe('');
        }),
        { numRuns: 2000 },
      );
    },
  );

  it('for DEL succeeds wherever ADD does, and means the same attachment', () => {
    fc.assert(
      fc.property(environments, stdin, (env, text) => {
        const add = outcome(parseAdd, env, text);
        if (add instanceof CniError) return;
        const del = parseDel(env, text);
        expect(keyText(del.key)).toBe(keyText(add.key));
        const { address, socketDir, bridge } = removalPlan(del);
        const planned = planOf(add);
        expect({ address, bridge, base: socketDir?.base, own: socketDir?.own, hold: socketDir?.hold }).toEqual({
          address: planned.address,
          bridge: planned.bridge,
          base: planned.socketDir?.base,
          own: planned.socketDir?.own,
          hold: planned.socketDir?.hold,
        });
      }),
      { numRuns: 1000 },
    );
  });

  it('for DEL is not stopped by anything but the key: no configuration with a good name is refused', () => {
    const named = fc
      .dictionary(fc.constantFrom(...topLevel.filter((name) => name !== 'name')), tree)
      .map((rest) => JSON.stringify({ ...rest, name: 'net' }));
    fc.assert(
      fc.property(named, (text) => {
        expect(parseDel(environment(), text).key.network).toBe('net');
      }),
      { numRuns: 1000 },
    );
  });

  it('gives names without separators and paths without detours, for any request (bug B28)', () => {
    const sides = fc.record(
      { bridge: fc.record({ bridgeName: word }), vhost: fc.record({ socketfile: word }) },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(sides, word, environments, (side, sharedDir, env) => {
        const add = outcome(parseAdd, env, JSON.stringify({ ...network({ sharedDir }), ...host(side) }));
        if (add instanceof CniError) return;
        const { port, socketDir } = planOf(add);
        for (const name of [port?.name, port?.file, port?.bridge])
          expect(name).toMatch(/^[^-/\s\p{Cc}][^/\s\p{Cc}]*$/u);
        expect(socketDir?.own?.split('/')).not.toContain('..');
        expect(socketDir?.own?.startsWith('/')).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });
});

describe(withSeed('results of any shape'), () => {
  it('are read or are not results, and a result that was read is written so that it reads back the same', () => {
    const member = fc.oneof(
      tree,
      fc.array(
        fc.record(
          { address: fc.oneof(fc.ipV4(), fc.ipV6(), leaf), gateway: leaf, interface: leaf, name: leaf },
          { requiredKeys: [] },
        ),
      ),
      fc.array(fc.record({ dst: fc.oneof(fc.ipV4(), leaf), gw: leaf }, { requiredKeys: [] })),
    );
    const results = fc.dictionary(
      fc.constantFrom('ips', 'interfaces', 'routes', 'dns', 'ip4', 'ip6', 'cniVersion'),
      member,
    );
    fc.assert(
      fc.property(fc.oneof(results, tree), (raw) => {
        const result = parseResult(raw);
        if (!result) return;
        for (const version of supportedVersions.slice(2))
          expect(parseResult(JSON.parse(JSON.stringify(formatResult(result, version))))).toEqual(
            JSON.parse(JSON.stringify(result)),
          );
      }),
      { numRuns: 1000 },
    );
  });
});
