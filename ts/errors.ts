/**
 * Every error that offloop raises, in one table: code, class, message. Errors of the native core
 * arrive with code and message of their own; their codes are listed at the end.
 */

import { getSystemErrorMap } from 'node:util';

/** An error of offloop: `code` is stable, `message` is for people. */
export interface OffloopError extends Error {
  /** Of Node, of OpenSSL or ERR_OFFLOOP_*: docs/errors.md has a section for each. */
  code: string;
  /** The system's error number, negative as in Node; only where a system call failed. */
  errno?: number;
  /** The system call that failed, e.g. `read`. */
  syscall?: string;
  /** The number of the TLS alert that was sent, e.g. 40 for handshake_failure. */
  alert?: number;
}

/** Makes the error of `code`, its message filled with `details`. */
export function failure<C extends ErrorCode>(
  code: C,
  ...details: Parameters<(typeof errorTable)[C]['message']>
): OffloopError {
  const entry = errorTable[code];
  const message = (entry.message as (...values: unknown[]) => string)(...details);
  const error = new entry.class(message) as OffloopError;
  if (code === 'ABORT_ERR') error.name = 'AbortError';
  error.code = code;
  // The frames of this module say nothing to a reader.
  Error.captureStackTrace(error, failure);
  return error;
}

/** An error report of the native core, as it crosses the border. */
export interface NativeReport {
  /** Absent for a system error, which `errno` names. */
  code?: string;
  message?: string;
  errno?: number;
  syscall?: string;
  alert?: number;
}

/** Turns a report of the native core into an Error. */
export function reported(report: NativeReport): OffloopError {
  const { code, message, errno, syscall, alert } = report;
  if (code === undefined) return systemError(errno ?? 0, syscall ?? 'read');
  // A peer that left in its handshake: Node's words.
  const words = code === 'ECONNRESET' ? errorTable.ECONNRESET.message() : message;
  const error = code.startsWith(OPENSSL) ? opensslError(code, words) : new Error(words ?? code);
  return Object.assign(error, {
    code,
    ...(errno !== undefined && { errno }),
    ...(syscall !== undefined && { syscall }),
    ...(alert !== undefined && { alert }),
  });
}

const OPENSSL = 'ERR_SSL_';

/** With the properties that Node reads from OpenSSL, and its words where programs look for them. */
function opensslError(code: string, detail: string | undefined): Error {
  const library = 'SSL routines';
  const reason = code.slice(OPENSSL.length).toLowerCase().replaceAll('_', ' ');
  // The core's words may begin with the same.
  const rest = detail?.startsWith(`${reason}: `) ? detail.slice(reason.length + 2) : detail;
  const message = `error:${library}::${reason}${rest ? `: ${rest}` : ''}`;
  return Object.assign(new Error(message), { library, reason });
}

/** What a system call says, in Node's words: `read ECONNRESET`. `errno` is negative. */
export function systemError(errno: number, syscall: string): OffloopError {
  const code = getSystemErrorMap().get(errno)?.[0] ?? `Unknown system error ${errno}`;
  return Object.assign(new Error(`${syscall} ${code}`), { errno, code, syscall });
}

/** The codes that `failure` can make. */
export type ErrorCode = keyof typeof errorTable;

export const errorTable = {
  ABORT_ERR: { class: Error, message: () => 'The operation was aborted' },
  EPIPE: { class: Error, message: () => 'This socket has been ended by the other party' },
  ERR_CRYPTO_OPERATION_FAILED: {
    class: Error,
    message: (name: string, curve: string) =>
      `Failed to set ECDH curve: ${name} names "${curve}", expected X25519MLKEM768, X25519, P-256 or P-384`,
  },
  ERR_INVALID_ARG_TYPE: {
    class: TypeError,
    message: (name: string, expected: string, got: string) =>
      `The ${subject(name)} must be ${expected}. Received ${got}`,
  },
  ERR_INVALID_ARG_VALUE: {
    class: TypeError,
    message: (name: string, expected: string, got: string) =>
      `The ${subject(name)} must be ${expected}. Received ${got}`,
  },
  ERR_MISSING_ARGS: {
    class: TypeError,
    message: (missing: string, expected: string) => `${missing} is missing: expected ${expected}`,
  },
  ERR_MULTIPLE_CALLBACK: { class: Error, message: () => 'Callback called multiple times' },
  ERR_OSSL_BAD_DECRYPT: {
    class: Error,
    message: (given: boolean) =>
      given
        ? 'The private key in options.key is encrypted, and options.passphrase does not open it'
        : 'The private key in options.key is encrypted: expected options.passphrase, got none',
  },
  ERR_OSSL_PEM_BAD_END_LINE: {
    class: Error,
    message: (name: string, position: number) =>
      `${name}: certificate ${position} is cut off: expected "-----END CERTIFICATE-----", got the end or another block`,
  },
  ERR_OSSL_PEM_NO_START_LINE: {
    class: Error,
    message: (name: string) =>
      `${name} holds no certificate: expected PEM ("-----BEGIN CERTIFICATE-----"), got something else`,
  },
  ERR_OSSL_UNSUPPORTED: {
    class: Error,
    message: () =>
      'options.key holds no private key: expected PEM ("-----BEGIN PRIVATE KEY-----" or alike), got something else',
  },
  ERR_OSSL_X509_KEY_VALUES_MISMATCH: {
    class: Error,
    message: (unmatched: string) =>
      `key values mismatch: ${unmatched}; expected one key in options.key for each certificate in options.cert`,
  },
  ERR_OUT_OF_RANGE: {
    class: RangeError,
    message: (name: string, range: string, got: string) =>
      `The value of "${name}" is out of range. It must be ${range}. Received ${got}`,
  },
  ERR_SOCKET_CLOSED: { class: Error, message: () => 'Socket is closed' },
  ERR_SSL_NO_RENEGOTIATION: {
    class: Error,
    message: () => 'error:0A000153:SSL routines::no renegotiation',
  },
  ERR_SSL_WRONG_SSL_VERSION: {
    class: Error,
    message: () => 'error:0A00010A:SSL routines::wrong ssl version',
  },
  ERR_STREAM_DESTROYED: {
    class: Error,
    message: (operation: string) => `Cannot call ${operation} after a stream was destroyed`,
  },
  ERR_TLS_ALPN_CALLBACK_INVALID_RESULT: {
    class: TypeError,
    message: (value: unknown, protocols: readonly string[]) =>
      `ALPN callback returned a value (${String(value)}) that did not match any of the client's offered protocols (${protocols.join(', ')})`,
  },
  ERR_TLS_ALPN_CALLBACK_WITH_PROTOCOLS: {
    class: TypeError,
    message: () => 'The ALPNCallback and ALPNProtocols TLS options are mutually exclusive',
  },
  ERR_TLS_HANDSHAKE_TIMEOUT: { class: Error, message: () => 'TLS handshake timeout' },
  ERR_TLS_INVALID_CONTEXT: { class: TypeError, message: (what: string) => what },
  ERR_TLS_INVALID_PROTOCOL_VERSION: {
    class: TypeError,
    message: (got: string, bound: 'minimum' | 'maximum') =>
      `${got} is not a valid ${bound} TLS protocol version`,
  },
  ERR_TLS_INVALID_STATE: {
    class: Error,
    message: () => 'TLS socket connection must be securely established',
  },
  ECONNRESET: { class: Error, message: () => 'socket hang up' },
  ERR_OFFLOOP_INTERNAL: {
    class: Error,
    message: (what: string) => `offloop failed: ${what}; please report this`,
  },
  ERR_OFFLOOP_UNSUPPORTED_OPTION: {
    class: Error,
    message: (name: string, reason: string) => `${name} is not supported: ${reason}`,
  },
} as const;

/**
 * Codes that the native core raises by itself, beside those of the system: first those of
 * `crates/tls`, with its messages, then those of the crates around it.
 */
export const nativeErrorCodes = [
  'ERR_SSL_HTTP_REQUEST',
  'ERR_SSL_HTTPS_PROXY_REQUEST',
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_UNKNOWN_PROTOCOL',
  'ERR_SSL_UNSUPPORTED_PROTOCOL',
  'ERR_SSL_NO_SHARED_CIPHER',
  'ERR_SSL_NO_SUITABLE_KEY_SHARE',
  'ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM',
  'ERR_SSL_MISSING_SUPPORTED_GROUPS_EXTENSION',
  'ERR_SSL_MISSING_SIGALGS_EXTENSION',
  'ERR_SSL_INAPPROPRIATE_FALLBACK',
  'ERR_SSL_RENEGOTIATION_MISMATCH',
  'ERR_SSL_NO_SHARED_SIGNATURE_ALGORITHMS',
  'ERR_SSL_NO_APPLICATION_PROTOCOL',
  'ERR_SSL_UNEXPECTED_MESSAGE',
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
  'ERR_SSL_EXCESSIVE_MESSAGE_SIZE',
  'ERR_SSL_LENGTH_TOO_SHORT',
  'ERR_SSL_LENGTH_MISMATCH',
  'ERR_SSL_BAD_EXTENSION',
  'ERR_SSL_BAD_KEY_SHARE',
  'ERR_SSL_BAD_PSK',
  'ERR_SSL_BINDER_DOES_NOT_VERIFY',
  'ERR_SSL_NO_COMPRESSION_SPECIFIED',
  'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE',
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_REVOKED',
  'CERT_SIGNATURE_FAILURE',
  'INVALID_PURPOSE',
  'PATH_LENGTH_EXCEEDED',
  'UNSPECIFIED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'ERR_SSL_BAD_SIGNATURE',
  'ERR_SSL_DIGEST_CHECK_FAILED',
  'ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC',
  'ERR_SSL_BAD_RECORD_TYPE',
  'ERR_SSL_TOO_MANY_WARN_ALERTS',
  'ERR_SSL_RECORD_TOO_SMALL',
  'ERR_SSL_NO_RENEGOTIATION',
  'ERR_SSL_PROTOCOL_IS_SHUTDOWN',
  'ERR_SSL_UNKNOWN_ALERT_TYPE',
  'ECONNRESET',
  'ERR_OSSL_PEM_NO_START_LINE',
  'ERR_OSSL_PEM_BAD_BASE64_DECODE',
  'ERR_OSSL_PEM_BAD_END_LINE',
  'ERR_OSSL_ASN1_NOT_ENOUGH_DATA',
  'ERR_OSSL_UNSUPPORTED',
  'ERR_OSSL_X509_KEY_VALUES_MISMATCH',
  'ERR_SSL_EE_KEY_TOO_SMALL',
  'ERR_TLS_INVALID_PROTOCOL_VERSION',
  'ERR_SSL_NO_CIPHER_MATCH',
  'ERR_INVALID_ARG_VALUE',
  'UNABLE_TO_GET_CRL',
  'CRL_HAS_EXPIRED',
  'CRL_SIGNATURE_FAILURE',
  'ERR_CRYPTO_OPERATION_FAILED',
  'ERR_CRYPTO_UNSUPPORTED_OPERATION',
  'ERR_SSL_TLS_ILLEGAL_EXPORTER_LABEL',
  'ERR_OFFLOOP_REJECTED',
  'ERR_OFFLOOP_EMPTY_RECORDS',
  'ERR_OFFLOOP_INTERNAL',
  'ERR_SSL_SSLV3_ALERT_UNEXPECTED_MESSAGE',
  'ERR_SSL_SSLV3_ALERT_BAD_RECORD_MAC',
  'ERR_SSL_TLSV1_ALERT_DECRYPTION_FAILED',
  'ERR_SSL_TLSV1_ALERT_RECORD_OVERFLOW',
  'ERR_SSL_SSLV3_ALERT_DECOMPRESSION_FAILURE',
  'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE',
  'ERR_SSL_SSLV3_ALERT_NO_CERTIFICATE',
  'ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE',
  'ERR_SSL_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE',
  'ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED',
  'ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED',
  'ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN',
  'ERR_SSL_SSLV3_ALERT_ILLEGAL_PARAMETER',
  'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA',
  'ERR_SSL_TLSV1_ALERT_ACCESS_DENIED',
  'ERR_SSL_TLSV1_ALERT_DECODE_ERROR',
  'ERR_SSL_TLSV1_ALERT_DECRYPT_ERROR',
  'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
  'ERR_SSL_TLSV1_ALERT_INSUFFICIENT_SECURITY',
  'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR',
  'ERR_SSL_TLSV1_ALERT_INAPPROPRIATE_FALLBACK',
  'ERR_SSL_TLSV1_ALERT_USER_CANCELLED',
  'ERR_SSL_TLSV1_ALERT_NO_RENEGOTIATION',
  'ERR_SSL_TLSV13_ALERT_MISSING_EXTENSION',
  'ERR_SSL_TLSV1_UNSUPPORTED_EXTENSION',
  'ERR_SSL_TLSV1_UNRECOGNIZED_NAME',
  'ERR_SSL_TLSV1_BAD_CERTIFICATE_STATUS_RESPONSE',
  'ERR_SSL_TLSV1_ALERT_UNKNOWN_PSK_IDENTITY',
  'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
  'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL',
  'ERR_TLS_HANDSHAKE_TIMEOUT',
  'ERR_OFFLOOP_OVERLOADED',
  'ERR_OFFLOOP_POOL_CLOSED',
  'ERR_OFFLOOP_PROXY_HEADER',
  'ERR_OFFLOOP_TASK_DROPPED',
  'ERR_OFFLOOP_UNSUPPORTED_OPTION',
] as const;

/**
 * Says what came, as Node does: `type number (5)`, `an instance of Foo`, `undefined`. A `secret`
 * is described by its type alone.
 */
export function received(value: unknown, secret = false): string {
  if (value === undefined || value === null) return String(value);
  if (typeof value === 'function') return `function ${value.name}`;
  if (typeof value === 'object') {
    const name: unknown = value.constructor?.name;
    return typeof name === 'string' && name !== '' ? `an instance of ${name}` : 'an object';
  }
  if (secret) return `type ${typeof value}`;
  const text = typeof value === 'string' ? `'${shortened(value)}'` : String(value);
  return `type ${typeof value} (${text})`;
}

function shortened(text: string): string {
  return text.length > 28 ? `${text.slice(0, 25)}...` : text;
}

function subject(name: string): string {
  return name.includes('.') ? `"${name}" property` : `"${name}" argument`;
}
