// The servers under comparison, by name: each serves a stream handler, an HTTP/1 handler or an HTTP/2
// handler on 127.0.0.1, port 0. Options are the defaults of each, but for key and certificate. offloop
// is resolved by its own name, so that what users get is what is measured.
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';

export const targetNames = ['node', 'offloop', 'plain'];

const targets = {
  node: {
    stream: (credentials, listener) => tls.createServer(credentials, listener),
    request: (credentials, listener) => https.createServer(credentials, listener),
    http2: (credentials, listener) => http2.createSecureServer(credentials, listener),
    connectionEvent: 'secureConnection',
  },
  offloop: {
    stream: async (credentials, listener) =>
      (await import('offloop/tls')).createServer(credentials, listener),
    request: async (credentials, listener) =>
      (await import('offloop/https')).createServer(credentials, listener),
    http2: async (credentials, listener) =>
      (await import('offloop/http2')).createSecureServer(credentials, listener),
    connectionEvent: 'secureConnection',
  },
  plain: {
    stream: (_credentials, listener) => net.createServer(listener),
    request: (_credentials, listener) => http.createServer(listener),
    http2: (_credentials, listener) => http2.createServer(listener),
    connectionEvent: 'connection',
  },
};

/** Starts `service` on the target of that name; `onConnection` is called for each connection. */
export async function listenAs(name, service, credentials, onConnection) {
  const target = targets[name];
  const [kind, listener] = Object.entries(service)[0];
  const server = await target[kind](credentials, listener);
  server.on(target.connectionEvent, onConnection);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
