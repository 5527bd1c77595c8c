/** Certificates for development, made by the core. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { issueCertificate, makeAuthority, type NativeIssued } from './native.js';

/** A certificate with its key: of a server, or of an authority. */
export interface Certified {
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
}

/** `rsa` has 2,048 bits. */
export type KeyType = 'p256' | 'rsa';

export interface CertificateOptions {
  readonly keyType: KeyType;
  /** For how long it is valid from now on. */
  readonly days: number;
}

/** An authority of this common name. */
export function developmentAuthority(name: string, options: CertificateOptions): Certified {
  return parsed(makeAuthority(name, native(options)));
}

/**
 * A certificate of a server for these host names and IP addresses.
 *
 * @throws ERR_INVALID_ARG_VALUE for an authority that the core can't issue with
 */
export function developmentCertificate(
  { certificate, key }: Certified,
  names: readonly string[],
  options: CertificateOptions,
): Certified {
  const authority = { certificate: certificate.toString(), key: pkcs8(key) };
  return parsed(issueCertificate(authority, [...names], native(options)));
}

/** The key in PEM, PKCS#8. */
export function pkcs8(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }) as string;
}

/** In seconds: clocks differ. */
const BACKDATED = 3600;

function native({ keyType, days }: CertificateOptions) {
  const now = Math.floor(Date.now() / 1000);
  return { keyType, validFrom: now - BACKDATED, validUntil: now + days * 86_400 };
}

function parsed({ certificate, key }: NativeIssued): Certified {
  return { certificate: new X509Certificate(certificate), key: createPrivateKey(key) };
}
