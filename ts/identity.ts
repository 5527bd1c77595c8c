import { createPrivateKey, type KeyObject, type X509Certificate } from 'node:crypto';
import { certificates } from './certificates.js';
import { failure, type OffloopError, received } from './errors.js';
import { list, type Pem, pemText } from './pem.js';

/** A private key with a passphrase of its own. */
export interface EncryptedKey {
  /** The key. */
  pem: Pem;
  /** Default: the option `passphrase`. */
  passphrase?: string | undefined;
}

/** A private key with its certificate chain, leaf first. */
export interface Identity {
  key: KeyObject;
  chain: X509Certificate[];
}

/** What identities are made of, in Node's forms. */
export interface Material {
  key: unknown;
  cert: unknown;
  passphrase: string | undefined;
  /** Of `pfx`. */
  opened: readonly Identity[];
}

/**
 * Parses keys and chains and pairs each key with the chain it signs for; neither of them gives no
 * identity. `issuers` complete a chain that is its leaf alone, as OpenSSL does.
 *
 * @throws ERR_MISSING_ARGS for one without the other, ERR_OSSL_X509_KEY_VALUES_MISMATCH for a key
 * or a chain that is left over
 */
export function identities(material: Material, issuers: readonly X509Certificate[]): Identity[] {
  const { key, cert, opened } = material;
  if (isNothing(key) && !isNothing(cert))
    throw failure('ERR_MISSING_ARGS', 'options.key', 'a private key, PEM');
  if (isNothing(cert) && !isNothing(key))
    throw failure('ERR_MISSING_ARGS', 'options.cert', 'the certificate of options.key, PEM');
  const { keys, chains } = parsed(material);
  return completed([...paired(keys, chains), ...opened], issuers);
}

/**
 * The same, as OpenSSL sees it: what is left over is idle, and of one type of key the last is used.
 */
export function opensslIdentities(
  material: Material,
  issuers: readonly X509Certificate[],
): Identity[] {
  const { keys, chains } = parsed(material);
  const pairs = chains.flatMap((chain) => {
    const key = keyOf(chain, keys);
    return key === undefined ? [] : [{ key, chain }];
  });
  const last = new Map<string | undefined, Identity>();
  for (const identity of [...pairs, ...material.opened])
    last.set(identity.key.asymmetricKeyType, identity);
  return completed([...last.values()], issuers);
}

function isNothing(value: unknown): boolean {
  return value == null || value === '' || (Array.isArray(value) && value.length === 0);
}

function parsed({ key, cert, passphrase }: Material): {
  keys: KeyObject[];
  chains: X509Certificate[][];
} {
  return {
    keys: isNothing(key) ? [] : list(key).map((item) => privateKey(item, passphrase)),
    chains: isNothing(cert) ? [] : list(cert).map((item) => certificates(item, 'options.cert')),
  };
}

function privateKey(value: unknown, shared: string | undefined): KeyObject {
  const own = isEncryptedKey(value);
  const pem = pemText(own ? value.pem : value, 'options.key', true);
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

function paired(keys: readonly KeyObject[], chains: readonly X509Certificate[][]): Identity[] {
  const unused = new Set(keys);
  const pairs = chains.map((chain, i) => {
    const key = keyOf(chain, keys);
    if (key === undefined) {
      const which = `certificate ${i + 1} of ${chains.length}`;
      throw failure('ERR_OSSL_X509_KEY_VALUES_MISMATCH', `${which} matches no key`);
    }
    unused.delete(key);
    return { key, chain };
  });
  if (unused.size > 0) {
    const which = `${unused.size} of ${keys.length} keys`;
    throw failure('ERR_OSSL_X509_KEY_VALUES_MISMATCH', `${which} match no certificate`);
  }
  return pairs;
}

function keyOf(chain: X509Certificate[], keys: readonly KeyObject[]): KeyObject | undefined {
  return keys.find((candidate) => chain[0].checkPrivateKey(candidate));
}

function completed(pairs: Identity[], issuers: readonly X509Certificate[]): Identity[] {
  return pairs.map(({ key, chain }) => ({ key, chain: complete(chain, issuers) }));
}

function complete(
  chain: X509Certificate[],
  issuers: readonly X509Certificate[],
): X509Certificate[] {
  if (chain.length > 1) return chain;
  const longer = [...chain];
  for (let last = chain[0]; !last.checkIssued(last);) {
    const issuer = issuers.find((candidate) => last.checkIssued(candidate));
    // A circle is nobody's chain.
    if (issuer === undefined || longer.includes(issuer)) break;
    longer.push(issuer);
    last = issuer;
  }
  return longer;
}
