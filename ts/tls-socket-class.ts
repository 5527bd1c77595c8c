import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import { canFallBack, warnOfFallback } from './fallback.js';
import { backend } from './native.js';
import { type ServerTlsSocketOptions, serverTlsSocket } from './server-tls-socket.js';

// Before `offloop/register` may put ours in its place.
const NodeSocket = tls.TLSSocket;

/**
 * What stands in the place of `tls.TLSSocket`: with a stream and `isServer`, it makes a TlsSocket
 * on the core; clients, and the sockets of subclasses, are Node's own. `fallback`: so are, with a
 * warning, those that need what the core can't do, instead of an error.
 */
export function tlsSocketClass({ fallback }: { fallback: boolean }): typeof tls.TLSSocket {
  if (backend === 'node') return NodeSocket;
  const replacement: typeof tls.TLSSocket = new Proxy(NodeSocket, {
    construct(target, args, derived: NewableFunction) {
      const [stream, options] = args as [Duplex?, ServerTlsSocketOptions?];
      if (derived !== replacement) return Reflect.construct(target, args, derived);
      if (!stream || !options?.isServer) return Reflect.construct(target, args);
      try {
        return serverTlsSocket(stream, options);
      } catch (error) {
        if (!fallback || !canFallBack(error)) throw error;
        warnOfFallback('A server-side TLSSocket', error);
        return Reflect.construct(target, args);
      }
    },
  });
  return replacement;
}
