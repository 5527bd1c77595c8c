import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import type { AcceptOptions } from '../accept.js';
import { checkStream } from '../arrival.js';
import { failure, type OffloopError } from '../errors.js';
import { refuseStricterPolicy } from '../context-of.js';
import { optionsObject, parseOptions } from '../option.js';
import { acceptOptions, contextOptions } from '../options.js';
import type { SecureContextOptions, ServerPolicy } from '../secure-context.js';
import type { TlsSocket } from '../tls-socket.js';
import { tellWhatIsAbsent } from './absent.js';
import { entryOf, hasIdentity, nodeContextOf, wire } from './secure-context.js';

// Before `offloop/register` may put ours in its place.
const NodeSocket = tls.TLSSocket;

/** What of Node's socket is behind its documentation. */
interface Internals {
  _releaseControl(): boolean;
  authorized: boolean;
  authorizationError: unknown;
  allowHalfOpen: boolean;
  ssl: { verifyError(): OffloopError | null | undefined } | null;
}

/**
 * `acceptTls` where there is no core: the same promise and the same errors, the handshake on the event
 * loop, a socket of node:tls.
 */
export async function acceptOnNode(
  stream: Duplex,
  options: AcceptOptions | undefined,
  defaultContext: tls.SecureContext | null,
): Promise<TlsSocket> {
  let secure: tls.TLSSocket | undefined;
  try {
    const given = optionsObject(options) as AcceptOptions;
    const values = parseOptions(acceptOptions, given);
    tellWhatIsAbsent(given);
    const { signal, handshakeTimeout, SNICallback, ALPNCallback } = values;
    const context = contextFor(given, defaultContext, SNICallback !== undefined);
    const policy = entryOf(context)?.policy ?? noPolicy;
    if (ALPNCallback && policy.alpnProtocols.length > 0)
      throw failure('ERR_TLS_ALPN_CALLBACK_WITH_PROTOCOLS');
    if (signal?.aborted) throw aborted(signal);
    checkStream(stream, false);
    const { highWaterMark, pauseOnConnect, enableTrace } = values;
    const { requestCert, rejectUnauthorized } = policy;
    secure = new NodeSocket(stream, {
      isServer: true,
      secureContext: context,
      requestCert,
      // Judged below, as Node's servers do.
      rejectUnauthorized: false,
      enableTrace,
      ...(policy.alpnProtocols.length > 0 && { ALPNProtocols: wire(policy.alpnProtocols) }),
      ...(SNICallback && { SNICallback: guarded(SNICallback, policy) }),
      ...(ALPNCallback && { ALPNCallback }),
      ...(highWaterMark !== undefined && { highWaterMark }),
      pauseOnConnect,
    } as tls.TLSSocketOptions);
    const internals = secure as unknown as Internals;
    if (values.allowHalfOpen !== undefined) internals.allowHalfOpen = values.allowHalfOpen;
    await handshake(secure, handshakeTimeout, signal);
    judge(secure, internals, requestCert, rejectUnauthorized);
    internals._releaseControl();
    return secure as unknown as TlsSocket;
  } catch (error) {
    secure?.destroy();
    if (typeof (stream as Duplex | undefined)?.destroy === 'function') stream.destroy();
    throw error;
  }
}

const noPolicy: ServerPolicy = { alpnProtocols: [], requestCert: false, rejectUnauthorized: false };

/** Settles with the handshake. */
function handshake(
  secure: tls.TLSSocket,
  milliseconds: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const late = (): void => end(failure('ERR_TLS_HANDSHAKE_TIMEOUT'));
    const timer = setTimeout(late, milliseconds);
    const abort = (): void => end(aborted(signal!));
    const closed = (): void => end(failure('ECONNRESET'));
    const done = (): void => end();
    const end = (error?: Error): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      secure.off('secure', done).off('_tlsError', end).off('close', closed);
      if (error === undefined) {
        secure.off('error', end);
        resolve();
      } else {
        // It may say more of its end, to nobody.
        secure.on('error', () => {});
        reject(error);
      }
    };
    signal?.addEventListener('abort', abort, { once: true });
    secure.on('secure', done).on('_tlsError', end).on('error', end).on('close', closed);
  });
}

/** What of the client's certificate came: `authorized`, or an end. */
function judge(
  secure: tls.TLSSocket,
  internals: Internals,
  requestCert: boolean,
  rejectUnauthorized: boolean,
): void {
  if (!requestCert) return;
  const error = internals.ssl?.verifyError();
  if (error == null) {
    internals.authorized = true;
    return;
  }
  internals.authorizationError = error.code;
  if (!rejectUnauthorized) return;
  secure.destroy();
  throw error;
}

/** As with the core: nobody gets in by a context that asks more of clients than was asked. */
function guarded(
  SNICallback: NonNullable<AcceptOptions['SNICallback']>,
  policy: ServerPolicy,
): NonNullable<AcceptOptions['SNICallback']> {
  return function (this: unknown, servername, callback) {
    SNICallback.call(this as never, servername, (error, context) => {
      const entry = entryOf(context);
      try {
        if (entry !== undefined) refuseStricterPolicy(entry.policy, policy, 'context');
      } catch (stricter) {
        return callback(stricter);
      }
      callback(error, context);
    });
  };
}

function contextFor(
  options: AcceptOptions,
  defaultContext: tls.SecureContext | null,
  choosing: boolean,
): tls.SecureContext {
  const { context, secureContext } = options;
  if (context != null) return withIdentity(nodeContextOf(context, 'options.context'), choosing);
  if (secureContext != null)
    return withIdentity(nodeContextOf(secureContext, 'options.secureContext'), choosing);
  const names = Object.keys(contextOptions) as (keyof SecureContextOptions)[];
  if (names.some((name) => options[name] != null) || (choosing && defaultContext === null))
    return withIdentity(nodeContextOf(own(options, names), 'options'), choosing);
  if (defaultContext !== null) return withIdentity(defaultContext, choosing);
  const expected =
    'a SecureContext, or options.key and options.cert, or setDefaultContext() before';
  throw failure('ERR_MISSING_ARGS', 'options.context', expected);
}

/** Without a certificate every handshake would fail; only SNICallback may bring one later. */
function withIdentity(context: tls.SecureContext, choosing: boolean): tls.SecureContext {
  if (choosing || hasIdentity(context)) return context;
  throw failure('ERR_MISSING_ARGS', 'options.key', 'a private key with its certificate, PEM');
}

function own(options: AcceptOptions, names: (keyof SecureContextOptions)[]): SecureContextOptions {
  return Object.fromEntries(names.map((name) => [name, options[name]]));
}

function aborted(signal: AbortSignal): Error {
  const error = failure('ABORT_ERR');
  error.cause = signal.reason;
  return error;
}
