// The servers under comparison, by name: each serves a stream handler or an HTTP handler on
// 127.0.0.1, port 0. Options are the defaults of each, but for key and certificate.
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';

export const targetNames = ['node', 'offloop', 'plain'];

const targets = {
  node: {
    stream: (credentials, listener) => tls.createServer(credentials, listener),
    request: (credentials, listener) => https.createServer(credentials, listener),
    connectionEvent: 'secureConnection',
  },
  offloop: {
    stream: async (credentials, listener) => (await offloop()).createServer(credentials, listener),
    request: async (credentials, listener) => {
      const server = http.createServer(listener);
      // An http server that never listened has no timeouts.
      server.emit('listening');
      return (await offloop()).createServer(credentials, (socket) => {
        server.emit('connection', socket);
      });
    },
    connectionEvent: 'secureConnection',
  },
  plain: {
    stream: (_credentials, listener) => net.createServer(listener),
    request: (_credentials, listener) => http.createServer(listener),
    connectionEvent: 'connection',
  },
};

/** Starts `service` on the target of that name; `onConnection` is called for each connection. */
export async function listenAs(name, service, credentials, onConnection) {
  const target = targets[name];
  const server = service.stream
    ? await target.stream(credentials, service.stream)
    : await target.request(credentials, service.request);
  server.on(target.connectionEvent, onConnection);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

// Resolved by the package's own name, so that what users get is what is measured.
const offloop = () => import('offloop');
