/** A test's own certificates: an authority, a server on loopback, clients by name. They need no program. */
import { constants, generateKeyPairSync, privateEncrypt, randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import forge from 'node-forge';

export interface Pair {
  /** PEM. */
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

/** An RSA key, PEM. */
export const newKey = (): string =>
  generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  }).privateKey;

/** One key for all, because making one takes longest, and names suffice to tell certificates apart. */
let shared: string | undefined;
const sharedKey = (): string => {
  shared ??= newKey();
  return shared;
};

let made = 0;

/** No two authorities have the same name, so none takes another's certificates for its own. */
export function authority(directory: string): Authority {
  mkdirSync(directory, { recursive: true });
  const name = `test-ca-${++made}`;
  const own = keyPairOf(sharedKey());
  const ca = certificate(name, own, name, [
    { name: 'basicConstraints', cA: true, critical: true },
    { name: 'keyUsage', keyCertSign: true, digitalSignature: true, critical: true },
  ]);
  const caFile = join(directory, 'ca.crt');
  writeFileSync(caFile, ca);
  const pair = (subject: string, ...extensions: object[]): Pair => ({
    cert: certificate(subject, own, name, extensions),
    key: sharedKey(),
  });
  return {
    ca,
    caFile,
    server: () =>
      pair(
        '127.0.0.1',
        { name: 'extKeyUsage', serverAuth: true },
        { name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] },
      ),
    client: (subject) => pair(subject, { name: 'extKeyUsage', clientAuth: true }),
  };
}

interface KeyPair {
  readonly privateKey: forge.pki.rsa.PrivateKey;
  readonly publicKey: forge.pki.rsa.PublicKey;
}

/** DigestInfo of SHA-256 up to the digest itself (RFC 8017, 9.2, note 1). */
const sha256Info = Buffer.from('3031300d060960864801650304020105000420', 'hex');

/** Signs by node:crypto in a millisecond; node-forge's own arithmetic takes 70 for each certificate. */
function keyPairOf(pem: string): KeyPair {
  const privateKey = forge.pki.privateKeyFromPem(pem);
  const sign = (digest: forge.md.MessageDigest): string => {
    const signed = Buffer.concat([sha256Info, Buffer.from(digest.digest().toHex(), 'hex')]);
    return privateEncrypt({ key: pem, padding: constants.RSA_PKCS1_PADDING }, signed).toString('binary');
  };
  const publicKey = forge.pki.setRsaPublicKey(privateKey.n, privateKey.e);
  return { privateKey: Object.assign(privateKey, { sign }), publicKey };
}

const dayMs = 86_400_000;

function certificate(
  subject: string,
  { publicKey, privateKey }: KeyPair,
  issuer: string,
  extensions: object[],
): string {
  const one = forge.pki.createCertificate();
  one.publicKey = publicKey;
  // The first bits make it positive and without a leading zero, which DER forbids.
  one.serialNumber = `01${randomBytes(16).toString('hex')}`;
  one.validity.notBefore = new Date(Date.now() - dayMs);
  one.validity.notAfter = new Date(Date.now() + dayMs);
  one.setSubject([{ name: 'commonName', value: subject }]);
  one.setIssuer([{ name: 'commonName', value: issuer }]);
  one.setExtensions(extensions);
  one.sign(privateKey, forge.md.sha256.create());
  return forge.pki.certificateToPem(one);
}
