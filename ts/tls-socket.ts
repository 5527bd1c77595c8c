import type { X509Certificate } from 'node:crypto';
import { Duplex, type Writable } from 'node:stream';
import tls from 'node:tls';
import type { Connection } from './connection.js';
import { isContext } from './context-of.js';
import { failure, type OffloopError } from './errors.js';
import type { NativeHandshake, NativeSession } from './native.js';
import { createSecureContext } from './node-context.js';
import { detailedCertificate, legacyCertificate, linkedCertificate } from './peer-certificate.js';
import { SecureContext } from './secure-context.js';
import { SocketBase, type TlsSocketOptions } from './socket-base.js';
import { SocketHandle } from './socket-handle.js';
import type { Piece } from './submission.js';

/** What `socket.handshake` tells. */
export type Handshake = NativeHandshake;

type Callback = (error?: Error | null) => void;

/** The first argument of setKeepAlive, from Node 24 on. */
interface KeepAlive {
  enable?: boolean | undefined;
  initialDelay?: number | undefined;
  interval?: number | undefined;
  count?: number | undefined;
}

/**
 * The server's end of a TLS connection, decrypted; while `secureConnecting`, its handshake goes on:
 * nothing is read, what is written waits, and 'secure' tells of its end. It is a `tls.TLSSocket`, a `net.Socket` and a
 * `stream.Duplex` to `instanceof` and to callers; handshake and records happen in the core.
 *
 * Sources: `acceptTls`, and the 'secureConnection' event of a Server. Errors arrive as 'error'
 * with `code`, `errno` and `syscall` as Node's do. Handlers run in batches: promise continuations
 * and `process.nextTick` callbacks run after the batch, not between two of its messages.
 */
export class TlsSocket extends SocketBase {
  /** The server that accepted this connection, or null. */
  declare server: unknown;
  /** Has the peer shown a certificate that was asked for and is valid? */
  declare readonly authorized: boolean;
  /** Why the peer's certificate is not valid, e.g. `SELF_SIGNED_CERT_IN_CHAIN`; else null. */
  declare readonly authorizationError: Error;
  /** The protocol chosen by ALPN, or false. */
  declare readonly alpnProtocol: string | false;
  /** The name the client asked for (SNI), or false. */
  declare readonly servername: string | false;
  /** Does it ask the peer for a certificate? */
  declare _requestCert: boolean;
  /** Are peers without a valid one refused? */
  declare _rejectUnauthorized: boolean;
  /** @internal */
  declare _handle: SocketHandle | null;
  /** @internal Set by http: what is being written. */
  declare _httpMessage?: Writable | null;

  /** @internal */
  readonly _connection: Connection;
  /** @internal */
  _socketHandle: SocketHandle | null = null;
  /** @internal */
  readonly _policy: TlsSocketOptions['policy'];
  private readonly _contextFor: TlsSocketOptions['contextFor'];
  private _resetting = false;
  private _failed = false;
  /** @internal TLS itself failed its handshake. */
  _refused = false;

  /** @internal Made by the hub; programs get theirs from a Server or from `acceptTls`. */
  constructor(connection: Connection, options: TlsSocketOptions, server: unknown = null) {
    super(options);
    this._connection = connection;
    this._contextFor = options.contextFor;
    this._policy = options.policy;
    this.server = server;
    connection.socket = this;
    if (connection.state !== 'open') this._shake();
    // Not pause(): that would emit 'pause'.
    if (options.pauseOnConnect)
      (this as { readableFlowing: boolean | null }).readableFlowing = false;
  }

  // The stream.

  /** @internal Of the stream. */
  override _read(): void {
    this._connection.resume();
  }

  /** As of every stream. */
  override read(size?: number): unknown {
    const chunk: unknown = super.read(size);
    this._connection.onRead();
    return chunk;
  }

  /** @internal Of the stream. */
  override _write(chunk: Uint8Array | string, encoding: BufferEncoding, callback: Callback): void {
    this._connection.write(chunk, encoding, callback);
  }

  /** @internal Of the stream. */
  override _writev(pieces: Piece[], callback: Callback): void {
    this._connection.writev(pieces, callback);
  }

  /** @internal Of the stream. */
  override _final(callback: Callback): void {
    this._connection.end(callback);
  }

  /** @internal Of the stream. */
  override _destroy(error: Error | null, callback: Callback): void {
    this._clearTimer();
    this._failed = Boolean(error);
    this._refused = this._connection.state === 'failed' && isOfTls(error);
    const connection = this._connection;
    connection.keepFacts();
    // Queues 'error', before 'close' can be.
    callback(error);
    if (connection.closed) process.nextTick(() => this._onFree());
    else connection.destroy(this._resetting);
  }

  /** The handshake is not over: what Node's constructor sets until it is. */
  private _shake(): void {
    this.secureConnecting = true;
    this._secureEstablished = false;
    this._controlReleased = false;
    this.on('error', this._tlsError);
  }

  /** @internal The handshake is done. */
  _onOpen(): void {
    if (this.destroyed) return;
    this._secureEstablished = true;
    this.emit('secure');
  }

  /** @internal The handshake failed, and the core has let go of the connection. */
  _onFailed(error: OffloopError): void {
    const connection = this._connection;
    if (this.destroyed) return this._onFree();
    if (isHangUp(error) && this.writableLength === 0) {
      // Node takes it for an end as any other.
      this._onPeerEnd();
      connection.closeAfterEnd();
    } else if (error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT') {
      this._emitTLSError(error);
      this.destroy();
    } else {
      this._hadError = true;
      this.destroy(error);
    }
    connection.abandonWrites();
  }

  /** @internal What is beneath broke, or, without an error, just closed. */
  _onLost(error?: Error): void {
    if (this._controlReleased || error === undefined) return void this.destroy(error);
    this._emitTLSError(error);
    this.destroy();
  }

  /** @internal Somebody reads on 'readable', and has not read what there is. */
  _awaitsRead(): boolean {
    return (
      this.readableFlowing === false &&
      this.readableLength > 0 &&
      this.listenerCount('readable') > 0
    );
  }

  /**
   * @internal All that was written is through. An HTTP response counts as unsent what the socket
   * holds, also while it holds back some itself; the socket, which never held all of it, may then
   * have no 'drain' to emit, for which the response waits (Node 26).
   */
  _wakeResponse(): void {
    const response = this._httpMessage;
    if (response?.writableNeedDrain !== true || response.writableLength > 0) return;
    if (!this.writableNeedDrain && !this.destroyed) this.emit('drain');
  }

  /** @internal The peer will send no more. */
  _onPeerEnd(): void {
    if (this.destroyed) return;
    if (!this.allowHalfOpen) this.prependOnceListener('end', refuseWritesAfterEnd);
    this.push(null);
    // Without this a socket that nobody reads would never close.
    this.read(0);
  }

  /** @internal The core has let go of the connection. */
  _onFree(): void {
    this.emit('close', this._failed);
  }

  /** Closes with a RST instead of a FIN; unsent data is lost. */
  override resetAndDestroy(): this {
    if (this.destroyed) return this;
    this._resetting = true;
    return this.destroy();
  }

  // The connection beneath.

  /** Sends small writes at once, without Nagle's algorithm. */
  override setNoDelay(enable: boolean = true): this {
    this._connection.setNoDelay(Boolean(enable));
    return this;
  }

  /** @throws ERR_OFFLOOP_UNSUPPORTED_OPTION for an interval or a count of probes. */
  override setKeepAlive(
    enable?: boolean | KeepAlive,
    initialDelay?: number,
    interval?: number,
    count?: number,
  ): this {
    const asked =
      typeof enable === 'object' && enable !== null
        ? enable
        : { enable: Boolean(enable), initialDelay, interval, count };
    for (const name of ['interval', 'count'] as const) {
      if (asked[name] === undefined) continue;
      const reason = 'only enable and initialDelay are';
      throw failure('ERR_OFFLOOP_UNSUPPORTED_OPTION', `${name} of keep-alive`, reason);
    }
    const seconds = Math.trunc(Number(asked.initialDelay ?? 0) / 1000) || 0;
    this._connection.setKeepAlive(Boolean(asked.enable), Math.max(0, seconds));
    return this;
  }

  /** Keeps the event loop alive while the connection is open, as it does by default. */
  override ref(): this {
    this._connection.ref();
    return this;
  }

  /** The reverse of `ref`. */
  override unref(): this {
    this._connection.unref();
    return this;
  }

  /** @internal remoteAddress, remoteFamily and remotePort of net.Socket read this. */
  _getpeername(): object {
    const addresses = this._connection.addresses();
    if (addresses === null) return this._parent?._getpeername() ?? {};
    if (addresses.remoteAddress === undefined) return {};
    const { remoteAddress: address, remoteFamily: family, remotePort: port } = addresses;
    return { address, family, port };
  }

  /** @internal address(), localAddress, localFamily and localPort of net.Socket read this. */
  _getsockname(): object {
    // As in Node, which asks the system each time.
    if (this.destroyed && this._connection.state !== 'failed') return {};
    const addresses = this._connection.addresses();
    if (addresses === null) return this._parent?._getsockname() ?? {};
    if (addresses.localAddress === undefined) return {};
    const { localAddress: address, localFamily: family, localPort: port } = addresses;
    return { address, family, port };
  }

  // The session. What is not here is Node's own, and asks our handle.

  // Node's own would do, but not those of Bun and Deno.

  /** `TLSv1.3`, `TLSv1.2`; null after the socket was destroyed. */
  override getProtocol(): string | null {
    return this._handle?.getProtocol() ?? null;
  }

  /** The cipher suite by OpenSSL's name and by the standard's; null after the socket was destroyed. */
  override getCipher(): tls.CipherNameAndProtocol {
    const cipher = this._handle === null ? null : this._handle.getCipher();
    return cipher as tls.CipherNameAndProtocol;
  }

  /** Did this connection resume an earlier session? */
  override isSessionReused(): boolean {
    return this._handle?.isSessionReused() ?? (null as unknown as boolean);
  }

  /**
   * The peer's certificate as a plain object, `{}` if there is none, null once destroyed. With
   * `detailed` it is linked to its issuers by `issuerCertificate`.
   */
  override getPeerCertificate(detailed: true): tls.DetailedPeerCertificate;
  /** The peer's certificate as a plain object, `{}` if there is none, null once destroyed. */
  override getPeerCertificate(detailed?: false): tls.PeerCertificate;
  override getPeerCertificate(detailed?: boolean): tls.PeerCertificate {
    if (this._handle === null) return null as unknown as tls.PeerCertificate;
    const chain = this._session()?.peerCertificates ?? [];
    return detailed === true
      ? detailedCertificate(chain, () => this._authorities())
      : legacyCertificate(chain);
  }

  /** The certificate of this end as a plain object, null once destroyed. */
  override getCertificate(): tls.PeerCertificate | object | null {
    return this._handle === null ? null : legacyCertificate(this._session()?.certificate ?? []);
  }

  /**
   * Serves this connection with another certificate and key. Only within `ALPNCallback`, whose
   * `this` is the socket; where clients show certificates, not even there.
   *
   * @param context options of `tls.createSecureContext`, or what that made of them
   * @throws ERR_OFFLOOP_UNSUPPORTED_OPTION at any other time
   */
  override setKeyCert(context: tls.SecureContext | tls.SecureContextOptions): void {
    const handle = this._handle;
    if (handle === null) return;
    const options = context as tls.SecureContextOptions;
    handle.setKeyCert(isContext(context) ? context : createSecureContext(options));
  }

  /** The peer's certificate, undefined if there is none, or once destroyed. */
  override getPeerX509Certificate(): X509Certificate | undefined {
    return linkedCertificate(this._session()?.peerCertificates ?? []);
  }

  /** The certificate of this end, undefined once destroyed. */
  override getX509Certificate(): X509Certificate | undefined {
    return linkedCertificate(this._session()?.certificate.slice(0, 1) ?? []);
  }

  /**
   * What the handshake came to: phases in microseconds, version, cipher, group, signature, and the
   * ClientHello with its JA3 and JA4 fingerprints. Fetched from the core when first asked for; null
   * before the handshake is done, and after the connection closed without having been asked.
   */
  get handshake(): Handshake | null {
    return this._connection.handshakeFacts();
  }

  /** Nothing is left to destroy: the core frees a session with its connection. */
  _destroySSL(): void {}

  private _authorities(): readonly X509Certificate[] {
    const context = this._connection.context ?? this._contextFor?.(this.servername);
    return context == null ? [] : SecureContext.authorities(context);
  }

  /** @internal Null before the handshake is done, and once destroyed. */
  _session(): NativeSession | null {
    return this.destroyed ? null : this._connection.session();
  }
}

/** Properties that are worked out when first read. Node has data properties, so all can be set. */
const computed: Record<string, (this: TlsSocket) => unknown> = {
  authorized() {
    return this._connection.facts()?.authorized ?? false;
  },
  authorizationError() {
    return this._connection.facts()?.authorizationError ?? null;
  },
  alpnProtocol() {
    return this._connection.facts()?.alpn ?? unknownYet(this._connection);
  },
  servername() {
    const { hello } = this._connection;
    const name = this._connection.facts()?.servername ?? hello?.servername;
    return name ?? unknownYet(this._connection);
  },
  _requestCert() {
    return this._policy?.requestCert === true;
  },
  _rejectUnauthorized() {
    return this._policy?.rejectUnauthorized === true;
  },
  _tlsOptions() {
    const { server, _requestCert: requestCert, _rejectUnauthorized: rejectUnauthorized } = this;
    return { isServer: true, server, requestCert, rejectUnauthorized };
  },
  bytesRead() {
    return this._connection.bytesRead;
  },
  // net.Socket's bytesWritten adds what is still buffered to this.
  _bytesDispatched() {
    return this._connection.bytesWritten;
  },
  pending() {
    return this.destroyed || this.connecting;
  },
  bufferSize() {
    return this.destroyed ? undefined : this.writableLength;
  },
  _handle() {
    // As in Node, where an error of OpenSSL leaves it to its socket.
    if (this.destroyed && !this._refused) return null;
    return (this._socketHandle ??= new SocketHandle(this));
  },
  ssl() {
    return this._handle;
  },
};
for (const [name, get] of Object.entries(computed)) {
  Object.defineProperty(TlsSocket.prototype, name, {
    get,
    set(this: TlsSocket, value: unknown) {
      Object.defineProperty(this, name, {
        value,
        writable: true,
        configurable: true,
        enumerable: true,
      });
    },
    configurable: true,
  });
}

/** What Node says of what only the handshake tells: null until then. */
function unknownYet({ state }: Connection): false | null {
  return state === 'shaking' || state === 'failed' ? null : false;
}

function isHangUp({ code, syscall }: OffloopError): boolean {
  return code === 'ECONNRESET' && syscall === undefined;
}

/** Is it no error of the stream beneath? */
function isOfTls(error: Error | null): boolean {
  return error !== null && (error as OffloopError).syscall === undefined;
}

function refuseWritesAfterEnd(this: TlsSocket): void {
  this.write = writeAfterEnd as typeof this.write;
}

/** As net.Socket: once we ended too because the peer did, a write says so with EPIPE. */
function writeAfterEnd(
  this: TlsSocket,
  chunk: unknown,
  encoding?: unknown,
  callback?: unknown,
): boolean {
  if (!this.writableEnded) {
    return Duplex.prototype.write.call(
      this,
      chunk,
      encoding as BufferEncoding,
      callback as Callback,
    );
  }
  const error = failure('EPIPE');
  const done = typeof encoding === 'function' ? encoding : callback;
  if (typeof done === 'function') process.nextTick(done as Callback, error);
  this.destroy(error);
  return false;
}
