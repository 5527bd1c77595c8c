import { constants, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';

import {
  createSecureContext,
  createServer,
  Server,
  type ServerOptions,
  type TlsSocket,
} from 'offloop';
import { createSecureContext as createNodeContext } from 'offloop/tls';
import { beforeAll, describe, expect, test, vi } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { connect, listen, pair, tcpPair } from './support/disposables.js';
import { type AnyServer, nodeTls, offloop } from './support/libraries.js';
import { outcome } from './support/outcome.js';
import { run } from './support/program.js';
import { closed, readAll, until } from './support/streams.js';

let identity: Issued;
let named: Record<'first' | 'second' | 'third', Issued>;
let clientIdentity: Issued;

beforeAll(async () => {
  const authority = await Authority.create();
  identity = await authority.issue();
  clientIdentity = await authority.issue({ use: 'client', subject: 'CN=client' });
  named = {
    first: await authority.issue({ subject: 'CN=first' }),
    second: await authority.issue({ subject: 'CN=second' }),
    third: await authority.issue({ subject: 'CN=third' }),
  };
});

describe('createServer()', () => {
  test('gives a Server, with or without options, listener last', () => {
    const listener = vi.fn();
    const server = createServer(identity, listener);
    expect(server).toBeInstanceOf(Server);
    expect(server.listeners('secureConnection')).toEqual([listener]);
    expect(server.listenerCount('connection')).toBe(1);
    expect([server.listening, server.address()]).toEqual([false, null]);
    // Without a certificate, as in Node: `setSecureContext` or `addContext` may bring one.
    expect(createServer(listener).listeners('secureConnection')).toEqual([listener]);
    expect(createServer()).toBeInstanceOf(Server);
  });

  test('takes a context made before', async () => {
    const context = createSecureContext(named.first);
    await using ends = await pair(offloop, { server: { context } });
    expect(ends.client.getPeerCertificate().subject.CN).toBe('first');
  });

  test.for<[string, unknown]>([
    ['ciphers', 'AES256-SHA'],
    ['dhparam', 'auto'],
    ['minVersion', 'TLSv1'],
    ['minVersion', 'TLSv1.1'],
    ['pskCallback', () => {}],
    ['secureOptions', 1],
    ['secureProtocol', 'TLSv1_method'],
    ['sigalgs', 'ed448'],
  ])('refuses %s, which it would not honour', ([name, value]) => {
    expect(() => createServer({ ...identity, [name]: value } as ServerOptions)).toThrow(
      expect.objectContaining({
        code: 'ERR_OFFLOOP_UNSUPPORTED_OPTION',
        message: expect.stringContaining(name) as string,
      }),
    );
  });

  test("with fallback is Node's own for what it would not honour, and warns once", async () => {
    const { stdout } = await run(
      `import { once } from 'node:events';
      import tls from 'node:tls';
      import { createServer } from 'offloop';
      process.on('warning', ({ name, code, message }) => console.log(name, code, message));
      const beyond = { ...input, dhparam: 'auto', fallback: true };
      createServer(beyond);
      const server = createServer(beyond, (socket) => {
        console.log(socket.constructor.name);
        socket.end('hello');
        server.close();
      });
      await once(server.listen(0), 'listening');
      const client = tls.connect({ port: server.address().port, rejectUnauthorized: false });
      console.log(String((await once(client, 'data'))[0]));
      createServer({ ...input, pskCallback() {}, fallback: true });`,
      identity,
    );
    const warning = /^OffloopWarning OFFLOOP_FALLBACK A server does TLS on the event loop: /;
    expect(stdout.trim().split('\n')).toEqual([
      expect.stringMatching(new RegExp(`${warning.source}options\\.dhparam`)),
      'TLSSocket',
      'hello',
      expect.stringMatching(new RegExp(`${warning.source}options\\.pskCallback`)),
    ]);
  });

  test('takes what node:tls takes, and what it does not know', () => {
    const options = {
      ...identity,
      ciphers: tls.DEFAULT_CIPHERS,
      blockList: new net.BlockList(),
      enableTrace: true,
      secureOptions: 0,
      reusePort: true,
      SNICallback: () => {},
      ALPNCallback: () => undefined,
      pskCallback: false,
      dhparam: null,
      insecureHTTPParser: true,
      highWaterMark: 1000,
    };
    expect(createServer(options as never)).toBeInstanceOf(tls.Server);
  });

  test.for(['auto', 'always', 'never'] as const)('serves with offload: %s', async (offload) => {
    await using ends = await pair(offloop, { server: { ...identity, offload } });
    ends.socket.end(offload);
    expect(String(await readAll(ends.client))).toBe(offload);
  });

  test.for([true, false])('noDelay and keepAlive (%s) are taken', async (on) => {
    const server = { ...identity, noDelay: on, keepAlive: on, keepAliveInitialDelay: 5000 };
    await using ends = await pair(offloop, { server });
    ends.socket.end('x');
    expect(String(await readAll(ends.client))).toBe('x');
  });
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
    server.addContext('first.test', named.first);
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

describe('contexts', () => {
  test('addContext(): exact and wildcard names, case-insensitive, the last match wins', async () => {
    const server = createServer(identity);
    server.addContext('exact.test', named.first);
    server.addContext('*.wild.test', createSecureContext(named.second));
    server.addContext('TWICE.test', named.first);
    server.addContext('twice.TEST', named.third);
    await using listening = await listen(server);
    const names = [
      'exact.test',
      'EXACT.test',
      'a.wild.test',
      'a.b.wild.test',
      'wild.test',
      'twice.test',
      'other.test',
      undefined,
    ];
    const found: Record<string, string> = {};
    for (const name of names) found[String(name)] = await commonName(listening.port, name);
    expect(found).toEqual({
      'exact.test': 'first',
      'EXACT.test': 'first',
      'a.wild.test': 'second',
      'a.b.wild.test': 'localhost',
      'wild.test': 'localhost',
      'twice.test': 'third',
      'other.test': 'localhost',
      undefined: 'localhost',
    });
  });

  test('addContext() while listening', async () => {
    const server = createServer(identity);
    await using listening = await listen(server);
    expect(await commonName(listening.port, 'later.test')).toBe('localhost');
    server.addContext('later.test', named.first);
    expect(await commonName(listening.port, 'later.test')).toBe('first');
  });

  test('addContext() does not put ALPN out of force', async () => {
    const server = createServer({ ...identity, ALPNProtocols: ['ours'] });
    server.addContext('first.test', named.first);
    await using listening = await listen(server);
    const client = connect(listening.port, { servername: 'first.test', ALPNProtocols: ['ours'] });
    await once(client, 'secureConnect');
    expect(client.alpnProtocol).toBe('ours');
    client.destroy();
  });

  test.for<[string, unknown[]]>([
    ['no name', ['', {}]],
    ['a number for a name', [5, {}]],
    ['no context', ['a.test', undefined]],
    ['a number for a context', ['a.test', 5]],
    ['a key that is none', ['a.test', { key: 'x' }]],
  ])('addContext() with %s, as in node:tls', ([, args]) => {
    const [ours, nodes] = [offloop, nodeTls].map((library) =>
      outcome(() => library.createServer(identity).addContext(...(args as [string, object]))),
    );
    expect(ours).toEqual(nodes);
  });

  test('setSecureContext(): new connections get it, open ones stay', async () => {
    await using ends = await pair(offloop, { server: identity });
    (ends.server as unknown as Server).setSecureContext(named.second);
    expect(await commonName(ends.port)).toBe('second');
    ends.socket.end('old one');
    expect(String(await readAll(ends.client))).toBe('old one');
  });

  test('setSecureContext() with what is wrong throws and changes nothing', async () => {
    const server = createServer(identity);
    await using listening = await listen(server);
    expect(() => server.setSecureContext({ key: identity.key, cert: 'none' })).toThrow(
      expect.objectContaining({ code: 'ERR_OSSL_PEM_NO_START_LINE' }),
    );
    expect(() => server.setSecureContext(undefined as never)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
    );
    expect(await commonName(listening.port)).toBe('localhost');
  });

  test('the policy for client certificates is that of the server, for every context', async () => {
    const server = createServer({
      ...identity,
      requestCert: true,
      rejectUnauthorized: true,
      ca: identity.ca,
    });
    server.addContext('first.test', { ...named.first, ca: identity.ca });
    const sockets: TlsSocket[] = [];
    server.on('secureConnection', (socket: TlsSocket) => sockets.push(socket));
    await using listening = await listen(server);
    const { key, cert } = clientIdentity;
    const welcome = connect(listening.port, { servername: 'first.test', key, cert });
    await once(server, 'secureConnection');
    expect(sockets[0].authorized).toBe(true);
    expect(sockets[0].getPeerCertificate().subject.CN).toBe('client');
    welcome.destroy();
    const refused = connect(listening.port, { servername: 'first.test' }).on('error', () => {});
    const [error] = (await once(server, 'tlsClientError')) as [Error];
    expect(error).toMatchObject({ code: 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE' });
    await closed(refused.resume());
  });
});

describe('closing', () => {
  test('close() of a server that never listened: ERR_SERVER_NOT_RUNNING, and close', async () => {
    const server = createServer(identity);
    const event = once(server, 'close');
    const error = await new Promise((resolve) => server.close(resolve));
    expect(error).toMatchObject({ code: 'ERR_SERVER_NOT_RUNNING' });
    await event;
  });

  test('close() refuses new connections at once', async () => {
    await using ends = await pair(offloop, { server: identity });
    ends.server.close();
    const refused = net.connect(ends.port, '127.0.0.1');
    const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ECONNREFUSED');
    ends.socket.end('still here');
    expect(String(await readAll(ends.client))).toBe('still here');
  });

  test('close() waits for handshakes too', async () => {
    const server = createServer({ ...identity, handshakeTimeout: 60 });
    const listening = await listen(server);
    const silent = net.connect(listening.port, '127.0.0.1').on('error', () => {});
    const over = closed(silent.resume());
    await untilConnections(server, 1);
    await new Promise<void>((resolve) => server.close(() => resolve()));
    expect(await connections(server)).toBe(0);
    await over;
  });

  test('await using closes', async () => {
    const order: string[] = [];
    {
      await using server = createServer(identity);
      server.on('close', () => order.push('close'));
      server.listen(0);
      await once(server, 'listening');
    }
    order.push('after');
    expect(order).toEqual(['close', 'after']);
    {
      await using server = createServer(identity);
      expect(server.listening).toBe(false);
    }
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

describe('the event loop', () => {
  test('a closing server with a socket that nobody reads lets the process end', async () => {
    const { code, stdout } = await run(
      `
      import tls from 'node:tls';
      import { createServer } from 'offloop';
      const server = createServer(input, (socket) => socket.end('world'));
      server.listen(0, () => {
        const { port } = server.address();
        const client = tls.connect({ port, rejectUnauthorized: false }, () => server.close());
        client.end('hello');
      });
      process.on('exit', () => console.log('closed by nobody'));
    `,
      identity,
    );
    expect([code, stdout]).toEqual([0, 'closed by nobody\n']);
  });

  test('a listening server keeps the process, an unreferenced one does not', async () => {
    const { code, stdout } = await run(
      `import { createServer } from 'offloop';
      const unreferenced = createServer(input).unref();
      unreferenced.listen(0);
      const server = createServer(input);
      server.listen(0, () => {
        server.unref().ref();
        setTimeout(() => { console.log('still here'); server.close(); }, 100).unref();
      });
      process.on('exit', () => console.log('ends'));`,
      identity,
    );
    expect([stdout, code]).toEqual(['still here\nends\n', 0]);
  });

  test('a process whose server is closed ends by itself', async () => {
    const { code, stdout } = await run(
      `import tls from 'node:tls';
      import { createServer } from 'offloop';
      const server = createServer(input, (socket) => { socket.end('bye'); server.close(); });
      server.listen(0, () => {
        tls.connect({ port: server.address().port, rejectUnauthorized: false }).resume();
      });
      process.on('exit', () => console.log('ends'));`,
      identity,
    );
    expect([stdout, code]).toEqual(['ends\n', 0]);
  });
});

describe('what is asked during a handshake', () => {
  test('SNICallback chooses the context', async () => {
    const server = createServer({
      ...identity,
      SNICallback: (name, callback) =>
        callback(null, name === 'first.test' ? createNodeContext(named.first) : undefined),
    });
    await using listening = await listen(server);
    expect(await commonName(listening.port, 'first.test')).toBe('first');
    expect(await commonName(listening.port, 'other.test')).toBe('localhost');
    expect(await commonName(listening.port)).toBe('localhost');
  });

  test('ALPNCallback chooses the protocol', async () => {
    const server = createServer({ ...identity, ALPNCallback: ({ protocols }) => protocols.at(-1) });
    await using listening = await listen(server);
    const client = connect(listening.port, { ALPNProtocols: ['one', 'two'] });
    await once(client, 'secureConnect');
    expect(client.alpnProtocol).toBe('two');
    client.destroy();
  });

  test("'newSession' and 'resumeSession' keep sessions of TLS 1.2", async () => {
    const secureOptions = constants.SSL_OP_NO_TICKET;
    const server = createServer({ ...identity, maxVersion: 'TLSv1.2', secureOptions }, (socket) =>
      socket.end(),
    );
    const stored = new Map<string, Buffer>();
    server.on('newSession', (id: Buffer, session: Buffer, callback: () => void) => {
      stored.set(id.toString('hex'), session);
      callback();
    });
    server.on('resumeSession', (id: Buffer, callback: (error: null, session?: Buffer) => void) => {
      callback(null, stored.get(id.toString('hex')));
    });
    await using listening = await listen(server);
    const first = connect(listening.port);
    await once(first, 'secureConnect');
    const session = first.getSession()!;
    const reused = first.isSessionReused();
    await closed(first.resume());
    const again = connect(listening.port, { session });
    await once(again, 'secureConnect');
    expect([stored.size, reused, again.isSessionReused()]).toEqual([1, false, true]);
    await closed(again.resume());
  });

  test("'OCSPRequest' staples", async () => {
    const server = createServer(identity);
    server.on('OCSPRequest', (certificate: Buffer, _issuer: unknown, callback: Staple) => {
      expect(certificate).toEqual(new X509Certificate(identity.cert).raw);
      callback(null, Buffer.from('a response'));
    });
    await using listening = await listen(server);
    const client = connect(listening.port, { requestOCSP: true });
    const [response] = (await once(client, 'OCSPResponse')) as [Buffer];
    expect(String(response)).toBe('a response');
    client.destroy();
  });

  test("'keylog' tells both ends' secrets", async () => {
    const server = createServer(identity);
    const lines: string[] = [];
    server.on('keylog', (line: Buffer) => lines.push(String(line)));
    await using listening = await listen(server);
    const client = connect(listening.port);
    const theirs: string[] = [];
    client.on('keylog', (line: Buffer) => theirs.push(String(line)));
    await Promise.all([once(client, 'secureConnect'), once(server, 'secureConnection')]);
    expect(lines.toSorted()).toEqual(theirs.toSorted());
    client.destroy();
  });

  test('enableTrace traces to standard error', async () => {
    const { stderr } = await run(
      `import { once } from 'node:events';
      import tls from 'node:tls';
      import { createServer } from 'offloop';
      const server = createServer({ ...input, enableTrace: true }, (socket) => { socket.end(); server.close(); });
      await once(server.listen(0), 'listening');
      tls.connect({ port: server.address().port, rejectUnauthorized: false }).resume();`,
      identity,
    );
    expect(stderr).toMatch(/Received Record[\s\S]*ClientHello[\s\S]*Sent Record[\s\S]*ServerHello/);
  });
});

test('ticket keys that are shared let the sessions of one server resume at another', async () => {
  const ticketKeys = Buffer.alloc(48, 7);
  const options = { ...identity, maxVersion: 'TLSv1.2', ticketKeys } as const;
  const first = createServer(options, (socket) => socket.end());
  const second = createServer({ ...identity, maxVersion: 'TLSv1.2' }, (socket) => socket.end());
  expect(first.getTicketKeys()).toEqual(ticketKeys);
  expect(second.getTicketKeys()).not.toEqual(ticketKeys);
  second.setTicketKeys(first.getTicketKeys());
  expect(second.getTicketKeys()).toEqual(ticketKeys);
  await using from = await listen(first);
  await using to = await listen(second);
  const client = connect(from.port);
  await once(client, 'secureConnect');
  const session = client.getSession()!;
  await closed(client.resume());
  const again = connect(to.port, { session });
  await once(again, 'secureConnect');
  expect(again.isSessionReused()).toBe(true);
  await closed(again.resume());
});

type Staple = (error: null, response: Buffer) => void;

function connections(server: Pick<AnyServer, 'getConnections'>): Promise<number> {
  return new Promise((resolve) => server.getConnections((_, count) => resolve(count)));
}

async function commonName(port: number, servername?: string): Promise<string> {
  const client = connect(port, servername === undefined ? {} : { servername });
  await once(client, 'secureConnect');
  const name = client.getPeerCertificate().subject.CN as string;
  client.destroy();
  return name;
}

async function untilConnections(server: Server, count: number): Promise<void> {
  // getConnections() calls back before any other event gets its turn.
  while ((await connections(server)) !== count) {
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

test('requestCert and rejectUnauthorized that are set later hold from the next connection on', async () => {
  const server = createServer(identity, (socket) => socket.end());
  await using listening = await listen(server);
  const first = connect(listening.port);
  await readAll(first);
  Object.assign(server, { requestCert: true, rejectUnauthorized: true });
  const refused = once(server, 'tlsClientError');
  connect(listening.port).on('error', () => {});
  const [error] = (await refused) as [NodeJS.ErrnoException];
  expect(error.code).toBe('ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE');
});

test('a name with a context that the core can’t use stays with neither of them', () => {
  const server = createServer(identity);
  const foreign = tls.createSecureContext(identity);
  expect(() => server.addContext('a.test', foreign)).toThrow(
    expect.objectContaining({ code: 'ERR_OFFLOOP_UNSUPPORTED_OPTION' }),
  );
  expect((server as unknown as { _contexts: unknown[] })._contexts).toEqual([]);
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
