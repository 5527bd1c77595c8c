import { Duplex } from 'node:stream';
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
  type NativeSlot,
  OP_DESTROY,
} from './native.js';

/** How the handshake of a handed-over stream ends: with a connection or an error. */
export interface ArrivalEnd {
  opened(connection: Connection): void;
  failed(error: Error, addresses: NativeAddresses): void;
}

type State = 'preparing' | 'handshaking' | 'open' | 'over';

/** A stream that JavaScript hands over, from the hand-over to the end of its handshake. */
export class Arrival implements HubArrival {
  private state: State = 'preparing';
  private readonly hub: Hub = hubOfThread();
  private readonly carrier: Carrier;
  private pair: NativeSlot | null = null;
  private connection: Connection | null = null;

  /** Throws where `stream` is none that could be taken. */
  constructor(
    stream: unknown,
    private readonly options: NativeAcceptOptions,
    /** Absent: the contexts of the server in `options`. */
    private readonly context: NativeContext | null,
    private readonly end: ArrivalEnd,
  ) {
    checkStream(stream);
    const Kind = hasDescriptor(stream) ? AdoptedSocket : ForeignStream;
    this.carrier = new Kind(stream as never, (error) => this.onGone(error));
    this.hub.retain();
    this.carrier.prepare((error) => this.start(error));
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
  }

  onFailed(report: FailureReport): void {
    this.pair = null;
    this.fail(reported(report), report);
  }

  /** Our DESTROY was carried out. */
  onClosed(): void {
    this.carrier.release();
  }

  private start(error?: Error): void {
    if (this.state !== 'preparing') return;
    if (error !== undefined) return this.fail(error);
    let pair: NativeSlot;
    try {
      pair = this.carrier.start(this.hub, this.options, this.context);
    } catch (refused) {
      return this.fail(refused as Error);
    }
    if (pair.errno !== undefined) return this.fail(systemError(pair.errno, 'adopt'));
    this.pair = pair;
    this.state = 'handshaking';
    this.hub.arrivals.set(key(pair.slot, pair.generation), this);
  }

  private onGone(error?: Error): void {
    if (this.state === 'open') this.connection!.fail(error);
    else this.fail(error ?? failure('ECONNRESET'));
  }

  private fail(error: Error, addresses: NativeAddresses = {}): void {
    if (this.state === 'over' || this.state === 'open') return;
    this.state = 'over';
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
  if (stream.destroyed) throw failure('ERR_SOCKET_CLOSED');
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
