/**
 * Every error that offloop raises, in one table: code, class, message. Errors of the native core
 * arrive with code and message of their own; their codes are listed at the end.
 */

import { getSystemErrorMap } from 'node:util';

/** An error of offloop: `code` is stable, `message` is for people. */
export interface OffloopError extends Error {
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
  const error = new Error(message ?? code) as OffloopError;
  error.code = code;
  if (errno !== undefined) error.errno = errno;
  if (syscall !== undefined) error.syscall = syscall;
  if (alert !== undefined) error.alert = alert;
  return error;
}

/** What a system call says, in Node's words: `read ECONNRESET`. `errno` is negative. */
export function systemError(errno: number, syscall: string): OffloopError {
  const code = getSystemErrorMap().get(errno)?.[0] ?? `Unknown system error ${errno}`;
  return Object.assign(new Error(`${syscall} ${code}`), { errno, code, syscall });
}

/** What listening says, in Node's words: `listen EADDRINUSE: address already in use :::443`. */
export function listenError(errno: number, address: string, port: number): OffloopError {
  const [code, words] = getSystemErrorMap().get(errno) ?? ['UNKNOWN', 'unknown error'];
  const place = port > 0 ? `${address}:${port}` : address;
  const error = new Error(`listen ${code}: ${words} ${place}`) as OffloopError;
  return Object.assign(error, { code, errno, syscall: 'listen', address, ...(port && { port }) });
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
  ERR_SERVER_ALREADY_LISTEN: {
    class: Error,
    message: () => 'Listen method has been called more than once without closing.',
  },
  ERR_SERVER_NOT_RUNNING: { class: Error, message: () => 'Server is not running.' },
  ERR_SOCKET_BAD_PORT: {
    class: RangeError,
    message: (name: string, got: string) => `${name} should be >= 0 and < 65536. Received ${got}.`,
  },
  ERR_SOCKET_CLOSED: { class: Error, message: () => 'Socket is closed' },
  ERR_STREAM_DESTROYED: {
    class: Error,
    message: (operation: string) => `Cannot call ${operation} after a stream was destroyed`,
  },
  ERR_TLS_INVALID_PROTOCOL_VERSION: {
    class: TypeError,
    message: (got: string, bound: 'minimum' | 'maximum') =>
      `${got} is not a valid ${bound} TLS protocol version`,
  },
  ERR_TLS_REQUIRED_SERVER_NAME: {
    class: Error,
    message: () => '"servername" is required parameter for Server.addContext',
  },
  ERR_TLS_SNI_FROM_SERVER: {
    class: Error,
    message: () => 'Cannot issue SNI from a TLS server-side socket',
  },
  ECONNRESET: { class: Error, message: () => 'socket hang up' },
  ERR_OFFLOOP_UNSUPPORTED_OPTION: {
    class: Error,
    message: (name: string, reason: string) => `${name} is not supported: ${reason}`,
  },
} as const;

/** Codes that the native core raises by itself, with the messages of `crates/tls`. */
export const nativeErrorCodes = [
  'ECONNRESET',
  'EPIPE',
  'ERR_TLS_HANDSHAKE_TIMEOUT',
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_NO_SHARED_CIPHER',
  'ERR_SSL_UNSUPPORTED_PROTOCOL',
  'ERR_SSL_NO_APPLICATION_PROTOCOL',
  'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE',
  'ERR_OSSL_X509_KEY_VALUES_MISMATCH',
  'ERR_OFFLOOP_OVERLOADED',
  'ERR_OFFLOOP_POOL_CLOSED',
  'ERR_OFFLOOP_TASK_DROPPED',
  'ERR_OFFLOOP_UNSUPPORTED_OPTION',
  'ERR_OFFLOOP_INTERNAL',
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
