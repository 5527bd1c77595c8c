import { Duplex } from 'node:stream';
import tls from 'node:tls';
import { failure, received } from './errors.js';
import type { SecureContext } from './secure-context.js';

/** How a TlsSocket behaves as a stream. */
export interface TlsSocketOptions {
  /** Keep the writable side open after the peer's end. */
  allowHalfOpen: boolean;
  /** Bytes to buffer in each direction; undefined: Node's default. */
  highWaterMark: number | undefined;
  /** Don't flow until `resume()`. */
  pauseOnConnect: boolean;
  /** What is asked of the client's certificate. Default: nothing. */
  policy?: { requestCert: boolean; rejectUnauthorized: boolean } | undefined;
  /** The context that a client of this name was served with; undefined: it is not known. */
  contextFor?: ((servername: string | false) => SecureContext | undefined) | undefined;
}

/**
 * Members of tls.TLSSocket and net.Socket without running their constructors, which would make a
 * native handle: a TlsSocket is a Duplex whose other end is the core.
 */
const Base = function (this: Duplex, options: TlsSocketOptions): void {
  Duplex.call(this, {
    allowHalfOpen: options.allowHalfOpen,
    autoDestroy: true,
    decodeStrings: false,
    // 'close' carries hadError and waits for the core, as net.Socket's does.
    emitClose: false,
    ...(options.highWaterMark === undefined ? undefined : { highWaterMark: options.highWaterMark }),
  });
} as unknown as new (options: TlsSocketOptions) => tls.TLSSocket;
Base.prototype = Object.create(tls.TLSSocket.prototype, {
  constructor: { value: Base, writable: true, configurable: true },
});

/** A net.Socket under a TLS socket, as far as it is used here. */
interface Beneath {
  _getpeername(): object;
  _getsockname(): object;
  /** Node's name for 'there was traffic'. */
  _unrefTimer(): void;
}

/** The parts of a socket that no connection is needed for. */
export class SocketBase extends Base {
  /** Idle time in ms after which 'timeout' is emitted, as `setTimeout` set it. */
  declare timeout?: number;
  // What Node's own methods work with.
  declare secureConnecting: boolean;
  declare _secureEstablished: boolean;
  declare _controlReleased: boolean;
  declare _hadError: boolean;
  /** @internal The net.Socket beneath, if there is one. */
  declare _parent: Beneath | null;
  declare _tlsError: (error: Error) => Error | null;
  declare _emitTLSError: (error: Error) => void;
  declare _releaseControl: () => boolean;
  private _timer: NodeJS.Timeout | null = null;

  // Timers. net.Socket's own need symbols that only its constructor sets.

  /**
   * Emits 'timeout' after `milliseconds` without traffic; 0 turns it off (default). The socket is
   * not closed by it.
   */
  override setTimeout(milliseconds: number, callback?: () => void): this {
    if (this.destroyed) return this;
    this.timeout = milliseconds;
    const duration = timerDuration(milliseconds);
    if (callback !== undefined && typeof callback !== 'function')
      throw failure('ERR_INVALID_ARG_TYPE', 'callback', 'of type function', received(callback));
    this._clearTimer();
    if (duration === 0) {
      if (callback !== undefined) this.removeListener('timeout', callback);
    } else {
      this._timer = setTimeout(emitTimeout, duration, this).unref();
      if (callback !== undefined) this.once('timeout', callback);
    }
    return this;
  }

  /** @internal Node's name for 'there was traffic'. */
  _unrefTimer(): void {
    if (this._timer !== null) this._timer.refresh();
    // What goes over this socket goes over the one beneath.
    if (this._parent !== null) this._parent._unrefTimer();
  }

  /** @internal */
  _clearTimer(): void {
    if (this._timer !== null) clearTimeout(this._timer);
    this._timer = null;
  }

  /** @internal */
  _onTimeout(): void {
    this.emit('timeout');
  }

  // What Node's implementation would do to a handle that isn't there.

  override connect(): never {
    throw unsupported('connect()', 'a server-side socket is connected already');
  }
}

// Where Node has them, from 24 on: the core has no such operation, and a value must not be lost.
for (const name of ['getTypeOfService', 'setTypeOfService']) {
  if (!(name in tls.TLSSocket.prototype)) continue;
  const value = (): never => {
    throw unsupported(`${name}()`, 'the core has no way to the system’s setting');
  };
  Object.defineProperty(SocketBase.prototype, name, { value, writable: true, configurable: true });
}

/** Properties that Node sets in constructors, for every socket the same here. */
const constants = {
  encrypted: true,
  connecting: false,
  secureConnecting: false,
  _secureEstablished: true,
  _securePending: false,
  _newSessionPending: false,
  _controlReleased: true,
  _hadError: false,
  timeout: 0,
  _parent: null,
  _host: null,
  _server: null,
};
for (const [name, value] of Object.entries(constants)) {
  Object.defineProperty(SocketBase.prototype, name, { value, writable: true, configurable: true });
}

function emitTimeout(socket: SocketBase): void {
  socket._onTimeout();
}

const TIMEOUT_MAX = 2 ** 31 - 1;

function timerDuration(milliseconds: unknown): number {
  if (typeof milliseconds !== 'number')
    throw failure('ERR_INVALID_ARG_TYPE', 'msecs', 'of type number', received(milliseconds));
  if (milliseconds < 0 || !Number.isFinite(milliseconds)) {
    const range = 'a non-negative finite number';
    throw failure('ERR_OUT_OF_RANGE', 'msecs', range, String(milliseconds));
  }
  if (milliseconds <= TIMEOUT_MAX) return milliseconds;
  process.emitWarning(
    `${milliseconds} does not fit into a 32-bit signed integer.\nTimer duration was truncated to ${TIMEOUT_MAX}.`,
    'TimeoutOverflowWarning',
  );
  return TIMEOUT_MAX;
}

function unsupported(name: string, reason: string): Error {
  return failure('ERR_OFFLOOP_UNSUPPORTED_OPTION', name, reason);
}
