/**
 * The JSON Schema of a network, and of a list with one of our plugins: for editors and for checks without this plugin. It is made of the
 * reference, and of the rules below, which are those of rules.ts as far as JSON Schema can say them. Pure.
 *
 * Draft 7, because editors, their YAML extensions and validators of every language have it, and nothing here needs a later one.
 */
import { vlanModes } from '../../attachment.ts';
import { defaultDeadlines } from '../../deadlines.ts';
import { supportedVersions } from '../result.ts';
import type { JsonSchema } from './json-schema.ts';
import { schemaKeys } from './paths.ts';
import { type ConfigKey, configKeys, meaningOf } from './reference.ts';

/** An object that has this key, with such a value. */
const has = (path: string, value: JsonSchema): JsonSchema =>
  path
    .split('.')
    .reduceRight((inner, key) => ({ type: 'object', required: [key], properties: { [key]: inner } }), value);

const not = (schema: JsonSchema): JsonSchema => ({ not: schema });
const whenThen = (when: JsonSchema, then: JsonSchema): JsonSchema => ({ if: when, then });

/** A number or a text that is set: 0 and '' are not. */
const number: JsonSchema = { type: 'integer', minimum: 1 };
const text: JsonSchema = { type: 'string', minLength: 1 };

const hasMode = (side: 'host' | 'container', mode: string) => has(`${side}.vhost.mode`, { const: mode });
const hasTag = has('host.bridge.vlanId', number);
const hasTrunks = has('host.bridge.trunks', { type: 'array', minItems: 1 });
const hasVlanMode = (...modes: string[]) => has('host.bridge.vlanMode', { enum: modes });
const tagged = vlanModes.filter((mode) => mode !== 'trunk');

/** Each rule of combinations, by the key with which its message begins. */
const rules: readonly JsonSchema[] = [
  {
    ...whenThen(hasMode('host', 'client'), not(hasMode('container', 'client'))),
    else: not(hasMode('container', 'server')),
  },
  whenThen(hasVlanMode(...tagged), hasTag),
  whenThen(hasVlanMode('trunk'), not(hasTag)),
  whenThen(hasVlanMode('access'), not(hasTrunks)),
  whenThen({ allOf: [hasTag, hasTrunks] }, has('host.bridge.vlanMode', text)),
  not(has('host.vhost.socketfile', { type: 'string', pattern: '^configData-' })),
  whenThen(has('host.vhost.ingressPolicingBurst', number), has('host.vhost.ingressPolicingRate', number)),
  {
    type: 'object',
    properties: {
      ipam: {
        type: 'object',
        anyOf: [
          has('type', text),
          { type: 'object', properties: { type: {} }, additionalProperties: { type: 'null' } },
        ],
      },
    },
  },
  whenThen(
    has('deadlines.addMs', { type: 'integer', maximum: defaultDeadlines.rollbackMs }),
    has('deadlines.rollbackMs', {}),
  ),
  whenThen(
    has('deadlines.rollbackMs', { type: 'integer', minimum: defaultDeadlines.addMs }),
    has('deadlines.addMs', {}),
  ),
];

/** A result of these versions has no place for an interface without an address; a missing version is the first one. */
const isOld = not(
  has('cniVersion', { enum: supportedVersions.filter((version) => version !== '0.1.0' && version !== '0.2.0') }),
);

/** The shape of a key with its words, and of those below it. */
function described(key: ConfigKey, all: ReadonlyMap<string, ConfigKey>): JsonSchema {
  const { path, shape, example, hasEffect } = key;
  const { properties } = shape as { properties?: { readonly [name: string]: JsonSchema } };
  return {
    description: meaningOf(key),
    ...(key.default !== undefined && { default: key.default }),
    ...(example !== undefined && { examples: [example] }),
    ...(!hasEffect && { deprecated: true }),
    ...shape,
    ...(properties && { properties: propertiesOf(Object.keys(properties), `${path}.`, all) }),
  };
}

const propertiesOf = (names: readonly string[], prefix: string, all: ReadonlyMap<string, ConfigKey>): JsonSchema =>
  Object.fromEntries(
    names.flatMap((name) => {
      const key = all.get(`${prefix}${name}`);
      return key ? [[name, described(key, all)]] : [];
    }),
  );

const said = [
  'A network of the CNI plugin "userspace", or a list (conflist) of which it is one plugin. It takes what an ADD takes without a warning, but',
  'for keys without effect, which are marked deprecated. It is stricter than the plugin, which reads keys and log levels in any case, and null',
  'as an absent key, and warns of unknown keys at the top level. It cannot say that "deadlines.addMs" is more than "deadlines.rollbackMs", that',
  '"mtu" is "host.mtu", that "logFile" is no file of "dataDir", that a list has one plugin of this type, what a "prevResult" is, nor anything of',
  'a node. "userspace check FILE" knows all of these but the last.',
].join(' ');

export function networkSchema(version: string): JsonSchema {
  const all = new Map(configKeys().map((key) => [key.path, key]));
  const top = schemaKeys.map(({ path }) => path).filter((path) => !path.includes('.'));
  const ofList = ['cniVersion', 'name', 'disableCheck', 'disableGC', 'loadOnlyInlinedPlugins'];
  const ours = has('type', { const: 'userspace' });
  const ref = (name: string): JsonSchema => ({ $ref: `#/definitions/${name}` });
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: `userspace ${version}: network configuration`,
    description: said,
    type: 'object',
    ...whenThen(has('plugins', {}), ref('list')),
    else: ref('network'),
    definitions: {
      network: { allOf: [ref('plugin'), has('name', {}), whenThen(isOld, ref('addressed'))] },
      plugin: {
        type: 'object',
        required: ['type', 'host'],
        properties: propertiesOf(top, '', all),
        patternProperties: { '^cni\\.dev/': {} },
        additionalProperties: false,
        allOf: [has('host.engine', {}), has('host.iftype', {}), ...rules],
      },
      addressed: has('ipam.type', text),
      list: {
        type: 'object',
        required: ['name', 'plugins'],
        properties: {
          ...propertiesOf(ofList, '', all),
          plugins: {
            type: 'array',
            description: 'The plugins of an interface, one after another.',
            contains: ours,
            items: whenThen(ours, ref('plugin')),
          },
        },
        ...whenThen(isOld, {
          properties: { plugins: { type: 'array', items: whenThen(ours, ref('addressed')) } },
        }),
      },
    },
  };
}
