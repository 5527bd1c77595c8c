import { AsyncResource } from 'node:async_hooks';
import { constants } from 'node:os';
import { failure, type NativeReport, reported, systemError } from './errors.js';
import { announceSession, type HelloReport } from './hello.js';
import type { FailureReport, Hub } from './hub.js';
import {
  type NativeAddresses,
  type NativeCertificates,
  type NativeContext,
  type NativeDecision,
  type NativeHandshake,
  type NativeHello,
  type NativeSession,
  OP_DESTROY,
  OP_END,
  OP_KEEP_ALIVE,
  OP_NO_DELAY,
  OP_PAUSE,
  OP_RESET,
  OP_RESUME,
} from './native.js';
import type { SecureContext } from './secure-context.js';
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

/** Bytes of a connection's writes that the core may hold at a time, unless limits say otherwise. */
const WINDOW = 256 * 1024;
/** The same while all connections together have too much to send: each still comes forward. */
const WINDOW_LEAST = 16 * 1024;
/** What OpenSSL takes as the largest record, in bytes. */
const FRAGMENT_LEAST = 512;
const FRAGMENT_MOST = 16384;

/**
 * `shaking`: the handshake goes on, or is yet to begin. `failed`: it closed without having been
 * `open`.
 */
type State = 'shaking' | 'open' | 'closed' | 'failed';

/** Who leads a handshake that JavaScript began. */
export interface Handshake {
  onHello(report: HelloReport): void;
  onOpen(): void;
  /** A backend has what comes of it. */
  onProxied(): void;
  onFailed(report: FailureReport): void;
  /** The core closed it, unasked. */
  onClosed(): void;
  /** The socket was destroyed: it is to end at once. */
  giveUp(): void;
}

/** One connection of the core: what a TlsSocket stands on. */
export class Connection {
  bytesRead = 0;
  bytesWritten = 0;
  /** Operations whose bytes are not in the kernel yet. */
  pending = 0;
  /** Reading is stopped, or asked to stop. */
  paused = false;
  state: State;
  /** Its number in the core; a slot below 0: the core does not know it yet. */
  slot = -1;
  generation = 0;
  socket: TlsSocket | null = null;
  /** The core closed it during its handshake and says no more of it: it was one of a flood. */
  untold = false;
  /** Until the handshake is over; null too if the core began it. */
  handshake: Handshake | null = null;
  /** What the client asked for, from its ClientHello on, where that was told. */
  hello: HelloReport | null = null;
  /** What a callback chose for this connection. */
  context: SecureContext | null = null;
  /** Records and messages of the handshake are to be traced. */
  traced = false;
  /** Bytes of its writes that the core may hold at a time. */
  window = WINDOW;
  /** Runs when the slot is free: ends the stream beneath, if JavaScript handed it over. */
  onFree: (() => void) | null = null;
  private callback: Callback | null = null;
  private scope: AsyncResource | null = null;
  /** Received, but not pushed yet. */
  private held: Buffer[] | null = null;
  private giving = false;
  /** What of a large write is not handed over yet. */
  private rest: Buffer | null = null;
  /** END was handed over. */
  private ending = false;
  /** The peer sent its last. */
  private ended = false;
  private destroying = false;
  /** May it keep the event loop alive? */
  private referenced = true;
  private holding = false;
  private postponed: (() => void)[] | null = null;
  /** What waits for the end of the handshake. */
  private deferred: (() => void)[] | null = null;
  private sessionInfo: NativeSession | null = null;
  private handshakeInfo: NativeHandshake | null = null;
  private factsKept: string | null = null;
  private addressInfo: NativeAddresses | null = null;

  constructor(
    private readonly hub: Hub | null,
    state: State,
  ) {
    this.state = state;
    this.holdLoop();
  }

  /** A connection that never opened, for the socket that 'tlsClientError' hands out. */
  static failed(addresses: NativeAddresses): Connection {
    const connection = new Connection(null, 'failed');
    connection.addressInfo = addresses;
    return connection;
  }

  /** The core knows it from now on. */
  place(slot: number, generation: number): void {
    this.slot = slot;
    this.generation = generation;
  }

  /** The slot is gone: nothing may be submitted any more. */
  get closed(): boolean {
    return this.state === 'closed' || this.state === 'failed';
  }

  onHello(report: HelloReport): void {
    if (this.closed) return;
    this.hello = report;
    this.handshake?.onHello(report);
  }

  /** The handshake is done. */
  onOpen(): void {
    if (this.state !== 'shaking') return;
    this.state = 'open';
    const { handshake, deferred } = this;
    this.handshake = null;
    this.deferred = null;
    try {
      if (handshake === null) this.socket!._onOpen();
      else handshake.onOpen();
    } finally {
      if (this.paused) this.control(OP_PAUSE, 0);
      if (this.traced) this.hub!.native.setTrace(this.slot, this.generation, true);
      if (this.socket?.destroyed !== true) for (const action of deferred ?? []) action();
      this.keepFacts();
    }
  }

  /** The handshake is done, and a backend has what comes of it: only its end will be told. */
  onProxied(): void {
    if (this.state !== 'shaking') return;
    this.state = 'open';
    const { handshake } = this;
    this.handshake = null;
    this.deferred = null;
    handshake?.onProxied();
    this.keepFacts();
  }

  /** The handshake failed; the slot is free. */
  onFailed(report: FailureReport): void {
    const { handshake } = this;
    if (!this.leave()) return;
    if (handshake !== null) handshake.onFailed(report);
    else this.socket!._onFailed(reported(report));
  }

  onNewSession(id: Buffer, data: Buffer): void {
    const { socket } = this;
    if (socket === null || socket.destroyed) return;
    announceSession(socket, id, data, () => this.proceed());
  }

  onKeyLog(line: Buffer): void {
    if (this.socket?.destroyed === false) this.socket.emit('keylog', line);
  }

  onData(chunk: Buffer): void {
    this.bytesRead += chunk.length;
    const socket = this.socket!;
    if (socket.destroyed) return;
    socket._unrefTimer();
    if (this.held !== null || socket._awaitsRead()) this.hold(chunk);
    else if (!socket.push(chunk)) this.pause();
  }

  /**
   * Who reads on 'readable' gets one chunk for each, as from libuv: from Node 26 on `read()` gives no
   * more, and nothing tells of what was pushed along with it.
   */
  private hold(chunk: Buffer): void {
    (this.held ??= []).push(chunk);
    this.pause();
  }

  /** The reader took something: a held chunk may follow, but not before read() has returned. */
  onRead(): void {
    if (this.held === null || this.giving) return;
    this.giving = true;
    process.nextTick(() => this.giveHeld());
  }

  /** Gives the next held chunk, when the reader has taken what there was before. */
  private giveHeld(): void {
    this.giving = false;
    const { held, socket } = this;
    if (held === null || socket!.destroyed || socket!._awaitsRead()) return;
    socket!.push(held.shift()!);
    if (held.length > 0) return;
    this.held = null;
    if (this.ended) socket!._onPeerEnd();
    else this.resume();
  }

  onWritten(operations: number): void {
    this.pending -= operations;
    this.socket!._unrefTimer();
    if (this.rest !== null) this.feed();
    if (this.pending === 0) this.settle(null);
  }

  onEnd(): void {
    this.ended = true;
    this.holdLoop();
    if (this.postponed !== null) {
      this.postponed.push(() => this.onEnd());
      return;
    }
    if (this.held === null) this.socket!._onPeerEnd();
  }

  onError(report: NativeReport): void {
    if (this.postponed === null) this.socket!.destroy(reported(report));
    else this.postponed.push(() => this.onError(report));
  }

  /** What is beneath broke, or, without an error, just closed. */
  lose(error?: Error): void {
    if (this.postponed === null) this.socket!._onLost(error);
    else this.postponed.push(() => this.lose(error));
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
    const { handshake } = this;
    this.untold = this.state === 'shaking';
    if (!this.leave()) return;
    if (handshake !== null) return handshake.onClosed();
    const socket = this.socket!;
    try {
      this.abandonWrites();
    } finally {
      if (socket.destroyed) socket._onFree();
      else socket.destroy();
    }
  }

  /** The slot is gone, or will be without our asking. False: it was before. */
  leave(): boolean {
    if (this.closed) return false;
    this.state = this.state === 'shaking' ? 'failed' : 'closed';
    this.handshake = null;
    this.deferred = null;
    this.rest = null;
    this.holdLoop();
    const { onFree } = this;
    this.onFree = null;
    onFree?.();
    return true;
  }

  /** Calls back for what was written and is lost. */
  abandonWrites(): void {
    if (this.callback !== null) this.settle(this.socket!.errored ?? cutOff());
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
    if (this.state === 'open') this.send(chunk, encoding);
    else this.whenOpen(() => this.send(chunk, encoding));
  }

  writev(pieces: readonly Piece[], callback: Callback): void {
    if (this.closed) return callback(failure('ERR_SOCKET_CLOSED'));
    this.await(callback);
    this.whenOpen(() => this.sendAll(pieces));
  }

  private send(chunk: Uint8Array | string, encoding: BufferEncoding): void {
    const { submission } = this.hub!;
    if (most(chunk) <= this.openWindow) submission.write(this, chunk, encoding);
    else this.writeLarge([{ chunk, encoding }]);
    if (submission.finishing) this.finished();
  }

  private sendAll(pieces: readonly Piece[]): void {
    // One more, so that the callback comes even if all pieces are empty.
    this.pending++;
    const { submission } = this.hub!;
    let size = 0;
    for (const { chunk } of pieces) size += most(chunk);
    if (size <= this.openWindow) submission.writev(this, pieces);
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
    if (this.state === 'shaking') {
      // As in Node: a FIN, after which no handshake can come to its end.
      callback();
      return this.socket!._onPeerEnd();
    }
    this.await(callback);
    this.ending = true;
    this.pending++;
    this.control(OP_END, 0);
    if (this.hub!.submission.finishing) this.finished();
  }

  /** The process ends: hands over what still waits here, or in the stream, for the write before it. */
  writeBuffered(): void {
    const { socket } = this;
    if (this.state !== 'open' || socket === null || socket.destroyed) return;
    const { submission } = this.hub!;
    if (this.rest !== null) submission.writeOwn(this, this.rest);
    this.rest = null;
    const buffered = (socket as unknown as { writableBuffer?: readonly Piece[] }).writableBuffer;
    if (buffered !== undefined) submission.writev(this, buffered);
    if (socket.writableEnded && !this.ending) this.control(OP_END, 0);
  }

  /** Ends at once; `onClosed` follows. */
  destroy(reset: boolean): void {
    if (this.handshake !== null) return this.handshake.giveUp();
    if (this.rest !== null) {
      this.rest = null;
      // Never WRITTEN: what is in flight may still be, and the callback must hear of the loss.
      this.pending++;
    }
    this.control(reset ? OP_RESET : OP_DESTROY, 0);
    this.destroying = true;
    this.holdLoop();
  }

  pause(): void {
    if (this.paused || this.closed) return;
    this.paused = true;
    if (this.state === 'open') this.control(OP_PAUSE, 0);
    this.holdLoop();
  }

  resume(): void {
    if (this.held !== null) return;
    if (!this.paused || this.closed) return;
    this.paused = false;
    if (this.state === 'open') this.control(OP_RESUME, 0);
    this.holdLoop();
  }

  setNoDelay(enable: boolean): void {
    this.whenOpen(() => this.control(OP_NO_DELAY, enable ? 1 : 0));
  }

  setKeepAlive(enable: boolean, initialDelaySeconds: number): void {
    this.whenOpen(() => this.control(OP_KEEP_ALIVE, enable ? initialDelaySeconds + 1 : 0));
  }

  /** Records hold at most so many bytes from now on. False: not one of the sizes that TLS allows. */
  setMaxSendFragment(size: number): boolean {
    if (size < FRAGMENT_LEAST || size > FRAGMENT_MOST) return false;
    this.whenOpen(() => this.hub!.native.setMaxSendFragment(this.slot, this.generation, size));
    return true;
  }

  /** Traces records and messages to standard error from now on. */
  trace(): void {
    this.traced = true;
    if (this.state === 'open') this.hub!.native.setTrace(this.slot, this.generation, true);
  }

  /** Null: the slot is gone. */
  exportKeyingMaterial(length: number, label: string, context: Uint8Array | null): Buffer | null {
    if (this.state !== 'open') return null;
    const { native } = this.hub!;
    return native.exportKeyingMaterial(this.slot, this.generation, length, label, context);
  }

  /** Answers the ClientHello, with the server's context for its name if `context` is null. */
  decide(context: NativeContext | null, decision: NativeDecision): void {
    if (!this.closed) this.hub!.native.decide(this.slot, this.generation, context, decision);
  }

  /** What would answer the ClientHello; null: nothing, or a session that is resumed. */
  certificateFor(
    context: NativeContext | null,
    session: Uint8Array | undefined,
  ): NativeCertificates | null {
    if (this.closed) return null;
    return this.hub!.native.certificateFor(this.slot, this.generation, context, session);
  }

  ref(): void {
    this.referenced = true;
    this.holdLoop();
  }

  unref(): void {
    this.referenced = false;
    this.holdLoop();
  }

  /** As with libuv's: one that neither reads nor writes keeps no event loop alive. */
  private holdLoop(): void {
    const reading = !this.paused && !this.ended;
    const busy = reading || this.callback !== null || this.destroying || this.state === 'shaking';
    const hold = this.referenced && busy && !this.closed && this.hub !== null;
    if (hold === this.holding) return;
    this.holding = hold;
    if (hold) this.hub!.retain();
    else this.hub!.release();
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
    if (this.factsKept !== null || this.state !== 'open') return;
    this.factsKept = this.hub!.native.facts(this.slot, this.generation);
  }

  /** Fetched when first asked for; null once the slot is gone. */
  session(): NativeSession | null {
    if (this.sessionInfo === null && this.state === 'open')
      this.sessionInfo = this.hub!.native.session(this.slot, this.generation);
    return this.sessionInfo;
  }

  /** Fetched when first asked for; null before the handshake is done, and once the slot is gone. */
  handshakeFacts(): NativeHandshake | null {
    if (this.handshakeInfo === null && this.slot >= 0 && !this.closed)
      this.handshakeInfo = this.hub!.native.handshake(this.slot, this.generation);
    return this.handshakeInfo;
  }

  /** The ClientHello that waits for `decide`; null: it waits no longer. */
  clientHello(): NativeHello | null {
    return this.closed ? null : this.hub!.native.clientHello(this.slot, this.generation);
  }

  /** Fetched when first asked for while open; null once the slot is gone. */
  addresses(): NativeAddresses | null {
    if (this.addressInfo === null && this.slot >= 0 && !this.closed)
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
    if (!this.holding) this.holdLoop();
  }

  private settle(error: Error | null): void {
    const { callback, scope } = this;
    this.callback = null;
    this.scope = null;
    if (this.paused || this.ended) this.holdLoop();
    if (callback === null) return;
    scope!.runInAsyncScope(callback, null, error);
    this.socket!._wakeResponse();
  }

  /**
   * Hands over the first piece and keeps the rest. A copy: the caller may change or transfer its
   * buffers as soon as write() has returned, as it may with node:tls, which seals all at once. So
   * memory is bounded by what was written, and what the core holds by the window.
   */
  private writeLarge(pieces: readonly Piece[]): void {
    const bytes = pieces.length === 1 ? bytesOf(pieces[0]) : Buffer.concat(pieces.map(bytesOf));
    const piece = this.openWindow / 2;
    this.hub!.submission.write(this, bytes.subarray(0, piece), 'latin1');
    if (bytes.length <= piece) return;
    const rest = bytes.subarray(piece);
    this.rest = bytes === pieces[0].chunk ? Buffer.from(rest) : (rest as Buffer);
    this.bytesWritten += rest.length;
    this.feed();
  }

  /** Keeps two pieces in flight: one that is being sent, one to follow it. */
  private feed(): void {
    while (this.rest !== null && this.pending < 2) {
      const { rest } = this;
      const piece = this.openWindow / 2;
      this.rest = rest.length > piece ? rest.subarray(piece) : null;
      this.hub!.submission.writeOwn(this, rest.subarray(0, piece));
    }
  }

  private get openWindow(): number {
    return this.hub!.submission.congested ? WINDOW_LEAST : this.window;
  }

  /** The process ends: the submission has waited for what it was given, nobody will say so. */
  private finished(): void {
    while (this.pending > 0) this.onWritten(this.pending);
  }

  /** Goes on after 'newSession'. */
  private proceed(): void {
    if (!this.closed) this.hub!.native.proceed(this.slot, this.generation);
  }

  /** At once, or when the handshake is done, in this order. */
  private whenOpen(action: () => void): void {
    if (this.state === 'open') action();
    else if (this.state === 'shaking') (this.deferred ??= []).push(action);
  }

  private control(opcode: number, argument: number): void {
    if (this.closed) return;
    this.hub!.submission.control(opcode, this.slot, this.generation, argument);
  }
}

const NODE_MAJOR = Number.parseInt(process.versions.node, 10);

/** What Node says of a write that destroy() cut off: since 22 in libuv's words. */
function cutOff(): Error {
  return NODE_MAJOR < 22
    ? failure('ERR_STREAM_DESTROYED', 'write')
    : systemError(-constants.errno.ECANCELED, 'write');
}

/** An upper bound of a chunk's bytes. */
function most(chunk: Uint8Array | string): number {
  return typeof chunk === 'string' ? chunk.length * 3 : chunk.length;
}

function bytesOf({ chunk, encoding }: Piece): Uint8Array {
  return typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk;
}
