/** Keys and signatures: whether they fit, and whether they are strong. */
import type { KeyObject, X509Certificate } from 'node:crypto';
import type { CertificateFiles } from './certificate.js';
import { isSelfSigned, nameOf } from './chain.js';
import { type Finding, ok, problem, warning } from './finding.js';
import { weakDigest } from './signature-algorithm.js';

/** Whether the private key is the server's, is kept secret, and can be served with. */
export function keyFindings(
  { key: given, certificates, refusal }: CertificateFiles,
  [server]: readonly X509Certificate[],
): Finding[] {
  const about = 'key';
  if (given === undefined) return [];
  const { key, mode } = given;
  const found: Finding[] = [];
  if ((mode & 0o077) !== 0) {
    const octal = (mode & 0o777).toString(8).padStart(3, '0');
    const text = `others than its owner have access to the key's file (mode ${octal})`;
    found.push(warning(about, text, 'chmod 600 it.'));
  }
  if (!server!.checkPrivateKey(key)) {
    const advice = 'Find the key that the certificate was asked for with, or ask for a new one.';
    return [...found, problem(about, `it is not that of ${nameOf(server!)}`, advice)];
  }
  found.push(ok(about, `it is that of ${nameOf(server!)}`));
  // In the wrong order no server would take them: that has been said.
  if (certificates[0] !== server || refusal === undefined) return found;
  const why = refusal(certificates.map(String).join(''), key);
  if (why === undefined) return [...found, ok('serving', 'the core takes them')];
  return [
    ...found,
    problem('serving', why, 'Use a key of P-256, RSA of 2,048 bits or more, or Ed25519.'),
  ];
}

/** Whether a key or a signature can be broken. A root is trusted as it is: its signature is idle. */
export function strengthFindings(chain: readonly X509Certificate[]): Finding[] {
  const weak = chain.flatMap((certificate) => [
    ...weakKey(certificate),
    ...weakSignature(certificate),
  ]);
  if (weak.length > 0) return weak;
  return [ok('strength', `${chain.map((each) => keyWords(each.publicKey)).join(', ')}`)];
}

function weakKey(certificate: X509Certificate): Finding[] {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = certificate.publicKey;
  const bits = details?.modulusLength ?? Infinity;
  const isWeak = ((type === 'rsa' || type === 'rsa-pss') && bits < 2048) || type === 'dsa';
  if (!isWeak) return [];
  const text = `the key of ${nameOf(certificate)} is weak: ${keyWords(certificate.publicKey)}`;
  return [problem('strength', text, 'Make a key of P-256, or RSA of 2,048 bits or more.')];
}

function weakSignature(certificate: X509Certificate): Finding[] {
  const digest = weakDigest(certificate.raw);
  if (digest === undefined || (isSelfSigned(certificate) && certificate.ca)) return [];
  const text = `${nameOf(certificate)} is signed with ${digest}, which clients refuse`;
  return [problem('strength', text, 'Ask the CA for one that is signed with SHA-256.')];
}

function keyWords({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): string {
  if (details?.modulusLength !== undefined) return `${type} of ${details.modulusLength} bits`;
  return details?.namedCurve === undefined ? `${type}` : `${type} on ${details.namedCurve}`;
}
