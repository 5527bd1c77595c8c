import tls from 'node:tls';
import { failure, received } from './errors.js';
import { count, flag, material, oneOf, type Option, text, unsupported } from './option.js';

/**
 * All options, in tables: an entry gives an option's type, default and check; its comment is what
 * editors and the documentation show. `undefined` and `null` count as absent everywhere. Names
 * that no table has are ignored, as Node ignores them; an option of Node's that can't be honoured
 * is refused with ERR_OFFLOOP_UNSUPPORTED_OPTION.
 */

/** Where the cost of a handshake is paid; never on the event loop. */
export type Offload = 'auto' | 'always' | 'never';

/** PEM text, or its bytes. */
export type Pem = string | NodeJS.ArrayBufferView;

/** A private key with a passphrase of its own. */
export interface EncryptedKey {
  pem: Pem;
  passphrase?: string | undefined;
}

export type ProtocolVersion = 'TLSv1.2' | 'TLSv1.3';

/** Options of a SecureContext. */
export const contextOptions = {
  /** Private keys, PEM; encrypted ones with `passphrase` or their own. Required. */
  key: material<Pem | readonly (Pem | EncryptedKey)[]>(),
  /** Certificate chains, PEM, leaf first; one chain for each key, in any order. Required. */
  cert: material<Pem | readonly Pem[]>(),
  /** Authorities for client certificates, PEM. Default: Node's root certificates. */
  ca: material<Pem | readonly Pem[]>(),
  /** Opens encrypted keys that bring none of their own. */
  passphrase: text(undefined, true),
  /** Lowest protocol version. Default: `tls.DEFAULT_MIN_VERSION`, at least TLSv1.2. */
  minVersion: version('minimum'),
  /** Highest protocol version. Default: `tls.DEFAULT_MAX_VERSION`. */
  maxVersion: version('maximum'),
  /**
   * Key exchange groups, `:` between them, best first; `auto` is X25519MLKEM768, X25519, P-256,
   * P-384. Default: `tls.DEFAULT_ECDH_CURVE`.
   */
  ecdhCurve: {
    absent: () => groups(tls.DEFAULT_ECDH_CURVE, 'tls.DEFAULT_ECDH_CURVE'),
    parse: groups,
  } as Option<string, string[] | undefined>,
  /** Protocols for ALPN, best first: names, or the wire format in one buffer. Default: none. */
  ALPNProtocols: { absent: () => [], parse: alpnProtocols } as Option<
    readonly (string | Uint8Array)[] | NodeJS.ArrayBufferView,
    Uint8Array[]
  >,
  /** Ask clients for a certificate. Default: false. */
  requestCert: flag(false),
  /** With `requestCert`: refuse clients without a valid certificate. Default: true. */
  rejectUnauthorized: flag(true),
  /** Prefer the server's order of cipher suites. Default: true, as tls.createServer's. */
  honorCipherOrder: flag(true),
  /** Lifetime of tickets and sessions, in seconds, at most 7 days (RFC 8446). Default: 300. */
  sessionTimeout: count(300, 7 * 24 * 3600, 1),
  allowPartialTrustChain: unsupported([false]),
  certificateCompression: unsupported(),
  ciphers: unsupported([tls.DEFAULT_CIPHERS]),
  clientCertEngine: unsupported(),
  crl: unsupported(),
  dhparam: unsupported(),
  pfx: unsupported(),
  privateKeyEngine: unsupported(),
  privateKeyIdentifier: unsupported(),
  secureOptions: unsupported([0]),
  secureProtocol: unsupported(),
  sessionIdContext: unsupported(),
  sigalgs: unsupported(),
  ticketKeys: unsupported(),
};

const HANDSHAKE_TIMEOUT = 120_000;

/** Options of a connection, whichever way it comes. */
export const connectionOptions = {
  /**
   * Time for a handshake, in ms, from the hand-over of its connection to its last byte. Default:
   * 120000; so does 0, as in Node.
   */
  handshakeTimeout: handshakeTimeout(),
  /** Largest ClientHello, in bytes; longer ones are refused. Default: 32768. */
  clientHelloLimit: count(32 * 1024, 64 * 1024, 512),
  /**
   * Where handshakes are computed: `always` in the pool, `never` there but on the I/O worker,
   * `auto` on the worker while it has nothing else to do and the handshake is cheap. Default: auto.
   */
  offload: oneOf<Offload>(['auto', 'always', 'never'], 'auto'),
  /** Bytes a socket buffers in each direction before it says so. Default: Node's. */
  highWaterMark: count(undefined, Number.MAX_SAFE_INTEGER),
  ALPNCallback: unsupported(),
  SNICallback: unsupported(),
  enableTrace: unsupported([false]),
  pskCallback: unsupported(),
  pskIdentityHint: unsupported(),
  requestOCSP: unsupported([false]),
  secureContext: unsupported(),
};

/** Options of a Server beside those of its context. */
export const serverOptions = {
  ...connectionOptions,
  /** Keep the writable side open after the peer's end. Default: false. */
  allowHalfOpen: flag(false),
  /** Don't read until `socket.resume()`. Default: false. */
  pauseOnConnect: flag(false),
  /** Send small writes at once (TCP_NODELAY). Default: false. */
  noDelay: flag(false),
  /** Probe idle connections (SO_KEEPALIVE). Default: false. */
  keepAlive: flag(false),
  /** Idle time before the first probe, in ms. Default: 0, the system's. */
  keepAliveInitialDelay: count(0, 2 ** 31 - 1),
  /** Connections beyond this are dropped with a 'drop' event. Default: no limit. */
  maxConnections: count(undefined, 2 ** 32 - 1),
  blockList: unsupported(),
  keepAliveCount: unsupported(),
  keepAliveInterval: unsupported(),
  reusePort: unsupported([false]),
  typeOfService: unsupported(),
};

/** Options of acceptTls beside those of a context. */
export const acceptOptions = {
  ...connectionOptions,
  /** Keep the writable side open after the peer's end. Default: as the socket below. */
  allowHalfOpen: flag(undefined),
  /** Don't read until `socket.resume()`. Default: false. */
  pauseOnConnect: flag(false),
  /** Gives the handshake up: the promise rejects with an AbortError. Default: none. */
  signal: {
    absent: () => undefined,
    parse(value, name) {
      if (value instanceof AbortSignal) return value;
      throw failure('ERR_INVALID_ARG_TYPE', name, 'an instance of AbortSignal', received(value));
    },
  } as Option<AbortSignal, AbortSignal | undefined>,
};

function handshakeTimeout(): Option<number, number> {
  const milliseconds = count(HANDSHAKE_TIMEOUT, 2 ** 31 - 1);
  return {
    absent: milliseconds.absent,
    parse: (value, name) => milliseconds.parse(value, name) || HANDSHAKE_TIMEOUT,
  };
}

function version(bound: 'minimum' | 'maximum'): Option<ProtocolVersion, ProtocolVersion> {
  return {
    absent() {
      const node = bound === 'minimum' ? tls.DEFAULT_MIN_VERSION : tls.DEFAULT_MAX_VERSION;
      return node === 'TLSv1.3' ? 'TLSv1.3' : 'TLSv1.2';
    },
    parse(value, name) {
      if (value === 'TLSv1.2' || value === 'TLSv1.3') return value;
      if (value === 'TLSv1' || value === 'TLSv1.1')
        throw failure(
          'ERR_OFFLOOP_UNSUPPORTED_OPTION',
          `${name} ${value}`,
          'TLSv1.2 is the oldest',
        );
      const shown = typeof value === 'string' ? `"${value}"` : received(value);
      throw failure('ERR_TLS_INVALID_PROTOCOL_VERSION', shown, bound);
    },
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
