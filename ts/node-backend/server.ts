import type { Socket } from 'node:net';
import tls from 'node:tls';
import { refuseStricterPolicy } from '../context-of.js';
import { type CoreOptions, coreOptions } from '../core-options.js';
import { parseOptions } from '../option.js';
import type { ServerStats } from '../stats.js';
import { tellWhatIsAbsent } from './absent.js';
import { entryOf, nodeContextOf, wire } from './secure-context.js';
import { serverFigures } from './stats.js';

/** What Node reads of a server for each connection. */
interface Internals {
  requestCert: boolean;
  rejectUnauthorized: boolean;
  ALPNProtocols?: Uint8Array;
}

/**
 * A server where there is no core: it stays Node's own, with those of offloop's options that Node can
 * honour, and the methods of a server that is on the core.
 *
 * @throws ERR_OFFLOOP_UNSUPPORTED_OPTION for what only the core can do; ERR_INVALID_ARG_TYPE and so on, as there
 */
export function settleOnNode(server: tls.Server, options: CoreOptions): void {
  // First, since some need the core to be read at all.
  tellWhatIsAbsent(options);
  const { maxConnections } = parseOptions(coreOptions, options);
  if (maxConnections !== undefined) server.maxConnections = maxConnections;
  if (options.context != null) serveWith(server, options.context);
  guardContexts(server);
  trackConnections(server);
  hidden(server, 'stats', (): ServerStats => serverFigures(countsOf(server)));
}

/** Connections that Node itself has accepted for a server of offloop: what `drain` has to end. */
export function nodeConnections(server: tls.Server): Iterable<Socket> {
  return tracked.get(server)?.open ?? [];
}

/** As on the core: what the server does not say, its context decides. */
function serveWith(server: tls.Server, given: unknown): void {
  const context = nodeContextOf(given, 'options.context');
  const entry = entryOf(context);
  const internals = server as unknown as Internals;
  if (entry === undefined) {
    (server as unknown as { _sharedCreds: tls.SecureContext })._sharedCreds = context;
    return;
  }
  const { options, policy } = entry;
  server.setSecureContext(options);
  if (!internals.requestCert && policy.requestCert) {
    internals.requestCert = true;
    internals.rejectUnauthorized = policy.rejectUnauthorized;
  }
  if (internals.ALPNProtocols === undefined && policy.alpnProtocols.length > 0)
    internals.ALPNProtocols = wire(policy.alpnProtocols);
  refuseStricterPolicy(policy, internals, 'options.context');
}

function guardContexts(server: tls.Server): void {
  const { addContext } = server;
  hidden(server, 'addContext', (name: string, context: tls.SecureContext) => {
    const entry = entryOf(context);
    if (entry !== undefined)
      refuseStricterPolicy(entry.policy, server as unknown as Internals, 'context');
    addContext.call(server, name, context);
  });
}

/** As methods of a class are: none of the server's own keys. */
function hidden(server: tls.Server, name: string, value: (...args: never[]) => unknown): void {
  Object.defineProperty(server, name, { value, configurable: true, writable: true });
}

interface Tracked {
  accepted: number;
  readonly open: Set<Socket>;
}

const tracked = new WeakMap<tls.Server, Tracked>();

function countsOf(server: tls.Server): { accepted: number; alive: number } {
  const { accepted, open } = tracked.get(server)!;
  return { accepted, alive: open.size };
}

/** In the place of Node's own listener of 'connection': programs see no other, and no more. */
function trackConnections(server: tls.Server): void {
  const counts: Tracked = { accepted: 0, open: new Set() };
  tracked.set(server, counts);
  const [theirs, ...others] = server.rawListeners('connection') as ((socket: Socket) => void)[];
  if (theirs === undefined) return;
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    counts.accepted++;
    counts.open.add(socket);
    socket.once('close', () => counts.open.delete(socket));
    theirs.call(server, socket);
  });
  for (const other of others) server.on('connection', other);
}
