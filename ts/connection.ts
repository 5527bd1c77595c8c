import { AsyncResource } from 'node:async_hooks';
import { failure, type NativeReport, reported } from './errors.js';
import type { Hub } from './hub.js';
import {
  type NativeAddresses,
  type NativeSession,
  OP_DESTROY,
  OP_END,
  OP_KEEP_ALIVE,
  OP_NO_DELAY,
  OP_PAUSE,
  OP_RESET,
  OP_RESUME,
} from './native.js';
import type { Piece } from './submission.js';
import type { TlsSocket } from './tls-socket.js';

type Callback = (error?: Error | null) => void;

/** What a socket still tells of its session after it has closed. */
interface Facts {
  authorized: boolean;
  authorizationError: string | undefined;
  alpn: string | undefined;
  servername: string | undefined;
}

/** Bytes of a connection's writes that the core may hold at a time. */
const IN_FLIGHT_MOST = 256 * 1024;
const PIECE = IN_FLIGHT_MOST / 2;

/** One open connection of the core: what a TlsSocket stands on. */
export class Connection {
  bytesRead = 0;
  bytesWritten = 0;
  /** Operations whose bytes are not in the kernel yet. */
  pending = 0;
  /** Reading is stopped, or asked to stop. */
  paused = false;
  /** The slot is gone: nothing may be submitted any more. */
  closed = false;
  socket: TlsSocket | null = null;
  /** Runs when the slot is free: ends the stream beneath, if JavaScript handed it over. */
  onFree: (() => void) | null = null;
  private callback: Callback | null = null;
  private scope: AsyncResource | null = null;
  /** What of a large write is not handed over yet. */
  private rest: Buffer | null = null;
  /** END was handed over. */
  private ending = false;
  private referenced = false;
  private postponed: (() => void)[] | null = null;
  private sessionInfo: NativeSession | null = null;
  private factsKept: string | null = null;
  private addressInfo: NativeAddresses | null = null;

  constructor(
    private readonly hub: Hub | null,
    readonly slot: number,
    readonly generation: number,
  ) {
    this.ref();
  }

  /** A connection that never opened, for the socket that 'tlsClientError' hands out. */
  static failed(addresses: NativeAddresses): Connection {
    const connection = new Connection(null, 0, 0);
    connection.closed = true;
    connection.addressInfo = addresses;
    return connection;
  }

  onData(chunk: Buffer): void {
    this.bytesRead += chunk.length;
    const socket = this.socket!;
    if (socket.destroyed) return;
    socket._unrefTimer();
    if (!socket.push(chunk)) this.pause();
  }

  onWritten(operations: number): void {
    this.pending -= operations;
    this.socket!._unrefTimer();
    if (this.rest !== null) this.feed();
    if (this.pending === 0) this.settle(null);
  }

  onEnd(): void {
    if (this.postponed !== null) {
      this.postponed.push(() => this.onEnd());
      return;
    }
    this.socket!._onPeerEnd();
  }

  onError(report: NativeReport): void {
    this.fail(reported(report));
  }

  /** Destroys the socket with what went wrong; without: what is beneath it just closed. */
  fail(error?: Error): void {
    if (this.postponed === null) this.socket!.destroy(error);
    else this.postponed.push(() => this.fail(error));
  }

  /**
   * What is beneath closed after its end. The socket reads what came until then, and is not left
   * open for writes that nobody would get.
   */
  closeAfterEnd(): void {
    const socket = this.socket!;
    const close = (): void => {
      if (socket.allowHalfOpen || socket.writableLength > 0) socket.destroy();
    };
    if (socket.readableEnded) close();
    else socket.once('end', close);
  }

  onClosed(): void {
    this.closed = true;
    this.rest = null;
    this.unref();
    const { onFree } = this;
    this.onFree = null;
    onFree?.();
    const socket = this.socket!;
    try {
      if (this.callback !== null)
        this.settle(socket.errored ?? failure('ERR_STREAM_DESTROYED', 'write'));
    } finally {
      if (socket.destroyed) socket._onFree();
      else socket.destroy();
    }
  }

  /**
   * Holds 'end' and 'error' back for one turn: who awaits a promise for this socket gets to add
   * listeners only after the batch in which the peer may have gone again.
   */
  postpone(): void {
    this.postponed = [];
    setImmediate(() => {
      const { postponed } = this;
      this.postponed = null;
      for (const event of postponed ?? []) event();
    });
  }

  write(chunk: Uint8Array | string, encoding: BufferEncoding, callback: Callback): void {
    if (this.closed) return callback(failure('ERR_SOCKET_CLOSED'));
    this.await(callback);
    const { submission } = this.hub!;
    if (most(chunk) <= IN_FLIGHT_MOST) submission.write(this, chunk, encoding);
    else this.writeLarge([{ chunk, encoding }]);
    if (submission.finishing) this.finished();
  }

  writev(pieces: readonly Piece[], callback: Callback): void {
    if (this.closed) return callback(failure('ERR_SOCKET_CLOSED'));
    this.await(callback);
    // One more, so that the callback comes even if all pieces are empty.
    this.pending++;
    const { submission } = this.hub!;
    let size = 0;
    for (const { chunk } of pieces) size += most(chunk);
    if (size <= IN_FLIGHT_MOST) submission.writev(this, pieces);
    else this.writeLarge(pieces);
    this.onWritten(1);
    if (submission.finishing) this.finished();
  }

  /** The submission took bytes of ours. */
  sending(bytes: number): void {
    this.pending++;
    this.bytesWritten += bytes;
  }

  end(callback: Callback): void {
    if (this.closed) return callback();
    this.await(callback);
    this.ending = true;
    this.pending++;
    this.control(OP_END, 0);
    if (this.hub!.submission.finishing) this.finished();
  }

  /** The process ends: hands over what still waits here, or in the stream, for the write before it. */
  writeBuffered(): void {
    const socket = this.socket!;
    if (this.closed || socket.destroyed) return;
    const { submission } = this.hub!;
    if (this.rest !== null) submission.writeOwn(this, this.rest);
    this.rest = null;
    const buffered = (socket as unknown as { writableBuffer?: readonly Piece[] }).writableBuffer;
    if (buffered !== undefined) submission.writev(this, buffered);
    if (socket.writableEnded && !this.ending) this.control(OP_END, 0);
  }

  /** Ends at once; `onClosed` follows. */
  destroy(reset: boolean): void {
    if (this.rest !== null) {
      this.rest = null;
      // Never WRITTEN: what is in flight may still be, and the callback must hear of the loss.
      this.pending++;
    }
    this.control(reset ? OP_RESET : OP_DESTROY, 0);
  }

  pause(): void {
    if (this.paused || this.closed) return;
    this.paused = true;
    this.control(OP_PAUSE, 0);
  }

  resume(): void {
    if (!this.paused || this.closed) return;
    this.paused = false;
    this.control(OP_RESUME, 0);
  }

  setNoDelay(enable: boolean): void {
    this.control(OP_NO_DELAY, enable ? 1 : 0);
  }

  setKeepAlive(enable: boolean, initialDelaySeconds: number): void {
    this.control(OP_KEEP_ALIVE, enable ? initialDelaySeconds + 1 : 0);
  }

  ref(): void {
    if (this.referenced || this.closed || this.hub === null) return;
    this.referenced = true;
    this.hub.retain();
  }

  unref(): void {
    if (!this.referenced) return;
    this.referenced = false;
    this.hub!.release();
  }

  get hasRef(): boolean {
    return this.referenced;
  }

  /** What of the session is told for ever; null: it was not fetched in time. */
  facts(): Facts | null {
    this.keepFacts();
    if (this.factsKept === null) return null;
    const [authorized, authorizationError, servername, ...alpn] = this.factsKept.split('\n');
    return {
      authorized: authorized !== '',
      authorizationError: authorizationError || undefined,
      servername: servername || undefined,
      alpn: alpn.join('\n') || undefined,
    };
  }

  /**
   * Fetches the facts while the slot is there. A peer's reset frees it before anybody hears of it,
   * so this is done early, for every connection: as one string, which costs a tenth of an object.
   */
  keepFacts(): void {
    if (this.factsKept !== null || this.closed) return;
    this.factsKept = this.hub!.native.facts(this.slot, this.generation);
  }

  /** Fetched when first asked for; null once the slot is gone. */
  session(): NativeSession | null {
    if (this.sessionInfo === null && !this.closed)
      this.sessionInfo = this.hub!.native.session(this.slot, this.generation);
    return this.sessionInfo;
  }

  /** Fetched when first asked for while open; null once the slot is gone. */
  addresses(): NativeAddresses | null {
    if (this.addressInfo === null && !this.closed)
      this.addressInfo = this.hub!.native.addresses(this.slot, this.generation);
    return this.addressInfo;
  }

  /** Addresses of the stream beneath, where the core sees none. */
  presetAddresses(addresses: NativeAddresses): void {
    this.addressInfo = addresses;
  }

  private await(callback: Callback): void {
    this.callback = callback;
    // As a request of Node's: the callback runs in the async context of its write.
    this.scope = new AsyncResource('OFFLOOP_WRITE');
    this.socket!._unrefTimer();
  }

  private settle(error: Error | null): void {
    const { callback, scope } = this;
    this.callback = null;
    this.scope = null;
    if (callback !== null) scope!.runInAsyncScope(callback, null, error);
  }

  /**
   * Hands over the first piece and keeps the rest. A copy: the caller may change or transfer its
   * buffers as soon as write() has returned, as it may with node:tls, which seals all at once. So
   * memory is bounded by what was written, and what the core holds by IN_FLIGHT_MOST.
   */
  private writeLarge(pieces: readonly Piece[]): void {
    const bytes = pieces.length === 1 ? bytesOf(pieces[0]) : Buffer.concat(pieces.map(bytesOf));
    this.hub!.submission.write(this, bytes.subarray(0, PIECE), 'latin1');
    if (bytes.length <= PIECE) return;
    const rest = bytes.subarray(PIECE);
    this.rest = bytes === pieces[0].chunk ? Buffer.from(rest) : (rest as Buffer);
    this.bytesWritten += rest.length;
    this.feed();
  }

  /** Keeps two pieces in flight: one that is being sent, one to follow it. */
  private feed(): void {
    while (this.rest !== null && this.pending < 2) {
      const { rest } = this;
      this.rest = rest.length > PIECE ? rest.subarray(PIECE) : null;
      this.hub!.submission.writeOwn(this, rest.subarray(0, PIECE));
    }
  }

  /** The process ends: the submission has waited for what it was given, nobody will say so. */
  private finished(): void {
    while (this.pending > 0) this.onWritten(this.pending);
  }

  private control(opcode: number, argument: number): void {
    if (this.closed) return;
    this.hub!.submission.control(opcode, this.slot, this.generation, argument);
  }
}

/** An upper bound of a chunk's bytes. */
function most(chunk: Uint8Array | string): number {
  return typeof chunk === 'string' ? chunk.length * 3 : chunk.length;
}

function bytesOf({ chunk, encoding }: Piece): Uint8Array {
  return typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk;
}
