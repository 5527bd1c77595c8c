import { X509Certificate } from 'node:crypto';
import type { DetailedPeerCertificate, PeerCertificate } from 'node:tls';

/** A chain's leaf (DER, leaf first) as `getPeerCertificate()` gives it; `{}` for an empty chain. */
export function legacyCertificate(chain: readonly Buffer[]): PeerCertificate {
  if (chain.length === 0) return {} as PeerCertificate;
  return new X509Certificate(chain[0]).toLegacyObject();
}

/**
 * As `getPeerCertificate(true)`: each certificate is linked to its issuer, a self-signed one to
 * itself. Issuers are looked for in the chain, and then among `authorities`.
 */
export function detailedCertificate(
  chain: readonly Buffer[],
  authorities: () => readonly X509Certificate[],
): DetailedPeerCertificate {
  if (chain.length === 0) return {} as DetailedPeerCertificate;
  const [leaf, ...shown] = chain.map((der) => new X509Certificate(der));
  const certificate = leaf.toLegacyObject() as DetailedPeerCertificate;
  let child = leaf;
  let object = certificate;
  const link = (issuer: X509Certificate): void => {
    child = issuer;
    object = object.issuerCertificate = issuer.toLegacyObject() as DetailedPeerCertificate;
  };
  while (!isSelfIssued(child)) {
    const at = shown.findIndex((candidate) => child.checkIssued(candidate));
    if (at < 0) break;
    link(shown.splice(at, 1)[0]);
  }
  const seen = new Set<string>();
  while (!isSelfIssued(child) && !seen.has(child.fingerprint256)) {
    seen.add(child.fingerprint256);
    const issuer = authorities().find((candidate) => child.checkIssued(candidate));
    if (issuer === undefined) break;
    link(issuer);
  }
  if (isSelfIssued(child)) object.issuerCertificate = object;
  return certificate;
}

/**
 * A chain's leaf as `getPeerX509Certificate()` gives it: `issuerCertificate` of each is the next of
 * the chain, unchecked; undefined for an empty chain.
 */
export function linkedCertificate(chain: readonly Buffer[]): X509Certificate | undefined {
  return chain.reduceRight<X509Certificate | undefined>((issuer, der) => {
    const certificate = new X509Certificate(der);
    // Node's own getter knows only chains that OpenSSL has shown it.
    const property = { value: issuer, configurable: true };
    return Object.defineProperty(certificate, 'issuerCertificate', property);
  }, undefined);
}

function isSelfIssued(certificate: X509Certificate): boolean {
  return certificate.checkIssued(certificate);
}
