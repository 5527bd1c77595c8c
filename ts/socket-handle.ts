import { executionAsyncId } from 'node:async_hooks';
import tls from 'node:tls';
import { madeContext, refuseStricter } from './context-of.js';
import { failure } from './errors.js';
import type { TlsSocket } from './tls-socket.js';

/**
 * What `socket._handle` shows to Node's own modules, whose methods of a TLS socket ask it, and to
 * libraries that look for it. It is no StreamBase: http and http2 must not take the native path,
 * on which bytes would pass us by.
 */
export class SocketHandle {
  readonly isStreamBase = false;
  readonly fd = -1;

  constructor(private readonly socket: TlsSocket) {}

  // The stream.

  get reading(): boolean {
    return !this.socket._connection.paused;
  }

  // http assigns this next to readStart and readStop, which are what counts.
  set reading(_value: boolean) {}

  get bytesRead(): number {
    return this.socket.bytesRead;
  }

  get bytesWritten(): number {
    return this.socket._connection.bytesWritten;
  }

  get writeQueueSize(): number {
    return this.socket.writableLength;
  }

  readStart(): number {
    this.socket._connection.resume();
    return 0;
  }

  readStop(): number {
    this.socket._connection.pause();
    return 0;
  }

  getAsyncId(): number {
    return executionAsyncId();
  }

  ref(): void {
    this.socket.ref();
  }

  unref(): void {
    this.socket.unref();
  }

  hasRef(): boolean {
    return this.socket._connection.hasRef;
  }

  close(callback?: () => void): void {
    if (callback !== undefined) this.socket.once('close', callback);
    this.socket.destroy();
  }

  getpeername(out: object): number {
    Object.assign(out, this.socket._getpeername());
    return 0;
  }

  getsockname(out: object): number {
    Object.assign(out, this.socket._getsockname());
    return 0;
  }

  setNoDelay(enable: boolean): number {
    this.socket.setNoDelay(enable);
    return 0;
  }

  setKeepAlive(enable: boolean, initialDelaySeconds: number): number {
    this.socket.setKeepAlive(enable, initialDelaySeconds * 1000);
    return 0;
  }

  // The session.

  /** `TLSv1.3`, `TLSv1.2`; in the handshake, as OpenSSL, the version that it began with. */
  getProtocol(): string {
    return this.socket._session()?.protocol ?? tls.DEFAULT_MAX_VERSION;
  }

  /** The cipher suite by OpenSSL's name and by the standard's. */
  getCipher(): tls.CipherNameAndProtocol | undefined {
    const session = this.socket._session();
    if (session === null) return undefined;
    const { cipherName: name, cipherStandardName: standardName, cipherVersion: version } = session;
    return { name, standardName, version };
  }

  /** The signature schemes that both ends know, as OpenSSL spells them. */
  getSharedSigalgs(): string[] {
    return this.socket._session()?.sharedSignatureSchemes ?? [];
  }

  /** Did this connection resume an earlier session? */
  isSessionReused(): boolean {
    return this.socket._session()?.resumed ?? false;
  }

  getServername(): string | false {
    return this.socket.servername || false;
  }

  getALPNNegotiatedProtocol(): string | false {
    return this.socket.alpnProtocol || false;
  }

  /** Why the client's certificate is not valid; null if it is. */
  verifyError(): Error | null {
    const { _connection: connection } = this.socket;
    const facts = connection.facts();
    if (facts?.authorized) return null;
    const code = facts?.authorizationError ?? 'UNABLE_TO_GET_ISSUER_CERT';
    return Object.assign(new Error(`the client's certificate is not valid: ${code}`), { code });
  }

  /** Always undefined, as in Node before there is one: rustls does not show Finished messages. */
  getFinished(): undefined {}

  /** Always undefined, as in Node before there is one: rustls does not show Finished messages. */
  getPeerFinished(): undefined {}

  /** Always undefined, as in Node before there is one: only clients resume with it. */
  getSession(): undefined {}

  /** Always undefined, as in Node on servers. */
  getTLSTicket(): undefined {}

  /** Always null, as in Node on servers. */
  getEphemeralKeyInfo(): null {
    return null;
  }

  /** @throws what the core says of a length that is too large. */
  exportKeyingMaterial(length: number, label: string, context?: NodeJS.ArrayBufferView): Buffer {
    const bytes =
      context === undefined
        ? null
        : new Uint8Array(context.buffer, context.byteOffset, context.byteLength);
    const material = this.socket._connection.exportKeyingMaterial(length, label, bytes);
    if (material === null) throw failure('ERR_TLS_INVALID_STATE');
    return material;
  }

  /** 1: records hold at most `size` bytes from now on. 0: it is not from 512 to 16384. */
  setMaxSendFragment(size: number): number {
    return this.socket._connection.setMaxSendFragment(size) ? 1 : 0;
  }

  enableTrace(): void {
    this.socket._connection.trace();
  }

  /** @throws always: rustls never renegotiates, and TLS 1.3 has no renegotiation. */
  renegotiate(): never {
    const isTls13 = this.getProtocol() === 'TLSv1.3';
    throw failure(isTls13 ? 'ERR_SSL_WRONG_SSL_VERSION' : 'ERR_SSL_NO_RENEGOTIATION');
  }

  /** It would count from the next renegotiation on, which never comes. */
  setVerifyMode(): void {}

  /** Nothing but a check: clients resume sessions, a server has no use for one. */
  setSession(session: unknown): void {
    if (!ArrayBuffer.isView(session))
      throw failure('ERR_INVALID_ARG_TYPE', 'session', 'an instance of Buffer', typeof session);
  }

  /** Serves this connection, whose ClientHello is just being answered, with another key. */
  setKeyCert(handle: object): void {
    const { _connection: connection, _requestCert: requestCert } = this.socket;
    if (connection.state !== 'shaking') throw refused('the handshake is over');
    if (requestCert) throw refused("the context's authorities would judge the client");
    const context = madeContext(handle, 'the context of setKeyCert()');
    if (context === undefined)
      throw failure('ERR_TLS_INVALID_CONTEXT', 'context must be a SecureContext');
    refuseStricter(context, { requestCert: false, rejectUnauthorized: false }, 'context');
    connection.context = context;
  }
}

function refused(reason: string): Error {
  return failure('ERR_OFFLOOP_UNSUPPORTED_OPTION', 'setKeyCert()', reason);
}
