/** Certificates that an authority would not issue. */
import 'reflect-metadata';

import { webcrypto } from 'node:crypto';

import * as x509 from '@peculiar/x509';

x509.cryptoProvider.set(webcrypto as never);

const DAY = 86_400_000;

export interface SelfSigned {
  key: string;
  cert: string;
}

/** A key of this kind with a certificate that it signed itself, PEM. */
export async function selfSigned(algorithm: {
  name: 'RSASSA-PKCS1-v1_5' | 'ECDSA';
  modulusLength?: number;
  namedCurve?: string;
}): Promise<SelfSigned> {
  const parameters = { hash: 'SHA-256', publicExponent: new Uint8Array([1, 0, 1]), ...algorithm };
  const keys = (await webcrypto.subtle.generateKey(parameters as never, true, [
    'sign',
    'verify',
  ])) as webcrypto.CryptoKeyPair;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: 'CN=localhost',
    notBefore: new Date(Date.now() - DAY),
    notAfter: new Date(Date.now() + DAY),
    keys,
    signingAlgorithm: { name: algorithm.name, hash: 'SHA-256' },
  });
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return {
    key: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY'),
    cert: certificate.toString('pem'),
  };
}
