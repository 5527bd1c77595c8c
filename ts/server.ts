import cluster from 'node:cluster';
import { lookup } from 'node:dns';
import { EventEmitter } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type Addresses, withFamilies } from './addresses.js';
import { Arrival } from './arrival.js';
import { bind } from './bind.js';
import { Connection } from './connection.js';
import { failure, type NativeReport, type OffloopError, received, reported } from './errors.js';
import { type FailureReport, hub, type HubServer, type Payload } from './hub.js';
import { type ListenArguments, listenArguments, type ListenOptions } from './listen-arguments.js';
import type { NativeListening } from './native.js';
import { type Inputs, optionsObject, parseOptions, type Values } from './option.js';
import { serverOptions } from './options.js';
import {
  contextOf,
  SecureContext,
  type SecureContextOptions,
  type ServerPolicy,
} from './secure-context.js';
import type { TlsSocketOptions } from './socket-base.js';
import { TlsSocket } from './tls-socket.js';

/** Options of a Server: those of its context, of tls.createServer and of net.createServer. */
export interface ServerOptions extends SecureContextOptions, Inputs<typeof serverOptions> {
  /** The context, instead of `key`, `cert` and the rest. */
  context?: SecureContext | undefined;
}

export type SecureConnectionListener = (socket: TlsSocket) => void;

/** Events of a Server, with their arguments. */
export interface ServerEvents {
  secureConnection: [socket: TlsSocket];
  tlsClientError: [error: OffloopError, socket: TlsSocket];
  connection: [stream: Socket | Duplex];
  listening: [];
  close: [];
  error: [error: Error];
  drop: [addresses: Addresses];
  acceptError: [error: OffloopError];
}

type State = 'idle' | 'looking up' | 'listening' | 'closing';

/**
 * A TLS server whose connections are accepted, shaken hands with and decrypted off the event loop.
 *
 * Events: 'secureConnection' (socket), 'tlsClientError' (error, socket), 'listening', 'close',
 * 'error' (listening failed, with net's codes), 'acceptError' (EMFILE and alike; it goes on),
 * 'drop' (addresses) beyond `maxConnections`. `emit('connection', stream)` takes a stream from
 * elsewhere, as `acceptTls` does. A failed handshake costs the event loop one coalesced report.
 */
export class Server extends EventEmitter<ServerEvents> implements HubServer {
  // No #private members and no initialisers: `initialize` is to work on objects that a subclass in
  // the old style (`Server.call(this)`, as https.Server does) will have made.
  declare private state: State;
  declare private settings: Values<typeof serverOptions>;
  declare private policy: ServerPolicy;
  declare private context: SecureContext;
  declare private names: { name: string; context: SecureContext }[];
  declare private socketOptions: TlsSocketOptions;
  /** What listens and adopts; 0: none yet. */
  declare private nativeId: number;
  /** That one and those before it, closed, whose connections are not gone yet. */
  declare private natives: Set<number>;
  declare private bound: NativeListening | null;
  declare private referenced: boolean;
  declare private retained: boolean;
  declare private openSockets: number;
  declare private attempt: number;
  declare private limit: number | undefined;

  /** @throws as SecureContext does, and for options of its own. */
  constructor(
    options?: ServerOptions | SecureConnectionListener,
    listener?: SecureConnectionListener,
  ) {
    super();
    this.initialize(options, listener);
  }

  private initialize(options: unknown, listener: SecureConnectionListener | undefined): void {
    const onSecure =
      typeof options === 'function' ? (options as SecureConnectionListener) : listener;
    const given: ServerOptions = typeof options === 'function' ? {} : optionsObject(options);
    const settings = parseOptions(serverOptions, given);
    this.settings = settings;
    this.context =
      given.context == null
        ? new SecureContext(given)
        : contextOf(given.context, 'options.context');
    this.policy = SecureContext.policy(this.context);
    this.names = [];
    this.socketOptions = {
      allowHalfOpen: settings.allowHalfOpen,
      highWaterMark: settings.highWaterMark,
      pauseOnConnect: settings.pauseOnConnect,
    };
    this.state = 'idle';
    this.nativeId = 0;
    this.natives = new Set();
    this.bound = null;
    this.referenced = true;
    this.retained = false;
    this.openSockets = 0;
    this.attempt = 0;
    this.limit = settings.maxConnections;
    (this as EventEmitter).on('newListener', refuseUnsupported);
    this.on('connection', this.adopt);
    if (onSecure !== undefined) this.on('secureConnection', onSecure);
  }

  // Listening.

  /**
   * Listens in all forms of net.Server: (port, host, backlog, callback), (path, ...), (options),
   * (handle). Failure arrives as 'error'.
   *
   * @throws ERR_SERVER_ALREADY_LISTEN, ERR_SOCKET_BAD_PORT, ERR_INVALID_ARG_VALUE;
   * ERR_OFFLOOP_UNSUPPORTED_OPTION in a cluster's worker.
   */
  listen(port?: number | string, host?: string, backlog?: number, callback?: () => void): this;
  listen(port?: number | string, host?: string, callback?: () => void): this;
  listen(port?: number | string, backlog?: number, callback?: () => void): this;
  listen(port?: number | string, callback?: () => void): this;
  listen(options: ListenOptions | object, backlog?: number, callback?: () => void): this;
  listen(options: ListenOptions | object, callback?: () => void): this;
  listen(callback?: () => void): this;
  listen(...args: unknown[]): this {
    if (cluster.isWorker) {
      const reason = 'the primary process would have to share its listening socket';
      throw failure('ERR_OFFLOOP_UNSUPPORTED_OPTION', 'listen() in a cluster worker', reason);
    }
    if (this.state === 'listening') throw failure('ERR_SERVER_ALREADY_LISTEN');
    const target = listenArguments(args);
    if (target.callback !== undefined) this.once('listening', target.callback);
    if (target.signal !== undefined) this.closeOn(target.signal);
    const attempt = ++this.attempt;
    // Still closing: what follows is another server to the core.
    if (this.state === 'closing') this.nativeId = 0;
    if (target.host === undefined) {
      this.bind(target, undefined);
    } else {
      this.state = 'looking up';
      lookup(target.host, (error, address) => {
        // Closed, or asked to listen elsewhere, in the meantime.
        if (attempt !== this.attempt) return;
        if (error !== null) {
          this.stop();
          this.emit('error', error);
        } else {
          this.bind(target, address);
        }
      });
    }
    return this;
  }

  /** Where it listens: address, family and port, or the path; null while it doesn't. */
  address(): AddressInfo | string | null {
    if (this.bound === null) return null;
    const { path, address, family, port } = this.bound;
    return path ?? ({ address, family, port } as AddressInfo);
  }

  get listening(): boolean {
    return this.state === 'listening';
  }

  /**
   * Accepts no more; 'close' and `callback` follow when the last connection is gone.
   * `callback` gets ERR_SERVER_NOT_RUNNING if it did not listen.
   */
  close(callback?: (error?: Error) => void): this {
    this.attempt++;
    const running = this.state === 'listening';
    if (typeof callback === 'function') {
      this.once('close', running ? callback : () => callback(failure('ERR_SERVER_NOT_RUNNING')));
    }
    this.bound = null;
    if (this.state === 'closing') return this;
    if (this.natives.size === 0) {
      this.state = 'idle';
      process.nextTick(() => this.emit('close'));
      return this;
    }
    this.state = 'closing';
    if (this.nativeId !== 0) hub().native.closeServer(this.nativeId);
    this.holdLoop();
    return this;
  }

  /** Calls back with the number of connections, those still shaking hands included. */
  getConnections(callback: (error: Error | null, count: number) => void): this {
    process.nextTick(callback, null, this.connectionCount);
    return this;
  }

  /** Connections beyond this are dropped; undefined: no limit. */
  get maxConnections(): number | undefined {
    return this.limit;
  }

  set maxConnections(limit: number | undefined) {
    const unlimited = limit == null || limit === Number.POSITIVE_INFINITY;
    this.limit = unlimited
      ? undefined
      : serverOptions.maxConnections.parse(limit, 'maxConnections');
    for (const id of this.natives) hub().native.setMaxConnections(id, this.limit ?? null);
  }

  /** Keeps the event loop alive while listening (default). */
  ref(): this {
    this.referenced = true;
    this.holdLoop();
    return this;
  }

  /** Lets the process end although the server listens. */
  unref(): this {
    this.referenced = false;
    this.holdLoop();
    return this;
  }

  // Contexts.

  /**
   * Uses `context` for clients that ask for `hostname` (SNI), which may begin with `*.`; names
   * are case-insensitive and the last match wins.
   *
   * @throws ERR_TLS_REQUIRED_SERVER_NAME, and as SecureContext does.
   */
  addContext(hostname: string, context: SecureContext | SecureContextOptions): void {
    if (!hostname) throw failure('ERR_TLS_REQUIRED_SERVER_NAME');
    if (typeof hostname !== 'string')
      throw failure('ERR_INVALID_ARG_TYPE', 'hostname', 'of type string', received(hostname));
    this.names.push({ name: hostname, context: contextOf(context, 'context') });
    this.updateContexts();
  }

  /** Replaces the default context at once: a connection sees the old one or the new one. */
  setSecureContext(options: SecureContextOptions): void {
    if (typeof options !== 'object' || options === null)
      throw failure('ERR_INVALID_ARG_TYPE', 'options', 'of type object', received(options));
    this.context = new SecureContext(options);
    this.updateContexts();
  }

  /** @throws ERR_OFFLOOP_UNSUPPORTED_OPTION always: ticket keys are the core's own. */
  getTicketKeys(): never {
    throw failure('ERR_OFFLOOP_UNSUPPORTED_OPTION', 'getTicketKeys()', TICKET_KEYS);
  }

  /** @throws ERR_OFFLOOP_UNSUPPORTED_OPTION always: ticket keys are the core's own. */
  setTicketKeys(): never {
    throw failure('ERR_OFFLOOP_UNSUPPORTED_OPTION', 'setTicketKeys()', TICKET_KEYS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.state !== 'listening') return;
    await new Promise<void>((resolve, reject) => {
      this.close((error) => (error === undefined ? resolve() : reject(error)));
    });
  }

  override [EventEmitter.captureRejectionSymbol](
    error: Error,
    event: unknown,
    ...args: unknown[]
  ): void {
    const [stream] = args as [Duplex | undefined];
    if (event === 'secureConnection' || event === 'connection') stream?.destroy(error);
    else this.emit('error', error);
  }

  // What the hub says.

  /** @internal */
  onOpen(connection: Connection): void {
    this.secure(connection, this.socketOptions);
  }

  /** @internal */
  wantsFailures(): boolean {
    return this.listenerCount('tlsClientError') > 0;
  }

  /** @internal */
  onFailed(report: FailureReport): void {
    this.clientError(reported(report), report);
  }

  /** @internal */
  onDropped(payload: Payload): void {
    if (this.listenerCount('drop') > 0) this.emit('drop', withFamilies(payload.parse<Addresses>()));
  }

  /** @internal */
  onAcceptError(payload: Payload): void {
    // Node says nothing and goes on; who listens may want to know.
    if (this.listenerCount('acceptError') > 0)
      this.emit('acceptError', reported(payload.parse<NativeReport>()));
  }

  /** @internal */
  onServerClosed(id: number): void {
    this.natives.delete(id);
    if (id === this.nativeId) this.nativeId = 0;
    // Listening again: 'close' is for the last time.
    if (this.state === 'listening' || this.natives.size > 0) return;
    if (this.state === 'closing') this.state = 'idle';
    this.holdLoop();
    this.emit('close');
  }

  private secure(connection: Connection, options: TlsSocketOptions): void {
    const socket = new TlsSocket(connection, options, this);
    this.openSockets++;
    const free = connection.onFree;
    connection.onFree = () => {
      free?.();
      this.openSockets--;
      if (this.state === 'closing') this.holdLoop();
    };
    try {
      this.emit('secureConnection', socket);
    } finally {
      // A handler that asked has fetched them already.
      connection.keepFacts();
    }
  }

  private clientError(error: Error, addresses: Addresses): void {
    if (this.listenerCount('tlsClientError') === 0) return;
    const socket = new TlsSocket(
      Connection.failed(withFamilies(addresses)),
      this.socketOptions,
      this,
    );
    socket.destroy();
    this.emit('tlsClientError', error as OffloopError, socket);
  }

  /** The listener of 'connection': a stream from elsewhere goes the way of `acceptTls`. */
  private adopt(stream: Socket | Duplex): void {
    const { handshakeTimeout, clientHelloLimit, offload } = this.settings;
    const { pauseOnConnect, highWaterMark } = this.socketOptions;
    const allowHalfOpen = stream.allowHalfOpen ?? false;
    let server = 0;
    // Closing: the connection is what the native server still waits for.
    const close = (): void => {
      if (server !== 0 && this.state === 'closing') hub().native.closeServer(server);
    };
    void new Arrival(
      stream,
      {
        server: () => (server = this.adopting()),
        settings: { handshakeTimeout, clientHelloLimit, offload },
      },
      null,
      {
        opened: (connection) => {
          close();
          this.secure(connection, { allowHalfOpen, highWaterMark, pauseOnConnect });
        },
        failed: (error, addresses) => {
          close();
          this.clientError(error, addresses);
        },
      },
    );
  }

  /** The native server for a stream from elsewhere: one that is closed and empty takes none. */
  private adopting(): number {
    if (this.state === 'closing' && hub().native.connectionCount(this.nativeId) === 0)
      this.nativeId = 0;
    return this.native();
  }

  // The core's side.

  private bind(target: ListenArguments, host: string | undefined): void {
    const bound = bind(this.native(), target, host);
    if (bound instanceof Error) {
      this.stop();
      process.nextTick(() => this.emit('error', bound));
      return;
    }
    this.bound = bound;
    this.state = 'listening';
    this.holdLoop();
    process.nextTick(() => {
      if (this.state === 'listening') this.emit('listening');
    });
  }

  /** It does not listen after all: back to where it was. */
  private stop(): void {
    const { native, servers } = hub();
    const { nativeId, natives } = this;
    // Forgotten, unless connections from elsewhere belong to it.
    if (nativeId !== 0 && native.connectionCount(nativeId) === 0) {
      servers.delete(nativeId);
      natives.delete(nativeId);
      native.closeServer(nativeId);
      this.nativeId = 0;
    }
    const closing = [...natives].some((id) => id !== this.nativeId);
    this.state = closing ? 'closing' : 'idle';
    if (closing && this.nativeId !== 0) native.closeServer(this.nativeId);
    this.holdLoop();
  }

  /** The id of the native server, which is made when it is first needed. */
  private native(): number {
    if (this.nativeId !== 0) return this.nativeId;
    const { settings } = this;
    const { native, servers } = hub();
    const { handshakeTimeout, clientHelloLimit, offload } = settings;
    this.nativeId = native.createServer(
      {
        settings: { handshakeTimeout, clientHelloLimit, offload },
        noDelay: settings.noDelay,
        keepAlive: settings.keepAlive,
        keepAliveInitialDelay: settings.keepAliveInitialDelay,
        ...(this.limit === undefined ? undefined : { maxConnections: this.limit }),
      },
      this.nativeContext(this.context),
    );
    servers.set(this.nativeId, this);
    this.natives.add(this.nativeId);
    if (this.names.length > 0) this.updateContexts();
    return this.nativeId;
  }

  private updateContexts(): void {
    // Parsed for this server's policy now, so that a bad one throws where it was given.
    const fallback = this.nativeContext(this.context);
    const names = this.names.map(({ name }) => name);
    const contexts = this.names.map(({ context }) => this.nativeContext(context));
    if (this.nativeId !== 0) hub().native.setContexts(this.nativeId, fallback, names, contexts);
  }

  private nativeContext(context: SecureContext): ReturnType<typeof SecureContext.native> {
    return SecureContext.native(context, this.policy);
  }

  private get connectionCount(): number {
    let count = 0;
    for (const id of this.natives) count += hub().native.connectionCount(id);
    return count;
  }

  /**
   * Listening keeps the loop alive; closing does until 'close', unless sockets are open, which
   * keep it alive by themselves, or were told not to.
   */
  private holdLoop(): void {
    const { state } = this;
    const wanted =
      this.referenced && (state === 'listening' || (state === 'closing' && this.openSockets === 0));
    if (wanted === this.retained) return;
    this.retained = wanted;
    if (wanted) hub().retain();
    else hub().release();
  }

  private closeOn(signal: AbortSignal): void {
    const close = (): void => void this.close();
    if (signal.aborted) {
      process.nextTick(close);
    } else {
      signal.addEventListener('abort', close, { once: true });
      this.once('close', () => signal.removeEventListener('abort', close));
    }
  }
}

/** Makes a Server; `listener` is one of 'secureConnection'. Throws as its constructor does. */
export function createServer(
  options?: ServerOptions | SecureConnectionListener,
  listener?: SecureConnectionListener,
): Server {
  return new Server(options, listener);
}

const TICKET_KEYS = 'the core makes its own keys and rotates them';

/** Events of tls.Server that are never emitted here: waiting for one would be in vain. */
const UNSUPPORTED_EVENTS = new Set<unknown>([
  'newSession',
  'resumeSession',
  'OCSPRequest',
  'keylog',
]);

function refuseUnsupported(event: unknown): void {
  if (!UNSUPPORTED_EVENTS.has(event)) return;
  const reason = 'the core does not tell JavaScript of it';
  throw failure('ERR_OFFLOOP_UNSUPPORTED_OPTION', `the event '${String(event)}'`, reason);
}
