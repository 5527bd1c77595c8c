import { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { AdoptedSocket, hasDescriptor } from './adopted-socket.js';
import type { Carrier } from './carrier.js';
import { Connection, type Handshake } from './connection.js';
import { failure, received, reported, systemError } from './errors.js';
import { ForeignStream } from './foreign-stream.js';
import type { HelloReport } from './hello.js';
import { type FailureReport, type Hub, hub as hubOfThread } from './hub.js';
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
  /** The stream closed, or broke, before the end of the handshake. Default: it failed. */
  lost?(error: Error | undefined): void;
  /** How is its ClientHello to be answered? Asked if `ArrivalOptions` say so. */
  asked?(hello: HelloReport): void;
}

type State = 'preparing' | 'handshaking' | 'open' | 'over';

/** How a stream is to be accepted. */
export interface ArrivalOptions {
  /** The native server that it belongs to, asked for at the hand-over; 0: none. */
  server(): number;
  settings: NativeSettings;
  /** Is the ClientHello to be told before it is answered? Asked at the hand-over. */
  ask?(): boolean;
  /**
   * Hand over in the next tick, or when it connects: until then its owner makes it ready. Default:
   * false.
   */
  later?: boolean;
}

/** A stream that JavaScript hands over, from the hand-over to the end of its handshake. */
export class Arrival implements Handshake {
  private state: State = 'preparing';
  private readonly hub: Hub = hubOfThread();
  private readonly carrier: Carrier;
  private readonly arrived = performance.now();
  /** Runs while the stream is prepared; the core has a timer of its own. */
  private timer: NodeJS.Timeout | undefined;
  /** The stream closed after its end. */
  private goneAtEnd = false;

  /** Throws where `stream` is none that could be taken. */
  constructor(
    stream: unknown,
    private readonly options: ArrivalOptions,
    /** Absent: the contexts of the server in `options`. */
    private readonly context: NativeContext | null,
    private readonly end: ArrivalEnd,
    private readonly connection = new Connection(hubOfThread(), 'shaking'),
  ) {
    try {
      checkStream(stream, options.later ?? false);
    } catch (refused) {
      connection.leave();
      throw refused;
    }
    const Kind = hasDescriptor(stream) ? AdoptedSocket : ForeignStream;
    this.carrier = new Kind(stream as never, (error) => this.onGone(error));
    if (Kind === ForeignStream) connection.unref();
    connection.handshake = this;
    const { destroyed } = stream;
    this.carrier.prepare((error) => {
      if (!options.later) return this.start(error);
      process.nextTick(() => {
        if (destroyed) this.onGone();
        // Otherwise its 'close' is on the way.
        else if (!stream.destroyed) this.start(error);
      });
    });
    if (this.state === 'preparing') {
      const late = (): void => this.fail(failure('ERR_TLS_HANDSHAKE_TIMEOUT'));
      this.timer = setTimeout(late, options.settings.handshakeTimeout).unref();
    }
  }

  /** Gives the handshake up; the stream is destroyed. */
  abort(error: Error): void {
    this.fail(error);
  }

  giveUp(): void {
    if (!this.close()) return;
    const { connection } = this;
    process.nextTick(() => {
      connection.abandonWrites();
      connection.socket!._onFree();
    });
  }

  onHello(report: HelloReport): void {
    this.end.asked?.(report);
  }

  onOpen(): void {
    const { connection } = this;
    this.state = 'open';
    connection.onFree = () => this.carrier.release();
    const addresses = this.carrier.addresses();
    if (addresses !== null) connection.presetAddresses(addresses);
    this.end.opened(connection);
    if (this.goneAtEnd) connection.closeAfterEnd();
  }

  onProxied(): void {
    this.state = 'open';
    this.connection.onFree = () => this.carrier.release();
  }

  onFailed(report: FailureReport): void {
    this.fail(reported(report), report);
  }

  /** Nobody asked: the core has lost the handshake. */
  onClosed(): void {
    this.fail(failure('ERR_OFFLOOP_INTERNAL', 'a handshake ended without a result'));
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
    this.state = 'handshaking';
    this.hub.shake(this.connection, pair.slot, pair.generation);
  }

  /** What was asked for, less the time that is over. */
  private accept(): NativeAcceptOptions {
    const { settings, ask } = this.options;
    const left = settings.handshakeTimeout - (performance.now() - this.arrived);
    const handshakeTimeout = Math.max(1, Math.ceil(left));
    return {
      server: this.options.server(),
      settings: { ...settings, handshakeTimeout },
      ask: ask?.() ?? false,
    };
  }

  private onGone(error?: Error): void {
    if (error === undefined && this.carrier.ended) {
      // What came before the end may still be on its way through the core.
      this.goneAtEnd = true;
      if (this.state === 'open') this.connection.closeAfterEnd();
    } else if (this.state === 'open') {
      this.connection.lose(error);
    } else if (this.state !== 'over' && this.end.lost !== undefined) {
      this.end.lost(error);
    } else {
      this.fail(error ?? failure('ECONNRESET'));
    }
  }

  private fail(error: Error, addresses: NativeAddresses = {}): void {
    if (this.close()) this.end.failed(error, addresses);
  }

  /** Lets go of the stream, and of the core's side of it. False: it is over already, or open. */
  private close(): boolean {
    const { state, connection } = this;
    if (state === 'over' || state === 'open') return false;
    this.state = 'over';
    clearTimeout(this.timer);
    // What still arrives for it concerns nobody.
    if (connection.leave() && state === 'handshaking')
      this.hub.submission.control(OP_DESTROY, connection.slot, connection.generation, 0);
    this.carrier.release();
    return true;
  }
}

/** `early`: it may be yet to connect, or gone: then the handshake waits, or fails. */
/** @internal Is it a stream that TLS can be spoken over? */
export function checkStream(stream: unknown, early: boolean): asserts stream is Duplex {
  if (!isDuplex(stream)) {
    const expected = 'an instance of net.Socket or stream.Duplex';
    throw failure('ERR_INVALID_ARG_TYPE', 'socket', expected, received(stream));
  }
  if (stream.readableEncoding !== null && stream.readableEncoding !== undefined) {
    const expected = 'a stream of bytes: setEncoding() has decoded what it read';
    throw failure('ERR_INVALID_ARG_VALUE', 'socket', expected, `'${stream.readableEncoding}'`);
  }
  if (!early && (stream.destroyed || isUnconnected(stream))) throw failure('ERR_SOCKET_CLOSED');
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
