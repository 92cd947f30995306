/**
 * CNI results: read in any version, written in the version that was asked for (CNI SPEC of each version, "Success").
 *
 * Pure. The one shape inside is that of 1.1.0: an address has no `version`, everything else is a subset.
 */
import { type Addresses, code, type IpConfig, type Route } from '../attachment.ts';
import { CniError } from './error.ts';
import { isObject, type Json, memberOf } from './leniency.ts';

export const supportedVersions = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;

/** A configuration's `cniVersion`; one that leaves it out means 0.1.0 (CNI SPEC 0.1.0). @param stdin a JSON object */
export const versionIn = (stdin: string): unknown => memberOf(JSON.parse(stdin), 'cniVersion') || '0.1.0';

export interface Interface {
  readonly name: string;
  readonly mac?: string;
  readonly sandbox?: string;
  /** From 1.1.0 on. */
  readonly mtu?: number;
  readonly socketPath?: string;
  readonly pciID?: string;
}

export interface Result extends Addresses {
  readonly interfaces: readonly Interface[];
}

const isString = (value: unknown): value is string => typeof value === 'string';
const list = (value: unknown): Json[] => (Array.isArray(value) ? value.filter(isObject) : []);

/** Reads a result of any version. @returns undefined if it is not an object, or has a member of the wrong type. */
export function parseResult(raw: unknown): Result | undefined {
  if (!isObject(raw)) return undefined;
  if (raw.ip4 !== undefined || raw.ip6 !== undefined) return parseOld(raw);
  const ips = list(raw.ips).flatMap(parseIp);
  const interfaces = list(raw.interfaces).flatMap(parseInterface);
  // An index counts list entries, so leaving one out would shift every index behind it.
  if (!isWhole(raw.ips, ips) || !isWhole(raw.interfaces, interfaces)) return undefined;
  return { interfaces, ips, routes: list(raw.routes).flatMap(parseRoute), ...parseDns(raw.dns) };
}

const isWhole = (raw: unknown, read: readonly unknown[]): boolean =>
  raw === undefined || raw === null || (Array.isArray(raw) && raw.length === read.length);

/** 0.1.0 and 0.2.0: at most one address of each family. */
function parseOld(raw: Json): Result | undefined {
  const families = [raw.ip4, raw.ip6].filter((family) => family !== undefined);
  const ips = families.flatMap((family) =>
    isObject(family) && isString(family.ip) ? parseIp({ address: family.ip, gateway: family.gateway }) : [],
  );
  if (ips.length !== families.length) return undefined;
  const routes = families.flatMap((family) => (isObject(family) ? list(family.routes).flatMap(parseRoute) : []));
  return { interfaces: [], ips, routes, ...parseDns(raw.dns) };
}

function parseIp(ip: Json): IpConfig[] {
  if (!isString(ip.address)) return [];
  return [
    {
      address: ip.address,
      ...(isString(ip.gateway) && { gateway: ip.gateway }),
      ...(typeof ip.interface === 'number' && { interface: ip.interface }),
    },
  ];
}

const parseRoute = (route: Json): Route[] => (isString(route.dst) ? [{ ...route, dst: route.dst } as Route] : []);

function parseInterface(one: Json): Interface[] {
  if (!isString(one.name)) return [];
  return [
    {
      name: one.name,
      ...(isString(one.mac) && { mac: one.mac }),
      ...(isString(one.sandbox) && { sandbox: one.sandbox }),
      ...(typeof one.mtu === 'number' && { mtu: one.mtu }),
      ...(isString(one.socketPath) && { socketPath: one.socketPath }),
      ...(isString(one.pciID) && { pciID: one.pciID }),
    },
  ];
}

const parseDns = (dns: unknown): { dns?: Json } => (isObject(dns) && Object.keys(dns).length > 0 ? { dns } : {});

const isV6 = (address: string): boolean => address.includes(':');
const isV4 = (address: string): boolean => !isV6(address);

/**
 * The result as JSON data in one version.
 * @throws CniError 1 for 0.1.0 and 0.2.0 without an address: those versions cannot express it.
 */
export function formatResult(result: Result, version: string): Json {
  if (version === '0.1.0' || version === '0.2.0') return formatOld(result, version);
  const { interfaces, ips, routes, dns } = result;
  const isNew = version === '1.1.0';
  const numbered = !isNew && version !== '1.0.0';
  return {
    cniVersion: version,
    ...(interfaces.length > 0 && { interfaces: isNew ? interfaces : interfaces.map(beforeSockets) }),
    ...(ips.length > 0 && {
      ips: ips.map((ip) => (numbered ? { version: isV6(ip.address) ? '6' : '4', ...ip } : ip)),
    }),
    ...(routes.length > 0 && { routes }),
    ...(dns && { dns }),
  };
}

const beforeSockets = ({ mtu: _, socketPath: __, pciID: ___, ...one }: Interface): Interface => one;

function formatOld({ ips, routes, dns }: Result, version: string): Json {
  const ofFamily = (isOwn: (address: string) => boolean) => {
    const ip = ips.find(({ address }) => isOwn(address));
    if (!ip) return undefined;
    const own = routes.filter(({ dst }) => isOwn(dst)).map(({ dst, gw }) => ({ dst, ...(gw && { gw }) }));
    return { ip: ip.address, ...(ip.gateway && { gateway: ip.gateway }), ...(own.length > 0 && { routes: own }) };
  };
  const [ip4, ip6] = [ofFamily(isV4), ofFamily(isV6)];
  if (!ip4 && !ip6) throw new CniError(code.incompatibleVersion, cannotSay(version));
  return { cniVersion: version, ...(ip4 && { ip4 }), ...(ip6 && { ip6 }), ...(dns && { dns }) };
}

export const cannotSay = (version: string): string =>
  `cniVersion "${version}" cannot express a result without an address: configure "ipam" or use cniVersion 0.3.0 or later`;
