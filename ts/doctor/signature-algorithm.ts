/** The digest that a certificate is signed with, which Node 20 does not tell. */

/** `MD5` or `SHA-1` if it is one of these, from the certificate's DER. */
export function weakDigest(der: Buffer): string | undefined {
  // Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue }
  const certificate = element(der, 0);
  const signed = element(der, certificate.start);
  const algorithm = element(der, signed.end);
  const oid = element(der, algorithm.start);
  const name = der.toString('hex', oid.start, oid.end);
  if (name !== RSASSA_PSS) return WEAK[name];
  // RFC 4055, 3.1: SHA-1 unless its parameters name another.
  return der.includes(SHA_2, oid.end) && der.indexOf(SHA_2, oid.end) < algorithm.end
    ? undefined
    : 'SHA-1';
}

const WEAK: Readonly<Record<string, string>> = {
  // 1.2.840.113549.1.1.2, 4 and 5: with RSA.
  '2a864886f70d010102': 'MD2',
  '2a864886f70d010104': 'MD5',
  '2a864886f70d010105': 'SHA-1',
  // 1.3.14.3.2.29, the old name of the last.
  '2b0e03021d': 'SHA-1',
  // 1.2.840.10045.4.1, with ECDSA.
  '2a8648ce3d0401': 'SHA-1',
  // 1.2.840.10040.4.3, with DSA.
  '2a8648ce380403': 'SHA-1',
};

/** 1.2.840.113549.1.1.10. */
const RSASSA_PSS = '2a864886f70d01010a';

/** 2.16.840.1.101.3.4.2, whose members are SHA-256 and its like. */
const SHA_2 = Buffer.from('6086480165030402', 'hex');

/** Where the contents of the DER element at `at` lie. OpenSSL has parsed it before. */
function element(der: Buffer, at: number): { start: number; end: number } {
  const first = der[at + 1]!;
  if (first < 0x80) return { start: at + 2, end: at + 2 + first };
  const octets = first & 0x7f;
  const start = at + 2 + octets;
  return { start, end: start + der.readUIntBE(at + 2, octets) };
}
