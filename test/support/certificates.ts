/** Certificates of a test's own, made by openssl: an authority, a server on loopback, clients by name. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Pair {
  readonly cert: string;
  readonly key: string;
}

export interface Authority {
  /** PEM, and the file it lies in. */
  readonly ca: string;
  readonly caFile: string;
  server(): Pair;
  client(name: string): Pair;
}

const openssl = (directory: string, ...args: string[]): void =>
  void execFileSync('openssl', args, { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] });

const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

export function authority(directory: string, name = 'test-ca'): Authority {
  mkdirSync(directory, { recursive: true });
  openssl(
    directory,
    'req',
    '-x509',
    ...curve,
    '-keyout',
    'ca.key',
    '-out',
    'ca.crt',
    '-days',
    '2',
    '-subj',
    `/CN=${name}`,
  );
  const pairFor = (subject: string, extension: string): Pair => {
    writeFileSync(join(directory, 'extension'), extension);
    openssl(directory, 'req', ...curve, '-keyout', 'own.key', '-out', 'own.csr', '-subj', `/CN=${subject}`);
    const signing = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'extension'];
    openssl(directory, 'x509', '-req', '-in', 'own.csr', '-out', 'own.crt', ...signing);
    return {
      cert: readFileSync(join(directory, 'own.crt'), 'utf8'),
      key: readFileSync(join(directory, 'own.key'), 'utf8'),
    };
  };
  return {
    ca: readFileSync(join(directory, 'ca.crt'), 'utf8'),
    caFile: join(directory, 'ca.crt'),
    server: () => pairFor('127.0.0.1', 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n'),
    client: (subject) => pairFor(subject, 'extendedKeyUsage=clientAuth\n'),
  };
}
