import { failure, received } from './errors.js';

/**
 * Reads the `sigalgs` option: names between colons, best first, either of a scheme of TLS 1.3
 * (`ecdsa_secp256r1_sha256`) or of an algorithm and a digest (`ECDSA+SHA256`). Gives IANA's names.
 *
 * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE for a name that OpenSSL does not know,
 * ERR_OFFLOOP_UNSUPPORTED_OPTION for one that only OpenSSL knows.
 */
export function signatureSchemes(value: unknown, name: string): string[] {
  if (typeof value !== 'string')
    throw failure('ERR_INVALID_ARG_TYPE', name, 'of type string', received(value));
  const schemes = value.split(':').map((item) => {
    const scheme = schemeOf(item);
    if (scheme !== undefined) return scheme;
    if (otherSchemes.test(item)) {
      const reason = 'the core has no such scheme';
      throw failure('ERR_OFFLOOP_UNSUPPORTED_OPTION', `${name} "${item}"`, reason);
    }
    const expected = 'a list of signature schemes, such as "ECDSA+SHA256:rsa_pss_rsae_sha256"';
    throw failure('ERR_INVALID_ARG_VALUE', name, expected, `"${item}"`);
  });
  return [...new Set(schemes)];
}

function schemeOf(item: string): string | undefined {
  const [algorithm, digest] = item.split('+');
  if (digest === undefined) return schemes.has(item) ? item : undefined;
  return pairs.get(`${algorithm}+${digest.toUpperCase()}`);
}

const schemes: ReadonlySet<string> = new Set([
  'ecdsa_secp256r1_sha256',
  'ecdsa_secp384r1_sha384',
  'ecdsa_secp521r1_sha512',
  'ed25519',
  'rsa_pss_rsae_sha256',
  'rsa_pss_rsae_sha384',
  'rsa_pss_rsae_sha512',
  'rsa_pkcs1_sha256',
  'rsa_pkcs1_sha384',
  'rsa_pkcs1_sha512',
]);

const pairs: ReadonlyMap<string, string> = new Map([
  ['ECDSA+SHA256', 'ecdsa_secp256r1_sha256'],
  ['ECDSA+SHA384', 'ecdsa_secp384r1_sha384'],
  ['ECDSA+SHA512', 'ecdsa_secp521r1_sha512'],
  ...['256', '384', '512'].flatMap((bits): [string, string][] => [
    [`RSA+SHA${bits}`, `rsa_pkcs1_sha${bits}`],
    [`RSA-PSS+SHA${bits}`, `rsa_pss_rsae_sha${bits}`],
    [`PSS+SHA${bits}`, `rsa_pss_rsae_sha${bits}`],
  ]),
]);

/** What OpenSSL takes beside these. */
const otherSchemes =
  /^((RSA|DSA|ECDSA)\+SHA(1|224)|DSA\+SHA\d+|ed448|ecdsa_(sha\w+|brainpool\w+)|rsa_pss_pss_sha\d+|rsa_pkcs1_sha(1|224)|dsa_sha\d+|gost\w+|mldsa\d+)$/i;
