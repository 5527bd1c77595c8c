import { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { AdoptedSocket, hasDescriptor } from './adopted-socket.js';
import type { Carrier } from './carrier.js';
import type { Connection } from './connection.js';
import { failure, received, reported, systemError } from './errors.js';
import { ForeignStream } from './foreign-stream.js';
import { type FailureReport, type Hub, hub as hubOfThread, type HubArrival, key } from './hub.js';
import {
  type NativeAcceptOptions,
  type NativeAddresses,
  type NativeContext,
  type NativeSettings,
  type NativeSlot,
  OP_DESTROY,
} from './native.js';

/** How the handshake of a handed-over stream ends: with a connection or an error. */
export interface ArrivalEnd {
  opened(connection: Connection): void;
  failed(error: Error, addresses: NativeAddresses): void;
}

type State = 'preparing' | 'handshaking' | 'open' | 'over';

/** How a stream is to be accepted. */
export interface ArrivalOptions {
  /** The native server that it belongs to, asked for at the hand-over; 0: none. */
  server(): number;
  settings: NativeSettings;
}

/** A stream that JavaScript hands over, from the hand-over to the end of its handshake. */
export class Arrival implements HubArrival {
  private state: State = 'preparing';
  private readonly hub: Hub = hubOfThread();
  private readonly carrier: Carrier;
  private readonly arrived = performance.now();
  /** Runs while the stream is prepared; the core has a timer of its own. */
  private timer: NodeJS.Timeout | undefined;
  private pair: NativeSlot | null = null;
  private connection: Connection | null = null;
  /** The stream closed after its end. */
  private goneAtEnd = false;

  /** Throws where `stream` is none that could be taken. */
  constructor(
    stream: unknown,
    private readonly options: ArrivalOptions,
    /** Absent: the contexts of the server in `options`. */
    private readonly context: NativeContext | null,
    private readonly end: ArrivalEnd,
  ) {
    checkStream(stream);
    const Kind = hasDescriptor(stream) ? AdoptedSocket : ForeignStream;
    this.carrier = new Kind(stream as never, (error) => this.onGone(error));
    this.hub.retain();
    this.carrier.prepare((error) => this.start(error));
    if (this.state === 'preparing') {
      const late = (): void => this.fail(failure('ERR_TLS_HANDSHAKE_TIMEOUT'));
      this.timer = setTimeout(late, options.settings.handshakeTimeout);
    }
  }

  /** Gives the handshake up; the stream is destroyed. */
  abort(error: Error): void {
    if (this.state === 'preparing' || this.state === 'handshaking') this.fail(error);
  }

  get over(): boolean {
    return this.state === 'over';
  }

  onOpen(connection: Connection): void {
    this.state = 'open';
    this.connection = connection;
    connection.onFree = () => this.carrier.release();
    const addresses = this.carrier.addresses();
    if (addresses !== null) connection.presetAddresses(addresses);
    this.hub.release();
    this.end.opened(connection);
    if (this.goneAtEnd) connection.closeAfterEnd();
  }

  onFailed(report: FailureReport): void {
    this.pair = null;
    this.fail(reported(report), report);
  }

  /** The answer to our DESTROY; without one, the core has lost the handshake. */
  onClosed(): void {
    this.pair = null;
    this.fail(failure('ERR_OFFLOOP_INTERNAL', 'a handshake ended without a result'));
    this.carrier.release();
  }

  private start(error?: Error): void {
    if (this.state !== 'preparing') return;
    if (error !== undefined) return this.fail(error);
    clearTimeout(this.timer);
    let pair: NativeSlot;
    try {
      pair = this.carrier.start(this.hub, this.accept(), this.context);
    } catch (refused) {
      return this.fail(refused as Error);
    }
    if (pair.errno !== undefined) return this.fail(systemError(pair.errno, 'adopt'));
    this.pair = pair;
    this.state = 'handshaking';
    this.hub.arrivals.set(key(pair.slot, pair.generation), this);
  }

  /** What was asked for, less the time that is over. */
  private accept(): NativeAcceptOptions {
    const { settings } = this.options;
    const left = settings.handshakeTimeout - (performance.now() - this.arrived);
    const handshakeTimeout = Math.max(1, Math.ceil(left));
    return { server: this.options.server(), settings: { ...settings, handshakeTimeout } };
  }

  private onGone(error?: Error): void {
    if (error === undefined && this.carrier.ended) {
      // What came before the end may still be on its way through the core.
      this.goneAtEnd = true;
      this.connection?.closeAfterEnd();
    } else if (this.state === 'open') {
      this.connection!.fail(error);
    } else {
      this.fail(error ?? failure('ECONNRESET'));
    }
  }

  private fail(error: Error, addresses: NativeAddresses = {}): void {
    if (this.state === 'over' || this.state === 'open') return;
    this.state = 'over';
    clearTimeout(this.timer);
    const { pair } = this;
    if (pair !== null) this.hub.submission.control(OP_DESTROY, pair.slot, pair.generation, 0);
    this.carrier.release();
    this.hub.release();
    this.end.failed(error, addresses);
  }
}

function checkStream(stream: unknown): asserts stream is Duplex {
  if (!isDuplex(stream)) {
    const expected = 'an instance of net.Socket or stream.Duplex';
    throw failure('ERR_INVALID_ARG_TYPE', 'socket', expected, received(stream));
  }
  if (stream.readableEncoding !== null && stream.readableEncoding !== undefined) {
    const expected = 'a stream of bytes: setEncoding() has decoded what it read';
    throw failure('ERR_INVALID_ARG_VALUE', 'socket', expected, `'${stream.readableEncoding}'`);
  }
  if (stream.destroyed || isUnconnected(stream)) throw failure('ERR_SOCKET_CLOSED');
}

function isUnconnected(stream: Duplex): boolean {
  if (!(stream instanceof Socket) || stream instanceof TLSSocket) return false;
  return stream.pending && !stream.connecting;
}

/** Streams of other implementations (readable-stream) count by what they do. */
function isDuplex(value: unknown): value is Duplex {
  if (value instanceof Duplex) return true;
  const duplex = value as Partial<Duplex> | null | undefined;
  return (
    typeof duplex === 'object' &&
    duplex !== null &&
    typeof duplex.on === 'function' &&
    typeof duplex.write === 'function' &&
    typeof duplex.pipe === 'function' &&
    typeof duplex.destroy === 'function'
  );
}
