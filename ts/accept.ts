import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type tls from 'node:tls';
import { Arrival } from './arrival.js';
import { Connection } from './connection.js';
import { cachedContext } from './context-cache.js';
import { contextOf } from './context-of.js';
import { failure } from './errors.js';
import { answerHello } from './hello.js';
import { hub } from './hub.js';
import { settingsOf } from './limits.js';
import { backend } from './native.js';
import { acceptOnNode } from './node-backend/accept.js';
import { nodeContextOf } from './node-backend/secure-context.js';
import { type Inputs, optionsObject, parseOptions } from './option.js';
import { acceptOptions, contextOptions } from './options.js';
import { SecureContext, type SecureContextOptions } from './secure-context.js';
import { TlsSocket } from './tls-socket.js';

/** Options of `acceptTls`: a context or what makes one, and those of the connection. */
export interface AcceptOptions extends SecureContextOptions, Inputs<typeof acceptOptions> {
  /**
   * The context, made once with `createSecureContext`. Default: that of `key`, `cert` and the
   * rest, parsed once for the same values; without these, that of `setDefaultContext`.
   */
  context?: SecureContext | undefined;
}

/**
 * Accepts TLS on a connected stream: a net.Socket, whose descriptor moves to the core, or any other
 * Duplex. What was read from it already, or put back with `unshift`, belongs to the handshake; what
 * was written is sent first. From here on the stream is the core's: don't use it.
 *
 * Rejects with a `code`, and destroys the stream: ERR_TLS_HANDSHAKE_TIMEOUT, ECONNRESET, the
 * ERR_SSL_* codes of a failed handshake, ABORT_ERR (with `signal`'s reason as `cause`),
 * ERR_OFFLOOP_OVERLOADED, ERR_SOCKET_CLOSED, ERR_INVALID_ARG_TYPE, and what SecureContext throws;
 * or with what SNICallback or ALPNCallback threw or called back.
 */
export async function acceptTls(
  socket: Socket | Duplex,
  options?: AcceptOptions,
): Promise<TlsSocket> {
  if (backend === 'node') return acceptOnNode(socket, options, nodesDefault);
  let taken = false;
  try {
    const given = optionsObject(options);
    const values = parseOptions(acceptOptions, given);
    const { signal, handshakeTimeout, limits, offload, enableTrace } = values;
    const { clientHello, SNICallback, ALPNCallback } = values;
    const callbacks = { clientHello, SNICallback, ALPNCallback };
    const context = contextFor(given, callbacks.SNICallback !== undefined);
    const policy = SecureContext.policy(context);
    if (callbacks.ALPNCallback && policy.alpnProtocols.length > 0)
      throw failure('ERR_TLS_ALPN_CALLBACK_WITH_PROTOCOLS');
    if (signal?.aborted) throw aborted(signal);
    const socketOptions = {
      // Read now: the arrival changes it on the socket below.
      allowHalfOpen: values.allowHalfOpen ?? socket?.allowHalfOpen ?? false,
      highWaterMark: values.highWaterMark,
      pauseOnConnect: values.pauseOnConnect,
      contextFor: () => context,
    };
    return await new Promise((resolve, reject) => {
      let pending = true;
      const abort = (): void => arrival.abort(aborted(signal!));
      const settled = (): void => {
        pending = false;
        signal?.removeEventListener('abort', abort);
      };
      /** Callbacks have it for `this` before the handshake is over. */
      let early: TlsSocket | undefined;
      const connection = new Connection(hub(), 'shaking');
      connection.traced = enableTrace;
      connection.window = limits.bufferedBytes;
      const asks = Boolean(clientHello ?? SNICallback ?? ALPNCallback) || enableTrace;
      const arrival = new Arrival(
        socket,
        {
          server: () => 0,
          settings: settingsOf(limits, { handshakeTimeout, offload }),
          ask: () => asks,
        },
        SecureContext.native(context),
        {
          asked(hello) {
            early = new TlsSocket(connection, socketOptions);
            early.once('close', () => {
              settled();
              reject(early!.errored ?? failure('ECONNRESET'));
            });
            answerHello(early, hello, callbacks, { policy, context });
          },
          opened() {
            settled();
            connection.postpone();
            connection.keepFacts();
            if (early === undefined) return resolve(new TlsSocket(connection, socketOptions));
            early._onOpen();
            early._releaseControl();
            early.secureConnecting = false;
            resolve(early);
          },
          failed(error) {
            settled();
            reject(error);
            early?.destroy();
          },
        },
        connection,
      );
      taken = true;
      if (pending) signal?.addEventListener('abort', abort, { once: true });
    });
  } catch (error) {
    // Never leaked; an arrival ends its stream by itself, after the alert.
    if (!taken && typeof (socket as Duplex | undefined)?.destroy === 'function') socket.destroy();
    throw error;
  }
}

let defaultContext: SecureContext | null = null;
/** The same without a core. */
let nodesDefault: tls.SecureContext | null = null;

/**
 * The context of every `acceptTls` in this thread that names none; null takes it back.
 *
 * @throws ERR_INVALID_ARG_TYPE
 */
export function setDefaultContext(context: SecureContext | null): void {
  if (backend === 'node')
    nodesDefault = context === null ? null : nodeContextOf(context, 'context');
  else defaultContext = context === null ? null : contextOf(context, 'context');
}

/** `choosing`: SNICallback may bring another, so this one need not be of use. */
function contextFor(options: AcceptOptions, choosing: boolean): SecureContext {
  const context = givenContext(options) ?? defaultContext;
  if (context === null) {
    if (choosing) return cachedContext(options);
    const expected =
      'a SecureContext, or options.key and options.cert, or setDefaultContext() before';
    throw failure('ERR_MISSING_ARGS', 'options.context', expected);
  }
  // Says now what every handshake would fail for.
  if (choosing || SecureContext.hasIdentity(context)) return context;
  throw failure('ERR_MISSING_ARGS', 'options.key', 'a private key with its certificate, PEM');
}

function givenContext(options: AcceptOptions): SecureContext | null {
  const { context, secureContext } = options;
  if (context != null) return contextOf(context, 'options.context');
  if (secureContext != null) return contextOf(secureContext, 'options.secureContext');
  const names = Object.keys(contextOptions) as (keyof SecureContextOptions)[];
  return names.some((name) => options[name] != null) ? cachedContext(options) : null;
}

function aborted(signal: AbortSignal): Error {
  const error = failure('ABORT_ERR');
  error.cause = signal.reason;
  return error;
}
