import { proxyTarget, trustedProxies } from './backends.js';
import type { ClientHelloCallback } from './client-hello.js';
import { connectionLimits, limitsOf, serverLimits } from './limits.js';
import { callback, count, flag, type Inputs, oneOf, own } from './option.js';
import type { SecureContext } from './secure-context.js';

/** Where the cost of a handshake is paid; never on the event loop. */
export type Offload = 'auto' | 'always' | 'never';

/** Options of a connection that Node has not. */
export const handshakeOptions = {
  /** What a connection may take, and for how long: see docs/limits.md. */
  limits: own(limitsOf(connectionLimits)),
  /**
   * Where handshakes are computed: `always` in the pool, `never` there but on the I/O worker,
   * `auto` on the worker while it has nothing else to do and the handshake is cheap. Default: auto.
   */
  offload: own(oneOf<Offload>(['auto', 'always', 'never'], 'auto')),
  /**
   * Decides about each client by its ClientHello, before any cryptography is done for it: nothing,
   * `{ reject: alert }` or `{ context }`, or a promise of it. What it throws, and what never comes
   * within `handshakeTimeout`, ends that connection. Default: none is asked.
   */
  clientHello: own(callback<ClientHelloCallback>()),
};

/** What offloop's servers take beside Node's options. */
export const coreOptions = {
  ...handshakeOptions,
  /** What a server takes on, and what a connection may take: see docs/limits.md. */
  limits: own(limitsOf(serverLimits)),
  /**
   * A server that needs what the core can't do becomes Node's own, with a warning, instead of an
   * error; not one with a context of offloop, with which Node can't serve. Default: false.
   */
  fallback: own(flag(false)),
  /** Connections beyond this are dropped with a 'drop' event; a property in Node. Default: no limit. */
  maxConnections: own(count(undefined, 2 ** 32 - 1)),
  /**
   * Peers that are proxies: their connections begin with a PROXY header, v1 or v2, and must; the
   * addresses in it are those of the socket, of limits and of figures. See docs/proxy.md. Default:
   * none, a header is no TLS.
   */
  proxyProtocol: trustedProxies(),
  /**
   * Passes plaintext on to backends, off the event loop: no 'secureConnection' is emitted. A place,
   * several, or `{ backends, sendProxyProtocol, connectTimeout, checkInterval }`; see docs/proxy.md.
   * Default: none.
   */
  proxyTo: own(proxyTarget()),
};

/** What Node's own server would leave out: it would let in whom they refuse, or answer itself. */
export const onlyOnCore = ['clientHello', 'proxyTo', 'proxyProtocol'] as const;

export interface CoreOptions extends Inputs<typeof coreOptions> {
  /** The context, instead of `key`, `cert` and the rest. Node can't serve with it. */
  context?: SecureContext | undefined;
}
