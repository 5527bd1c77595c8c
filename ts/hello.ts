import type { EventEmitter } from 'node:events';
import { type ClientHelloCallback, verdictOf } from './client-hello.js';
import { isContext, madeContext, refuseStricter } from './context-of.js';
import { failure, received } from './errors.js';
import type { NativeContext, NativeDecision } from './native.js';
import { SecureContext, type ServerPolicy } from './secure-context.js';
import type { TlsSocket } from './tls-socket.js';

/** A ClientHello that waits for an answer. */
export interface HelloReport {
  /** The native server; 0: none. */
  server: number;
  /** Names the connection in this process. */
  connection: number;
  /** The name that the client asks for. */
  servername?: string;
  /** The protocols that it offers; absent: it does without ALPN. */
  alpn?: string[];
  /** The session that it would like to resume by its id, in hex. */
  sessionId?: string;
  /** Does it bring a ticket? */
  ticket: boolean;
  /** Does it ask for an OCSP response? */
  ocsp: boolean;
}

/** As of tls.createServer, but for `clientHello`; `this` is the socket. */
export interface HelloCallbacks {
  clientHello?: ClientHelloCallback | undefined;
  SNICallback?:
    | ((servername: string, callback: (error?: unknown, context?: unknown) => void) => void)
    | null
    | undefined;
  ALPNCallback?:
    | ((offer: { servername: string | false; protocols: string[] }) => string | undefined)
    | null
    | undefined;
}

/** What a context is made the core's with. */
export interface HelloPolicy {
  policy: ServerPolicy;
  /** The context for all names; undefined: one that is chosen stands for itself. */
  context?: SecureContext | undefined;
  /** Those that the core chooses from by name. Default: none. */
  named?(): readonly SecureContext[];
}

/**
 * Answers a ClientHello as Node does: asks `clientHello`, 'resumeSession', SNICallback, 'OCSPRequest' and
 * ALPNCallback, in this order and each only if there is something to answer. A callback that fails,
 * throws, is called twice or chooses what can't be served with destroys the socket with its error;
 * of one that never calls back, the handshake's deadline gets rid. Without SNICallback the core
 * looks the name up.
 */
export function answerHello(
  socket: TlsSocket,
  hello: HelloReport,
  callbacks: HelloCallbacks,
  policy: HelloPolicy,
): void {
  new Answer(socket, hello, callbacks, policy).begin();
}

/** Emits 'newSession', and lets the handshake go on when the listener has stored it. */
export function announceSession(
  socket: TlsSocket,
  id: Buffer,
  session: Buffer,
  proceed: () => void,
): void {
  const server = emitterOf(socket);
  let emitted = false;
  let pending = true;
  const done = (): void => {
    if (pending) proceed();
    pending = false;
  };
  try {
    emitted = server?.emit('newSession', id, session, done) ?? false;
  } catch (error) {
    server!.emit('error', error);
  } finally {
    if (!emitted) done();
  }
}

type Callback<T> = (error?: unknown, value?: T) => void;

/** The steps to the answer of one ClientHello. */
class Answer {
  private readonly decision: NativeDecision;

  constructor(
    private readonly socket: TlsSocket,
    private readonly hello: HelloReport,
    private readonly callbacks: HelloCallbacks,
    private readonly policy: HelloPolicy,
  ) {
    this.decision = {
      storeSession: listens(socket, 'newSession'),
      keylog: socket.listenerCount('keylog') > 0,
      trace: socket._connection.traced,
    };
  }

  begin(): void {
    const { socket } = this;
    const { clientHello } = this.callbacks;
    const hello = clientHello && socket._connection.clientHello();
    if (!hello) return this.resumeSession();
    const fail = (error: unknown): void => void socket.destroy(error as Error);
    this.guarded(() => {
      const decision: unknown = clientHello!.call(socket, hello, socket);
      if (!isPromiseLike(decision)) return this.judge(decision);
      const late = (answer: unknown): void => {
        if (!socket.destroyed) this.guarded(() => this.judge(answer));
      };
      void decision.then(late, fail);
    });
  }

  private judge(decision: unknown): void {
    const { reject, context } = verdictOf(decision);
    if (reject !== undefined) {
      this.decision.reject = reject;
      return this.decide();
    }
    if (context !== undefined) this.choose(context);
    this.resumeSession();
  }

  private resumeSession(): void {
    const { sessionId, ticket } = this.hello;
    if (sessionId === undefined || ticket || !listens(this.socket, 'resumeSession'))
      return this.chooseContext();
    const stored = this.once<Uint8Array>((session) => {
      if (session) this.decision.session = bytes(session, 'session');
      this.chooseContext();
    });
    try {
      emitterOf(this.socket)!.emit('resumeSession', Buffer.from(sessionId, 'hex'), stored);
    } catch (error) {
      stored(error ?? new Error(String(error)));
    }
  }

  private chooseContext(): void {
    const { servername } = this.hello;
    const { SNICallback } = this.callbacks;
    const chosen = this.socket._connection.context !== null;
    if (chosen || servername === undefined || SNICallback == null) return this.staple();
    const answered = this.once<unknown>((context) => {
      if (typeof context === 'object' && context !== null) this.choose(contextFrom(context));
      this.staple();
    });
    this.guarded(() => SNICallback.call(this.socket, servername, answered));
  }

  private choose(context: SecureContext): void {
    refuseStricter(context, this.policy.policy, 'context');
    this.socket._connection.context = context;
  }

  private staple(): void {
    const { socket, hello } = this;
    if (!hello.ocsp || !listens(socket, 'OCSPRequest')) return this.chooseProtocol();
    const identity = socket._connection.certificateFor(this.context(), this.decision.session);
    // The handshake will fail for the want of a certificate, or shows none: its session is resumed.
    if (identity === null) return this.chooseProtocol();
    const { certificate, issuer } = identity;
    const answered = this.once<Uint8Array>((response) => {
      if (response) this.decision.ocsp = bytes(response, 'response');
      this.chooseProtocol();
    });
    this.guarded(() => {
      const known = issuer ?? this.issuerOf(certificate);
      emitterOf(socket)!.emit('OCSPRequest', certificate, known ?? null, answered);
    });
  }

  /** Where a chain is its leaf alone, an authority of the context may be the issuer. */
  private issuerOf(certificate: Buffer): Buffer | undefined {
    const chosen = this.socket._connection.context ?? this.policy.context;
    for (const context of [chosen, ...(this.policy.named?.() ?? [])]) {
      const issuer = context && SecureContext.issuerOf(context, certificate);
      if (issuer) return issuer.raw;
    }
    return undefined;
  }

  private chooseProtocol(): void {
    const { socket, hello } = this;
    const { alpn: protocols } = hello;
    const servername: string | false = hello.servername ?? false;
    const { ALPNCallback } = this.callbacks;
    if (protocols === undefined || ALPNCallback == null) return this.decide();
    // Its own copy: the callback may do with it what it likes.
    const offer = { servername, protocols: [...protocols] };
    this.guarded(() => {
      const protocol = ALPNCallback.call(socket, offer);
      if (protocol === undefined) this.decision.rejectAlpn = true;
      else if (protocols.includes(protocol)) this.decision.alpn = protocol;
      else throw failure('ERR_TLS_ALPN_CALLBACK_INVALID_RESULT', protocol, protocols);
      this.decide();
    });
  }

  private decide(): void {
    const { socket } = this;
    // Not before the callback has returned: it may still throw, or answer again.
    process.nextTick(() => {
      if (!socket.destroyed) socket._connection.decide(this.context(), this.decision);
    });
  }

  /** What a callback chose; null: nothing, the core's own table decides. */
  private context(): NativeContext | null {
    const { context } = this.socket._connection;
    if (context === null) return null;
    const { policy, context: server = context } = this.policy;
    return SecureContext.native(context, policy, server);
  }

  /** A callback for users: an error, or a second call, is the connection's end. */
  private once<T>(then: (value: T | undefined) => void): Callback<T> {
    let called = false;
    return (error, value) => {
      const { socket } = this;
      if (called) return void socket.destroy(failure('ERR_MULTIPLE_CALLBACK'));
      called = true;
      if (error) socket.destroy(error as Error);
      else if (!socket.destroyed) this.guarded(() => then(value));
    };
  }

  private guarded(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.socket.destroy(error as Error);
    }
  }
}

function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function';
}

function contextFrom(value: object): SecureContext {
  const { context: handle = value } = value as { context?: object };
  const given = isContext(value) ? value : handle;
  const context = madeContext(given, 'the context of SNICallback');
  if (context === undefined) throw new TypeError('Invalid SNI context');
  return context;
}

function bytes(value: unknown, name: string): Uint8Array {
  if (!ArrayBuffer.isView(value)) {
    const expected = 'an instance of Buffer, TypedArray, or DataView';
    throw failure('ERR_INVALID_ARG_TYPE', name, expected, received(value));
  }
  return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}

function emitterOf({ server }: TlsSocket): EventEmitter | null {
  return server as EventEmitter | null;
}

function listens(socket: TlsSocket, event: string): boolean {
  return (emitterOf(socket)?.listenerCount(event) ?? 0) > 0;
}
