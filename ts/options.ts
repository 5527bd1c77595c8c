import tls from 'node:tls';
import { handshakeOptions } from './core-options.js';
import { failure, received } from './errors.js';
import type { HelloCallbacks } from './hello.js';
import type { EncryptedKey } from './identity.js';
import {
  callback,
  type Comparison,
  count,
  different,
  flag,
  material,
  type Option,
  own,
  text,
  unsupported,
} from './option.js';
import type { Pem } from './pem.js';
import type { EncryptedPfx } from './pkcs12.js';
import { versionOption } from './protocol-versions.js';
import type { SecureContext } from './secure-context.js';
import { signatureSchemes } from './signature-algorithms.js';

/**
 * All options, in tables: an entry gives an option's type, default and check; its comment is what
 * editors and the documentation show. `undefined` and `null` count as absent everywhere. Names
 * that no table has are ignored, as Node ignores them; an option of Node's that can't be honoured
 * is refused with ERR_OFFLOOP_UNSUPPORTED_OPTION.
 */

/** In seconds; the most that RFC 8446 allows for a session. */
export const WEEK = 7 * 24 * 3600;

const KEYS = 'RSA of 2048 to 8192 bits, P-256, P-384, P-521 and Ed25519.';

/** Options of a SecureContext. */
export const contextOptions = {
  /** Private keys, PEM; encrypted ones with `passphrase` or their own. */
  key: different(KEYS, material<Pem | readonly (Pem | EncryptedKey)[]>()),
  /** Certificate chains, PEM, leaf first; one chain for each key, in any order. */
  cert: material<Pem | readonly Pem[]>(),
  /** Keys with their certificates as PKCS #12; further certificates in it are trusted as `ca`. */
  pfx: different(KEYS, material<Pem | readonly (Pem | EncryptedPfx)[]>()),
  /** Opens encrypted keys and `pfx` that bring none of their own. */
  passphrase: text(undefined, true),
  /** Authorities for client certificates, PEM. Default: Node's root certificates. */
  ca: material<Pem | readonly Pem[]>(),
  /** Trust the certificates of `ca` that are no roots too. Default: false. */
  allowPartialTrustChain: flag(false),
  /** Revocation lists for client certificates, PEM. Default: none, nothing is looked up. */
  crl: material<Pem | readonly Pem[]>(),
  /** Lowest protocol version. Default: `tls.DEFAULT_MIN_VERSION`, at least TLSv1.2. */
  minVersion: different('TLSv1.2 is the oldest version.', versionOption('minimum')),
  /** Highest protocol version. Default: `tls.DEFAULT_MAX_VERSION`. */
  maxVersion: different('TLSv1.2 is the oldest version.', versionOption('maximum')),
  /** Versions, by the name of an OpenSSL method, such as `TLSv1_2_method`; legacy. */
  secureProtocol: different(
    '`TLS_method`, `SSLv23_method`, `TLSv1_2_method` and their `_server_method`; TLSv1.2 is the oldest version.',
    material<string>(),
  ),
  /** SSL_OP_* of OpenSSL, ored. */
  secureOptions: different(
    'Bits are honoured, accepted where they can have no effect, or else refused.',
    material<number>(),
  ),
  /** Cipher suites, in OpenSSL's words. Default: `tls.DEFAULT_CIPHERS`. */
  ciphers: different(
    'Of what it selects, the suites of TLS 1.3 and ECDHE with AES-GCM or ChaCha20-Poly1305; when it prefers others to them, or no such is left for the key, it is refused. `@SECLEVEL` is at most 2.',
    material<string>(),
  ),
  /** Prefer the server's order of cipher suites. Default: true, as tls.createServer's. */
  honorCipherOrder: flag(true),
  /** Signature algorithms, OpenSSL's or IANA's names, `:` between them, best first. */
  sigalgs: different('No SHA-1, SHA-224, DSA or Ed448.', {
    absent: () => undefined,
    parse: signatureSchemes,
  } as Option<string, string[] | undefined>),
  /**
   * Key exchange groups, `:` between them, best first; `auto` is X25519MLKEM768, X25519, P-256,
   * P-384. Default: `tls.DEFAULT_ECDH_CURVE`.
   */
  ecdhCurve: different('X25519MLKEM768, X25519, P-256 and P-384.', {
    absent: () => groups(tls.DEFAULT_ECDH_CURVE || 'auto', 'tls.DEFAULT_ECDH_CURVE'),
    parse: groups,
  } as Option<string, string[] | undefined>),
  /** Protocols for ALPN, best first: names, or the wire format in one buffer. Default: none. */
  ALPNProtocols: { absent: () => [], parse: alpnProtocols } as Option<
    readonly (string | Uint8Array)[] | NodeJS.ArrayBufferView,
    Uint8Array[]
  >,
  /** Ask clients for a certificate. Default: false. */
  requestCert: flag(false),
  /** With `requestCert`: refuse clients without a valid certificate. Default: true. */
  rejectUnauthorized: different(
    "An invalid certificate is refused by an alert in the handshake; Node completes it and hangs up. The server's 'tlsClientError' is Node's ECONNRESET, with the reason as its `cause`.",
    flag(true),
    'ECONNRESET',
  ),
  /** Binds sessions to this application, 32 bytes at most. Default: none. */
  sessionIdContext: material<string>(),
  /** Lifetime of tickets and sessions, in seconds, at most 7 days (RFC 8446). Default: 300. */
  sessionTimeout: different(
    '7 days at most; servers cut what is more, `createSecureContext` of offloop refuses it, and its default is 300.',
    count(300, WEEK, 1),
    'ERR_OUT_OF_RANGE',
  ),
  /** 48 bytes that seal session tickets, to be shared by processes. Default: rotating keys. */
  ticketKeys: different(
    'Keys that were set open tickets until `sessionTimeout` after others took their place; those of nobody rotate. TLS 1.2 and 1.3 alike.',
    material<NodeJS.ArrayBufferView>(),
    null,
  ),
  certificateCompression: unsupported('the core does not compress certificates'),
  clientCertEngine: unsupported('the core has no engines'),
  dhparam: unsupported('the core has no finite-field Diffie-Hellman'),
  privateKeyEngine: unsupported('the core has no engines'),
  privateKeyIdentifier: unsupported('the core has no engines'),
};

const HANDSHAKE_TIMEOUT = 120_000;

/** Options of acceptTls beside those of a context. */
export const acceptOptions = {
  ...handshakeOptions,
  /** The context, by Node's name for it: one of `createSecureContext`, offloop's or Node's. */
  secureContext: material<SecureContext | tls.SecureContext>(),
  /**
   * Time for a handshake, in ms, from the hand-over of its connection to its last byte. Default:
   * 120000; so does 0, as in Node.
   */
  handshakeTimeout: handshakeTimeout(),
  /** Chooses the context by the name that the client asks for; `this` is the socket. */
  SNICallback: callback<NonNullable<HelloCallbacks['SNICallback']>>(),
  /** Chooses the protocol of ALPN, instead of `ALPNProtocols`; `this` is the socket. */
  ALPNCallback: callback<NonNullable<HelloCallbacks['ALPNCallback']>>(),
  /** Trace records and handshake messages to standard error. Default: false. */
  enableTrace: flag(false),
  /** Bytes a socket buffers in each direction before it says so. Default: Node's. */
  highWaterMark: count(undefined, Number.MAX_SAFE_INTEGER),
  /** Keep the writable side open after the peer's end. Default: as the socket below. */
  allowHalfOpen: flag(undefined),
  /** Don't read until `socket.resume()`. Default: false. */
  pauseOnConnect: flag(false),
  /** Gives the handshake up: the promise rejects with an AbortError. Default: none. */
  signal: own({
    absent: () => undefined,
    parse(value, name) {
      if (value instanceof AbortSignal) return value;
      throw failure('ERR_INVALID_ARG_TYPE', name, 'an instance of AbortSignal', received(value));
    },
  } as Option<AbortSignal, AbortSignal | undefined>),
  pskCallback: unsupported('the core has no pre-shared keys'),
  pskIdentityHint: unsupported('the core has no pre-shared keys'),
  requestOCSP: unsupported('only clients ask for OCSP', [false]),
};

/**
 * Options of servers, beside those of their context, that Node's own constructors check and keep:
 * how what comes of them compares with node:tls.
 */
export const serverOptions: Readonly<Record<string, Comparison>> = {
  /** Chooses the protocol of ALPN, instead of `ALPNProtocols`; `this` is the socket. */
  ALPNCallback: {
    status: 'different',
    note: 'SNICallback is asked first in every version; Node asks ALPNCallback first in TLS 1.3.',
  },
  /** Chooses the context by the name that the client asks for; `this` is the socket. */
  SNICallback: {
    status: 'different',
    note: 'A context that node:tls made before offloop was loaded fails the handshake: nobody is shown its key.',
    error: 'ERR_OFFLOOP_UNSUPPORTED_OPTION',
  },
  /** Keep the writable side open after the peer's end. Default: false; true in https and http2. */
  allowHalfOpen: {},
  /** Addresses from which no connection is taken. Default: none. */
  blockList: {
    status: 'different',
    note: 'With it Node accepts the connections, on the event loop; the core takes them from there.',
  },
  /** Trace records and handshake messages to standard error. Default: false. */
  enableTrace: {
    status: 'different',
    note: 'The trace is shorter: records, and the names of handshake messages that are not encrypted.',
  },
  /** Time for a handshake, in ms. Default: 120000. */
  handshakeTimeout: {
    status: 'different',
    note: 'The deadline of a handshake closes its connection; Node emits the error and leaves the connection open.',
    error: 'ERR_TLS_HANDSHAKE_TIMEOUT',
  },
  /** Bytes a socket buffers in each direction before it says so. Default: Node's. */
  highWaterMark: {
    status: 'different',
    note: 'It holds for the TLS sockets; Node gives it to the TCP sockets below them alone.',
  },
  /** TCP keep-alive, from the start of each connection. Default: false. */
  keepAlive: {},
  /** Time without traffic before its first probe, in ms. Default: 0, the system decides. */
  keepAliveInitialDelay: {},
  /** Send small writes at once, without Nagle's algorithm. Default: false; true in https. */
  noDelay: {},
  /** Don't read until `socket.resume()`. Default: false. */
  pauseOnConnect: {},
  pskCallback: {
    status: 'unsupported',
    note: 'The core has no pre-shared keys.',
    error: 'ERR_OFFLOOP_UNSUPPORTED_OPTION',
  },
  pskIdentityHint: { note: 'Without `pskCallback` it does nothing.' },
  requestOCSP: { note: 'Of clients; servers ignore it.' },
  secureContext: { note: 'Of `tls.TLSSocket`; servers ignore it.' },
};

function handshakeTimeout(): Option<number, number> {
  const milliseconds = count(HANDSHAKE_TIMEOUT, 2 ** 31 - 1);
  return {
    absent: milliseconds.absent,
    parse: (value, name) => milliseconds.parse(value, name) || HANDSHAKE_TIMEOUT,
  };
}

/** OpenSSL's names of what the core calls its groups. */
const groupNames = new Map([
  ['x25519mlkem768', 'X25519MLKEM768'],
  ['x25519', 'X25519'],
  ['p-256', 'P-256'],
  ['prime256v1', 'P-256'],
  ['secp256r1', 'P-256'],
  ['p-384', 'P-384'],
  ['secp384r1', 'P-384'],
]);

const otherGroups = /^(p-521|secp521r1|x448|ffdhe\d+|secp256k1|brainpool\w+|sect\w+|.*mlkem\d+)$/i;

function groups(value: unknown, name: string): string[] | undefined {
  if (typeof value !== 'string')
    throw failure('ERR_INVALID_ARG_TYPE', name, 'of type string', received(value));
  if (value === 'auto') return undefined;
  return value.split(':').map((curve) => {
    const group = groupNames.get(curve.toLowerCase());
    if (group !== undefined) return group;
    if (otherGroups.test(curve))
      throw failure(
        'ERR_OFFLOOP_UNSUPPORTED_OPTION',
        `${name} "${curve}"`,
        'the core has no such group',
      );
    throw failure('ERR_CRYPTO_OPERATION_FAILED', name, curve);
  });
}

function alpnProtocols(value: unknown, name: string): Uint8Array[] {
  const protocols = Array.isArray(value)
    ? value.map((item, i) => protocolName(item, `${name}[${i}]`))
    : undefined;
  if (protocols !== undefined) return protocols;
  if (ArrayBuffer.isView(value)) return wireProtocols(value, name);
  const expected = 'an array of strings, or an instance of Buffer, TypedArray, or DataView';
  throw failure('ERR_INVALID_ARG_TYPE', name, expected, received(value));
}

function protocolName(value: unknown, name: string): Uint8Array {
  if (typeof value !== 'string' && !(value instanceof Uint8Array)) {
    const expected = 'of type string or an instance of Uint8Array';
    throw failure('ERR_INVALID_ARG_TYPE', name, expected, received(value));
  }
  const bytes = Uint8Array.from(typeof value === 'string' ? Buffer.from(value) : value);
  if (bytes.length >= 1 && bytes.length <= 255) return bytes;
  throw failure('ERR_OUT_OF_RANGE', name, '1 to 255 bytes long', String(bytes.length));
}

function wireProtocols(view: ArrayBufferView, name: string): Uint8Array[] {
  const wire = Uint8Array.from(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
  const protocols: Uint8Array[] = [];
  for (let at = 0; at < wire.length; at += wire[at] + 1) {
    const size = wire[at];
    if (size === 0 || at + 1 + size > wire.length) {
      const expected = 'protocol names, each after a byte that holds its length';
      throw failure('ERR_INVALID_ARG_VALUE', name, expected, `${wire.length} bytes`);
    }
    protocols.push(wire.subarray(at + 1, at + 1 + size));
  }
  return protocols;
}
