import type { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import { isTraced, logKeys } from './command-line.js';
import { isContext, madeContext } from './context-of.js';
import { failure, received } from './errors.js';
import { answerHello, type HelloCallbacks } from './hello.js';
import { connectionLimits, settingsOf } from './limits.js';
import { createSecureContext } from './node-context.js';
import { parseOptions } from './option.js';
import { contextOptions } from './options.js';
import { pendingSocket } from './pending-socket.js';
import { SecureContext } from './secure-context.js';
import type { TlsSocket } from './tls-socket.js';

/** Options of `new tls.TLSSocket(stream, { isServer: true, ... })`. */
export interface ServerTlsSocketOptions extends tls.TLSSocketOptions {
  ALPNCallback?: HelloCallbacks['ALPNCallback'] & {};
  handshakeTimeout?: number;
  highWaterMark?: number;
  pauseOnConnect?: boolean;
  signal?: AbortSignal;
  pskCallback?: unknown;
}

/** Node sets a socket of its own no deadline: this is the longest of a timer, 24 days. */
const NO_DEADLINE = 2 ** 31 - 1;

/**
 * What `new tls.TLSSocket(stream, { isServer: true, ... })` makes, on the core: a TlsSocket whose
 * handshake is yet to come, with Node's options, defaults and events. `authorized` stays false, as
 * in Node; `ssl.verifyError()` tells what came of the client's certificate.
 *
 * Other than Node's: with `requestCert` and `rejectUnauthorized`, an invalid certificate fails the
 * handshake, as a missing one does. With `handshakeTimeout`, the socket is destroyed.
 *
 * @throws ERR_OFFLOOP_UNSUPPORTED_OPTION, and what Node's constructor does.
 */
export function serverTlsSocket(stream: Duplex, options: ServerTlsSocketOptions): TlsSocket {
  const { enableTrace, requestCert, rejectUnauthorized, handshakeTimeout, server } = options;
  const { highWaterMark, pauseOnConnect, signal } = options;
  if (enableTrace != null && typeof enableTrace !== 'boolean') {
    const name = 'options.enableTrace';
    throw failure('ERR_INVALID_ARG_TYPE', name, 'of type boolean', received(enableTrace));
  }
  const alpnProtocols = protocolsOf(options);
  const context = contextOf(options);
  const callbacks = callbacksOf(options);
  if (options.pskCallback) {
    const reason = 'rustls has no pre-shared keys of programs';
    throw failure('ERR_OFFLOOP_UNSUPPORTED_OPTION', 'options.pskCallback', reason);
  }
  const policy = {
    alpnProtocols,
    requestCert: Boolean(requestCert),
    rejectUnauthorized: Boolean(rejectUnauthorized),
  };
  const socket = pendingSocket(stream, {
    server: () => 0,
    settings: settingsOf(parseOptions(connectionLimits, {}), {
      handshakeTimeout: handshakeTimeout! > 0 ? handshakeTimeout! : NO_DEADLINE,
      offload: 'auto',
    }),
    socket: {
      highWaterMark,
      pauseOnConnect: Boolean(pauseOnConnect),
      contextFor: () => context,
    },
    signal,
    owner: server,
    context: SecureContext.native(context, policy),
    ask: (pending) =>
      Boolean(callbacks.SNICallback ?? callbacks.ALPNCallback) ||
      pending._connection.traced ||
      pending.listenerCount('keylog') > 0 ||
      helloEvents.some((event) => listens(server, event)),
    onHello: (pending, hello) => answerHello(pending, hello, callbacks, { policy, context }),
  });
  if (isTraced(enableTrace)) socket.enableTrace();
  logKeys(socket);
  return Object.assign(socket, {
    server,
    _tlsOptions: { ...options },
    _requestCert: policy.requestCert,
    _rejectUnauthorized: policy.rejectUnauthorized,
    authorized: false,
    authorizationError: null as never,
    timeout: undefined as never,
  });
}

/** Events of a server about which a ClientHello is asked. */
const helloEvents = ['resumeSession', 'newSession', 'OCSPRequest'];

function listens(server: unknown, event: string): boolean {
  return server != null && (server as EventEmitter).listenerCount(event) > 0;
}

const { convertALPNProtocols: convertProtocols } = tls as unknown as {
  convertALPNProtocols(protocols: unknown, out: { ALPNProtocols?: Buffer }): void;
};

function protocolsOf({ ALPNProtocols }: tls.TLSSocketOptions): Uint8Array[] {
  if (!ALPNProtocols) return [];
  // With Node's own reading of it, and its errors.
  const wire: { ALPNProtocols?: Buffer } = {};
  convertProtocols(ALPNProtocols, wire);
  return contextOptions.ALPNProtocols.parse(wire.ALPNProtocols, 'options.ALPNProtocols');
}

function contextOf(options: ServerTlsSocketOptions): SecureContext {
  const { secureContext, credentials } = options as typeof options & { credentials?: unknown };
  const given: unknown = secureContext || credentials || createSecureContext(options);
  // Node looks at the handle alone.
  const { context: handle = given } = given as { context?: unknown };
  if (!isContext(handle))
    throw failure('ERR_TLS_INVALID_CONTEXT', 'context must be a SecureContext');
  return madeContext(handle, 'options.secureContext')!;
}

function callbacksOf({ ALPNCallback, SNICallback }: ServerTlsSocketOptions): HelloCallbacks {
  for (const [name, callback] of Object.entries({ ALPNCallback, SNICallback })) {
    if (callback && typeof callback !== 'function') {
      const expected = 'of type function';
      throw failure('ERR_INVALID_ARG_TYPE', `options.${name}`, expected, received(callback));
    }
  }
  return {
    ALPNCallback: ALPNCallback || undefined,
    SNICallback: (SNICallback as HelloCallbacks['SNICallback']) || undefined,
  };
}
