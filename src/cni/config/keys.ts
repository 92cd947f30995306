/**
 * The shape and the limits of every key of the network configuration. Combinations are in rules.ts, defaults in defaults.ts.
 */
import * as v from 'valibot';
import { deviceNameBytesMax, type LogLevel, logLevels, vlanModes } from '../../attachment.ts';
import { type Deadlines, defaultDeadlines } from '../../deadlines.ts';
import { isObject, type Json } from '../leniency.ts';

/** No separators, no spaces, no `=` (consumers split on it), no leading "-" (a tool would read an option). */
const fileName = /^[A-Za-z0-9_][A-Za-z0-9_.:@+-]*$/;
const bridgeName = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/;
/** A NUL ends a path for the kernel, a newline a log line. */
const printable = /^[^\p{Cc}]*$/u;
const fileNameBytesMax = 100;
const deadlineMsMax = 600_000;

/**
 * The predecessor writes '' and 0 for a key that is not set. Readers of its keys take these values for absent, by `isSet` or by
 * `||`. So no optional key may give 0 or '' a meaning.
 */
export type Unset = '' | 0 | undefined;
export const isSet = (value: unknown): boolean => value !== '' && value !== 0 && value !== undefined;

const zeroOr = (least: number, most: number) =>
  v.optional(v.union([v.literal(0), v.pipe(v.number(), v.integer(), v.minValue(least), v.maxValue(most))]));
const text = v.optional(v.string());
const oneOf = <const T extends readonly string[]>(...words: T) => v.optional(v.picklist(['', ...words]));
export const path = v.pipe(
  v.string(),
  v.regex(/^\//, 'an absolute path'),
  v.regex(/^(?!.*\/\.\.(\/|$))/s, 'a path without ".."'),
  v.regex(printable, 'a printable path'),
);

const macSample = 'a MAC address such as "02:00:00:00:00:01"';

const Mac = v.pipe(v.string(), v.regex(/^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$/, macSample));

const macOrNone = v.union([v.literal(''), Mac]);

/** An object that takes no other keys: each other one is an issue of type "never". `strictObject` would name the first one only. */
const noOther: v.GenericSchema<unknown> = v.never();
const closed = <const T extends v.ObjectEntries>(entries: T) => v.objectWithRest(entries, noOther);

/** valibot's own `object` would also take a list. */
const object = v.custom<Json>(isObject, 'an object');

export const Vhost = closed({
  mode: oneOf('client', 'server'),
  group: text,
  socketfile: v.optional(
    v.union([
      v.literal(''),
      v.pipe(
        v.string(),
        v.regex(fileName, 'a file name of letters, digits, "_.:@+-"'),
        v.maxBytes(fileNameBytesMax, `at most ${fileNameBytesMax} bytes`),
      ),
    ]),
  ),
  ingressPolicingRate: zeroOr(1, 0xffffffff),
  ingressPolicingBurst: zeroOr(1, 0xffffffff),
  enableGso: v.optional(v.boolean()),
  enablePacked: v.optional(v.boolean()),
  enableEventIdx: v.optional(v.boolean()),
});

export const Bridge = closed({
  bridgeName: v.optional(
    v.union([
      v.literal(''),
      v.pipe(
        v.string(),
        v.regex(bridgeName, 'a bridge name of letters, digits, "_.-"'),
        v.maxBytes(deviceNameBytesMax, `at most ${deviceNameBytesMax} bytes`),
      ),
    ]),
  ),
  bridgeId: v.optional(v.pipe(v.number(), v.integer())),
  vlanId: zeroOr(1, 4094),
  trunks: v.optional(v.array(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(4095)))),
  vlanMode: oneOf(...vlanModes),
});

const Memif = v.record(v.string(), v.unknown());

export const Side = closed({
  engine: text,
  iftype: text,
  netType: text,
  mtu: zeroOr(68, 65535),
  mac: v.optional(macOrNone),
  memif: v.optional(v.pipe(object, Memif)),
  vhost: v.optional(v.pipe(object, Vhost)),
  bridge: v.optional(v.pipe(object, Bridge)),
});

const milliseconds = v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(deadlineMsMax)));

const DeadlineKeys = closed(
  Object.fromEntries(Object.keys(defaultDeadlines).map((key) => [key, milliseconds])) as {
    [K in keyof Deadlines]: typeof milliseconds;
  },
);

const Ipam = v.looseObject({ type: v.optional(v.pipe(v.string(), v.regex(/^[^/]*$/, 'a program name without "/"'))) });

/** Accepted with any value: another part of the protocol reads it, or another program does. */
const anything = v.optional(v.unknown());

/** Keys that runtimes and Multus hand to every plugin, or read in its configuration. */
const forOthers = {
  capabilities: anything,
  deviceID: anything,
  disableCheck: anything,
  disableGC: anything,
  ipMasq: anything,
  loadOnlyInlinedPlugins: anything,
  pciBusID: anything,
};

export const Network = v.looseObject({
  ...forOthers,
  cniVersion: text,
  name: anything,
  type: text,
  kubeconfig: v.optional(v.union([v.literal(''), path])),
  kubeletRootDir: v.optional(path),
  shortDir: v.optional(path),
  grantAccess: v.optional(v.boolean()),
  predecessorDir: v.optional(path),
  sharedDir: v.optional(v.union([v.literal(''), path])),
  logFile: text,
  logLevel: anything,
  dataDir: v.optional(path),
  ovsdb: v.optional(v.pipe(v.string(), v.regex(/^unix:\/[^\p{Cc}]*$/u, '"unix:" and an absolute path'))),
  deadlines: v.optional(v.pipe(object, DeadlineKeys)),
  mtu: zeroOr(68, 65535),
  host: v.optional(v.pipe(object, Side)),
  container: v.optional(v.pipe(object, Side)),
  ipam: v.optional(v.pipe(object, Ipam)),
  dns: v.optional(object),
  prevResult: v.optional(object),
  runtimeConfig: v.optional(
    v.pipe(object, v.looseObject({ mac: v.optional(macOrNone), CNIDeviceInfoFile: v.optional(path) })),
  ),
  args: v.optional(
    v.pipe(
      object,
      v.looseObject({
        cni: v.optional(
          v.pipe(
            object,
            v.looseObject({
              mac: v.optional(macOrNone),
              OvnPort: v.optional(v.pipe(v.string(), v.regex(printable, 'a printable name'))),
            }),
          ),
        ),
      }),
    ),
  ),
});

/** Reads the predecessor's levels in upper or lower case. @returns undefined for an unknown one */
export const logLevelOf = (value: unknown): LogLevel | undefined =>
  logLevels.find((level) => typeof value === 'string' && value.toLowerCase() === level);

/** A configuration whose every key has its shape. */
export type Raw = v.InferOutput<typeof Network>;
