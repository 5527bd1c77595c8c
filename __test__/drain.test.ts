/** drain(): a server ends without losing a request. */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import tls from 'node:tls';

import { createServer, drain } from 'offloop';
import { createSecureServer } from 'offloop/http2';
import { createServer as createHttpsServer } from 'offloop/https';
import { beforeAll, describe, expect, test } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { connect } from './support/disposables.js';
import { deferred, readAll, until } from './support/streams.js';

let identity: Issued;

beforeAll(async () => {
  identity = await (await Authority.create()).issue();
});

async function listening(server: tls.Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** Status and what the answer says about its connection. */
async function get(port: number, agent: https.Agent, path = '/'): Promise<unknown[]> {
  const request = https.get({ port, path, agent, rejectUnauthorized: false });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.resume();
  await once(response, 'end');
  return [response.statusCode, response.headers.connection];
}

async function refusal(port: number): Promise<string> {
  const [error] = (await once(connect(port), 'error')) as [NodeJS.ErrnoException];
  return error.code!;
}

/** A way to the server on which nothing comes back for a while. */
async function slowLink(port: number) {
  const ends = new Set<net.Socket>();
  const relay = net.createServer((client) => {
    const server = net.connect(port, '127.0.0.1');
    client.pipe(server).pipe(client);
    for (const end of [client, server]) ends.add(end.on('error', () => {}));
    link.hold = () => void server.unpipe(client);
    link.release = () => void server.pipe(client);
  });
  relay.listen(0, '127.0.0.1');
  await once(relay, 'listening');
  const link = {
    port: (relay.address() as AddressInfo).port,
    isUsed: () => ends.size > 0,
    hold() {},
    release() {},
    async [Symbol.asyncDispose]() {
      for (const end of ends) end.destroy();
      await new Promise((resolve) => relay.close(resolve));
    },
  };
  return link;
}

describe.each([
  ['on the core', {}],
  ['of Node, fallen back', { dhparam: 'auto', fallback: true }],
])('a server %s', (_name, more: object) => {
  const onCore = !('fallback' in more);

  test('HTTP/1: answers what is under way, and one more request of each connection', async () => {
    const slow = deferred<() => void>();
    const server = createHttpsServer({ ...identity, ...more }, (request, response) => {
      if (request.url === '/slow') slow.resolve(() => response.end());
      else response.end();
    });
    const port = await listening(server);
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
    const other = new https.Agent({ keepAlive: true, maxSockets: 1 });
    expect(await get(port, agent)).toEqual([200, 'keep-alive']);
    const answer = get(port, other, '/slow');
    const finish = await slow.promise;
    const drained = drain(server);
    expect(await refusal(port)).toBe('ECONNREFUSED');
    expect(await get(port, agent)).toEqual([200, 'close']);
    finish();
    const [status] = await answer;
    expect(status).toBe(200);
    // What was under way could not tell yet.
    expect(await get(port, other)).toEqual([200, 'close']);
    expect(await drained).toEqual({ forced: 0 });
    expect(server.listening).toBe(false);
  });

  test('HTTP/2: streams that were opened before the client knew are answered', async () => {
    const server = createSecureServer({ ...identity, ...more });
    const stream = deferred<http2.ServerHttp2Stream>();
    server.on('stream', (opened, headers) => {
      if (headers[':path'] === '/slow') return stream.resolve(opened);
      opened.respond();
      opened.end();
    });
    const port = await listening(server);
    await using link = await slowLink(port);
    const session = http2.connect(`https://127.0.0.1:${link.port}`, { rejectUnauthorized: false });
    const slow = session.request({ ':path': '/slow' });
    const under = await stream.promise;
    const goaway = once(session, 'goaway');
    link.hold();
    const drained = drain(server);
    if (onCore) {
      const late = session.request({ ':path': '/late' });
      await once(server, 'stream');
      link.release();
      const [headers] = await once(late, 'response');
      expect(headers[':status']).toBe(200);
      late.resume();
    } else {
      link.release();
    }
    expect((await goaway).slice(0, 2)).toEqual([0, onCore ? 2 ** 31 - 1 : 1]);
    under.respond();
    under.end('done');
    slow.resume();
    await once(slow, 'end');
    expect(await drained).toEqual({ forced: 0 });
  });

  test('what is open after the time is destroyed, and counted', async () => {
    const server = createHttpsServer({ ...identity, ...more }, () => {});
    const port = await listening(server);
    const request = https.get({ port, rejectUnauthorized: false });
    await once(server, 'request');
    const failed = once(request, 'error');
    expect(await drain(server, { timeout: 50 })).toEqual({ forced: 1 });
    expect(((await failed) as [NodeJS.ErrnoException])[0].code).toBe('ECONNRESET');
  });
});

test('a handshake under way is finished, one that never ends is cut with the rest', async () => {
  const server = createServer(identity, (socket) => socket.end('hello'));
  const port = await listening(server);
  const silent = net.connect(port, '127.0.0.1');
  await once(silent, 'connect');
  silent.resume();
  const closed = once(silent, 'close');
  expect(await server.drain({ timeout: 50 })).toEqual({ forced: 1 });
  await closed;
});

test.each([
  ['that the core accepts', false],
  ['that Node accepts, for a listener of connection', true],
])('clients %s are not waited for while they are silent', async (_name, listens) => {
  const server = createServer(identity, (socket) => socket.end('hello'));
  if (listens) server.on('connection', () => {});
  const port = await listening(server);
  const [silent, slow] = [net.connect(port, '127.0.0.1'), net.connect(port, '127.0.0.1')];
  await Promise.all([silent, slow].map((socket) => once(socket, 'connect')));
  // The start of a record.
  slow.write(Buffer.from([22]));
  await until(() => server.stats().bytes.receivedWire === 1);
  const closed = once(silent.resume(), 'close');
  const drained = server.drain();
  await closed;
  expect(slow.resume().closed).toBe(false);
  slow.destroy();
  expect(await drained).toEqual({ forced: 0 });
});

test('requests on the heels of each other are all answered', async () => {
  const responses: (() => void)[] = [];
  const server = createHttpsServer(identity, (request, response) => {
    responses.push(() => response.end(`<${request.url}>`));
  });
  const port = await listening(server);
  const client = connect(port);
  client.write('GET /1 HTTP/1.1\r\nHost: a\r\n\r\n');
  await once(server, 'request');
  const drained = drain(server);
  client.write('GET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n');
  await until(() => responses.length === 3);
  for (const respond of responses) respond();
  const answers = String(await readAll(client));
  const said = answers.matchAll(/^Connection: (.*)\r$/gm);
  expect([...said].map(([, what]) => what)).toEqual(['keep-alive', 'keep-alive', 'close']);
  expect(answers.match(/<.*?>/g)).toEqual(['</1>', '</2>', '</3>']);
  expect(await drained).toEqual({ forced: 0 });
});

test('HTTP/2: a handshake that ends meanwhile, and its first request', async () => {
  const server = createSecureServer(identity, (_request, response) => response.end('hello'));
  const port = await listening(server);
  await using link = await slowLink(port);
  const session = http2.connect(`https://127.0.0.1:${link.port}`, { rejectUnauthorized: false });
  const stream = session.request();
  await until(() => link.isUsed());
  link.hold();
  const drained = drain(server);
  link.release();
  const [headers] = await once(stream, 'response');
  expect(headers[':status']).toBe(200);
  expect(String(await readAll(stream))).toBe('hello');
  expect(await drained).toEqual({ forced: 0 });
});

test('a server that has drained may listen and drain again', async () => {
  const server = createServer(identity, (socket) => socket.end('hello'));
  for (let time = 0; time < 2; time++) {
    const port = await listening(server);
    expect(String(await readAll(connect(port)))).toBe('hello');
    expect(await server.drain()).toEqual({ forced: 0 });
    expect(await refusal(port)).toBe('ECONNREFUSED');
  }
});

test('again calls are one; a server that does not listen is done', async () => {
  const server = createServer(identity);
  const drained = server.drain();
  expect(await drain(server)).toBe(await drained);
  expect(await drained).toEqual({ forced: 0 });
});

test('wrong arguments', async () => {
  await expect(drain(null as never)).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' });
  await expect(drain(tls.createServer())).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' });
  const server = createServer(identity);
  const wrong = drain(server, { timeout: -1 });
  await expect(wrong).rejects.toMatchObject({ code: 'ERR_OUT_OF_RANGE' });
  expect(await drain(server)).toEqual({ forced: 0 });
});
