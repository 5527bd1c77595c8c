import { Duplex } from 'node:stream';
import tls from 'node:tls';
import { failure, received } from './errors.js';

/** How a TlsSocket behaves as a stream. */
export interface TlsSocketOptions {
  /** Keep the writable side open after the peer's end. */
  allowHalfOpen: boolean;
  /** Bytes to buffer in each direction; undefined: Node's default. */
  highWaterMark: number | undefined;
  /** Don't flow until `resume()`. */
  pauseOnConnect: boolean;
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

/** The parts of a socket that no connection is needed for. */
export class SocketBase extends Base {
  /** Idle time in ms after which 'timeout' is emitted, as `setTimeout` set it. */
  declare timeout?: number;
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

  setServername(_name: string): never {
    throw failure('ERR_TLS_SNI_FROM_SERVER');
  }

  override enableTrace(): never {
    throw unsupported('enableTrace()', 'OpenSSL writes that trace, and is not used');
  }

  override exportKeyingMaterial(): never {
    throw unsupported('exportKeyingMaterial()', 'not built yet');
  }

  override getFinished(): never {
    throw unsupported('getFinished()', 'rustls does not show Finished messages');
  }

  override getPeerFinished(): never {
    throw unsupported('getPeerFinished()', 'rustls does not show Finished messages');
  }

  override getSession(): never {
    throw unsupported('getSession()', 'not built yet');
  }

  override getSharedSigalgs(): never {
    throw unsupported('getSharedSigalgs()', 'not built yet');
  }

  override renegotiate(): never {
    throw unsupported('renegotiate()', 'rustls never renegotiates');
  }

  override setMaxSendFragment(): never {
    throw unsupported('setMaxSendFragment()', 'not built yet');
  }

  override setKeyCert(): never {
    throw unsupported('setKeyCert()', 'the handshake is over');
  }

  setSession(): never {
    throw unsupported('setSession()', 'clients resume sessions, servers do not');
  }

  override getTypeOfService(): never {
    throw unsupported('getTypeOfService()', 'not built yet');
  }

  override setTypeOfService(): never {
    throw unsupported('setTypeOfService()', 'not built yet');
  }
}

/** Properties that Node sets in constructors, for every socket the same here. */
const constants = {
  encrypted: true,
  connecting: false,
  secureConnecting: false,
  _secureEstablished: true,
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
