import { X509Certificate } from 'node:crypto';
import { Duplex } from 'node:stream';
import tls from 'node:tls';
import type { Connection } from './connection.js';
import { failure } from './errors.js';
import type { NativeSession } from './native.js';
import { legacyCertificate } from './peer-certificate.js';
import { SocketBase, type TlsSocketOptions } from './socket-base.js';
import { SocketHandle } from './socket-handle.js';
import type { Piece } from './submission.js';

type Callback = (error?: Error | null) => void;

/**
 * The server's end of a TLS connection, decrypted. It is a `tls.TLSSocket`, a `net.Socket` and a
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

  /** @internal */
  readonly _connection: Connection;
  /** @internal */
  _socketHandle: SocketHandle | null = null;
  private _resetting = false;
  private _failed = false;

  /** @internal Made by the hub; programs get theirs from a Server or from `acceptTls`. */
  constructor(connection: Connection, options: TlsSocketOptions, server: unknown = null) {
    super(options);
    this._connection = connection;
    this.server = server;
    connection.socket = this;
    // Not pause(): that would emit 'pause'.
    if (options.pauseOnConnect)
      (this as { readableFlowing: boolean | null }).readableFlowing = false;
  }

  // The stream.

  override _read(): void {
    this._connection.resume();
  }

  override _write(chunk: Uint8Array | string, encoding: BufferEncoding, callback: Callback): void {
    this._connection.write(chunk, encoding, callback);
  }

  override _writev(pieces: Piece[], callback: Callback): void {
    this._connection.writev(pieces, callback);
  }

  override _final(callback: Callback): void {
    this._connection.end(callback);
  }

  override _destroy(error: Error | null, callback: Callback): void {
    this._clearTimer();
    this._failed = Boolean(error);
    const connection = this._connection;
    connection.keepFacts();
    if (connection.closed) process.nextTick(() => this._onFree());
    else connection.destroy(this._resetting);
    callback(error);
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

  override setNoDelay(enable: boolean = true): this {
    this._connection.setNoDelay(Boolean(enable));
    return this;
  }

  override setKeepAlive(enable?: boolean | object, initialDelay?: number): this {
    let on: unknown = enable;
    let delay: unknown = initialDelay;
    if (typeof enable === 'object' && enable !== null) {
      const options = enable as Record<string, unknown>;
      for (const name of ['interval', 'count']) {
        if (options[name] !== undefined)
          throw failure(
            'ERR_OFFLOOP_UNSUPPORTED_OPTION',
            `options.${name}`,
            'only enable and initialDelay are',
          );
      }
      on = options.enable;
      delay = options.initialDelay;
    }
    this._connection.setKeepAlive(
      Boolean(on),
      Math.max(0, Math.trunc(Number(delay ?? 0) / 1000) || 0),
    );
    return this;
  }

  override ref(): this {
    this._connection.ref();
    return this;
  }

  override unref(): this {
    this._connection.unref();
    return this;
  }

  /** @internal remoteAddress, remoteFamily and remotePort of net.Socket read this. */
  _getpeername(): object {
    const addresses = this._connection.addresses();
    if (addresses === null || addresses.remoteAddress === undefined) return {};
    const { remoteAddress: address, remoteFamily: family, remotePort: port } = addresses;
    return { address, family, port };
  }

  /** @internal address(), localAddress, localFamily and localPort of net.Socket read this. */
  _getsockname(): object {
    const addresses = this._connection.addresses();
    if (addresses === null || addresses.localAddress === undefined) return {};
    const { localAddress: address, localFamily: family, localPort: port } = addresses;
    return { address, family, port };
  }

  // The session.

  /** `TLSv1.3`, `TLSv1.2`; null after the socket was destroyed. */
  override getProtocol(): string | null {
    return this._session()?.protocol ?? null;
  }

  /** The cipher suite by OpenSSL's name and by the standard's. */
  override getCipher(): tls.CipherNameAndProtocol {
    const session = this._session();
    if (session === null) return null as unknown as tls.CipherNameAndProtocol;
    const { cipherName: name, cipherStandardName: standardName, cipherVersion: version } = session;
    return { name, standardName, version };
  }

  /** Did this connection resume an earlier session? */
  override isSessionReused(): boolean {
    return this._session()?.resumed ?? false;
  }

  /**
   * The peer's certificate as a plain object, `{}` if there is none, null once destroyed. With
   * `detailed` it is linked to its issuers by `issuerCertificate`.
   */
  override getPeerCertificate(detailed: true): tls.DetailedPeerCertificate;
  override getPeerCertificate(detailed?: false): tls.PeerCertificate;
  override getPeerCertificate(detailed?: boolean): tls.PeerCertificate {
    const session = this._session();
    if (session === null) return null as unknown as tls.PeerCertificate;
    return legacyCertificate(session.peerCertificates, detailed === true);
  }

  /** The certificate of this end as a plain object, null once destroyed. */
  override getCertificate(): tls.PeerCertificate | object | null {
    const session = this._session();
    return session === null ? null : legacyCertificate(ownCertificate(session), false);
  }

  override getPeerX509Certificate(): X509Certificate | undefined {
    return x509(this._session()?.peerCertificates);
  }

  override getX509Certificate(): X509Certificate | undefined {
    return x509(ownCertificate(this._session()));
  }

  /** Node answers null on servers. */
  override getEphemeralKeyInfo(): tls.EphemeralKeyInfo | object | null {
    return null;
  }

  /** Node answers undefined on servers. */
  override getTLSTicket(): undefined {
    return undefined;
  }

  /** Renegotiation never happens here. */
  override disableRenegotiation(): void {}

  private _session(): NativeSession | null {
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
    return this._connection.facts()?.alpn ?? false;
  },
  servername() {
    return this._connection.facts()?.servername ?? false;
  },
  bytesRead() {
    return this._connection.bytesRead;
  },
  // net.Socket's bytesWritten adds what is still buffered to this.
  _bytesDispatched() {
    return this._connection.bytesWritten;
  },
  pending() {
    return this.destroyed;
  },
  bufferSize() {
    return this.destroyed ? undefined : this.writableLength;
  },
  _handle() {
    if (this.destroyed) return null;
    return (this._socketHandle ??= new SocketHandle(this));
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

function x509(chain: Buffer[] | undefined): X509Certificate | undefined {
  return chain === undefined || chain.length === 0 ? undefined : new X509Certificate(chain[0]);
}

function ownCertificate(session: NativeSession | null): Buffer[] {
  return (session as { certificate?: Buffer[] } | null)?.certificate ?? [];
}
