import { createPrivateKey, X509Certificate } from 'node:crypto';
import { failure, received } from './errors.js';
import type { Identity } from './identity.js';
import { parsePkcs12 } from './native.js';
import { bytesOf, list, type Pem } from './pem.js';

/** A PKCS #12 file with a passphrase of its own. */
export interface EncryptedPfx {
  /** The file. */
  buf: Pem;
  /** Default: the option `passphrase`. */
  passphrase?: string | undefined;
}

/** What a PKCS #12 file holds. */
export interface Opened {
  identity: Identity;
  /** Its further certificates, which are trusted as those of `ca`. */
  authorities: X509Certificate[];
}

/**
 * Opens the `pfx` option.
 *
 * @throws ERR_INVALID_ARG_TYPE, ERR_CRYPTO_OPERATION_FAILED in OpenSSL's words
 */
export function openPfx(pfx: unknown, passphrase: string | undefined): Opened[] {
  return list(pfx).map((item) => {
    const { buf = item, passphrase: own } = (item ?? {}) as Partial<EncryptedPfx>;
    return open(buf, own || passphrase);
  });
}

function open(value: unknown, passphrase: unknown): Opened {
  if (passphrase !== undefined && typeof passphrase !== 'string') {
    const got = received(passphrase, true);
    throw failure('ERR_INVALID_ARG_TYPE', 'options.pfx.passphrase', 'of type string', got);
  }
  const { key, chain, authorities } = parsePkcs12(bytes(value), passphrase);
  try {
    return {
      identity: {
        key: createPrivateKey({ key, format: 'der', type: 'pkcs8' }),
        chain: chain.map((der) => new X509Certificate(der)),
      },
      authorities: authorities.map((der) => new X509Certificate(der)),
    };
  } finally {
    key.fill(0);
  }
}

function bytes(value: unknown): Buffer {
  if (typeof value === 'string') return Buffer.from(value);
  if (ArrayBuffer.isView(value)) return bytesOf(value);
  const expected = 'of type string or an instance of Buffer, TypedArray, or DataView';
  throw failure('ERR_INVALID_ARG_TYPE', 'options.pfx', expected, received(value, true));
}
