/** Connections of servers: their events, and the bound on them. */
import { once } from 'node:events';
import net from 'node:net';

import { createServer, type TlsSocket } from 'offloop';
import { beforeAll, describe, expect, test } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { connect, listen } from './support/disposables.js';
import { run } from './support/program.js';
import { untilConnections } from './support/servers.js';
import { closed, readAll, until } from './support/streams.js';

let identity: Issued;

beforeAll(async () => {
  const authority = await Authority.create();
  identity = await authority.issue();
});

describe("'secureConnection'", () => {
  test('comes once for each connection, with this as the server', async () => {
    const seen: unknown[] = [];
    const server = createServer(identity, function (this: unknown, socket) {
      seen.push(this, socket.server);
      socket.resume();
    });
    await using listening = await listen(server);
    const client = connect(listening.port);
    await once(client, 'secureConnect');
    await until(() => seen.length > 0, 'the event');
    expect(seen).toEqual([server, server]);
    client.destroy();
  });

  test('an async listener that rejects destroys the socket with its reason', async () => {
    const { stdout } = await run(
      `import { EventEmitter, once } from 'node:events';
      import tls from 'node:tls';
      EventEmitter.captureRejections = true;
      const { createServer } = await import('offloop');
      const server = createServer(input, async (socket) => {
        socket.on('error', (error) => console.log(error.message));
        throw new Error('mine');
      });
      await new Promise((resolve) => server.listen(0, resolve));
      const client = tls.connect({ port: server.address().port, rejectUnauthorized: false }).on('error', () => {});
      await once(client.resume(), 'close');
      server.close(() => console.log('closed'));`,
      identity,
    );
    expect(stdout).toBe('mine\nclosed\n');
  });

  test('a hundred connections at once, each with its own answer', async () => {
    const server = createServer(identity, (socket) => socket.pipe(socket));
    await using listening = await listen(server);
    const answers = Array.from({ length: 100 }, (_, i) => {
      const client = connect(listening.port);
      client.end(`client ${i}`);
      return readAll(client).then(String);
    });
    expect(await Promise.all(answers)).toEqual(answers.map((_, i) => `client ${i}`));
  });
});

describe("'tlsClientError'", () => {
  test('brings the error and a destroyed socket with the addresses; the server goes on', async () => {
    const server = createServer(identity);
    await using listening = await listen(server);
    const raw = net.connect(listening.port, '127.0.0.1');
    await once(raw, 'connect');
    const { localPort } = raw;
    raw
      .on('error', () => {})
      .resume()
      .write('no TLS at all\r\n');
    const [error, socket] = (await once(server, 'tlsClientError')) as [Error, TlsSocket];
    expect(error).toMatchObject({ code: 'ERR_SSL_WRONG_VERSION_NUMBER' });
    expect(socket.destroyed).toBe(true);
    expect([socket.remoteAddress, socket.remotePort, socket.remoteFamily]).toEqual([
      '127.0.0.1',
      localPort,
      'IPv4',
    ]);
    expect([socket.getProtocol(), socket.authorized, socket.alpnProtocol]).toEqual([
      'TLSv1.3',
      false,
      null,
    ]);
    const client = connect(listening.port);
    await once(client, 'secureConnect');
    client.destroy();
  });

  test('costs nothing where nobody listens', async () => {
    const server = createServer(identity);
    await using listening = await listen(server);
    const raw = net.connect(listening.port, '127.0.0.1');
    raw
      .on('error', () => {})
      .resume()
      .write('no TLS at all\r\n');
    await closed(raw);
    const client = connect(listening.port);
    await once(client, 'secureConnect');
    client.destroy();
  });

  test('handshakeTimeout', async () => {
    const server = createServer({ ...identity, handshakeTimeout: 40 });
    await using listening = await listen(server);
    const raw = net.connect(listening.port, '127.0.0.1').on('error', () => {});
    const [error] = (await once(server, 'tlsClientError')) as [Error];
    expect(error).toMatchObject({
      code: 'ERR_TLS_HANDSHAKE_TIMEOUT',
      message: 'TLS handshake timeout',
    });
    await closed(raw.resume());
  });
});

describe('maxConnections', () => {
  test("drops those beyond it with 'drop', and serves again when there is room", async () => {
    const server = createServer({ ...identity, maxConnections: 2 }, (socket) => socket.resume());
    expect(server.maxConnections).toBe(2);
    await using listening = await listen(server);
    const clients = [connect(listening.port), connect(listening.port)];
    await Promise.all(clients.map((client) => once(client, 'secureConnect')));
    const drop = once(server, 'drop');
    const refused = connect(listening.port).on('error', () => {});
    const [addresses] = (await drop) as [Record<string, unknown>];
    expect(addresses).toMatchObject({
      remoteAddress: '127.0.0.1',
      remoteFamily: 'IPv4',
      remotePort: expect.any(Number) as number,
      localPort: listening.port,
      localAddress: '127.0.0.1',
      localFamily: 'IPv4',
    });
    await closed(refused);
    clients[0].end();
    await closed(clients[0].resume());
    await untilConnections(server, 1);
    const next = connect(listening.port);
    await once(next, 'secureConnect');
    next.destroy();
    clients[1].destroy();
  });

  test('can be changed while listening', async () => {
    const server = createServer(identity, (socket) => socket.resume());
    expect(server.maxConnections).toBeUndefined();
    await using listening = await listen(server);
    server.maxConnections = 0;
    const refused = connect(listening.port).on('error', () => {});
    await closed(refused);
    server.maxConnections = Infinity;
    const welcome = connect(listening.port);
    await once(welcome, 'secureConnect');
    welcome.destroy();
    // As in Node, where there are never fewer connections than that.
    server.maxConnections = -1;
    await closed(connect(listening.port).on('error', () => {}));
  });
});
