import https from 'node:https';
import http2 from 'node:http2';
import tls from 'node:tls';
import { createSecureContext } from './node-context.js';
import { attaching, settleServer } from './server.js';
import { tlsSocketClass } from './tls-socket-class.js';

/**
 * What stands in the place of exports of Node's modules, in the drop-in modules (`offloop/tls` and
 * so on) and under `offloop/register`. `fallback`: see ServerOptions.
 */
export function replacements(fallback: boolean): Replacements {
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
 * Node's module with some exports replaced. Functions are plain properties as there, so that mocks
 * can stand in for them; whatever else is read or set there is Node's.
 */
export function dropIn<M extends object>(module: M, replaced: Partial<M>): M {
  const exports = {} as M;
  for (const [key, property] of Object.entries(Object.getOwnPropertyDescriptors(module))) {
    const name = key as keyof M;
    const value: unknown = Object.hasOwn(replaced, name) ? replaced[name] : property.value;
    Object.defineProperty(exports, name, {
      enumerable: property.enumerable ?? true,
      configurable: true,
      ...(typeof value === 'function'
        ? { value, writable: true }
        : {
            get: () => module[name],
            set: (given: M[keyof M]) => (module[name] = given),
          }),
    });
  }
  return exports;
}
