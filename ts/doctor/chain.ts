/** The order of certificates in a file: the server's own first, each next one certifying it. */
import type { KeyObject, X509Certificate } from 'node:crypto';
import { type Finding, note, ok, problem, warning } from './finding.js';

/** The chain from the server's certificate on, in the right order, and what is wrong in the file. */
export function chainOf(
  certificates: readonly X509Certificate[],
  key: KeyObject | undefined,
): { chain: readonly X509Certificate[]; findings: Finding[] } {
  const server = serverAmong(certificates, key);
  const chain = upwards(server, certificates);
  const positions = chain.map((certificate) => certificates.indexOf(certificate));
  const others = certificates.filter((certificate) => !chain.includes(certificate));
  return { chain, findings: [order(positions), ...strays(others), ...root(chain)] };
}

/** The common name, or else the whole subject. */
export function nameOf({ subject }: X509Certificate): string {
  return commonName(subject);
}

export function issuerOf({ issuer }: X509Certificate): string {
  return commonName(issuer);
}

/** Whether it certifies the other one. */
export function certifies(issuer: X509Certificate, certificate: X509Certificate): boolean {
  return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

export function isSelfSigned(certificate: X509Certificate): boolean {
  return certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey);
}

/** That of the key; without one, the first, unless it is a CA's and another is none. */
function serverAmong(
  certificates: readonly X509Certificate[],
  key: KeyObject | undefined,
): X509Certificate {
  const own = key && certificates.find((certificate) => certificate.checkPrivateKey(key));
  return own ?? certificates.find((certificate) => !certificate.ca) ?? certificates[0]!;
}

function upwards(
  server: X509Certificate,
  certificates: readonly X509Certificate[],
): X509Certificate[] {
  const chain = [server];
  for (let last = server; !isSelfSigned(last);) {
    const issuer = certificates.find((each) => !chain.includes(each) && certifies(each, last));
    if (issuer === undefined) break;
    chain.push(issuer);
    last = issuer;
  }
  return chain;
}

function order(positions: readonly number[]): Finding {
  const about = 'chain order';
  const numbers = positions.map((position) => position + 1).join(', ');
  if (positions[0] !== 0) {
    const text = `the server's certificate is number ${positions[0]! + 1} of the file`;
    return problem(about, text, `It must come first. The right order is ${numbers}.`);
  }
  if (positions.some((position, i) => i > 0 && position < positions[i - 1]!)) {
    const text = 'not each certificate certifies the one before it, as some clients demand';
    return warning(about, text, `The right order is ${numbers}.`);
  }
  const count = positions.length === 1 ? '1 certificate' : `${positions.length} certificates`;
  return ok(about, `${count}, the server's first`);
}

function strays(others: readonly X509Certificate[]): Finding[] {
  if (others.length === 0) return [];
  const names = others.map(nameOf).join(', ');
  const text = `not of this chain, but sent in each full handshake: ${names}`;
  return [warning('chain order', text, 'Remove it from the file.')];
}

function root(chain: readonly X509Certificate[]): Finding[] {
  const last = chain.at(-1)!;
  if (chain.length === 1 || !isSelfSigned(last)) return [];
  const text = `the root ${nameOf(last)} is sent too, ${last.raw.length} bytes in each full handshake that no client needs`;
  return [note('chain order', text, 'Remove it from the file.')];
}

function commonName(name: string): string {
  const found = /^CN=(.+)$/m.exec(name);
  return found?.[1] ?? (name.replaceAll('\n', ', ') || 'a certificate without a subject');
}
