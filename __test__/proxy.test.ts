/** Servers that pass plaintext on to backends: real clients before them, real servers behind. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import { Worker } from 'node:worker_threads';

import { createSecureContext, createServer, proxy, type Server, type ServerOptions } from 'offloop';
import { beforeAll, describe, expect, it } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { connect, listen, type Listening } from './support/disposables.js';
import { closed, duplexPair, readAll, readExactly, settled, until } from './support/streams.js';

let authority: Authority;
let identity: Issued;

beforeAll(async () => {
  authority = await Authority.create();
  identity = await authority.issue();
});

type Behaviour = (socket: net.Socket) => void;

const echo: Behaviour = (socket) => void socket.on('error', () => {}).pipe(socket);

/** A TCP server that keeps what it accepts. */
async function backend(behaviour: Behaviour = echo, options: net.ServerOpts = {}, place?: string) {
  const sockets: net.Socket[] = [];
  const server = net.createServer(options, (socket) => {
    // Checks come and go.
    socket.on('error', () => {});
    sockets.push(socket);
    behaviour(socket);
  });
  const listening = await listen(server, ...(place === undefined ? [] : [place]));
  return Object.assign(listening, { sockets });
}

/** Without checks, which backends would see. */
function proxying(
  proxyTo: ServerOptions['proxyTo'],
  options: ServerOptions = {},
): Promise<Listening<Server>> {
  return listen(createServer({ ...identity, noDelay: true, proxyTo, ...options }));
}

async function open(port: number, options: tls.ConnectionOptions = {}): Promise<tls.TLSSocket> {
  const client = connect(port, options);
  await once(client, 'secureConnect');
  return client;
}

const unchecked = (...backends: (number | string)[]) => ({ backends, checkInterval: 0 });

/** Whose certificate it was shown. */
const nameOf = (client: tls.TLSSocket): string | string[] | undefined =>
  client.getPeerCertificate().subject.CN;

/** A port that nobody listens on. */
async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

describe('what is passed on', () => {
  it('is HTTP with keep-alive, of both sizes, and no event of the server', async () => {
    await using app = await listen(
      http.createServer((request, response) => {
        const chunks: Buffer[] = [];
        request.on('data', (chunk: Buffer) => chunks.push(chunk));
        request.on('end', () => response.end(Buffer.concat([...chunks, ...chunks])));
      }),
    );
    await using front = await proxying(unchecked(app.port));
    let secured = 0;
    front.server.on('secureConnection', () => secured++);
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1, ca: identity.ca });
    const send = async (body: Buffer): Promise<Buffer> => {
      const request = https.request({ port: front.port, host: '127.0.0.1', method: 'POST', agent });
      request.end(body);
      const [response] = (await once(request, 'response')) as [http.IncomingMessage];
      return readAll(response);
    };
    for (const size of [0, 1, 1000, 16_384, 3_000_000]) {
      const body = Buffer.alloc(size, 'abcdefghij');
      const answer = await send(body);
      expect(answer.equals(Buffer.concat([body, body])), String(size)).toBe(true);
    }
    agent.destroy();
    await until(() => front.server.stats().connections.alive === 0, 'the end of the connection');
    const { connections, bytes, proxy: told, handshakes } = front.server.stats();
    expect({ secured, accepted: connections.accepted, done: handshakes.done }).toEqual({
      secured: 0,
      accepted: 1,
      done: 1,
    });
    expect(bytes.received).toBeGreaterThan(3_000_000);
    expect(bytes.sent).toBeGreaterThan(6_000_000);
    const name = `127.0.0.1:${app.port}`;
    const figures = { up: true, connections: 0, opened: 1, failures: 0, broken: 0 };
    expect(told).toEqual({ unserved: 0, backends: [{ name, ...figures }] });
  });

  it('is HTTP/2 in clear text, many streams at a time', async () => {
    const server = http2.createServer((request, response) => response.end(request.url));
    await using app = await listen(server);
    const options = { ALPNProtocols: ['h2'] };
    await using front = await proxying(unchecked(app.port), options);
    const session = http2.connect(`https://localhost:${front.port}`, {
      host: '127.0.0.1',
      ca: identity.ca,
    } as http2.SecureClientSessionOptions);
    const paths = Array.from({ length: 50 }, (_, i) => `/${i}`);
    const answers = paths.map((each) => readAll(session.request({ ':path': each })));
    expect((await Promise.all(answers)).map(String)).toEqual(paths);
    session.close();
    await once(session, 'close');
  });

  it('begins with whoever speaks first', async () => {
    await using app = await backend((socket) => socket.write('220 ready\r\n'));
    await using front = await proxying(unchecked(app.port));
    const client = await open(front.port);
    expect(String(await readExactly(client, 11))).toBe('220 ready\r\n');
    client.destroy();
  });

  it.each(['TLSv1.2', 'TLSv1.3'] as const)('goes through %s', async (version) => {
    await using app = await backend();
    await using front = await proxying(unchecked(app.port));
    const client = await open(front.port, { minVersion: version, maxVersion: version });
    client.end('and back');
    expect(String(await readAll(client))).toBe('and back');
  });

  it('goes over Unix sockets on both sides', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'offloop-proxy-'));
    const place = path.join(folder, 'app.sock');
    await using _app = await backend(echo, {}, place);
    const server = createServer({ ...identity, proxyTo: `unix:${place}` });
    await using _front = await listen(server, path.join(folder, 'front.sock'));
    const client = tls.connect({
      path: path.join(folder, 'front.sock'),
      rejectUnauthorized: false,
    });
    client.end('unix');
    expect(String(await readAll(client))).toBe('unix');
    expect(server.stats().proxy!.backends[0]!.name).toBe(place);
    rmSync(folder, { recursive: true });
  });

  it('comes from a name too', async () => {
    await using app = await backend();
    await using front = await proxying(unchecked(`localhost:${app.port}`));
    const client = await open(front.port);
    client.end('named');
    expect(String(await readAll(client))).toBe('named');
  });

  it('is what a stream carries that the program hands over', async () => {
    await using app = await backend();
    await using front = await proxying(unchecked(app.port));
    const [near, far] = duplexPair();
    front.server.emit('connection', far);
    const client = tls.connect({ socket: near, rejectUnauthorized: false });
    client.end('streamed');
    expect(String(await readAll(client))).toBe('streamed');
  });

  it('and what a raw socket carries that somebody looked at', async () => {
    await using app = await backend();
    await using front = await proxying(unchecked(app.port));
    const seen: net.Socket[] = [];
    front.server.on('connection', (socket: net.Socket) => seen.push(socket));
    const client = await open(front.port);
    client.end('looked at');
    expect(String(await readAll(client))).toBe('looked at');
    expect(seen).toHaveLength(1);
    await once(seen[0]!, 'close');
  });
});

describe('ends', () => {
  const halfOpen = { allowHalfOpen: true };

  it('of a client reach the backend, which may still answer', async () => {
    await using app = await backend((socket) => {
      socket.resume().on('end', () => setImmediate(() => socket.end('after the end')));
    }, halfOpen);
    await using front = await proxying(unchecked(app.port));
    const client = await open(front.port);
    client.end('question');
    expect(String(await readAll(client))).toBe('after the end');
    await until(() => front.server.stats().connections.alive === 0, 'the end of the connection');
    expect(front.server.stats().proxy!.backends[0]!.broken).toBe(0);
  });

  it('of a backend reach the client, which may still send', async () => {
    const got: Promise<Buffer>[] = [];
    await using app = await backend((socket) => {
      got.push(readAll(socket));
      socket.end('first and last');
    }, halfOpen);
    await using front = await proxying(unchecked(app.port));
    const client = await open(front.port, { allowHalfOpen: true } as tls.ConnectionOptions);
    expect(String(await readAll(client))).toBe('first and last');
    client.end('but I am not done');
    expect(String(await got[0])).toBe('but I am not done');
    await until(() => front.server.stats().connections.alive === 0, 'the end of the connection');
  });

  it('by RST of a backend reset the client', async () => {
    await using app = await backend(
      (socket) => void socket.once('data', () => socket.resetAndDestroy()),
    );
    await using front = await proxying(unchecked(app.port));
    const client = await open(front.port);
    client.write('x');
    const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ECONNRESET');
    expect(front.server.stats().proxy!.backends[0]!.broken).toBe(1);
  });

  it('by RST of a client reset the backend', async () => {
    await using app = await backend(() => {});
    await using front = await proxying(unchecked(app.port));
    const raw = net.connect(front.port, '127.0.0.1');
    const client = tls.connect({ socket: raw, rejectUnauthorized: false });
    await once(client, 'secureConnect');
    client.write('x');
    await until(() => app.sockets.length === 1, 'a connection');
    const broken = once(app.sockets[0]!, 'error') as Promise<[NodeJS.ErrnoException]>;
    app.sockets[0]!.resume();
    raw.resetAndDestroy();
    expect((await broken)[0].code).toBe('ECONNRESET');
  });

  it('by no TLS are answered with an alert, and reset the backend', async () => {
    await using app = await backend((socket) => void socket.resume());
    await using front = await proxying(unchecked(app.port));
    const raw = net.connect(front.port, '127.0.0.1');
    const client = tls.connect({ socket: raw, rejectUnauthorized: false });
    await once(client, 'secureConnect');
    await until(() => app.sockets.length === 1, 'a connection');
    const broken = closed(app.sockets[0]!);
    const alerted = once(client, 'error') as Promise<[NodeJS.ErrnoException]>;
    raw.write(Buffer.from('17030300050000000000', 'hex'));
    expect((await alerted)[0].code).toMatch(/ALERT|BAD_RECORD|DECRYPT/);
    await broken;
    client.destroy();
  });

  it('of idle ones come after idleTimeout', async () => {
    await using app = await backend();
    await using front = await proxying(unchecked(app.port), { limits: { idleTimeout: 100 } });
    const client = await open(front.port);
    client.resume();
    await once(client, 'end');
    await until(() => front.server.stats().connections.alive === 0, 'the end of the connection');
    expect(front.server.stats().sheds.idleTimeout).toBe(1);
    client.destroy();
  });
});

describe('backpressure', () => {
  const SIZE = 48 * 1024 * 1024;

  it('of a backend that does not read holds the client up', async () => {
    await using app = await backend((socket) => void socket.pause());
    await using front = await proxying(unchecked(app.port));
    const client = await open(front.port);
    const body = Buffer.alloc(SIZE, 'backend');
    client.end(body);
    // It stands still, far from the end.
    expect(await settled(() => front.server.stats().bytes.received)).toBeLessThan(SIZE / 2);
    const got = await readAll(app.sockets[0]!.resume());
    expect(got.equals(body)).toBe(true);
    client.destroy();
  });

  it('of a client that does not read holds the backend up', async () => {
    const body = Buffer.alloc(SIZE, 'client');
    await using app = await backend((socket) => void socket.end(body));
    await using front = await proxying(unchecked(app.port));
    const client = await open(front.port);
    client.pause();
    expect(await settled(() => front.server.stats().bytes.sent)).toBeLessThan(SIZE / 2);
    expect((await readAll(client.resume())).equals(body)).toBe(true);
  });
});

describe('of several backends', () => {
  it('the one with the fewest connections is taken', async () => {
    await using one = await backend();
    await using other = await backend();
    await using front = await proxying(unchecked(one.port, other.port));
    const clients: tls.TLSSocket[] = [];
    for (let i = 0; i < 6; i++) clients.push(await open(front.port));
    const counts = (): number[] =>
      front.server.stats().proxy!.backends.map(({ connections }) => connections);
    await until(() => one.sockets.length + other.sockets.length === 6, 'six connections');
    expect(counts()).toEqual([3, 3]);
    for (const socket of one.sockets) socket.destroy();
    await until(() => counts()[0] === 0, 'room at one');
    for (let i = 0; i < 3; i++) clients.push(await open(front.port));
    await until(() => one.sockets.length === 6, 'three more');
    expect(counts()).toEqual([3, 3]);
    for (const client of clients) client.destroy();
  });

  it('one that is down is left out at once, and nobody notices', async () => {
    await using app = await backend();
    const gone = await freePort();
    await using front = await proxying(unchecked(gone, app.port));
    for (let i = 0; i < 4; i++) {
      const client = await open(front.port);
      client.end(`number ${i}`);
      expect(String(await readAll(client))).toBe(`number ${i}`);
    }
    const { unserved, backends } = front.server.stats().proxy!;
    expect(unserved).toBe(0);
    expect(backends[0]).toMatchObject({ up: false, opened: 0, failures: 1 });
    expect(backends[1]).toMatchObject({ up: true, opened: 4, failures: 0 });
  });

  it('one that is back has its share again, by checks', async () => {
    await using app = await backend();
    const port = await freePort();
    await using front = await proxying({ backends: [port, app.port], checkInterval: 50 });
    const isUp = (): boolean => front.server.stats().proxy!.backends[0]!.up;
    // Found by a check, without a client.
    await until(() => !isUp(), 'a failed check');
    const back = net.createServer(echo);
    await using _back = await listen(back, port, '127.0.0.1');
    await until(isUp, 'a good check');
    const first = await open(front.port);
    const second = await open(front.port);
    const { backends } = front.server.stats().proxy!;
    await until(
      () => front.server.stats().proxy!.backends.every(({ opened }) => opened === 1),
      'one connection each',
    );
    expect(backends.every(({ failures }) => failures === 0)).toBe(true);
    first.destroy();
    second.destroy();
  });

  it('none is looked for any more when the server has closed', async () => {
    let checks = 0;
    await using app = await backend((socket) => {
      checks++;
      socket.resume();
    });
    const front = await proxying({ backends: app.port, checkInterval: 20 });
    await until(() => checks > 2, 'checks');
    await front[Symbol.asyncDispose]();
    await until(() => app.sockets.every(({ destroyed }) => destroyed), 'the last check');
    const before = checks;
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(checks - before).toBeLessThan(2);
  });
});

describe('without a backend', () => {
  it('clients are closed and counted, and served when it is back', async () => {
    const port = await freePort();
    await using front = await proxying(unchecked(port));
    for (let i = 0; i < 2; i++) {
      const client = await open(front.port);
      client.write('anybody?');
      expect(String(await readAll(client))).toBe('');
      client.destroy();
    }
    const { unserved, backends } = front.server.stats().proxy!;
    expect({ unserved, up: backends[0]!.up, failures: backends[0]!.failures }).toEqual({
      unserved: 2,
      up: false,
      failures: 2,
    });
    await using _app = await listen(net.createServer(echo), port, '127.0.0.1');
    const client = await open(front.port);
    client.end('here again');
    expect(String(await readAll(client))).toBe('here again');
    expect(front.server.stats().proxy!.backends[0]!.up).toBe(true);
  });

  it('that answers, another one is tried after connectTimeout', async () => {
    await using app = await backend();
    // 192.0.2.0/24 is nobody's: packets go nowhere, or are refused at once.
    await using front = await proxying({
      backends: ['192.0.2.1:9', app.port],
      connectTimeout: 200,
      checkInterval: 0,
    });
    for (let i = 0; i < 2; i++) {
      const client = await open(front.port);
      client.end('patience');
      expect(String(await readAll(client))).toBe('patience');
    }
    expect(front.server.stats().proxy!.backends[0]).toMatchObject({ up: false, failures: 1 });
  });
});

describe('the server', () => {
  it('chooses contexts by name, and changes them under open connections', async () => {
    await using app = await backend();
    const [before, after, named] = await Promise.all(
      ['before', 'after', 'named.test'].map((name) =>
        authority.issue({ subject: `CN=${name}`, names: [name] }),
      ),
    );
    await using front = await proxying(unchecked(app.port), before);
    front.server.addContext('named.test', named!);
    const first = await open(front.port);
    expect(nameOf(first)).toBe('before');
    front.server.setSecureContext(after!);
    const second = await open(front.port);
    expect(nameOf(second)).toBe('after');
    const third = await open(front.port, { servername: 'named.test' });
    expect(nameOf(third)).toBe('named.test');
    first.end('still here');
    expect(String(await readAll(first))).toBe('still here');
    second.destroy();
    third.destroy();
  });

  it('asks clientHello and SNICallback, whose socket closes with the connection', async () => {
    await using app = await backend();
    const sockets: Duplex[] = [];
    await using front = await proxying(unchecked(app.port), {
      clientHello(hello, socket) {
        sockets.push(socket);
        return hello.servername === 'nobody.test' ? { reject: 'access_denied' } : undefined;
      },
      SNICallback: (_name, callback) => callback(null, createSecureContext(identity) as never),
    });
    const refused = connect(front.port, { servername: 'nobody.test' });
    const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ERR_SSL_TLSV1_ALERT_ACCESS_DENIED');
    const client = await open(front.port, { servername: 'somebody.test' });
    client.write('asked');
    expect(String(await readExactly(client, 5))).toBe('asked');
    expect(sockets[1]!.destroyed).toBe(false);
    const end = closed(sockets[1]!);
    client.end();
    await end;
  });

  it('drains: open connections may end, and are cut after the timeout', async () => {
    await using app = await backend();
    const front = await proxying(unchecked(app.port));
    const client = await open(front.port);
    const draining = front.server.drain({ timeout: 10_000 });
    await expect(open(front.port)).rejects.toThrow('ECONNREFUSED');
    client.end('last words');
    expect(String(await readAll(client))).toBe('last words');
    expect(await draining).toEqual({ forced: 0 });

    const again = await proxying(unchecked(app.port));
    const stubborn = await open(again.port);
    const cut = closed(stubborn);
    expect(await again.server.drain({ timeout: 50 })).toEqual({ forced: 1 });
    await cut;
  });

  it('ends with its thread, connections included', async () => {
    await using app = await backend();
    const program = `
      const { parentPort, workerData } = require('node:worker_threads');
      const { createServer } = require('offloop');
      const server = createServer(workerData).listen(0, '127.0.0.1', () =>
        parentPort.postMessage(server.address().port));`;
    const { key, cert } = identity;
    const workerData = { key, cert, proxyTo: app.port };
    const worker = new Worker(program, { eval: true, workerData });
    const [port] = (await once(worker, 'message')) as [number];
    const client = await open(port);
    client.write('before');
    expect(String(await readExactly(client, 6))).toBe('before');
    const cut = closed(client.resume());
    await worker.terminate();
    await cut;
    await until(() => app.sockets.every(({ destroyed }) => destroyed), 'the backend hears of it');
  });

  it('drops what comes over maxConnections', async () => {
    await using app = await backend();
    await using front = await proxying(unchecked(app.port), { maxConnections: 1 });
    const first = await open(front.port);
    await until(() => front.server.stats().connections.open === 1, 'an open connection');
    const second = connect(front.port);
    await once(second, 'error');
    expect(front.server.stats().sheds.maxConnections).toBe(1);
    first.destroy();
  });

  it.each<[unknown, string]>([
    [true, 'ERR_INVALID_ARG_TYPE'],
    ['nowhere', 'ERR_INVALID_ARG_VALUE'],
    ['host:0', 'ERR_INVALID_ARG_VALUE'],
    ['host:65536', 'ERR_INVALID_ARG_VALUE'],
    ['[127.0.0.1]:80', 'ERR_INVALID_ARG_VALUE'],
    ['::1:80', 'ERR_INVALID_ARG_VALUE'],
    [0, 'ERR_OUT_OF_RANGE'],
    [[], 'ERR_INVALID_ARG_VALUE'],
    [{ port: '80' }, 'ERR_INVALID_ARG_TYPE'],
    [{ path: 'x'.repeat(108) }, 'ERR_INVALID_ARG_VALUE'],
    [{}, 'ERR_MISSING_ARGS'],
    [{ backends: [80], port: 80, timeout: 1 }, 'ERR_INVALID_ARG_VALUE'],
    [{ backends: 80, timeout: 1 }, 'ERR_INVALID_ARG_VALUE'],
    [{ backends: 80, sendProxyProtocol: 'v3' }, 'ERR_INVALID_ARG_VALUE'],
    [{ backends: 80, connectTimeout: 0 }, 'ERR_OUT_OF_RANGE'],
  ])('refuses proxyTo: %j', (proxyTo, code) => {
    expect(() => createServer({ ...identity, proxyTo: proxyTo as never })).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining('proxyTo') }),
    );
  });

  it('does not fall back: Node passes nothing on', () => {
    expect(() => createServer({ ...identity, proxyTo: 80, fallback: true })).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }),
    );
  });
});

describe('proxy()', () => {
  let folder: string;
  let files: { certFile: string; keyFile: string };

  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'offloop-proxy-'));
    files = { certFile: path.join(folder, 'cert.pem'), keyFile: path.join(folder, 'key.pem') };
    writeFileSync(files.certFile, identity.cert);
    writeFileSync(files.keyFile, identity.key);
    return () => rmSync(folder, { recursive: true });
  });

  it('listens, passes on, tells, and ends with its block', async () => {
    await using app = await backend();
    let port = 0;
    {
      await using front = await proxy({
        ...files,
        listen: '127.0.0.1:0',
        to: app.port,
        metrics: '127.0.0.1:0',
      });
      ({ port } = front.address() as net.AddressInfo);
      const client = await open(port);
      client.end('through');
      expect(String(await readAll(client))).toBe('through');
      expect(front.stats().proxy.backends[0]).toMatchObject({ opened: 1, up: true });
      expect(front.metricsAddress()).toMatchObject({ address: '127.0.0.1' });
    }
    await expect(open(port)).rejects.toThrow('ECONNREFUSED');
  });

  it('takes a certificate in memory, and options of createServer', async () => {
    await using app = await backend();
    const { key, cert } = identity;
    await using front = await proxy({
      key,
      cert,
      maxVersion: 'TLSv1.2',
      ALPNProtocols: ['x'],
      listen: '127.0.0.1:0',
      to: { port: app.port },
    });
    const { port } = front.address() as net.AddressInfo;
    const client = await open(port, { ALPNProtocols: ['x'] });
    expect([client.getProtocol(), client.alpnProtocol]).toEqual(['TLSv1.2', 'x']);
    client.destroy();
  });

  it('leaves nothing running when it can not start', async () => {
    await using app = await backend();
    const probe = net.createServer().listen(0, '127.0.0.1');
    await once(probe, 'listening');
    const { port } = probe.address() as net.AddressInfo;
    probe.close();
    await once(probe, 'close');
    const options = { ...files, to: app.port };
    // The figures' port is the backend's.
    const failed = proxy({
      ...options,
      listen: `127.0.0.1:${port}`,
      metrics: `127.0.0.1:${app.port}`,
    });
    await expect(failed).rejects.toThrow(
      expect.objectContaining({ code: 'EADDRINUSE', option: 'options.metrics' }),
    );
    await using front = await proxy({ ...options, listen: `127.0.0.1:${port}` });
    expect(front.address()).toMatchObject({ port });
  });

  it.each<[string, object, string]>([
    ['no backend', { to: undefined }, 'ERR_MISSING_ARGS'],
    ['a wrong backend', { to: 'x' }, 'ERR_INVALID_ARG_VALUE'],
    ['no place', { listen: undefined }, 'ERR_INVALID_ARG_TYPE'],
    ['a wrong place', { listen: 'x' }, 'ERR_INVALID_ARG_VALUE'],
    ['no certificate', { certFile: undefined, keyFile: undefined }, 'ERR_MISSING_ARGS'],
    ['a certificate without its key', { keyFile: undefined }, 'ERR_MISSING_ARGS'],
    ['a key without its certificate', { certFile: undefined }, 'ERR_MISSING_ARGS'],
    ['a certificate in two places', { cert: 'x' }, 'ERR_INVALID_ARG_VALUE'],
    ['two ways to choose by name', { sni: [], SNICallback() {} }, 'ERR_INVALID_ARG_VALUE'],
    ['a fallback', { fallback: true }, 'ERR_INVALID_ARG_VALUE'],
    ['a wrong version', { sendProxyProtocol: 1 }, 'ERR_INVALID_ARG_VALUE'],
    ['a file that is not there', { certFile: '/nowhere/cert.pem' }, 'ENOENT'],
    ['a wrong watch', { watch: 'yes' }, 'ERR_INVALID_ARG_TYPE'],
  ])('refuses %s', async (_, change, code) => {
    const options = { ...files, listen: '127.0.0.1:0', to: 80, ...change };
    await expect(proxy(options as never)).rejects.toThrow(expect.objectContaining({ code }));
  });
});
