import tls from 'node:tls';
import { attach } from './attach.js';
import type { CoreOptions } from './core-options.js';
import { makeDrainable } from './drain.js';
import { failure, received } from './errors.js';
import { backend } from './native.js';
import { settleOnNode } from './node-backend/server.js';
import type { OnCore } from './server.js';

/** A server on the core, and the way back. */
export interface Adopted extends OnCore {
  /**
   * The server is Node's own again: what connects from now on costs the event loop. Connections
   * that are open stay on the core until they end. Idempotent.
   *
   * @throws ERR_OFFLOOP_UNSUPPORTED_OPTION, and the server stays on the core, if it was given a
   * context of offloop's `createSecureContext`, as an option or by `addContext`: Node can't serve
   * with it. Contexts of `offloop/tls` are no hindrance.
   */
  release(): void;
  /** Releases: for `using`. */
  [Symbol.dispose](): void;
}

/**
 * Moves an existing server onto the core, in place: one made by `tls.createServer`,
 * `https.createServer` or `http2.createSecureServer`, by a framework for example, listening or
 * not. Its contexts come with it; those of `addContext` only if they were made by `offloop/tls` or
 * under `offloop/register`, since Node tells nobody a context's key.
 *
 * Connections that are open already stay with Node.
 *
 * @throws ERR_OFFLOOP_UNSUPPORTED_OPTION where the server needs what the core can't do,
 * ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE if it is on the core already.
 */
export function adopt(server: tls.Server, options: Omit<CoreOptions, 'fallback'> = {}): Adopted {
  if ((options as CoreOptions).fallback !== undefined) {
    const expected = 'absent: a server that stays as it is, is not adopted';
    throw failure('ERR_INVALID_ARG_VALUE', 'options.fallback', expected, 'one');
  }
  if (backend === 'node') return adoptOnNode(server, options);
  const attachment = attach(server, { ...options, fallback: false });
  makeDrainable(server);
  const release = (): void => attachment.detach();
  return { stats: () => attachment.stats(), release, [Symbol.dispose]: release };
}

/** Without a core a server stays where it is; there is nothing to come back from but a context. */
function adoptOnNode(server: tls.Server, options: CoreOptions): Adopted {
  if (!(server instanceof tls.Server))
    throw failure('ERR_INVALID_ARG_TYPE', 'server', 'an instance of tls.Server', received(server));
  if (Object.hasOwn(server, 'stats')) {
    const expected = 'a server that is not adopted yet';
    throw failure('ERR_INVALID_ARG_VALUE', 'server', expected, 'one that is');
  }
  makeDrainable(server);
  settleOnNode(server, options);
  const release = (): void => {
    if (options.context == null) return;
    const reason = "Node can't serve with options.context, a context of offloop";
    throw failure('ERR_OFFLOOP_UNSUPPORTED_OPTION', 'release()', reason);
  };
  const { stats } = server as unknown as OnCore;
  return { stats, release, [Symbol.dispose]: release };
}
