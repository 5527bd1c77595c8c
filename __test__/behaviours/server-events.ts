/** What a server emits, in which order. */
import { EventEmitter, once } from 'node:events';
import net from 'node:net';
import type { Server, TLSSocket } from 'node:tls';

import { clientHello } from '../support/faults/client-hello.js';
import { closed, until } from '../support/streams.js';
import type { Row } from './row.js';
import {
  failure,
  order,
  problem,
  promised,
  reset,
  serverOfEach,
  type Stage,
  tell,
} from './stage.js';

/** How a server takes what a client sends that is no handshake; the next one is served. */
function junk(name: string, send: (raw: net.Socket) => unknown): Row {
  return {
    name,
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      const port = await stage.listen(tell(server));
      const failed = failure(server);
      const raw = stage.raw(port);
      await once(raw, 'connect');
      const over = closed(raw.resume());
      await send(raw);
      const seen = await failed;
      raw.destroy();
      await over;
      return [seen, (await stage.visit(port)).heard];
    },
  };
}

/** The server's end of a handshake that fails, as the listener of tlsClientError sees it. */
async function failedSocket(server: Server, stage: Stage): Promise<[Error, TLSSocket]> {
  const port = await stage.listen(server);
  const failed = once(server, 'tlsClientError') as Promise<[Error, TLSSocket]>;
  stage.connect(port, { ALPNProtocols: ['unknown'] });
  return failed;
}

export const serverEvents: Row[] = [
  {
    name: 'the listener of createServer() is one of secureConnection',
    run: async ({ tls }, stage) => {
      const seen: unknown[] = [];
      const listener = (socket: TLSSocket): unknown => seen.push(socket.encrypted);
      const server = tls.createServer(stage.material.ecdsa, listener);
      seen.push(server.listeners('secureConnection').includes(listener));
      await stage.pair(server);
      return seen;
    },
    expect: [true, true],
  },
  {
    name: 'this of the listener is the server',
    run: async ({ tls }, stage) => {
      const seen: unknown[] = [];
      const server = tls.createServer(stage.material.ecdsa);
      server.on('secureConnection', function (this: unknown) {
        seen.push(this === server);
      });
      server.on('listening', function (this: unknown) {
        seen.push(this === server);
      });
      await stage.pair(server);
      return seen;
    },
    expect: [true, true],
  },
  {
    name: 'connection comes before secureConnection',
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      const seen = order(server, ['connection', 'secureConnection'], (event, socket) => {
        const { remoteAddress } = socket as net.Socket;
        return `${event} ${remoteAddress} ${socket instanceof net.Socket} ${'encrypted' in (socket as object)}`;
      });
      await stage.pair(server);
      return seen;
    },
    expect: ['connection 127.0.0.1 true false', 'secureConnection 127.0.0.1 true true'],
  },
  {
    name: 'a listener of connection that destroys the socket',
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      server.once('connection', (socket) => socket.destroy());
      const seen = order(server, ['secureConnection', 'tlsClientError'], (event, error) =>
        event === 'tlsClientError' ? `${event} ${(error as NodeJS.ErrnoException).code}` : event,
      );
      const port = await stage.listen(tell(server));
      const { secure, code } = await stage.visit(port);
      const next = await stage.visit(port);
      return [secure, code, next.heard, seen];
    },
  },
  {
    name: 'a listener of secureConnection that throws: uncaught, and the server goes on',
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      const uncaught = stage.uncaught();
      const sockets: TLSSocket[] = [];
      server.once('secureConnection', (socket) => {
        sockets.push(socket);
        throw new Error('thrown by the listener');
      });
      const port = await stage.listen(server);
      const client = stage.connect(port);
      await once(client, 'secureConnect');
      tell(server);
      const { heard } = await stage.visit(port);
      return [uncaught.map(problem), heard, sockets[0].destroyed];
    },
  },
  {
    name: 'an async listener of secureConnection that rejects, with captureRejections',
    run: async ({ tls }, stage) => {
      const before = EventEmitter.captureRejections;
      EventEmitter.captureRejections = true;
      stage.finally(() => {
        EventEmitter.captureRejections = before;
      });
      const server = tls.createServer(stage.material.ecdsa);
      EventEmitter.captureRejections = before;
      const failed = promised<unknown>();
      server.on('secureConnection', async (socket) => {
        socket.on('error', (error) => failed.resolve(problem(error)));
        await Promise.reject(new Error('rejected by the listener'));
      });
      const { socket } = await stage.pair(server);
      const seen = await failed.promise;
      return [seen, socket.destroyed];
    },
  },
  junk('a client that speaks http', (raw) =>
    raw.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n'),
  ),
  junk('a client that sends junk', (raw) => raw.write(Buffer.alloc(100, 'junk'))),
  junk('a client that sends an SSLv2 hello', (raw) =>
    raw.write(Buffer.from(`802e010002001500000010${'010080'.repeat(7)}${'00'.repeat(16)}`, 'hex')),
  ),
  junk('a client that connects and ends', (raw) => raw.end()),
  junk('a client that resets', reset),
  junk('a client that ends within its hello', async (raw) => {
    raw.end((await clientHello()).subarray(0, 50));
  }),
  junk('a client that ends behind its hello', async (raw) => {
    raw.end(await clientHello());
  }),
  junk('a client that sends an alert', (raw) => raw.write(Buffer.from('15030100020228', 'hex'))),
  junk('a client whose record is too long', (raw) =>
    raw.write(Buffer.concat([Buffer.from('1603014fff', 'hex'), Buffer.alloc(100)])),
  ),
  junk('a client of another record version', (raw) =>
    raw.write(Buffer.concat([Buffer.from('1609090040', 'hex'), Buffer.alloc(64)])),
  ),
  junk('a client that sends application data at first', (raw) =>
    raw.write(Buffer.concat([Buffer.from('1703030040', 'hex'), Buffer.alloc(64)])),
  ),
  {
    name: 'a client that does not like the certificate',
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      const port = await stage.listen(server);
      const failures = [];
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
        const seen = promised<unknown>();
        server.once('tlsClientError', (error) => seen.resolve(['tlsClientError', problem(error)]));
        server.once('secureConnection', (socket) => {
          socket.once('close', (hadError: boolean) => seen.resolve(['secureConnection', hadError]));
          socket.resume();
        });
        const { code } = await stage.visit(port, {
          maxVersion,
          rejectUnauthorized: true,
          ca: stage.material.strangersCa,
        });
        failures.push([code, await seen.promise]);
        server.removeAllListeners('tlsClientError').removeAllListeners('secureConnection');
      }
      return failures;
    },
  },
  {
    name: 'tlsClientError: what its socket is',
    run: async ({ tls }, stage) => {
      const server = tls.createServer({ ...stage.material.ecdsa, ALPNProtocols: ['known'] });
      const seen = promised<unknown[]>();
      server.once('tlsClientError', (error, socket) => {
        seen.resolve([
          problem(error),
          socket instanceof tls.TLSSocket,
          socket instanceof net.Socket,
          socket.destroyed,
          socket.encrypted,
          socket.authorized,
          socket.remoteAddress,
          socket.remoteFamily,
          typeof socket.remotePort,
          socket.localAddress,
          (socket as unknown as { server: unknown }).server === server,
          (socket as unknown as { secureConnecting: boolean }).secureConnecting,
          (socket as unknown as { servername: unknown }).servername,
          socket.alpnProtocol,
        ]);
      });
      await failedSocket(server, stage);
      return seen.promise;
    },
  },
  {
    name: 'tlsClientError: what its socket still says of the handshake',
    run: async ({ tls }, stage) => {
      const server = tls.createServer({ ...stage.material.ecdsa, ALPNProtocols: ['known'] });
      const seen = promised<unknown[]>();
      server.once('tlsClientError', (_error, socket) => {
        seen.resolve([
          socket.getProtocol(),
          socket.isSessionReused(),
          { ...socket.getPeerCertificate() },
        ]);
      });
      await failedSocket(server, stage);
      return seen.promise;
    },
  },
  {
    name: 'tlsClientError: its socket closes, and emits no error',
    run: async ({ tls }, stage) => {
      const server = tls.createServer({ ...stage.material.ecdsa, ALPNProtocols: ['known'] });
      const events: string[] = [];
      const over = promised();
      server.once('tlsClientError', (_error, socket) => {
        socket.on('error', (error) =>
          events.push(`error ${(error as NodeJS.ErrnoException).code}`),
        );
        socket.on('close', (hadError: boolean) => {
          events.push(`close ${hadError}`);
          over.resolve();
        });
      });
      await failedSocket(server, stage);
      await over.promise;
      return events;
    },
  },
  {
    name: 'tlsClientError: once for each connection',
    run: async ({ tls }, stage) => {
      const server = tls.createServer({ ...stage.material.ecdsa, ALPNProtocols: ['known'] });
      let count = 0;
      server.on('tlsClientError', () => count++);
      const port = await stage.listen(tell(server));
      for (let i = 0; i < 3; i++) await stage.visit(port, { ALPNProtocols: ['unknown'] });
      await stage.visit(port, { ALPNProtocols: ['known'] });
      await until(() => count >= 3);
      return count;
    },
    expect: 3,
  },
  {
    name: 'tlsClientError: a listener that throws',
    run: async ({ tls }, stage) => {
      const server = tls.createServer({ ...stage.material.ecdsa, ALPNProtocols: ['known'] });
      const uncaught = stage.uncaught();
      server.once('tlsClientError', () => {
        throw new Error('thrown by the listener');
      });
      const port = await stage.listen(tell(server));
      const { secure } = await stage.visit(port, { ALPNProtocols: ['unknown'] });
      const { heard } = await stage.visit(port, { ALPNProtocols: ['known'] });
      await until(() => uncaught.length > 0);
      return [uncaught.map(problem), secure, heard];
    },
  },
  {
    name: 'tlsClientError: nobody needs to listen',
    run: async ({ tls }, stage) => {
      const server = tls.createServer({ ...stage.material.ecdsa, ALPNProtocols: ['known'] });
      const port = await stage.listen(tell(server));
      const { code } = await stage.visit(port, { ALPNProtocols: ['unknown'] });
      const { heard } = await stage.visit(port, { ALPNProtocols: ['known'] });
      return [code, heard];
    },
    expect: ['ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL', 'hello'],
  },
  {
    name: 'tlsClientError: library and reason of its error',
    run: async ({ tls }, stage) => {
      const server = tls.createServer({ ...stage.material.ecdsa, ALPNProtocols: ['known'] });
      const [error] = await failedSocket(server, stage);
      const { library, reason, code } = error as NodeJS.ErrnoException & Record<string, unknown>;
      return { library, reason, code, kind: error.constructor.name };
    },
    expect: {
      library: 'SSL routines',
      reason: 'no application protocol',
      code: 'ERR_SSL_NO_APPLICATION_PROTOCOL',
      kind: 'Error',
    },
  },
  {
    name: 'https: tlsClientError becomes clientError',
    run: async ({ https }, stage) => {
      const server = https.createServer(stage.material.ecdsa);
      const seen: unknown[] = [];
      const over = promised();
      server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
        seen.push(['clientError', error.code, socket.writable, 'encrypted' in socket]);
        socket.destroy();
      });
      server.on('tlsClientError', (error: NodeJS.ErrnoException) => {
        seen.push(['tlsClientError', error.code]);
        over.resolve();
      });
      const port = await stage.listen(server);
      stage.raw(port).write('GET / HTTP/1.1\r\n\r\n');
      await over.promise;
      return seen;
    },
  },
  {
    name: 'https: clientError of a bad request',
    run: async ({ https }, stage) => {
      const server = https.createServer(stage.material.ecdsa);
      const seen: unknown[] = [];
      server.on('clientError', (error: NodeJS.ErrnoException & Record<string, unknown>, socket) => {
        seen.push([error.code, String(error.rawPacket), error.bytesParsed, socket.writable]);
        socket.end('HTTP/1.1 400 Mine\r\n\r\n');
      });
      const port = await stage.listen(server);
      const said = await stage.exchange(port, 'nonsense\r\n\r\n');
      return [seen, said];
    },
  },
  {
    name: 'listening and close, with callbacks',
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      const seen: string[] = order(server, ['listening', 'close']);
      const listening = promised();
      stage.watch(server);
      const given = server.listen(0, '127.0.0.1', () => {
        seen.push('listen callback');
        listening.resolve();
      });
      seen.push(`behind listen ${server.listening} ${given === server}`);
      await listening.promise;
      const over = promised();
      server.close((error) => {
        seen.push(`close callback ${String(error)}`);
        over.resolve();
      });
      seen.push(`behind close ${server.listening}`);
      await over.promise;
      return seen;
    },
    unserved: true,
  },
  {
    name: 'close() waits for connections',
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      const { socket, client } = await stage.pair(server);
      const seen: string[] = [];
      const over = promised();
      server.close(() => {
        seen.push('closed');
        over.resolve();
      });
      seen.push(`listening ${server.listening}`);
      socket.write('still served');
      const [said] = await once(client, 'data');
      seen.push(String(said));
      client.end();
      socket.resume();
      await over.promise;
      return seen;
    },
    expect: ['listening false', 'still served', 'closed'],
  },
  {
    name: 'close of a server, and that of its last connection',
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      const { socket } = await stage.pair(server);
      const seen: string[] = [];
      socket.on('close', () => seen.push('socket'));
      server.on('close', () => seen.push('server'));
      server.close();
      socket.destroy();
      await until(() => seen.length === 2);
      return seen;
    },
    expect: ['server', 'socket'],
    different: {
      reason:
        "`close` comes when the core has let go of the port and of the last connection: after the sockets' own.",
      ours: ['socket', 'server'],
    },
  },
  {
    name: 'close() refuses new connections at once',
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      const { port } = await stage.pair(server);
      server.close();
      const { code } = await stage.visit(port);
      return code;
    },
    expect: 'ECONNREFUSED',
  },
  {
    name: 'close() of a server that does not listen',
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      const seen: unknown[] = [];
      const called = promised();
      server.on('close', () => seen.push('close'));
      server.on('error', (error) => seen.push(problem(error)));
      server.close((error) => {
        seen.push(error && problem(error));
        called.resolve();
      });
      seen.push('behind close');
      await called.promise;
      await new Promise((resolve) => setImmediate(resolve));
      return seen;
    },
    unserved: true,
  },
  {
    name: 'close() twice',
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      await stage.listen(server);
      const results = await Promise.all(
        [0, 1].map(
          () => new Promise((resolve) => server.close((error) => resolve(error && problem(error)))),
        ),
      );
      return results;
    },
    unserved: true,
  },
  {
    name: 'Symbol.asyncDispose closes',
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      await stage.listen(server);
      await server[Symbol.asyncDispose]();
      return server.listening;
    },
    unserved: true,
    expect: false,
  },
  {
    name: 'a server listens again after close()',
    run: async ({ tls }, stage) => {
      const server = tell(tls.createServer(stage.material.ecdsa));
      const heard = [];
      for (let i = 0; i < 3; i++) {
        const port = await stage.listen(server);
        heard.push((await stage.visit(port)).heard);
        await new Promise((resolve) => server.close(resolve));
      }
      return heard;
    },
    expect: ['hello', 'hello', 'hello'],
  },
  {
    name: 'getConnections() counts handshakes, too',
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      const { port, client, socket } = await stage.pair(server);
      const count = (): Promise<number> =>
        new Promise((resolve) => server.getConnections((_, value) => resolve(value)));
      const counts = [await count()];
      const next = once(server, 'secureConnection') as Promise<[TLSSocket]>;
      const second = stage.connect(port);
      const [other] = await next;
      counts.push(await count());
      client.destroy();
      second.destroy();
      await Promise.all([closed(socket.resume()), closed(other.resume())]);
      while ((await count()) > 0) await new Promise((resolve) => setImmediate(resolve));
      counts.push(await count());
      return counts;
    },
    expect: [1, 2, 0],
  },
  {
    name: 'emit("connection") with a socket from elsewhere',
    run: async ({ tls }, stage) => {
      const server = stage.watch(
        tell(tls.createServer(stage.material.ecdsa), (socket) => socket.encrypted),
      );
      const plain = net.createServer((socket) => server.emit('connection', socket));
      const port = await stage.listen(plain);
      return (await stage.visit(port)).heard;
    },
    expect: true,
  },
  {
    name: 'emit("connection") of an https server that does not listen',
    run: async ({ https }, stage) => {
      const server = stage.watch(
        https.createServer(stage.material.ecdsa, (_, response) => response.end('served')),
      );
      const plain = net.createServer((socket) => server.emit('connection', socket));
      const port = await stage.listen(plain);
      return (await stage.request(port)).body;
    },
    expect: 'served',
  },
  {
    name: 'the internal listeners of a fresh server',
    unserved: true,
    run: (modules, stage) =>
      serverOfEach(modules, stage.material.ecdsa).map((server) =>
        ['connection', 'secureConnection', 'tlsClientError', 'request', 'listening', 'close'].map(
          (event) => server.listenerCount(event),
        ),
      ),
  },
];
