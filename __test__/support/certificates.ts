/**
 * Certificates made for a test run: an authority and what it issues. Nothing is downloaded or
 * committed, nothing needs a command on the machine.
 */
// @peculiar/x509 wants it before itself.
import 'reflect-metadata';

import { webcrypto } from 'node:crypto';

import * as x509 from '@peculiar/x509';

x509.cryptoProvider.set(webcrypto as never);

export type KeyKind = 'p256' | 'p384' | 'rsa2048' | 'rsa3072' | 'rsa4096' | 'ed25519';

/** A certificate with its key, PEM. */
export interface Issued {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}

export interface IssueOptions {
  /** Default: p256. */
  readonly key?: KeyKind;
  /** Default: localhost, 127.0.0.1 and ::1. */
  readonly names?: readonly string[];
  /** Default: CN=localhost. */
  readonly subject?: string;
  /** Default: server. */
  readonly use?: 'server' | 'client';
  /** Default: a day ago. */
  readonly notBefore?: Date;
  /** Default: in a day. */
  readonly notAfter?: Date;
}

const DAY = 86_400_000;

/** Identities of a new authority, one for each. */
export async function issued(...each: IssueOptions[]): Promise<Issued[]> {
  const authority = await Authority.create();
  return Promise.all(each.map((options) => authority.issue(options)));
}

/** An authority; the key material of equal options is made once for each test process. */
export class Authority {
  static async create(name = 'Test authority'): Promise<Authority> {
    const keys = await generate('p256');
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: '01',
      name: `CN=${name}`,
      notBefore: new Date(Date.now() - DAY),
      notAfter: new Date(Date.now() + DAY),
      keys,
      signingAlgorithm: SIGNATURES.p256,
      extensions: [
        new x509.BasicConstraintsExtension(true, 1, true),
        new x509.KeyUsagesExtension(
          x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
          true,
        ),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    return new Authority(keys, certificate);
  }

  #serial = 1;

  private constructor(
    private readonly keys: webcrypto.CryptoKeyPair,
    private readonly certificate: x509.X509Certificate,
  ) {}

  /** The authority's certificate, PEM. */
  get cert(): string {
    return this.certificate.toString('pem');
  }

  /** An authority that this one vouches for. */
  async subordinate(name: string): Promise<Authority> {
    const keys = await generate('p256');
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: this.nextSerial(),
      subject: `CN=${name}`,
      issuer: this.certificate.subject,
      notBefore: new Date(Date.now() - DAY),
      notAfter: new Date(Date.now() + DAY),
      publicKey: keys.publicKey,
      signingKey: this.keys.privateKey,
      signingAlgorithm: SIGNATURES.p256,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(
          x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
          true,
        ),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
        await x509.AuthorityKeyIdentifierExtension.create(this.keys.publicKey),
      ],
    });
    return new Authority(keys, certificate);
  }

  /** A list of what is revoked, PEM. Default of `nextUpdate`: in a day. */
  async revoke(
    revoked: readonly Pick<Issued, 'cert'>[],
    nextUpdate = new Date(Date.now() + DAY),
  ): Promise<string> {
    const list = await x509.X509CrlGenerator.create({
      issuer: this.certificate.subject,
      thisUpdate: new Date(Date.now() - 2 * DAY),
      nextUpdate,
      signingKey: this.keys.privateKey,
      signingAlgorithm: SIGNATURES.p256,
      entries: revoked.map(({ cert }) => ({
        serialNumber: new x509.X509Certificate(cert).serialNumber,
        revocationDate: new Date(Date.now() - DAY),
      })),
      extensions: [await x509.AuthorityKeyIdentifierExtension.create(this.keys.publicKey)],
    });
    // Its own toString('pem') has a label that OpenSSL does not know.
    return x509.PemConverter.encode(list.rawData, 'X509 CRL');
  }

  async issue(options: IssueOptions = {}): Promise<Issued> {
    const { key = 'p256', names = ['localhost', '127.0.0.1', '::1'], use = 'server' } = options;
    const keys = await generate(key);
    const usage =
      use === 'server' ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth;
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: this.nextSerial(),
      subject: options.subject ?? 'CN=localhost',
      issuer: this.certificate.subject,
      notBefore: options.notBefore ?? new Date(Date.now() - DAY),
      notAfter: options.notAfter ?? new Date(Date.now() + DAY),
      publicKey: keys.publicKey,
      signingKey: this.keys.privateKey,
      signingAlgorithm: SIGNATURES.p256,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.ExtendedKeyUsageExtension([usage]),
        new x509.SubjectAlternativeNameExtension(
          names.map((value) => ({ type: /^[\d.]+$|:/.test(value) ? 'ip' : 'dns', value })),
        ),
        await x509.AuthorityKeyIdentifierExtension.create(this.keys.publicKey),
      ],
    });
    const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
    return {
      key: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY'),
      cert: certificate.toString('pem'),
      ca: this.cert,
    };
  }

  private nextSerial(): string {
    return (++this.#serial).toString(16).padStart(4, '0');
  }
}

const SIGNATURES = {
  p256: { name: 'ECDSA', hash: 'SHA-256' },
};

const ALGORITHMS: Record<KeyKind, object> = {
  p256: { name: 'ECDSA', namedCurve: 'P-256' },
  p384: { name: 'ECDSA', namedCurve: 'P-384' },
  rsa2048: rsa(2048),
  rsa3072: rsa(3072),
  rsa4096: rsa(4096),
  ed25519: { name: 'Ed25519' },
};

function rsa(modulusLength: number): object {
  const publicExponent = new Uint8Array([1, 0, 1]);
  return { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', modulusLength, publicExponent };
}

function generate(kind: KeyKind): Promise<webcrypto.CryptoKeyPair> {
  const algorithm = ALGORITHMS[kind] as webcrypto.EcKeyGenParams;
  return webcrypto.subtle.generateKey(algorithm, true, [
    'sign',
    'verify',
  ]) as Promise<webcrypto.CryptoKeyPair>;
}
