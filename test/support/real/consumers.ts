/**
 * How applications find their interface, as their own code does it: app-netutil (openshift/app-netutil lib/v1alpha/network.go and
 * pkg/userspace), and the predecessor's test script (docker/testpmd/testpmd.sh). Written again from their behaviour.
 */

/** The downward API's file of annotations: one a line, the value quoted as Go quotes it. */
export function podInfoFile(annotations: { readonly [name: string]: string }): string {
  const lines = Object.entries(annotations).sort(([a], [b]) => (a < b ? -1 : 1));
  return lines.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join('\n');
}

export interface FoundInterface {
  readonly ifName: string;
  readonly mode: string;
  readonly socketPath: string;
  readonly ips: readonly string[];
}

/** Lines with two "=" are passed over; every backslash and blank goes; addresses count only with their version. */
export function appNetutil(file: string): FoundInterface[] {
  const values = new Map<string, string>();
  for (const line of file.split('\n')) {
    const parts = line.trim().split('=');
    if (parts.length !== 2) continue;
    const [name = '', quoted = ''] = parts;
    values.set(name, quoted.replaceAll('\\n', '').replaceAll('\\', '').replaceAll(' ', '').slice(1, -1));
  }
  const mappedDir = values.get('userspace/mapped-dir') ?? '';
  const found = new Map<string, FoundInterface>();
  for (const { ifName, config, ipResult } of JSON.parse(values.get('userspace/configuration-data') ?? '[]')) {
    if (config.iftype !== 'vhostuser' || found.has(ifName)) continue;
    const ips = (ipResult?.ips ?? []).filter(({ version }: { version?: string }) => version === '4' || version === '6');
    found.set(ifName, {
      ifName,
      mode: config.vhost.mode,
      socketPath: mappedDir + config.vhost.socketfile,
      ips: ips.map(({ address }: { address: string }) => address.split('/')[0]),
    });
  }
  return [...found.values()];
}

/** grep containerId | cut -d '"' -f 5 | sed 's/\\//', and the first twelve characters of it. */
export function testpmdScript(file: string): string {
  const line = file.split('\n').find((one) => one.includes('containerId')) ?? '';
  return (line.split('"')[4] ?? '').replace('\\', '').slice(0, 12);
}
