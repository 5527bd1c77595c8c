/** http.Server fed with TlsSockets by emit('connection'). */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';
import type tls from 'node:tls';

import { createServer } from 'offloop';
import { beforeAll, describe, expect, test } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { connect } from './support/disposables.js';
import { closed, deferred, readAll, until, watchClose } from './support/streams.js';

let identity: Issued;

beforeAll(async () => {
  identity = await (await Authority.create()).issue();
});

interface Https extends AsyncDisposable {
  readonly web: http.Server;
  readonly port: number;
  /** Connections so far. */
  readonly sockets: tls.TLSSocket[];
}

async function serve(
  listener: http.RequestListener,
  options: http.ServerOptions = {},
): Promise<Https> {
  const web = http.createServer(options, listener);
  // An http.Server that never listens keeps no timeouts.
  web.emit('listening');
  const sockets: tls.TLSSocket[] = [];
  const server = createServer(identity, (socket) => {
    void watchClose(socket);
    sockets.push(socket);
    web.emit('connection', socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    web,
    sockets,
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      web.emit('close');
      web.close();
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

async function fetchFrom(
  port: number,
  options: https.RequestOptions = {},
  body?: string | Buffer,
): Promise<{ response: IncomingMessage; body: Buffer }> {
  const request = https.request({
    port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    agent: false,
    ...options,
  });
  request.end(body);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return { response, body: await readAll(response) };
}

test('a request and its answer', async () => {
  await using site = await serve((request, response) => {
    response.setHeader('x-method', request.method!);
    response.end(`hello ${request.url}`);
  });
  const { response, body } = await fetchFrom(site.port, { path: '/world', method: 'GET' });
  expect([response.statusCode, response.headers['x-method'], String(body)]).toEqual([
    200,
    'GET',
    'hello /world',
  ]);
});

test('the request sees an encrypted socket with its facts', async () => {
  await using site = await serve((request, response) => {
    const socket = request.socket as tls.TLSSocket;
    response.end(
      JSON.stringify([
        socket.encrypted,
        socket.remoteAddress,
        socket.getProtocol(),
        socket.authorized,
        typeof socket.remotePort,
      ]),
    );
  });
  const { body } = await fetchFrom(site.port);
  expect(JSON.parse(String(body))).toEqual([true, '127.0.0.1', 'TLSv1.3', false, 'number']);
});

test('keep-alive: many requests on one connection', async () => {
  let requests = 0;
  await using site = await serve((_, response) => response.end(String(++requests)));
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
  for (let i = 1; i <= 50; i++) {
    const { body } = await fetchFrom(site.port, { agent });
    expect(String(body)).toBe(String(i));
  }
  expect(site.sockets).toHaveLength(1);
  agent.destroy();
  await closed(site.sockets[0]);
});

test('connection: close closes', async () => {
  await using site = await serve((_, response) => response.end('bye'));
  const { response } = await fetchFrom(site.port, {
    agent: false,
    headers: { connection: 'close' },
  });
  expect(response.headers.connection).toBe('close');
  await closed(site.sockets[0]);
});

test('pipelined requests are answered in order', async () => {
  await using site = await serve((request, response) => {
    // The first takes longest.
    setTimeout(() => response.end(`<${request.url}>`), 30 - 3 * Number(request.url!.slice(1)));
  });
  const client = connect(site.port);
  const requests = Array.from(
    { length: 10 },
    (_, i) => `GET /${i} HTTP/1.1\r\nHost: a\r\n${i === 9 ? 'Connection: close\r\n' : ''}\r\n`,
  );
  client.write(requests.join(''));
  const answers = String(await readAll(client)).match(/<[^>]*>/g);
  expect(answers).toEqual(Array.from({ length: 10 }, (_, i) => `</${i}>`));
});

test('a request that comes in single bytes', async () => {
  await using site = await serve((request, response) =>
    response.end(`hello ${request.headers['x-long']}`),
  );
  const client = connect(site.port);
  await once(client, 'secureConnect');
  for (const byte of Buffer.from(
    'GET / HTTP/1.1\r\nHost: a\r\nX-Long: crumbs\r\nConnection: close\r\n\r\n',
  )) {
    client.write(Buffer.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(String(await readAll(client))).toMatch(/hello crumbs$/);
});

describe('bodies', () => {
  test.for([
    ['with a length', true],
    ['chunked', false],
  ] as const)('16 MB echoed, %s', async ([, withLength]) => {
    await using site = await serve((request, response) => void pipeline(request, response));
    const sent = randomBytes(16 << 20);
    const request = https.request({
      port: site.port,
      host: '127.0.0.1',
      method: 'POST',
      rejectUnauthorized: false,
      ...(withLength ? { headers: { 'content-length': sent.length } } : {}),
    });
    request.end(sent);
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    expect((await readAll(response)).equals(sent)).toBe(true);
  });

  test('an answer in many small pieces, with trailers', async () => {
    await using site = await serve((_, response) => {
      response.setHeader('trailer', 'x-sum');
      for (let i = 0; i < 2000; i++) response.write(`${i},`);
      response.addTrailers({ 'x-sum': '2000' });
      response.end();
    });
    const { response, body } = await fetchFrom(site.port);
    expect(String(body)).toBe(Array.from({ length: 2000 }, (_, i) => `${i},`).join(''));
    expect(response.trailers).toEqual({ 'x-sum': '2000' });
  });

  test('HEAD, 204 and 304 have none', async () => {
    await using site = await serve((request, response) => {
      response.statusCode = Number(request.url!.slice(1));
      response.end(request.method === 'HEAD' ? 'not sent' : undefined);
    });
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
    for (const [method, status] of [
      ['HEAD', 200],
      ['GET', 204],
      ['GET', 304],
      ['GET', 200],
    ] as const) {
      const { response, body } = await fetchFrom(site.port, { agent, method, path: `/${status}` });
      expect([response.statusCode, body.length]).toEqual([status, 0]);
    }
    agent.destroy();
  });

  test('write() says false to a client that does not read, and drain follows', async () => {
    const saidMore = deferred<boolean>();
    await using site = await serve((_, response) => {
      const more = response.write(Buffer.alloc(32 << 20));
      response.once('drain', () => {
        saidMore.resolve(more);
        response.end();
      });
    });
    const { body } = await fetchFrom(site.port);
    expect(body.length).toBe(32 << 20);
    expect(await saidMore.promise).toBe(false);
  });
});

describe('Expect: 100-continue', () => {
  test('is answered before the body comes', async () => {
    await using site = await serve(async (request, response) => {
      response.end(`got ${String(await readAll(request))}`);
    });
    const request = https.request({
      port: site.port,
      host: '127.0.0.1',
      method: 'POST',
      rejectUnauthorized: false,
      headers: { expect: '100-continue' },
    });
    request.flushHeaders();
    await once(request, 'continue');
    request.end('the body');
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    expect(String(await readAll(response))).toBe('got the body');
  });

  test("goes to 'checkContinue'", async () => {
    await using site = await serve(() => expect.unreachable());
    site.web.on('checkContinue', (_, response) => {
      response.statusCode = 417;
      response.end();
    });
    const { response } = await fetchFrom(site.port, {
      method: 'POST',
      agent: false,
      headers: { expect: '100-continue' },
    });
    expect(response.statusCode).toBe(417);
  });
});

describe('Upgrade and CONNECT', () => {
  test('hand the socket over, with the bytes behind the head', async () => {
    await using site = await serve(() => expect.unreachable());
    site.web.on('upgrade', (request, socket, head) => {
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n',
      );
      socket.write(head);
      socket.pipe(socket);
      socket.write(`<${socket === request.socket}>`);
    });
    const client = connect(site.port);
    client.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly ');
    client.write('bird');
    client.end();
    const answer = String(await readAll(client));
    expect(answer).toMatch(/^HTTP\/1\.1 101 /);
    expect(answer.slice(answer.indexOf('\r\n\r\n') + 4).replace('<true>', '')).toBe('early bird');
    expect(answer).toContain('<true>');
  });

  test('an upgraded connection carries both directions for long', async () => {
    await using site = await serve(() => expect.unreachable());
    site.web.on('upgrade', (_, socket) => {
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n',
      );
      socket.pipe(socket);
    });
    const request = https.request({
      port: site.port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      headers: { connection: 'Upgrade', upgrade: 'echo' },
    });
    request.end();
    const [, socket] = (await once(request, 'upgrade')) as [unknown, tls.TLSSocket];
    const sent = randomBytes(4 << 20);
    socket.end(sent);
    expect((await readAll(socket)).equals(sent)).toBe(true);
  });

  test('CONNECT', async () => {
    await using site = await serve(() => expect.unreachable());
    site.web.on('connect', (request, socket, head) => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      socket.end(`to ${request.url}: ${String(head)}`);
    });
    const client = connect(site.port);
    client.write('CONNECT db.test:5432 HTTP/1.1\r\nHost: db.test\r\n\r\nhello');
    expect(String(await readAll(client))).toMatch(/\r\n\r\nto db\.test:5432: hello$/);
  });
});

describe('errors', () => {
  test('a request that is none: 400', async () => {
    await using site = await serve(() => expect.unreachable());
    const client = connect(site.port);
    client.write('this is no HTTP\r\n\r\n');
    expect(String(await readAll(client))).toMatch(/^HTTP\/1\.1 400 Bad Request/);
    await closed(site.sockets[0]);
  });

  test('a client that goes away in the middle of its body', async () => {
    const seen: string[] = [];
    await using site = await serve((request) => {
      request.on('error', (error: NodeJS.ErrnoException) => seen.push(error.code!));
      request.on('close', () => seen.push('close'));
      request.once('data', () => seen.push('data'));
    });
    const request = https.request({
      port: site.port,
      host: '127.0.0.1',
      method: 'POST',
      rejectUnauthorized: false,
      headers: { 'content-length': 100 },
    });
    request.on('error', () => {});
    request.write('some of it');
    await until(() => seen.includes('data'), 'the request');
    request.destroy();
    await until(() => seen.includes('close'), 'the request to close');
    expect(seen).toEqual(['data', 'ECONNRESET', 'close']);
  });

  test('a client that goes away during the answer ends the response', async () => {
    const finished = deferred<boolean>();
    await using site = await serve((_, response) => {
      const pump = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536)));
      };
      response.on('drain', pump).on('close', () => finished.resolve(response.writableFinished));
      pump();
    });
    const request = https.get({
      port: site.port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      agent: false,
    });
    request.on('error', () => {});
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    response.on('error', () => {}).once('data', () => request.destroy());
    expect(await finished.promise).toBe(false);
  });
});

describe('timeouts', () => {
  test('keepAliveTimeout closes an idle connection', async () => {
    await using site = await serve((_, response) => response.end('x'), {});
    site.web.keepAliveTimeout = 50;
    const agent = new https.Agent({ keepAlive: true });
    await fetchFrom(site.port, { agent });
    await closed(site.sockets[0]);
    agent.destroy();
  });

  test('headersTimeout answers 408', async () => {
    await using site = await serve(() => expect.unreachable(), {
      headersTimeout: 100,
      requestTimeout: 100,
      connectionsCheckingInterval: 50,
    });
    const client = connect(site.port);
    client.write('GET / HTTP/1.1\r\nHost: a\r\n');
    expect(String(await readAll(client))).toMatch(/^HTTP\/1\.1 408 Request Timeout/);
  });

  test('server.setTimeout() reaches the socket', async () => {
    await using site = await serve(() => {});
    const socket = new Promise((resolve) => site.web.setTimeout(50, resolve));
    const client = connect(site.port).on('error', () => {});
    client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    expect(await socket).toBe(site.sockets[0]);
    client.destroy();
  });

  test('closeIdleConnections() and closeAllConnections()', async () => {
    await using site = await serve((request, response) => {
      if (request.url === '/idle') response.end('x');
    });
    const agent = new https.Agent({ keepAlive: true });
    await fetchFrom(site.port, { agent, path: '/idle' });
    const busy = https.get({
      port: site.port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      agent: false,
    });
    busy.on('error', () => {});
    await until(() => site.sockets.length === 2 && site.sockets[1].bytesRead > 0, 'the busy one');
    site.web.closeIdleConnections();
    await closed(site.sockets[0]);
    expect(site.sockets[1].destroyed).toBe(false);
    site.web.closeAllConnections();
    await closed(site.sockets[1]);
    agent.destroy();
  });
});

test('sixty-four clients with keep-alive at once', async () => {
  await using site = await serve(async (request, response) => {
    const body = await readAll(request);
    response.end(`${request.url} ${body.length}`);
  });
  const agent = new https.Agent({ keepAlive: true, maxSockets: 64 });
  const answers = Array.from({ length: 640 }, async (_, i) => {
    const { body } = await fetchFrom(
      site.port,
      { agent, path: `/${i}`, method: 'POST' },
      Buffer.alloc(i * 13),
    );
    return String(body);
  });
  expect(await Promise.all(answers)).toEqual(answers.map((_, i) => `/${i} ${i * 13}`));
  expect(site.sockets.length).toBeLessThanOrEqual(64);
  agent.destroy();
});
