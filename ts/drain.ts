import type { ServerResponse } from 'node:http';
import type { Http2Session, Http2Server } from 'node:http2';
import type https from 'node:https';
import net, { type Socket } from 'node:net';
import tls from 'node:tls';
import { acceptRestAtClose } from './attach.js';
import { failure, received } from './errors.js';
import { existingHub } from './hub.js';
import { internalOf } from './internals.js';
import { count, parseOptions } from './option.js';
import { TlsSocket } from './tls-socket.js';

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
 * HTTP/1: each answer from now on says `Connection: close`. Idle connections are not cut, since
 * their next request may be on its way: they end with it, or by `keepAliveTimeout`. HTTP/2: as RFC
 * 9113, 6.8: a first GOAWAY tells the client, a later one refuses new streams; servers that fell back
 * send only the second.
 * Connections of other protocols are for the program to end, which knows how.
 *
 * For servers that offloop made, fallen back or not, or adopted; again calls give the same promise.
 * Rejects with ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE and ERR_OUT_OF_RANGE.
 */
export function drain(server: tls.Server, options: DrainOptions = {}): Promise<Drained> {
  const known = draining.get(server);
  if (known !== undefined) return known;
  const promise = drainOnce(server, options);
  draining.set(server, promise);
  // Not one that was called wrongly.
  promise.catch(() => draining.delete(server));
  return promise;
}

const draining = new WeakMap<tls.Server, Promise<Drained>>();

const drainOptions = { timeout: count(30_000, 2 ** 31 - 1) };

async function drainOnce(server: tls.Server, options: DrainOptions): Promise<Drained> {
  if (!(server instanceof tls.Server))
    throw failure('ERR_INVALID_ARG_TYPE', 'server', 'an instance of tls.Server', received(server));
  const open = sessions.get(server);
  if (open === undefined) {
    const expected = 'a server that offloop made or adopted';
    throw failure('ERR_INVALID_ARG_VALUE', 'server', expected, 'another');
  }
  const { timeout } = parseOptions(drainOptions, options);
  let forced = 0;
  const force = async (): Promise<void> => {
    forced = await connectionsOf(server);
    for (const session of open) session.destroy();
    for (const socket of socketsOf(server)) socket.destroy();
    // Those that Node accepted itself.
    (server as Partial<https.Server>).closeAllConnections?.();
  };
  acceptRestAtClose(server);
  // That of http would cut idle connections first.
  const closed = new Promise((resolve) => net.Server.prototype.close.call(server, resolve));
  finishRequests(server);
  for (const session of open) finishStreams(session);
  const deadline = setTimeout(() => void force(), timeout);
  await closed;
  clearTimeout(deadline);
  server.off('request', sayClose);
  // What else http's would have done.
  clearInterval(internalOf(server, 'http.server.connectionsCheckingInterval') as NodeJS.Timeout);
  return { forced };
}

function connectionsOf(server: tls.Server): Promise<number> {
  return new Promise((resolve, reject) =>
    server.getConnections((error, number) => (error ? reject(error) : resolve(number))),
  );
}

type Responding = Socket & { _httpMessage?: ServerResponse | null };

/** HTTP/1: every answer whose head is not out is the last of its connection. */
function finishRequests(server: tls.Server): void {
  for (const socket of socketsOf(server)) {
    const response = (socket as Responding)._httpMessage;
    if (response?.headersSent === false) response.shouldKeepAlive = false;
  }
  // On an HTTP/2 server the first such listener turns every stream into a request.
  if (server.listenerCount('request') > 0) server.prependListener('request', sayClose);
}

function sayClose(request: { httpVersionMajor: number }, response: ServerResponse): void {
  if (request.httpVersionMajor === 1) response.shouldKeepAlive = false;
}

/** GOAWAY with the highest stream number and no error. */
const SHUTDOWN_NOTICE = Buffer.from('0000080700000000007fffffff00000000', 'hex');

function finishStreams(session: Http2Session): void {
  if (session.closed || session.destroyed) return;
  const close = (): void => session.close();
  const { stream } = session.socket as { stream?: unknown };
  // With its own GOAWAY nghttp2 ignores new streams. What Node writes are whole frames, so that one
  // may go between; in Node's own sockets there is no way to.
  if (!(stream instanceof TlsSocket) || !stream.writable) return close();
  stream.write(SHUTDOWN_NOTICE);
  // A client's answer to the first ping may overtake streams that it has opened already.
  const pingAgain = (): void => void (session.destroyed || session.ping(close) || close());
  if (!session.ping(pingAgain)) close();
}

/** Sockets of the core that came by this server. */
function* socketsOf(server: tls.Server): Iterable<Socket> {
  for (const socket of existingHub()?.sockets() ?? [])
    if ((socket as { server?: unknown }).server === server) yield socket;
}

/** Of servers that can be drained: what is open of HTTP/2. */
const sessions = new WeakMap<tls.Server, Set<Http2Session>>();

/** Gives a server the method `drain`, and what that needs to know of it. */
export function makeDrainable(server: tls.Server): void {
  if (sessions.has(server)) return;
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
