/** The address of `--metrics`. */
import type { HttpPlace } from '../os/servers.ts';

/** Its figures are not secret, but they tell a stranger of networks and faults, and a reader proves nothing of itself. */
const notHere =
  'it must be 127.0.0.1:PORT, [::1]:PORT or unix:/path; for scrapers from outside put a proxy that authenticates them before it (docs/metrics.md)';

/** @throws an Error that says what it may be */
export function metricsPlace(address: string): HttpPlace {
  const unix = /^unix:(\/.*[^/])$/.exec(address)?.[1];
  if (unix !== undefined) return { unix };
  const [, hostname = '', digits = ''] = /^(127\.0\.0\.1|\[::1\]):(\d{1,5})$/.exec(address) ?? [];
  const port = Number(digits);
  if (hostname === '' || port < 1 || port > 65_535) throw new Error(`--metrics "${address}": ${notHere}`);
  return { hostname: hostname.replace(/[[\]]/g, ''), port };
}
