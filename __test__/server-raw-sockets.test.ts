/** 'connection' of servers: sockets from elsewhere, and who listens. */
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';

import { createServer, type Server, type TlsSocket } from 'offloop';
import { beforeAll, describe, expect, test } from 'vitest';

import { type Issued, issued } from './support/certificates.js';
import { connect, listen, tcpPair } from './support/disposables.js';
import { nodeTls, offloop } from './support/libraries.js';
import { run } from './support/program.js';
import { connections } from './support/servers.js';
import { closed, readAll } from './support/streams.js';

let identity: Issued;
let named: Issued;

beforeAll(async () => {
  [identity, named] = await issued({}, { subject: 'CN=first' });
});

describe("emit('connection')", () => {
  test('takes a socket from elsewhere', async () => {
    const server = createServer(identity, (socket) => socket.end('hello'));
    await using ends = await tcpPair();
    server.emit('connection', ends.socket);
    const client = tls.connect({ socket: ends.client, rejectUnauthorized: false });
    expect(String(await readAll(client))).toBe('hello');
  });

  test('its failure is a tlsClientError', async () => {
    const server = createServer(identity);
    await using ends = await tcpPair();
    const failed = once(server, 'tlsClientError');
    server.emit('connection', ends.socket);
    ends.client.write('no TLS at all\r\n');
    const [error, socket] = (await failed) as [Error, TlsSocket];
    expect(error).toMatchObject({ code: 'ERR_SSL_WRONG_VERSION_NUMBER' });
    expect(socket.remotePort).toBe(ends.client.localPort);
    expect(ends.socket.destroyed).toBe(true);
  });

  test.for([nodeTls, offloop])('is no connection of the server that listens: $name', async (on) => {
    const server = on.createServer(identity, (socket) => socket.resume());
    const listening = await listen(server as never as Server);
    await using ends = await tcpPair();
    server.emit('connection', ends.socket);
    const client = tls.connect({ socket: ends.client, rejectUnauthorized: false });
    const own = connect(listening.port);
    await Promise.all([once(client, 'secureConnect'), once(own, 'secureConnect')]);
    expect(await connections(server)).toBe(1);
    const isClosed = new Promise((resolve) => server.close(resolve));
    own.end();
    await closed(own.resume());
    // Not held up by the one from elsewhere, which goes on.
    await isClosed;
    expect(client.destroyed).toBe(false);
    client.end();
    await closed(client.resume());
  });

  test('with a handshakeTimeout below 0: no deadline, as in Node', async () => {
    const server = createServer({ ...identity, handshakeTimeout: -1 }, (socket) =>
      socket.end('hello'),
    );
    await using ends = await tcpPair();
    server.emit('connection', ends.socket);
    const client = tls.connect({ socket: ends.client, rejectUnauthorized: false });
    expect(String(await readAll(client))).toBe('hello');
  });

  test('keeps to the contexts of the server by SNI', async () => {
    const server = createServer(identity);
    server.addContext('first.test', named);
    await using ends = await tcpPair();
    server.emit('connection', ends.socket);
    const client = tls.connect({
      socket: ends.client,
      rejectUnauthorized: false,
      servername: 'first.test',
    });
    await once(client, 'secureConnect');
    expect(client.getPeerCertificate().subject.CN).toBe('first');
  });

  test('takes the listener of another server out: an adoption in place', async () => {
    const server = createServer(identity, (socket) => socket.end('offloop'));
    const front = net.createServer();
    front.on('connection', (socket) => server.emit('connection', socket));
    await using listening = await listen(front);
    expect(String(await readAll(connect(listening.port)))).toBe('offloop');
  });
});

describe("listeners of 'connection'", () => {
  test('in the place of the server’s own get the raw sockets, and may hand them on', async () => {
    const server = createServer(identity, (socket) => socket.end('over TLS'));
    const [own] = server.rawListeners('connection') as ((socket: net.Socket) => void)[];
    server.removeAllListeners('connection');
    const peers: (number | undefined)[] = [];
    server.on('connection', (socket: net.Socket) => {
      peers.push(socket.remotePort);
      own.call(server, socket);
    });
    await using listening = await listen(server);
    const client = connect(listening.port);
    await once(client, 'secureConnect');
    expect(peers).toEqual([client.localPort]);
    expect(String(await readAll(client))).toBe('over TLS');
  });

  test('may set an idle time that traffic over TLS holds off', async () => {
    const { stdout } = await run(
      `import tls from 'node:tls';
      import { createServer } from 'offloop';
      const server = createServer(input, (socket) => socket.pipe(socket));
      let idle = 0;
      server.on('connection', (socket) => socket.setTimeout(400, () => idle++));
      await new Promise((resolve) => server.listen(0, resolve));
      const client = tls.connect({ port: server.address().port, rejectUnauthorized: false });
      for (let i = 0; i < 12; i++) {
        client.write('x');
        await new Promise((resolve) => client.once('data', resolve));
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      console.log(idle);
      client.end();
      server.close();`,
      identity,
    );
    expect(stdout).toBe('0\n');
  });
});
