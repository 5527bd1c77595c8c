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
  /** END was handed over. */
  private ending = false;
  private referenced = false;
  private postponed: (() => void)[] | null = null;
  private sessionInfo: NativeSession | null = null;
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
    if (this.pending !== 0) return;
    const { callback } = this;
    this.callback = null;
    this.socket!._unrefTimer();
    if (callback !== null) callback(null);
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

  onClosed(): void {
    this.closed = true;
    this.unref();
    const { callback, onFree } = this;
    this.callback = null;
    this.onFree = null;
    onFree?.();
    const socket = this.socket!;
    try {
      callback?.(socket.errored ?? failure('ERR_STREAM_DESTROYED', 'write'));
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
    this.callback = callback;
    this.socket!._unrefTimer();
    this.hub!.submission.write(this, chunk, encoding);
  }

  writev(pieces: readonly Piece[], callback: Callback): void {
    if (this.closed) return callback(failure('ERR_SOCKET_CLOSED'));
    this.callback = callback;
    this.socket!._unrefTimer();
    // One more, so that the callback waits for the last piece even if the first ones are sent
    // while the others are still being queued.
    this.pending++;
    this.hub!.submission.writev(this, pieces);
    this.onWritten(1);
  }

  /** The submission took bytes of ours. */
  sending(bytes: number): void {
    this.pending++;
    this.bytesWritten += bytes;
  }

  end(callback: Callback): void {
    if (this.closed) return callback();
    this.callback = callback;
    this.ending = true;
    this.pending++;
    this.control(OP_END, 0);
  }

  /** The process ends: hands over what still waits in the stream for the write before it. */
  writeBuffered(): void {
    const socket = this.socket!;
    if (this.closed || socket.destroyed) return;
    const buffered = (socket as unknown as { writableBuffer?: readonly Piece[] }).writableBuffer;
    if (buffered !== undefined) this.hub!.submission.writev(this, buffered);
    if (socket.writableEnded && !this.ending) this.control(OP_END, 0);
  }

  /** Ends at once; `onClosed` follows. */
  destroy(reset: boolean): void {
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

  private control(opcode: number, argument: number): void {
    if (this.closed) return;
    this.hub!.submission.control(opcode, this.slot, this.generation, argument);
  }
}
