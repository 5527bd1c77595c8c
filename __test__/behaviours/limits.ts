/** maxConnections, handshakeTimeout and what else bounds a server. */
import { once } from 'node:events';
import net from 'node:net';
import { getDefaultHighWaterMark } from 'node:stream';
import type { TLSSocket } from 'node:tls';

import { closed, until } from '../support/streams.js';
import type { Row } from './row.js';
import { attempt, failure, order, promised, tell } from './stage.js';

export const limits: Row[] = [
  {
    name: 'maxConnections: whoever is too many is dropped, with an event',
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      server.maxConnections = 1;
      const { port, client, socket } = await stage.pair(server);
      const dropped = once(server, 'drop') as Promise<[net.DropArgument]>;
      const { secure } = await stage.visit(port);
      const [facts] = await dropped;
      client.end();
      await closed(socket.resume());
      await until(() => {
        let count = -1;
        server.getConnections((_, value) => (count = value));
        return count <= 0;
      });
      tell(server);
      const { heard } = await stage.visit(port);
      return [
        secure,
        facts.localAddress,
        facts.localPort === port,
        facts.localFamily,
        facts.remoteAddress,
        typeof facts.remotePort,
        facts.remoteFamily,
        heard,
      ];
    },
  },
  {
    name: 'maxConnections counts handshakes that are not done',
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      server.maxConnections = 1;
      const port = await stage.listen(server);
      const raw = stage.raw(port);
      await once(raw, 'connect');
      const dropped = once(server, 'drop');
      const { secure } = await stage.visit(port);
      await dropped;
      // Its 'tlsClientError' is awaited, so that it belongs to this row.
      const failed = failure(server);
      raw.destroy();
      return [secure, await failed];
    },
  },
  {
    name: 'maxConnections that is set later, and taken back',
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      const { port } = await stage.pair(server);
      server.maxConnections = 1;
      const first = await stage.visit(port);
      server.maxConnections = undefined as never;
      tell(server);
      const second = await stage.visit(port);
      return [first.secure, second.heard];
    },
    expect: [false, 'hello'],
  },
  {
    name: 'maxConnections: zero',
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      server.maxConnections = 0;
      const port = await stage.listen(server);
      stage.connect(port);
      const outcome = await Promise.race([
        once(server, 'secureConnection').then(() => 'let in'),
        once(server, 'drop').then(() => 'dropped'),
      ]);
      server.maxConnections = 10;
      tell(server);
      return [outcome, (await stage.visit(port)).heard];
    },
    different: {
      reason: 'Zero lets nobody in, as in Node 22; before, it meant no limit.',
      ours: ['dropped', 'hello'],
    },
  },
  {
    name: 'handshakeTimeout: a silent client',
    run: async ({ tls }, stage) => {
      const server = tls.createServer({ ...stage.material.ecdsa, handshakeTimeout: 60 });
      server.on('tlsClientError', (_error, socket) => socket.destroy());
      const port = await stage.listen(server);
      const failed = failure(server);
      const raw = stage.raw(port);
      const over = closed(raw.resume());
      const seen = await failed;
      await over;
      return seen;
    },
    expect: {
      name: 'Error',
      code: 'ERR_TLS_HANDSHAKE_TIMEOUT',
      message: 'TLS handshake timeout',
      socket: true,
    },
  },
  {
    name: 'handshakeTimeout: a client that stops within its handshake',
    run: async ({ tls }, stage) => {
      const server = tls.createServer({ ...stage.material.ecdsa, handshakeTimeout: 60 });
      server.on('tlsClientError', (_error, socket) => socket.destroy());
      const port = await stage.listen(server);
      const failed = failure(server);
      const raw = stage.raw(port);
      raw.write(Buffer.from('1603010100', 'hex'));
      raw.resume();
      return failed;
    },
  },
  {
    name: 'handshakeTimeout: the connection is closed',
    run: async ({ tls }, stage) => {
      const server = tls.createServer({ ...stage.material.ecdsa, handshakeTimeout: 40 });
      const port = await stage.listen(server);
      const failed = once(server, 'tlsClientError') as Promise<[Error, TLSSocket]>;
      stage.raw(port);
      const [, socket] = await failed;
      await new Promise((resolve) => setImmediate(resolve));
      return socket.destroyed;
    },
    different: {
      reason:
        'The deadline of a handshake closes its connection; Node emits the error and leaves the connection open.',
      ours: true,
    },
  },
  {
    name: 'handshakeTimeout does not concern an established connection',
    run: async ({ tls }, stage) => {
      const server = tls.createServer({ ...stage.material.ecdsa, handshakeTimeout: 30 });
      const { socket, port } = await stage.pair(server);
      const failed = once(server, 'tlsClientError');
      // The deadline of the second passes, so that of the first would have.
      stage.raw(port);
      await failed;
      return [socket.destroyed, socket.timeout];
    },
    expect: [false, 0],
  },
  {
    name: 'handshakeTimeout with bad values',
    unserved: true,
    run: ({ tls }, stage) =>
      ['100', {}, true, null, 0, -1, Number.NaN, 1.5].map((handshakeTimeout) =>
        attempt(
          () => typeof tls.createServer({ ...stage.material.ecdsa, handshakeTimeout } as never),
        ),
      ),
  },
  {
    name: 'blockList: whoever is on it is dropped',
    run: async ({ tls }, stage) => {
      const blockList = new net.BlockList();
      const server = tls.createServer({ ...stage.material.ecdsa, blockList } as never);
      const port = await stage.listen(tell(server));
      const first = await stage.visit(port);
      blockList.addAddress('127.0.0.2');
      const second = await stage.visit(port, { localAddress: '127.0.0.2' } as object);
      const third = await stage.visit(port);
      return [first.heard, second.secure, third.heard];
    },
  },
  {
    name: 'many connections at once, all are served',
    run: async ({ tls }, stage) => {
      const server = tell(tls.createServer(stage.material.ecdsa));
      const port = await stage.listen(server);
      const visits = await Promise.all(Array.from({ length: 40 }, () => stage.visit(port)));
      return new Set(visits.map(({ heard }) => heard));
    },
    expect: new Set(['hello']),
  },
  {
    name: 'highWaterMark of its sockets',
    run: async ({ tls }, stage) => {
      const marks = [];
      for (const highWaterMark of [undefined, 1000, 200_000]) {
        const server = tls.createServer({
          ...stage.material.ecdsa,
          ...(highWaterMark !== undefined && { highWaterMark }),
        } as never);
        const { socket } = await stage.pair(server);
        marks.push([socket.readableHighWaterMark, socket.writableHighWaterMark]);
      }
      return marks;
    },
    different: {
      reason: 'It holds for the TLS sockets; Node gives it to the TCP sockets below them alone.',
      ours: [
        [getDefaultHighWaterMark(false), getDefaultHighWaterMark(false)],
        [1000, 1000],
        [200_000, 200_000],
      ],
    },
  },
  {
    name: 'pauseOnConnect',
    run: async ({ tls }, stage) => {
      const server = tls.createServer({ ...stage.material.ecdsa, pauseOnConnect: true });
      const { socket, client } = await stage.pair(server);
      const seen: unknown[] = [socket.readableFlowing, socket.isPaused()];
      client.write('early');
      const data = once(socket, 'data') as Promise<[Buffer]>;
      socket.resume();
      seen.push(String((await data)[0]));
      return seen;
    },
  },
  {
    name: 'allowHalfOpen of the options',
    run: async ({ tls }, stage) => {
      const seen = [];
      for (const allowHalfOpen of [undefined, true, false]) {
        const server = tls.createServer({
          ...stage.material.ecdsa,
          ...(allowHalfOpen !== undefined && { allowHalfOpen }),
        });
        const { socket } = await stage.pair(server);
        seen.push([
          (server as unknown as { allowHalfOpen: boolean }).allowHalfOpen,
          socket.allowHalfOpen,
        ]);
      }
      return seen;
    },
    expect: [
      [false, false],
      [true, true],
      [false, false],
    ],
  },
  {
    name: 'noDelay, keepAlive and keepAliveInitialDelay',
    run: async ({ tls, https }, stage) => {
      const seen: unknown[] = [];
      for (const options of [
        {},
        { noDelay: true, keepAlive: true, keepAliveInitialDelay: 5500 },
        { noDelay: false },
      ]) {
        for (const made of [
          tls.createServer({ ...stage.material.ecdsa, ...options }),
          https.createServer({ ...stage.material.ecdsa, ...options }),
        ]) {
          const server = made as unknown as Record<string, unknown>;
          seen.push([server.noDelay, server.keepAlive, server.keepAliveInitialDelay]);
        }
      }
      const server = tls.createServer({
        ...stage.material.ecdsa,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: 5500,
      });
      const { socket, client } = await stage.pair(server);
      socket.end('served');
      const [said] = (await once(client, 'data')) as [Buffer];
      seen.push(String(said));
      return seen;
    },
  },
  {
    name: 'events of a server from start to end',
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      const seen = order(server, ['listening', 'secureConnection', 'close', 'error', 'drop']);
      const { socket, client } = await stage.pair(server);
      const over = promised();
      client.end();
      await closed(socket.resume());
      server.close(() => over.resolve());
      await over.promise;
      return seen;
    },
    expect: ['listening', 'secureConnection', 'close'],
  },
];
