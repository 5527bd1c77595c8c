import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Arrival } from './arrival.js';
import { failure } from './errors.js';
import { type Inputs, optionsObject, parseOptions } from './option.js';
import { acceptOptions, contextOptions } from './options.js';
import {
  cachedContext,
  contextOf,
  SecureContext,
  type SecureContextOptions,
} from './secure-context.js';
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
 * ERR_OFFLOOP_OVERLOADED, ERR_SOCKET_CLOSED, ERR_INVALID_ARG_TYPE, and what SecureContext throws.
 */
export async function acceptTls(
  socket: Socket | Duplex,
  options?: AcceptOptions,
): Promise<TlsSocket> {
  let taken = false;
  try {
    const given = optionsObject(options);
    const values = parseOptions(acceptOptions, given);
    const context = SecureContext.native(contextFor(given));
    const { signal, handshakeTimeout, clientHelloLimit, offload } = values;
    if (signal?.aborted) throw aborted(signal);
    // Read now: the arrival changes it on the socket below.
    const allowHalfOpen = values.allowHalfOpen ?? socket?.allowHalfOpen ?? false;
    return await new Promise((resolve, reject) => {
      let pending = true;
      const abort = (): void => arrival.abort(aborted(signal!));
      const settled = (): void => {
        pending = false;
        signal?.removeEventListener('abort', abort);
      };
      const arrival = new Arrival(
        socket,
        { server: () => 0, settings: { handshakeTimeout, clientHelloLimit, offload } },
        context,
        {
          opened(connection) {
            settled();
            connection.postpone();
            connection.keepFacts();
            resolve(
              new TlsSocket(connection, {
                allowHalfOpen,
                highWaterMark: values.highWaterMark,
                pauseOnConnect: values.pauseOnConnect,
              }),
            );
          },
          failed(error) {
            settled();
            reject(error);
          },
        },
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

/**
 * The context of every `acceptTls` in this thread that names none; null takes it back.
 *
 * @throws ERR_INVALID_ARG_TYPE
 */
export function setDefaultContext(context: SecureContext | null): void {
  defaultContext = context === null ? null : contextOf(context, 'context');
}

function contextFor(options: AcceptOptions): SecureContext {
  if (options.context != null) return contextOf(options.context, 'options.context');
  for (const name of Object.keys(contextOptions) as (keyof SecureContextOptions)[]) {
    if (options[name] != null) return cachedContext(options);
  }
  if (defaultContext !== null) return defaultContext;
  const expected =
    'a SecureContext, or options.key and options.cert, or setDefaultContext() before';
  throw failure('ERR_MISSING_ARGS', 'options.context', expected);
}

function aborted(signal: AbortSignal): Error {
  const error = failure('ABORT_ERR');
  error.cause = signal.reason;
  return error;
}
