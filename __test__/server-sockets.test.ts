/** Sockets that a server has before their handshakes are over, with the events of a tls.Server. */
import { once } from 'node:events';
import { createRequire } from 'node:module';
import net from 'node:net';
import tls from 'node:tls';

import type { TlsSocket } from 'offloop';
import { beforeAll, expect, test } from 'vitest';

import type * as serverSocket from '../dist/server-socket.js';
import { Authority, type Issued } from './support/certificates.js';
import { connect } from './support/disposables.js';
import { closed, until } from './support/streams.js';
import { offloopSockets, type SocketOptions } from './support/tls-socket-classes.js';

const { serve } = createRequire(import.meta.url)('../dist/server-socket.js') as typeof serverSocket;

let identity: Issued;

beforeAll(async () => {
  identity = await (await Authority.create()).issue();
});

interface Visited {
  readonly port: number;
  readonly server: tls.Server;
}

/** A server of Node's, and one whose sockets are ours. */
const kinds: [string, (options: SocketOptions) => tls.Server][] = [
  ['node:tls', (options) => tls.createServer({ ...identity, ...options } as tls.TlsOptions)],
  [
    'offloop',
    (options) => {
      const server = tls.createServer({ ...identity, ...options } as tls.TlsOptions);
      server.removeAllListeners('connection');
      return server.on('connection', (stream) => {
        const given = { isServer: true, ...identity, server, ...options };
        serve(new offloopSockets.TLSSocket(stream, given) as TlsSocket, server);
      });
    },
  ],
];

const visits: [string, SocketOptions, (visited: Visited) => Promise<unknown>][] = [
  [
    'a client',
    {},
    async ({ port, server }) => {
      const client = connect(port);
      const [socket] = (await once(server, 'secureConnection')) as [tls.TLSSocket];
      const released = socket.listenerCount('error');
      client.resume().end();
      await closed(socket.resume());
      return released;
    },
  ],
  [
    'no TLS',
    {},
    async ({ port }) => {
      const client = net.connect(port, '127.0.0.1').on('error', () => {});
      client.write(Buffer.alloc(1024, 42));
      await once(client.resume(), 'close');
    },
  ],
  [
    'a client that leaves before it says anything',
    {},
    async ({ port, server }) => {
      net.connect(port, '127.0.0.1').end().resume();
      const [, socket] = (await once(server, 'tlsClientError')) as [Error, tls.TLSSocket];
      return [socket.destroyed, socket.alpnProtocol, socket.servername];
    },
  ],
  [
    'a client whose handshake is given up by SNICallback',
    {
      SNICallback(_name: string, answer: (error: Error) => void) {
        answer(Object.assign(new Error('mine'), { code: 'MINE' }));
      },
    } as SocketOptions,
    async ({ port, server }) => {
      connect(port, { servername: 'example.test' }).on('error', () => {});
      const [, socket] = (await once(server, 'tlsClientError')) as [Error, tls.TLSSocket];
      return [socket.destroyed, socket.alpnProtocol];
    },
  ],
];

test.for(visits)('%s: the same events as of node:tls', async ([, options, visit]) => {
  const outcomes: unknown[] = [];
  for (const [, create] of kinds) {
    const server = create(options);
    const events: string[] = [];
    server.on('secureConnection', (socket) => events.push(`secure ${state(socket)}`));
    server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) =>
      events.push(`error ${error.code} ${state(socket)}`),
    );
    const lines: string[] = [];
    server.on('keylog', (line: Buffer, socket: unknown) =>
      lines.push(`${String(line).split(' ')[0]} ${socket instanceof tls.TLSSocket}`),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as net.AddressInfo;
    const result = await visit({ port, server });
    await until(() => events.length > 0);
    await new Promise((resolve) => server.close(resolve));
    outcomes.push({ events, result, lines: lines.slice(0, 5).toSorted() });
  }
  expect(outcomes[1]).toStrictEqual(outcomes[0]);
});

function state(socket: tls.TLSSocket): string {
  const { secureConnecting, _controlReleased } = socket as unknown as Record<string, boolean>;
  return [secureConnecting, _controlReleased, socket.authorized, socket.encrypted].join();
}
