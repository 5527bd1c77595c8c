import type { Connection } from './connection.js';
import {
  CONGESTED,
  DONE_INLINE,
  type NativeHub,
  OP_CIPHERTEXT_BUFFER,
  OP_CIPHERTEXT_SLAB,
  OP_WRITE_BUFFER,
  OP_WRITE_SLAB,
  WORDS,
} from './native.js';

/** Pieces up to this size are copied into the slab; larger ones cross as they are. */
export const SLAB_PIECE = 16 * 1024;

const SLAB_BYTES = 64 * 1024;
const OPERATIONS = 512;
const FINISH_MS = 500;
/** Bytes of large pieces after which a tick submits at once, to hear whether there is congestion. */
const UNHEARD_BYTES = 1024 * 1024;

/** A piece of a cork'ed write, as `Writable` hands it to `_writev`. */
export interface Piece {
  chunk: Uint8Array | string;
  encoding: BufferEncoding;
}

/** What goes down to Rust in this tick: operations, the slab of small payloads, large buffers. */
export class Submission {
  private readonly operations = new Uint32Array(OPERATIONS * WORDS);
  private readonly slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  private buffers: Uint8Array[] = [];
  /** Of `buffers`, in bytes. */
  private unheard = 0;
  private count = 0;
  private used = 0;
  private completed: Connection[] = [];
  private completing = false;
  /** While the hub drains, it submits at the end; else the first operation asks for a tick. */
  private awaited = false;
  /** No more ticks come: see `finish`. */
  finishing = false;
  /** How long process exit may still wait for bytes that were handed over, in ms. */
  private patience = FINISH_MS;
  /** More waits to be sent, over all connections, than should. */
  congested = false;
  private readonly flushLater = (): void => this.flush();

  constructor(
    private readonly native: NativeHub,
    private readonly connectionAt: (slot: number, generation: number) => Connection | undefined,
  ) {}

  /** Queues an operation without payload. */
  control(opcode: number, slot: number, generation: number, argument: number): void {
    this.push(opcode, slot, generation, argument);
    if (!this.awaited) this.awaitTick();
  }

  /**
   * Queues one write; `connection.pending` says how many WRITTEN it waits for. The bytes are taken
   * before it returns: the caller may change or transfer its buffer.
   */
  write(connection: Connection, chunk: Uint8Array | string, encoding: BufferEncoding): void {
    const size = this.put(chunk, encoding);
    if (size < 0) {
      connection.sending(this.large(connection, chunk, encoding));
      if (typeof chunk !== 'string') this.submitFull();
      else this.submitMuch();
    } else {
      this.push(OP_WRITE_SLAB, connection.slot, connection.generation, size);
      connection.sending(size);
    }
    if (!this.awaited) this.awaitTick();
  }

  /** Queues counted bytes that nobody else changes, to be taken at the end of the tick. */
  writeOwn(connection: Connection, bytes: Buffer): void {
    this.large(connection, bytes, 'latin1');
    connection.sending(0);
    this.submitMuch();
    if (!this.awaited) this.awaitTick();
  }

  /** As `write`, the pieces of one corked write; small neighbours become one operation. */
  writev(connection: Connection, pieces: readonly Piece[]): void {
    let run = 0;
    let borrowed = false;
    for (let i = 0; i < pieces.length; i++) {
      const { chunk, encoding } = pieces[i];
      if (run > 0 && this.mustFlushFor(chunk)) run = this.close(connection, run);
      const size = this.put(chunk, encoding);
      if (size >= 0) {
        run += size;
      } else {
        run = this.close(connection, run);
        connection.sending(this.large(connection, chunk, encoding));
        borrowed ||= typeof chunk !== 'string';
      }
    }
    this.close(connection, run);
    if (borrowed) this.submitFull();
    else this.submitMuch();
    if (!this.awaited) this.awaitTick();
  }

  /** Queues ciphertext that a foreign stream received. */
  cipher(slot: number, generation: number, chunk: Uint8Array): void {
    if (chunk.length <= SLAB_PIECE) {
      const size = this.put(chunk, 'latin1');
      this.push(OP_CIPHERTEXT_SLAB, slot, generation, size);
    } else {
      this.push(OP_CIPHERTEXT_BUFFER, slot, generation, 0);
      this.buffers.push(chunk);
      this.submitFull();
    }
    if (!this.awaited) this.awaitTick();
  }

  /** The hub drains: nobody needs to ask for a tick until `flush`. */
  hold(): void {
    this.awaited = true;
  }

  /** Hands everything queued to Rust, then runs the callbacks of what is done already. */
  flush(): void {
    this.awaited = false;
    if (this.count > 0) this.submit();
    if (this.completed.length > 0 && !this.completing) this.complete();
  }

  /**
   * The process ends: hands everything over and waits for it, as does from now on whatever queues
   * an operation. No tick follows any more, no callback runs from here.
   */
  finish(): void {
    this.finishing = true;
    this.awaited = false;
    if (this.count > 0) this.submit();
    this.completed.length = 0;
    const started = performance.now();
    this.native.finish(Math.max(0, Math.trunc(this.patience)));
    this.patience -= performance.now() - started;
  }

  private submit(): void {
    const { count, buffers, operations } = this;
    this.count = 0;
    this.used = 0;
    if (buffers.length > 0) this.buffers = [];
    this.unheard = 0;
    this.congested = (this.native.submit(operations, count, this.slab, buffers) & CONGESTED) !== 0;
    for (let at = 0; at < count * WORDS; at += WORDS) {
      if (operations[at] !== DONE_INLINE) continue;
      const connection = this.connectionAt(operations[at + 1], operations[at + 2]);
      if (connection !== undefined) this.completed.push(connection);
    }
  }

  /**
   * Callbacks write again, which may submit again, which appends to `completed`: only the
   * outermost call walks the list. After a throw the rest follows in a turn of its own.
   */
  private complete(): void {
    this.completing = true;
    const { completed } = this;
    let next = 0;
    try {
      while (next < completed.length) completed[next++].onWritten(1);
    } finally {
      this.completing = false;
      if (next === completed.length) {
        completed.length = 0;
      } else {
        completed.splice(0, next);
        setImmediate(this.flushLater);
      }
    }
  }

  private awaitTick(): void {
    if (this.finishing) return this.finish();
    this.awaited = true;
    process.nextTick(this.flushLater);
  }

  private push(opcode: number, slot: number, generation: number, argument: number): void {
    if (this.count === OPERATIONS) this.submitFull();
    const { operations } = this;
    const at = this.count++ * WORDS;
    operations[at] = opcode;
    operations[at + 1] = slot;
    operations[at + 2] = generation;
    operations[at + 3] = argument;
  }

  /** Copies a small piece into the slab; -1: too large, it must cross as a buffer. */
  private put(chunk: Uint8Array | string, encoding: BufferEncoding): number {
    const room = roomFor(chunk, encoding);
    if (room > SLAB_PIECE) return -1;
    // The operation that follows must not find its table full: that would empty the slab.
    if (this.used + room > SLAB_BYTES || this.count === OPERATIONS) this.submitFull();
    const at = this.used;
    let size = room;
    if (typeof chunk === 'string') size = this.slab.write(chunk, at, room, encoding);
    else this.slab.set(chunk, at);
    this.used = at + size;
    return size;
  }

  private mustFlushFor(chunk: Uint8Array | string): boolean {
    return this.used + chunk.length * 3 > SLAB_BYTES || this.count >= OPERATIONS - 1;
  }

  /** Ends a run of merged pieces with the operation that owns their bytes. */
  private close(connection: Connection, run: number): number {
    if (run > 0) {
      this.push(OP_WRITE_SLAB, connection.slot, connection.generation, run);
      connection.sending(run);
    }
    return 0;
  }

  private large(
    connection: Connection,
    chunk: Uint8Array | string,
    encoding: BufferEncoding,
  ): number {
    let bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk;
    // Another thread may write there while Rust reads.
    if (bytes.buffer instanceof SharedArrayBuffer) bytes = Buffer.from(bytes);
    this.push(OP_WRITE_BUFFER, connection.slot, connection.generation, 0);
    this.buffers.push(bytes);
    this.unheard += bytes.length;
    return bytes.length;
  }

  /** Many connections that are fed in one tick must not each take a window that is gone by then. */
  private submitMuch(): void {
    if (this.unheard >= UNHEARD_BYTES) this.submitFull();
  }

  private submitFull(): void {
    const { awaited } = this;
    this.submit();
    this.awaited = awaited;
  }
}

/** An upper bound of the bytes that `chunk` takes; beyond SLAB_PIECE where it must be encoded first. */
function roomFor(chunk: Uint8Array | string, encoding: BufferEncoding): number {
  if (typeof chunk !== 'string') return chunk.length;
  switch (encoding) {
    case 'utf8':
    case 'utf-8':
      return chunk.length * 3 <= SLAB_PIECE ? chunk.length * 3 : Buffer.byteLength(chunk);
    case 'latin1':
    case 'binary':
    case 'ascii':
      return chunk.length;
    case 'ucs2':
    case 'ucs-2':
    case 'utf16le':
    case 'utf-16le':
      return chunk.length * 2;
    default:
      return Number.POSITIVE_INFINITY;
  }
}
