import { X509Certificate } from 'node:crypto';
import type { DetailedPeerCertificate, PeerCertificate } from 'node:tls';

/**
 * A chain (DER, leaf first) as the object that `getPeerCertificate()` gives; `{}` for an empty
 * chain. With `detailed`, each certificate is linked to its issuer, a self-signed one to itself.
 */
export function legacyCertificate(chain: readonly Buffer[], detailed: boolean): PeerCertificate {
  if (chain.length === 0) return {} as PeerCertificate;
  const leaf = new X509Certificate(chain[0]);
  const certificate = leaf.toLegacyObject();
  if (detailed) linkIssuers(certificate as DetailedPeerCertificate, leaf, chain);
  return certificate;
}

function linkIssuers(
  certificate: DetailedPeerCertificate,
  leaf: X509Certificate,
  chain: readonly Buffer[],
): void {
  const candidates = chain.slice(1).map((der) => new X509Certificate(der));
  let child = leaf;
  let object = certificate;
  for (;;) {
    if (child.checkIssued(child)) {
      object.issuerCertificate = object;
      return;
    }
    const index = candidates.findIndex((candidate) => child.checkIssued(candidate));
    if (index < 0) return;
    [child] = candidates.splice(index, 1);
    const issuer = child.toLegacyObject() as DetailedPeerCertificate;
    object.issuerCertificate = issuer;
    object = issuer;
  }
}
