import https from 'node:https';
import http2 from 'node:http2';
import tls from 'node:tls';
import { warnOfNodeBackend } from './fallback.js';
import { createSecureContext } from './node-context.js';
import { attaching, settleServer } from './server.js';
import { tlsSocketClass } from './tls-socket-class.js';

/**
 * What stands in the place of exports of Node's modules, in the drop-in modules (`offloop/tls` and
 * so on) and under `offloop/register`. `fallback`: see ServerOptions.
 */
export function replacements(fallback: boolean): Replacements {
  warnOfNodeBackend();
  const TlsServer = attaching(tls.Server as never, fallback) as unknown as typeof tls.Server;
  const HttpsServer = attaching(https.Server as never, fallback) as unknown as typeof https.Server;
  return {
    tls: {
      Server: TlsServer,
      createServer: makes(TlsServer) as typeof tls.createServer,
      createSecureContext,
      TLSSocket: tlsSocketClass({ fallback }),
    },
    https: {
      Server: HttpsServer,
      createServer: makes(HttpsServer) as typeof https.createServer,
    },
    http2: {
      createSecureServer: function createSecureServer(options, handler) {
        const server = nodesCreateSecureServer(options as object, handler as () => void);
        settleServer(server, options, fallback);
        return server;
      } as typeof http2.createSecureServer,
    },
  };
}

export interface Replacements {
  tls: Pick<typeof tls, 'Server' | 'createServer' | 'createSecureContext' | 'TLSSocket'>;
  https: Pick<typeof https, 'Server' | 'createServer'>;
  http2: Pick<typeof http2, 'createSecureServer'>;
}

// Before `offloop/register` may put ours in its place.
const { createSecureServer: nodesCreateSecureServer } = http2;

/** With the name and the parameters of Node's functions: some programs count them. */
function makes(Server: new (...args: never[]) => object): unknown {
  return function createServer(options: never, listener: never) {
    return new Server(options, listener);
  };
}

/**
 * Node's module with some exports replaced. Whatever else is read there is what Node's module has at
 * that time, tracing and patches included. Every export is a plain property, as there, so that mocks
 * can stand in for functions; other values are set in Node's module.
 */
export function dropIn<M extends object>(module: M, replaced: Partial<M>): M {
  // The target has what was put in the place of functions.
  const put = {} as Record<PropertyKey, unknown>;
  const current = (name: PropertyKey): unknown => {
    const from = Object.hasOwn(replaced, name) ? replaced : module;
    return (from as Record<PropertyKey, unknown>)[name];
  };
  return new Proxy(put as M, {
    get: (_, name) => (Object.hasOwn(put, name) ? put[name] : current(name)),
    has: (_, name) => Object.hasOwn(put, name) || name in module,
    ownKeys: () => [...new Set([...Reflect.ownKeys(put), ...Reflect.ownKeys(module)])],
    getOwnPropertyDescriptor(_, name) {
      const own = Object.getOwnPropertyDescriptor(put, name);
      if (own !== undefined) return own;
      const theirs = Object.getOwnPropertyDescriptor(module, name);
      if (theirs === undefined) return undefined;
      const enumerable = theirs.enumerable === true;
      return { value: current(name), writable: true, enumerable, configurable: true };
    },
    set(_, name, value) {
      if (typeof current(name) === 'function') {
        Object.defineProperty(put, name, {
          value,
          writable: true,
          enumerable: true,
          configurable: true,
        });
        return true;
      }
      return Reflect.set(module, name, value);
    },
    defineProperty(_, name, property) {
      Object.defineProperty(put, name, { ...property, configurable: true });
      // Put back: what Node's module has is read again.
      if (property.value === current(name)) delete put[name];
      return true;
    },
  });
}
