import tls from 'node:tls';
import { attach, isAttached } from './attach.js';
import { type CoreOptions, coreOptions, onlyOnCore } from './core-options.js';
import { type Drained, type DrainOptions, makeDrainable } from './drain.js';
import { failure } from './errors.js';
import { canFallBack, warnOfFallback } from './fallback.js';
import { backend } from './native.js';
import { settleOnNode } from './node-backend/server.js';
import { SecureContext } from './secure-context.js';
import type { ServerStats } from './stats.js';
import type { TlsSocket } from './tls-socket.js';

/** Options of a Server: all of tls.createServer's, and offloop's own. */
export interface ServerOptions extends tls.TlsOptions, CoreOptions {}

/** Gets each connection whose handshake is done. */
export type SecureConnectionListener = (socket: TlsSocket) => void;

/**
 * A `tls.Server` whose connections are accepted, shaken hands with and decrypted off the event
 * loop. Its options, methods and events are Node's.
 *
 * More than Node's: 'acceptError' (error) when accept(2) fails, EMFILE and alike; it goes on.
 */
export interface Server extends tls.Server, OnCore {
  /**
   * Takes contexts of offloop too.
   *
   * @throws as Node's, ERR_OFFLOOP_UNSUPPORTED_OPTION, and ERR_INVALID_ARG_VALUE for a context that
   * asks more of clients, by `requestCert` and `rejectUnauthorized`, than the server does.
   */
  addContext(
    hostname: string,
    context: tls.SecureContextOptions | tls.SecureContext | SecureContext,
  ): void;
  /** See `drain` of offloop. */
  drain(options?: DrainOptions): Promise<Drained>;
}

export interface ServerConstructor {
  /** @throws as tls.createServer, and ERR_OFFLOOP_UNSUPPORTED_OPTION. */
  new (
    options?: ServerOptions | SecureConnectionListener,
    listener?: SecureConnectionListener,
  ): Server;
  (options?: ServerOptions | SecureConnectionListener, listener?: SecureConnectionListener): Server;
  readonly prototype: tls.Server;
}

/** What every server has while it is on the core. */
export interface OnCore {
  /** Connections, handshakes and bytes of this server since it came to the core. */
  stats(): ServerStats;
}

type Constructor = abstract new (...args: never[]) => tls.Server;

/**
 * Node's server class, whose instances go onto the core as they are made: with `new`, called as a
 * function, by subclasses, and by those in the old style, `Server.call(this, ...)`.
 */
export function attaching<C extends Constructor>(NodeServer: C, fallback: boolean): C {
  const settle = (server: unknown, [options]: unknown[]): tls.Server => {
    settleServer(server as tls.Server, options, fallback);
    return server as tls.Server;
  };
  return new Proxy(NodeServer, {
    construct: (target, args, derived) => settle(Reflect.construct(target, args, derived), args),
    apply(target, self: unknown, args) {
      if (!(self instanceof target)) return settle(Reflect.construct(target, args), args);
      Reflect.apply(target as unknown as () => void, self, args);
      return void settle(self, args);
    },
  });
}

/** `new`, or called as a function; also to be extended. As `tls.Server`. */
export const Server = attaching(tls.Server as unknown as Constructor, false) as ServerConstructor;

/** Makes a Server; `listener` is one of 'secureConnection'. Throws as its constructor does. */
export function createServer(
  options?: ServerOptions | SecureConnectionListener,
  listener?: SecureConnectionListener,
): Server {
  return new Server(options, listener);
}

/**
 * Moves a server that was just made onto the core, unless a constructor beneath did so already.
 * With `fallback` a server that needs what the core can't do stays Node's own, with a warning,
 * unless it has a context of offloop, with which Node can't serve.
 */
export function settleServer(server: tls.Server, options: unknown, fallback: boolean): void {
  makeDrainable(server);
  if (isAttached(server)) return;
  const own = coreOptionsOf(options, fallback);
  if (backend === 'node') return settleOnNode(server, own);
  const { bun, deno } = process.versions;
  if (bun !== undefined || deno !== undefined) {
    const reason = 'only servers of Node itself can be moved onto the core';
    const needed = (['context', ...onlyOnCore] as const).find((name) => own[name] != null);
    if (needed !== undefined)
      throw failure('ERR_OFFLOOP_UNSUPPORTED_OPTION', `options.${needed}`, reason);
    return warnOfFallback('A server', new Error(reason));
  }
  try {
    attach(server, own);
  } catch (error) {
    // Node's own server would be without it.
    const needed = (['context', ...onlyOnCore] as const).some((name) => own[name] != null);
    if (own.fallback !== true || needed || !canFallBack(error)) throw error;
    warnOfFallback('A server', error);
  }
}

/**
 * Node ignores options that it does not know; ours are read here. A program that is registered may
 * have options of such names that mean something else: of those only a context is taken.
 */
function coreOptionsOf(options: unknown, registered: boolean): CoreOptions {
  if (typeof options !== 'object' || options === null) return { fallback: registered };
  const given = options as CoreOptions;
  const { context } = given;
  if (registered) return { fallback: true, ...(context instanceof SecureContext && { context }) };
  const names = Object.keys(coreOptions) as (keyof typeof coreOptions)[];
  return { context, ...Object.fromEntries(names.map((name) => [name, given[name]])) };
}
