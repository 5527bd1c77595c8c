import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2Session, Http2Server } from 'node:http2';
import type https from 'node:https';
import net, { type Socket } from 'node:net';
import tls from 'node:tls';
import { coreOf } from './attach.js';
import { failure, received } from './errors.js';
import { existingHub } from './hub.js';
import { nodeConnections } from './node-backend/server.js';
import { internalOf } from './internals.js';
import { count, optionsObject, parseOptions } from './option.js';
import { TlsSocket } from './tls-socket.js';

/** Options of `drain`. */
export interface DrainOptions {
  /** How long connections may go on, in milliseconds. Default: 30,000. */
  timeout?: number | undefined;
}

/** How it went. */
export interface Drained {
  /** Connections that were still open when the time was up, and were destroyed. */
  forced: number;
}

/**
 * Lets a server end without losing a request: it accepts no more, handshakes and requests under way
 * are finished, and what is still open after `timeout` is destroyed. Settles when the server has
 * closed.
 *
 * HTTP/1: each request that comes from now on is answered with `Connection: close`, unless the
 * program sets that header itself. Idle connections are not cut, since their next request may be on
 * its way: they end with it, or by `keepAliveTimeout`. HTTP/2: as RFC 9113, 6.8: a first GOAWAY
 * tells the client, a later one refuses new streams; servers that fell back send only the second.
 * Connections of other protocols are for the program to end, which knows how. Those that have sent
 * nothing, not a byte of a ClientHello, are closed after a second.
 *
 * Clients that have connected but were not accepted yet are served where the core accepts; where
 * Node does, and on Unix sockets, closing resets them.
 *
 * For servers that offloop made, fallen back or not, or adopted; while one drains, again calls give
 * the same promise. Rejects with ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE and ERR_OUT_OF_RANGE.
 */
export async function drain(server: tls.Server, options?: DrainOptions): Promise<Drained> {
  if (!(server instanceof tls.Server))
    throw failure('ERR_INVALID_ARG_TYPE', 'server', 'an instance of tls.Server', received(server));
  const { timeout } = parseOptions(drainOptions, optionsObject(options));
  const open = sessions.get(server);
  if (open === undefined) {
    // Another copy of offloop may have made it.
    const { drain: theirs } = server as { drain?: (options?: DrainOptions) => Promise<Drained> };
    if (typeof theirs === 'function') return theirs.call(server, options);
    const expected = 'a server that offloop made or adopted';
    throw failure('ERR_INVALID_ARG_VALUE', 'server', expected, 'another');
  }
  let promise = draining.get(server);
  if (promise === undefined) {
    promise = drainOnce(server, open, timeout).finally(() => draining.delete(server));
    draining.set(server, promise);
  }
  return promise;
}

/** How long clients that have connected may take for their first byte, in ms. */
const SILENCE = 1000;

const draining = new WeakMap<tls.Server, Promise<Drained>>();

const drainOptions = { timeout: count(30_000, 2 ** 31 - 1) };

async function drainOnce(
  server: tls.Server,
  open: ReadonlySet<Http2Session>,
  timeout: number,
): Promise<Drained> {
  let forced = 0;
  const force = async (): Promise<void> => {
    forced = await connectionsOf(server);
    for (const session of open) session.destroy();
    for (const socket of existingHub()?.sockets() ?? [])
      if ((socket as { server?: unknown }).server === server) socket.destroy();
    coreOf(server)?.cutHandshakes();
    // Those that Node accepted itself.
    for (const socket of nodeConnections(server)) socket.destroy();
    (server as Partial<https.Server>).closeAllConnections?.();
  };
  const acceptRest = (accepts: boolean): void => {
    const core = coreOf(server);
    if (core !== undefined) core.acceptsRest = accepts;
  };
  acceptRest(true);
  // That of http would cut idle connections first.
  const closed = new Promise((resolve) => net.Server.prototype.close.call(server, resolve));
  acceptRest(false);
  // On an HTTP/2 server the first such listener turns every stream into a request.
  const events = requests.filter((event) => server.listenerCount(event) > 0);
  for (const event of events) server.prependListener(event, sayClose);
  for (const session of open) finishStreams(session);
  const deadline = setTimeout(() => void force(), timeout);
  const silence = setTimeout(() => coreOf(server)?.cutSilent(), SILENCE);
  await closed;
  clearTimeout(deadline);
  clearTimeout(silence);
  for (const event of events) server.off(event, sayClose);
  // What else http's would have done.
  clearInterval(internalOf(server, 'http.server.connectionsCheckingInterval') as NodeJS.Timeout);
  return { forced };
}

function connectionsOf(server: tls.Server): Promise<number> {
  return new Promise((resolve, reject) =>
    server.getConnections((error, number) => (error ? reject(error) : resolve(number))),
  );
}

const requests = ['request', 'checkContinue', 'checkExpectation'];

/** The answer that each connection is to end with. */
const last = new WeakMap<Socket, { response: ServerResponse; keepsAlive: boolean }>();

function sayClose(request: IncomingMessage, response: ServerResponse): void {
  if (request.httpVersionMajor !== 1) return;
  const { socket } = request;
  // One that was sent on its heels is answered too.
  const before = last.get(socket);
  if (before?.response.headersSent === false) before.response.shouldKeepAlive = before.keepsAlive;
  last.set(socket, { response, keepsAlive: response.shouldKeepAlive });
  response.shouldKeepAlive = false;
}

/** GOAWAY with the highest stream number and no error. */
const SHUTDOWN_NOTICE = Buffer.from('0000080700000000007fffffff00000000', 'hex');

function finishStreams(session: Http2Session): void {
  // With its own GOAWAY nghttp2 ignores new streams. What Node writes are whole frames, so that one
  // may go between; in Node's own sockets there is no way to.
  const notify = (): void => {
    const { stream } = session.socket as { stream?: unknown };
    if (stream instanceof TlsSocket && stream.writable) stream.write(SHUTDOWN_NOTICE);
  };
  // The first answer says that the session has begun: with its settings, which must come before. The
  // client's next may overtake streams that it has opened already, the last can not.
  const steps = [notify, () => {}, () => session.close()];
  const next = (): void => {
    const step = steps.shift();
    if (step === undefined || session.closed || session.destroyed) return;
    if (!session.ping(() => (step(), next()))) session.close();
  };
  next();
}

/** Of servers that can be drained: what is open of HTTP/2. */
const sessions = new WeakMap<tls.Server, Set<Http2Session>>();

/** Gives a server the method `drain`, and what that needs to know of it. */
export function makeDrainable(server: tls.Server): void {
  // Another copy of offloop may have been first.
  if (Object.hasOwn(server, 'drain')) return;
  Object.defineProperty(server, 'drain', {
    value: (options?: DrainOptions) => drain(server, options),
    configurable: true,
    writable: true,
  });
  const open = new Set<Http2Session>();
  sessions.set(server, open);
  if (!('updateSettings' in server)) return;
  (server as unknown as Http2Server).on('session', (session) => {
    open.add(session);
    session.once('close', () => open.delete(session));
    if (draining.has(server)) finishStreams(session);
  });
}
