import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type Addresses, withFamilies } from './addresses.js';
import { tellReload } from './channels.js';
import { areKeysLogged, logKeys } from './command-line.js';
import { Connection } from './connection.js';
import { type Counting, countingOf } from './counting.js';
import { type NativeReport, type OffloopError, reported } from './errors.js';
import { answerHello, type HelloCallbacks, type HelloReport } from './hello.js';
import { type FailureReport, hub, type HubServer, type Payload } from './hub.js';
import {
  type NativeAdmission,
  type NativeBackends,
  type NativeListening,
  type NativeSettings,
  NativeTally,
} from './native.js';
import type { NodeServer } from './node-server.js';
import { pendingSocket } from './pending-socket.js';
import { SecureContext, type ServerPolicy } from './secure-context.js';
import type { ServerContexts } from './server-contexts.js';
import { serve } from './server-socket.js';
import type { TlsSocketOptions } from './socket-base.js';
import { byCode, type ServerStats } from './stats.js';
import { TlsSocket } from './tls-socket.js';

/** What a server is beside its contexts. */
export interface ServerCoreOptions {
  settings: NativeSettings;
  admission: NativeAdmission;
  clientHello: HelloCallbacks['clientHello'];
  SNICallback: HelloCallbacks['SNICallback'];
  /** Trace every connection. */
  trace: boolean;
  /** Peers whose connections begin with a PROXY header. */
  trustedProxies: readonly string[] | undefined;
  /** Who gets the plaintext, if not the program. */
  backends: NativeBackends | undefined;
}

/**
 * The core's side of a Node server: its contexts, what listens, and what comes of it.
 *
 * A native server is made for each time that the Node server listens, and one more for streams from
 * elsewhere, which Node does not count among the server's connections.
 */
export class ServerCore implements HubServer {
  private readonly tally = new NativeTally();
  /** The native server that listens; 0: none. */
  private accepting = 0;
  /** Those that listened before, whose last connections are not gone yet. */
  private readonly closing = new Set<number>();
  /** The native server of streams from elsewhere; 0: none. */
  private adopting = 0;
  private adopted = 0;
  private openSockets = 0;
  private referenced = true;
  private retained = false;
  /** Listening ends by accepting what has connected, or is about to. */
  acceptsRest = false;
  private readonly counting: Counting;

  constructor(
    readonly server: NodeServer,
    private readonly contexts: ServerContexts,
    private readonly options: ServerCoreOptions,
  ) {
    this.counting = countingOf(server);
  }

  // Listening.

  /**
   * Accepts on the bound socket `descriptor`, of which the core keeps a duplicate. `isOurs`: no
   * other process has it.
   */
  listen(descriptor: number, backlog: number, isOurs: boolean): NativeListening {
    const { native } = hub();
    const id = this.create();
    native.setMaxConnections(id, this.counting.room);
    const listening = native.listen(id, { descriptor, backlog, isOurs });
    if (listening.errno === undefined) {
      this.accepting = id;
      this.counting.listens(id);
      this.holdLoop();
    } else {
      this.forget(id);
    }
    return listening;
  }

  /** Accepts no more; whoever else has the socket goes on. */
  stopListening(): void {
    const id = this.accepting;
    if (id === 0) return;
    this.accepting = 0;
    this.closing.add(id);
    this.counting.stopped();
    hub().native.closeServer(id, this.acceptsRest);
    this.closeAdopting();
    this.holdLoop();
  }

  /** Ends the handshakes that are under way. */
  cutHandshakes(): void {
    for (const id of this.ids()) hub().native.cutHandshakes(id);
  }

  /** Ends the connections whose clients have sent nothing. */
  cutSilent(): void {
    for (const id of this.ids()) hub().native.cutSilent(id);
  }

  private ids(): number[] {
    return [this.accepting, this.adopting, ...this.closing].filter((id) => id !== 0);
  }

  /** Whether listening keeps the event loop alive. */
  ref(referenced: boolean): void {
    this.referenced = referenced;
    this.holdLoop();
  }

  get hasRef(): boolean {
    return this.referenced;
  }

  /** What happened to it, however often it listened. */
  stats(): ServerStats {
    const { backends } = this.options;
    return { ...byCode(this.tally.stats()), ...(backends && { proxy: backends.stats() }) };
  }

  // Contexts.

  addContext(name: string, context: SecureContext): void {
    const replaced = this.contexts.add(name, context);
    this.updateContexts();
    if (replaced) tellReload(this.server, name);
  }

  /** A connection sees the old context or the new one. */
  setContext(context: SecureContext): void {
    this.contexts.context = context;
    this.updateContexts();
    tellReload(this.server);
  }

  setPolicy(policy: ServerPolicy): void {
    this.contexts.policy = policy;
    this.updateContexts();
  }

  /** The 48 bytes that seal new tickets. */
  getTicketKeys(): Buffer {
    return SecureContext.getTicketKeys(this.contexts.context);
  }

  setTicketKeys(keys: Uint8Array): void {
    SecureContext.setTicketKeys(this.contexts.context, keys);
  }

  // A stream from elsewhere.

  /** The listener of 'connection': takes a stream as `acceptTls` does. */
  adopt(stream: Socket | Duplex): void {
    const { socketOptions, options } = this;
    const socket = pendingSocket(stream, {
      server: () => (this.adopting ||= this.create()),
      settings: options.settings,
      socket: socketOptions,
      owner: this.server,
      context: null,
      ask: () => this.asks,
      onHello: (pending, hello) => this.answer(pending, hello),
    });
    const accepted = (stream as { _server?: unknown })._server === this.server;
    this.adopted++;
    if (accepted) this.counting.begins();
    this.prepare(socket);
    socket.on('close', () => {
      if (--this.adopted === 0 && this.accepting === 0) this.closeAdopting();
      if (accepted) this.counting.ends();
    });
  }

  // Questions about ClientHellos.

  /** Somebody may want to be asked from now on. */
  askFromNowOn(): void {
    this.setAsk(true);
  }

  private get asks(): boolean {
    const { server, options } = this;
    return (
      Boolean(options.clientHello ?? options.SNICallback ?? server.ALPNCallback) ||
      options.trace ||
      areKeysLogged() ||
      questions.some((event) => server.listenerCount(event) > 0)
    );
  }

  private setAsk(ask: boolean): void {
    if (this.accepting !== 0) hub().native.setAsk(this.accepting, ask);
  }

  private answer(socket: TlsSocket, hello: HelloReport): void {
    const { clientHello, SNICallback } = this.options;
    const callbacks = { clientHello, SNICallback, ALPNCallback: this.server.ALPNCallback };
    const { policy, context } = this.contexts;
    const named = (): readonly SecureContext[] => this.contexts.named;
    answerHello(socket, hello, callbacks, { policy, context, named });
  }

  // What the hub says.

  onOpen(connection: Connection): void {
    connection.window = this.options.settings.bufferedBytes;
    const socket = new TlsSocket(connection, this.socketOptions, this.server);
    this.count(connection);
    // As every socket of a tls.Server: nobody else need listen.
    socket.on('error', ignore);
    try {
      this.server.emit('secureConnection', socket);
    } finally {
      // A handler that asked has fetched them already.
      connection.keepFacts();
    }
  }

  onHello(connection: Connection, hello: HelloReport): void {
    const socket = new TlsSocket(connection, this.socketOptions, this.server);
    this.count(connection);
    this.prepare(socket);
    this.answer(socket, hello);
    if (!this.asks) this.setAsk(false);
  }

  wantsFailures(): boolean {
    return this.server.listenerCount('tlsClientError') > 0;
  }

  onFailed(report: FailureReport): void {
    this.clientError(reported(report), report);
  }

  onDropped(payload: Payload): void {
    const { server } = this;
    this.counting.adjust();
    if (server.listenerCount('drop') === 0) return;
    const { shed, ...addresses } = payload.parse<Addresses & { shed: string }>();
    const reason = shed === 'maxConnections' ? undefined : { reason: shed };
    server.emit('drop', { ...withFamilies(addresses), ...reason });
  }

  onAcceptError(payload: Payload): void {
    // Node says nothing and goes on; who listens may want to know.
    if (this.server.listenerCount('acceptError') > 0)
      this.server.emit('acceptError', reported(payload.parse<NativeReport>()));
  }

  onServerClosed(id: number): void {
    if (!this.closing.delete(id)) return;
    this.holdLoop();
    this.counting.closed(id);
  }

  /** A socket whose handshake goes on. */
  private prepare(socket: TlsSocket): void {
    socket._connection.traced = this.options.trace;
    socket._connection.window = this.options.settings.bufferedBytes;
    logKeys(socket);
    serve(socket, this.server);
  }

  private count(connection: Connection): void {
    const counted = (change: 1 | -1): void => {
      this.openSockets += change;
      if (this.closing.size === 0) return;
      this.holdLoop();
      if (change < 0) this.counting.left();
    };
    counted(1);
    connection.onFree = () => counted(-1);
  }

  private clientError(error: OffloopError, addresses: Addresses): void {
    if (!this.wantsFailures()) return;
    const connection = Connection.failed(withFamilies(addresses));
    const socket = new TlsSocket(connection, this.socketOptions, this.server);
    serve(socket, this.server);
    socket._onFailed(error);
  }

  private readonly contextFor = (): SecureContext => this.contexts.context;

  private get socketOptions(): TlsSocketOptions {
    const { allowHalfOpen, highWaterMark, pauseOnConnect } = this.server;
    const { contextFor, contexts } = this;
    return { allowHalfOpen, highWaterMark, pauseOnConnect, contextFor, policy: contexts.policy };
  }

  // The native servers.

  private create(): number {
    const { native, servers } = hub();
    const { noDelay, keepAlive, keepAliveInitialDelay } = this.server;
    const { trustedProxies, backends } = this.options;
    const id = native.createServer(
      {
        settings: this.options.settings,
        admission: this.options.admission,
        noDelay,
        keepAlive,
        keepAliveInitialDelay: keepAliveInitialDelay * 1000,
        ...(trustedProxies && { trustedProxies: [...trustedProxies] }),
      },
      this.contexts.nativeOf(this.contexts.context),
      this.tally,
      backends,
    );
    servers.set(id, this);
    if (this.asks) native.setAsk(id, true);
    if (this.contexts.named.length > 0) this.updateContexts(id);
    return id;
  }

  private forget(id: number): void {
    const { native, servers } = hub();
    servers.delete(id);
    native.closeServer(id, false);
  }

  /** Not kept for nothing: a server that does not listen may never hear of another stream. */
  private closeAdopting(): void {
    if (this.adopting === 0 || this.adopted > 0) return;
    const id = this.adopting;
    this.adopting = 0;
    this.forget(id);
  }

  private updateContexts(...created: number[]): void {
    const ids = created.length > 0 ? created : [this.accepting, this.adopting];
    // SNICallback stands in the place of the look-up by name.
    const table = this.contexts.table(!this.options.SNICallback);
    for (const id of ids) if (id !== 0) hub().native.setContexts(id, ...table);
  }

  /**
   * Listening keeps the loop alive; closing does until 'close', unless sockets are open, which
   * keep it alive by themselves, or were told not to.
   */
  private holdLoop(): void {
    const waiting = this.accepting !== 0 || (this.closing.size > 0 && this.openSockets === 0);
    const wanted = this.referenced && waiting;
    if (wanted === this.retained) return;
    this.retained = wanted;
    if (wanted) hub().retain();
    else hub().release();
  }
}

/** Events about which a ClientHello is asked. */
export const questions = ['resumeSession', 'newSession', 'OCSPRequest', 'keylog'];

function ignore(): void {}
