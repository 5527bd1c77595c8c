import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import tls from 'node:tls';
import { failure, type OffloopError, received } from './errors.js';
import type { EncryptedKey } from './options.js';

/** A private key with its certificate chain, leaf first. */
export interface Identity {
  key: KeyObject;
  chain: X509Certificate[];
}

/**
 * Parses keys and chains in Node's forms and pairs each key with the chain it signs for. `issuers`
 * complete a chain that is its leaf alone, as OpenSSL does.
 */
export function identities(
  key: unknown,
  cert: unknown,
  passphrase: string | undefined,
  issuers: readonly X509Certificate[],
): Identity[] {
  if (isNothing(key)) throw failure('ERR_MISSING_ARGS', 'options.key', 'a private key, PEM');
  if (isNothing(cert))
    throw failure('ERR_MISSING_ARGS', 'options.cert', 'the certificate of options.key, PEM');
  const keys = list(key).map((item) => privateKey(item, passphrase));
  const chains = list(cert).map((item) => certificates(item, 'options.cert'));
  return pair(keys, chains, issuers);
}

/** Parses authorities; absent: none. */
export function authorities(ca: unknown): X509Certificate[] {
  if (isNothing(ca)) return [];
  return list(ca).flatMap((item) => certificates(item, 'options.ca'));
}

let nodeRoots: Uint8Array[] | undefined;

/** Node's default authorities, DER; parsed once. */
export function defaultAuthorities(): Uint8Array[] {
  // From 22.15 on this knows --use-system-ca and NODE_EXTRA_CA_CERTS too.
  nodeRoots ??= (tls.getCACertificates?.('default') ?? tls.rootCertificates).map((pem) =>
    Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64'),
  );
  return nodeRoots;
}

function isNothing(value: unknown): boolean {
  return value == null || value === '' || (Array.isArray(value) && value.length === 0);
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [value];
}

function privateKey(value: unknown, shared: string | undefined): KeyObject {
  const own = isEncryptedKey(value);
  const pem = pemText(own ? value.pem : value, 'options.key');
  const passphrase: unknown = own && value.passphrase !== undefined ? value.passphrase : shared;
  if (passphrase != null && typeof passphrase !== 'string') {
    const name = 'options.key.passphrase';
    throw failure('ERR_INVALID_ARG_TYPE', name, 'of type string', received(passphrase, true));
  }
  const parse = (): KeyObject =>
    createPrivateKey({
      key: pem,
      format: 'pem',
      ...(passphrase == null ? undefined : { passphrase }),
    });
  try {
    return parse();
  } catch {
    // An earlier failure of node:tls may have left its error in OpenSSL's queue, where this call
    // took it for its own. The second error is about this key.
  }
  try {
    return parse();
  } catch (error) {
    throw keyError(error as OffloopError, passphrase != null);
  }
}

/** OpenSSL's words say too little, and which ones come depends on its version. */
function keyError(error: OffloopError, passphraseGiven: boolean): OffloopError {
  switch (error.code) {
    case 'ERR_MISSING_PASSPHRASE':
    case 'ERR_OSSL_BAD_DECRYPT':
    case 'ERR_OSSL_EVP_BAD_DECRYPT':
    case 'ERR_OSSL_CRYPTO_INTERRUPTED_OR_CANCELLED':
      return failure('ERR_OSSL_BAD_DECRYPT', passphraseGiven);
    default:
      return failure('ERR_OSSL_UNSUPPORTED');
  }
}

function isEncryptedKey(value: unknown): value is EncryptedKey {
  return typeof value === 'object' && value !== null && 'pem' in value && value.pem !== undefined;
}

/** One certificate each; of a block without its end, what there is. */
const certificateBlock =
  /-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----(?:(?!-----BEGIN )[\s\S])*?(?:-----END \1-----|(?=-----BEGIN )|$)/g;

function certificates(value: unknown, name: string): X509Certificate[] {
  const blocks = pemText(value, name).match(certificateBlock);
  if (blocks === null) throw failure('ERR_OSSL_PEM_NO_START_LINE', name);
  return blocks.map((block, i) => {
    if (!block.endsWith('-----') || !block.includes('-----END '))
      throw failure('ERR_OSSL_PEM_BAD_END_LINE', name, i + 1);
    try {
      return new X509Certificate(block);
    } catch (error) {
      throw unreadable(error as OffloopError, name, i + 1);
    }
  });
}

/** OpenSSL's code and reason, and which certificate it is about. */
function unreadable(error: OffloopError, name: string, position: number): OffloopError {
  const reason = error.message.split(':').at(-1)!;
  error.message = `${name}: certificate ${position} can't be read (${reason}): expected X.509 in PEM`;
  return error;
}

function pemText(value: unknown, name: string): string {
  if (typeof value === 'string') return value;
  if (ArrayBuffer.isView(value)) return textOf(value);
  const expected = 'of type string or an instance of Buffer, TypedArray, or DataView';
  throw failure('ERR_INVALID_ARG_TYPE', name, expected, received(value, name === 'options.key'));
}

function textOf(view: ArrayBufferView): string {
  return Buffer.from(view.buffer, view.byteOffset, view.byteLength).toString('latin1');
}

function pair(
  keys: readonly KeyObject[],
  chains: readonly X509Certificate[][],
  issuers: readonly X509Certificate[],
): Identity[] {
  const unused = new Set(keys);
  const pairs = chains.map((chain, i) => {
    const key = keys.find((candidate) => chain[0].checkPrivateKey(candidate));
    if (key === undefined) {
      const which = `certificate ${i + 1} of ${chains.length}`;
      throw failure('ERR_OSSL_X509_KEY_VALUES_MISMATCH', `${which} matches no key`);
    }
    unused.delete(key);
    return { key, chain: complete(chain, issuers) };
  });
  if (unused.size > 0) {
    const which = `${unused.size} of ${keys.length} keys`;
    throw failure('ERR_OSSL_X509_KEY_VALUES_MISMATCH', `${which} match no certificate`);
  }
  return pairs;
}

function complete(
  chain: X509Certificate[],
  issuers: readonly X509Certificate[],
): X509Certificate[] {
  if (chain.length > 1) return chain;
  const completed = [...chain];
  for (let last = chain[0]; !last.checkIssued(last);) {
    const issuer = issuers.find((candidate) => last.checkIssued(candidate));
    // A root is what clients have; a circle is nobody's chain.
    if (issuer === undefined || issuer.checkIssued(issuer) || completed.includes(issuer)) break;
    completed.push(issuer);
    last = issuer;
  }
  return completed;
}
