/** Certificates that nobody should have: weak, of the wrong kind, out of their time. */
// @peculiar/x509 wants it before itself.
import 'reflect-metadata';

import { webcrypto } from 'node:crypto';

import * as x509 from '@peculiar/x509';

x509.cryptoProvider.set(webcrypto as never);

export interface Odd {
  readonly cert: string;
  readonly key: string;
  readonly keys: webcrypto.CryptoKeyPair;
  readonly subject: string;
}

export interface OddOptions {
  /** Default: CN=odd.test. */
  readonly subject?: string;
  /** Default: odd.test; null for none at all. */
  readonly names?: readonly string[] | null;
  /** Default: ECDSA on P-256. */
  readonly rsaBits?: number;
  /** Default: SHA-256. */
  readonly hash?: string;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly ca?: boolean;
  /** Extended key usage. Default: none. */
  readonly use?: 'server' | 'client';
  /** Where the CA offers its certificate. */
  readonly issuerUrl?: string;
  /** Default: itself. */
  readonly issuer?: Odd;
}

const DAY = 86_400_000;

export async function odd(options: OddOptions = {}): Promise<Odd> {
  const { subject = 'CN=odd.test', names = ['odd.test'], rsaBits, hash = 'SHA-256' } = options;
  const algorithm =
    rsaBits === undefined
      ? { name: 'ECDSA', namedCurve: 'P-256' }
      : {
          name: 'RSASSA-PKCS1-v1_5',
          hash,
          modulusLength: rsaBits,
          publicExponent: new Uint8Array([1, 0, 1]),
        };
  const keys = (await webcrypto.subtle.generateKey(algorithm as never, true, [
    'sign',
    'verify',
  ])) as webcrypto.CryptoKeyPair;
  const signer = options.issuer?.keys ?? keys;
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: Buffer.from(webcrypto.getRandomValues(new Uint8Array(8))).toString('hex'),
    subject,
    issuer: options.issuer?.subject ?? subject,
    notBefore: options.notBefore ?? new Date(Date.now() - DAY),
    notAfter: options.notAfter ?? new Date(Date.now() + 100 * DAY),
    publicKey: keys.publicKey,
    signingKey: signer.privateKey,
    signingAlgorithm: { name: signer.privateKey.algorithm.name, hash } as never,
    extensions: extensions(options, names),
  });
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  const key = x509.PemConverter.encode(pkcs8, 'PRIVATE KEY');
  return { cert: `${certificate.toString('pem')}\n`, key, keys, subject };
}

function extensions(
  { ca = false, use, issuerUrl }: OddOptions,
  names: readonly string[] | null,
): x509.Extension[] {
  const found: x509.Extension[] = [new x509.BasicConstraintsExtension(ca, undefined, true)];
  if (use !== undefined)
    found.push(new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage[`${use}Auth`]]));
  if (names !== null)
    found.push(
      new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: 'dns', value }))),
    );
  if (issuerUrl !== undefined)
    found.push(new x509.AuthorityInfoAccessExtension({ caIssuers: issuerUrl }));
  return found;
}
