import type { Duplex } from 'node:stream';
import type { Carrier, Gone } from './carrier.js';
import { failure } from './errors.js';
import { type Hub, type HubStream, key } from './hub.js';
import {
  type NativeAcceptOptions,
  type NativeAddresses,
  type NativeContext,
  type NativeSlot,
  OP_CIPHERTEXT_END,
  OP_CIPHERTEXT_SENT,
} from './native.js';

/** Ciphertext in bytes that may wait for the core before the stream is paused. */
const WAITING_MOST = 64 * 1024;
/**
 * How long a quiet stream keeps the event loop alive: as long as the core may need to answer. Beyond
 * that it is for the stream to do so; one in memory never does, as in Node.
 */
const QUIET_MS = 100;
/** How long a stream may take to send what is written, before it is destroyed. */
const GRACE_MS = 2000;

/** A Duplex without a descriptor (TLS in TLS, SSH channel): JavaScript carries its ciphertext. */
export class ForeignStream implements Carrier, HubStream {
  ended = false;
  private hub: Hub | null = null;
  private pair: NativeSlot = { slot: 0, generation: 0 };
  /** Ciphertext that the core was given and hasn't taken. */
  private waiting = 0;
  private released = false;
  private readonly busy = setTimeout(() => {}, QUIET_MS);

  constructor(
    private readonly stream: Duplex,
    private readonly gone: Gone,
  ) {
    stream.on('error', this.onError);
    stream.on('close', this.onClose);
  }

  prepare(ready: (error?: Error) => void): void {
    ready();
  }

  start(hub: Hub, options: NativeAcceptOptions, context: NativeContext | null): NativeSlot {
    if (this.stream.destroyed) throw failure('ERR_SOCKET_CLOSED');
    this.hub = hub;
    this.pair = hub.native.attach(options, context, new Uint8Array(0));
    if (this.pair.errno !== undefined) return this.pair;
    hub.streams.set(key(this.pair.slot, this.pair.generation), this);
    this.stream.on('data', this.onData);
    this.stream.on('end', this.onEnd);
    // A stream that somebody paused does not flow by a listener alone.
    this.stream.resume();
    return this.pair;
  }

  addresses(): NativeAddresses {
    const { stream } = this;
    const names = [
      'remoteAddress',
      'remoteFamily',
      'remotePort',
      'localAddress',
      'localFamily',
      'localPort',
    ];
    const found = names.map((name) => [name, (stream as unknown as Record<string, unknown>)[name]]);
    return Object.fromEntries(found.filter(([, value]) => value !== undefined)) as NativeAddresses;
  }

  onCiphertext(chunk: Buffer): void {
    this.busy.refresh();
    // Sent or lost: 'close' or 'error' says which, and the core must not wait for room that never
    // comes.
    const done = (): void => this.control(OP_CIPHERTEXT_SENT, chunk.length);
    if (this.stream.destroyed || this.stream.writableEnded) done();
    else this.stream.write(chunk, done);
  }

  onCiphertextEnd(): void {
    if (!this.stream.destroyed) this.stream.end();
  }

  onCiphertextTaken(bytes: number): void {
    const before = this.waiting;
    this.waiting -= bytes;
    if (before > WAITING_MOST && this.waiting <= WAITING_MOST) this.stream.resume();
  }

  release(): void {
    if (this.released) return;
    this.released = true;
    clearTimeout(this.busy);
    const { stream } = this;
    stream.off('data', this.onData);
    stream.off('end', this.onEnd);
    // What is written already, an alert perhaps, still goes out.
    const unsent = stream.writableLength > 0 || (stream.writableEnded && !stream.writableFinished);
    if (unsent && !stream.destroyed) {
      stream.end(() => stream.destroy());
      setTimeout(() => stream.destroy(), GRACE_MS).unref();
    } else {
      stream.destroy();
    }
  }

  private readonly onData = (chunk: Buffer | string): void => {
    if (this.released || this.hub === null) return;
    this.busy.refresh();
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, 'latin1') : chunk;
    this.waiting += bytes.length;
    if (this.waiting > WAITING_MOST) this.stream.pause();
    this.hub.submission.cipher(this.pair.slot, this.pair.generation, bytes);
  };

  private readonly onEnd = (): void => {
    this.ended = true;
    this.control(OP_CIPHERTEXT_END, 0);
  };

  private readonly onError = (error: Error): void => {
    if (!this.released) this.gone(error);
  };

  private readonly onClose = (): void => {
    if (!this.released) this.gone();
  };

  private control(opcode: number, argument: number): void {
    if (this.released || this.hub === null) return;
    this.busy.refresh();
    this.hub.submission.control(opcode, this.pair.slot, this.pair.generation, argument);
  }
}
