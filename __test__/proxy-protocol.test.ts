/** The PROXY protocol: taken from trusted peers by every server, and sent to backends. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls from 'node:tls';

import { createServer, type Server, type ServerOptions } from 'offloop';
import { createServer as createHttpsServer } from 'offloop/https';
import { beforeAll, describe, expect, it } from 'vitest';

import { issued, type Issued } from './support/certificates.js';
import { listen, type Listening } from './support/disposables.js';
import { closed, readAll, until } from './support/streams.js';

let identity: Issued;

beforeAll(async () => {
  [identity] = (await issued({})) as [Issued];
});

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const V1 = Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.2 50000 443\r\n');
const V1_IPV6 = Buffer.from('PROXY TCP6 2001:db8::1 2001:db8::2 50000 443\r\n');
const V2 = Buffer.concat([
  SIGNATURE,
  Buffer.from([0x21, 0x11, 0, 12, 192, 0, 2, 1, 198, 51, 100, 2, 0xc3, 0x50, 1, 0xbb]),
]);
const LOCAL = Buffer.concat([SIGNATURE, Buffer.from([0x20, 0, 0, 0])]);

const trusted = { proxyProtocol: { trusted: ['127.0.0.0/8'] } };

/** Tells each client its address, and closes. */
function telling(options: ServerOptions = trusted): Promise<Listening<Server>> {
  const server = createServer({ ...identity, ...options }, (socket) => {
    const { remoteAddress, remotePort, remoteFamily, localAddress, localPort } = socket;
    socket.end(JSON.stringify([remoteAddress, remotePort, remoteFamily, localAddress, localPort]));
  });
  return listen(server);
}

interface Front {
  readonly raw: net.Socket;
  /** What the server said of it. */
  readonly said: Promise<unknown[]>;
}

/** A proxy's connection: `header` goes first, in pieces of `size` bytes. */
async function dial(port: number, header: Buffer, size = header.length): Promise<Front> {
  const raw = net.connect({ port, host: '127.0.0.1', noDelay: true });
  await once(raw, 'connect');
  for (let at = 0; at < header.length; at += size) {
    raw.write(header.subarray(at, at + size));
    if (size < header.length) await new Promise((resolve) => setImmediate(resolve));
  }
  const client = tls.connect({ socket: raw, rejectUnauthorized: false });
  return { raw, said: readAll(client).then((text) => JSON.parse(String(text)) as unknown[]) };
}

describe('a header', () => {
  const fromHeader = ['192.0.2.1', 50_000, 'IPv4', '198.51.100.2', 443];

  it.each([
    ['of version 1', V1, V1.length],
    ['of version 1 in pieces', V1, 5],
    ['of version 1 byte by byte', V1, 1],
    ['of version 2', V2, V2.length],
    ['of version 2 in pieces', V2, 7],
    [
      'of version 2 with extensions',
      Buffer.concat([
        SIGNATURE,
        Buffer.from([0x21, 0x11, 0, 17, 192, 0, 2, 1, 198, 51, 100, 2, 0xc3, 0x50, 1, 0xbb]),
        Buffer.from([0x01, 0, 2]),
        Buffer.from('h2'),
      ]),
      64,
    ],
  ])('%s gives the addresses of the socket', async (_, header, size) => {
    await using server = await telling();
    const { said } = await dial(server.port, header, size);
    expect(await said).toEqual(fromHeader);
  });

  it('may tell of IPv6', async () => {
    await using server = await telling();
    const { said } = await dial(server.port, V1_IPV6);
    expect(await said).toEqual(['2001:db8::1', 50_000, 'IPv6', '2001:db8::2', 443]);
  });

  it('in one packet with the ClientHello leaves that whole', async () => {
    await using server = await telling();
    const raw = net.connect(server.port, '127.0.0.1');
    raw.cork();
    raw.write(V2);
    const client = tls.connect({ socket: raw, rejectUnauthorized: false });
    setImmediate(() => raw.uncork());
    expect(JSON.parse(String(await readAll(client)))).toEqual(fromHeader);
  });

  it.each([
    ['LOCAL', LOCAL],
    ['UNKNOWN', Buffer.from('PROXY UNKNOWN\r\n')],
  ])('that says %s leaves the addresses as they are', async (_, header) => {
    await using server = await telling();
    const { raw, said } = await dial(server.port, header);
    const { localPort } = raw;
    expect(await said).toEqual(['127.0.0.1', localPort, 'IPv4', '127.0.0.1', server.port]);
  });

  it('is for requests of https too', async () => {
    const server = createHttpsServer(
      { ...identity, ...trusted } as object,
      (request: http.IncomingMessage, response: http.ServerResponse) =>
        response.end(String(request.socket.remoteAddress)),
    );
    await using listening = await listen(server);
    const raw = net.connect(listening.port, '127.0.0.1');
    raw.write(V1);
    const client = tls.connect({ socket: raw, rejectUnauthorized: false });
    client.end('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    expect(String(await readAll(client))).toMatch(/192\.0\.2\.1$/);
  });

  it('is taken of raw sockets that somebody looks at', async () => {
    await using server = await telling();
    server.server.on('connection', () => {});
    const { said } = await dial(server.port, V1);
    expect((await said).slice(0, 2)).toEqual(fromHeader.slice(0, 2));
  });

  it('is taken over Unix sockets, if those are trusted', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'offloop-proxy-'));
    const place = path.join(folder, 'front.sock');
    const server = createServer({ ...identity, proxyProtocol: { trusted: ['unix'] } }, (socket) =>
      socket.end(String(socket.remoteAddress)),
    );
    await using _ = await listen(server, place);
    const raw = net.connect(place);
    raw.write(V1);
    const client = tls.connect({ socket: raw, rejectUnauthorized: false });
    expect(String(await readAll(client))).toBe('192.0.2.1');
    rmSync(folder, { recursive: true });
  });
});

/** The code of the error in the server's next 'tlsClientError', with the address that it tells. */
async function failureOf(server: Server): Promise<[string | undefined, string | undefined]> {
  const [error, socket] = (await once(server, 'tlsClientError')) as [
    NodeJS.ErrnoException,
    tls.TLSSocket,
  ];
  return [error.code, socket.remoteAddress];
}

describe('from those who are not trusted', () => {
  const others = { proxyProtocol: { trusted: ['10.0.0.0/8', '::1'] } };

  it('none is needed', async () => {
    await using server = await telling(others);
    const { raw, said } = await dial(server.port, Buffer.alloc(0));
    const { localPort } = raw;
    expect((await said).slice(0, 2)).toEqual(['127.0.0.1', localPort]);
  });

  it('none is taken', async () => {
    await using server = await telling(others);
    const failed = failureOf(server.server);
    const { said } = await dial(server.port, V1);
    await expect(said).rejects.toThrow();
    expect(await failed).toEqual(['ERR_SSL_WRONG_VERSION_NUMBER', '127.0.0.1']);
  });

  it('none is known without the option', async () => {
    await using server = await telling({});
    const failed = failureOf(server.server);
    const { said } = await dial(server.port, V1);
    await expect(said).rejects.toThrow();
    expect((await failed)[0]).toBe('ERR_SSL_WRONG_VERSION_NUMBER');
  });
});

describe('what is no header', () => {
  it.each([
    ['a ClientHello', Buffer.from('16030100050100000103', 'hex')],
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['a bad address', Buffer.from('PROXY TCP4 192.0.2.256 198.51.100.2 50000 443\r\n')],
    ['a line without an end', Buffer.from(`PROXY TCP4 ${'1'.repeat(120)}`)],
    ['another version', Buffer.concat([SIGNATURE, Buffer.from([0x31, 0x11, 0, 0])])],
    ['one that is too long', Buffer.concat([SIGNATURE, Buffer.from([0x21, 0x11, 0xff, 0xff])])],
  ])('closes the connection of a trusted peer: %s', async (_, bytes) => {
    await using server = await telling();
    const failed = failureOf(server.server);
    const raw = net.connect(server.port, '127.0.0.1');
    raw.end(bytes);
    expect(String(await readAll(raw))).toBe('');
    expect(await failed).toEqual(['ERR_OFFLOOP_PROXY_HEADER', '127.0.0.1']);
    expect(server.server.stats().handshakes.failures).toEqual({ ERR_OFFLOOP_PROXY_HEADER: 1 });
  });

  it('or is cut off', async () => {
    await using server = await telling();
    const failed = failureOf(server.server);
    const raw = net.connect(server.port, '127.0.0.1');
    raw.end(V2.subarray(0, 20));
    raw.resume();
    expect((await failed)[0]).toBe('ERR_OFFLOOP_PROXY_HEADER');
  });

  it('or never comes, is shed with those that send no ClientHello', async () => {
    await using server = await telling({ ...trusted, limits: { helloTimeout: 100 } });
    const raw = net.connect(server.port, '127.0.0.1');
    raw.write(V1.subarray(0, 10));
    await closed(raw.resume());
    expect(server.server.stats().sheds.helloTimeout).toBe(1);
    const second = net.connect(server.port, '127.0.0.1');
    second.write(V1);
    await closed(second.resume());
    expect(server.server.stats().sheds.helloTimeout).toBe(2);
  });
});

describe('limits of peers', () => {
  it('hold for the address in the header', async () => {
    const limits = { connectionRatePerPeer: { perSecond: 1, burst: 1 } };
    await using server = await telling({ ...trusted, limits });
    expect((await (await dial(server.port, V1)).said)[0]).toBe('192.0.2.1');
    // Another client of the same proxy.
    expect((await (await dial(server.port, V1_IPV6)).said)[0]).toBe('2001:db8::1');
    await expect((await dial(server.port, V2)).said).rejects.toThrow();
    expect(server.server.stats().sheds.connectionRatePerPeer).toBe(1);
  });

  it('let handshakes of one of them be as many as they may', async () => {
    await using server = await telling({ ...trusted, limits: { handshakesPerPeer: 1 } });
    const waiting = net.connect(server.port, '127.0.0.1');
    waiting.write(V1);
    await until(() => server.server.stats().connections.waiting === 1, 'a connection that waits');
    await new Promise((resolve) => setTimeout(resolve, 20));
    await expect((await dial(server.port, V1)).said).rejects.toThrow();
    expect(server.server.stats().sheds.handshakesPerPeer).toBe(1);
    waiting.destroy();
    await until(() => server.server.stats().connections.alive === 0, 'its end');
    expect((await (await dial(server.port, V1)).said)[0]).toBe('192.0.2.1');
  });
});

/** What comes to a backend of a client that says 'hello'. */
async function received(
  sendProxyProtocol: 'v1' | 'v2',
  { header = Buffer.alloc(0), ...options }: ServerOptions & { header?: Buffer } = {},
  client: tls.ConnectionOptions = {},
): Promise<{ bytes: Buffer; ports: { client: number; front: number } }> {
  let got: Promise<Buffer> | undefined;
  await using app = await listen(
    net.createServer((socket) => {
      got = readAll(socket.on('end', () => socket.end()));
    }),
  );
  const proxyTo = { backends: app.port, sendProxyProtocol, checkInterval: 0 };
  await using front = await listen(createServer({ ...identity, ...options, proxyTo }));
  const raw = net.connect(front.port, '127.0.0.1');
  await once(raw, 'connect');
  const { localPort } = raw;
  raw.write(header);
  const socket = tls.connect({ socket: raw, rejectUnauthorized: false, ...client });
  socket.end('hello');
  await readAll(socket);
  return { bytes: await got!, ports: { client: localPort!, front: front.port } };
}

describe('a backend gets', () => {
  it('version 1, and then what the client says', async () => {
    const { bytes, ports } = await received('v1');
    expect(String(bytes)).toBe(
      `PROXY TCP4 127.0.0.1 127.0.0.1 ${ports.client} ${ports.front}\r\nhello`,
    );
  });

  it('version 2 with what was agreed', async () => {
    const { bytes, ports } = await received(
      'v2',
      { ALPNProtocols: ['h2'] },
      { ALPNProtocols: ['h2'], servername: 'localhost', maxVersion: 'TLSv1.3' },
    );
    const length = bytes.readUInt16BE(14);
    expect(bytes.subarray(0, 14).toString('hex')).toBe(`${SIGNATURE.toString('hex')}2111`);
    expect(bytes.subarray(16, 24).toString('hex')).toBe('7f0000017f000001');
    expect([bytes.readUInt16BE(24), bytes.readUInt16BE(26)]).toEqual([ports.client, ports.front]);
    const extensions = parsed(bytes.subarray(28, 16 + length));
    expect(String(extensions.get(0x01))).toBe('h2');
    expect(String(extensions.get(0x02))).toBe('localhost');
    const ssl = extensions.get(0x20)!;
    // A client over TLS without a certificate: there is nothing that was verified.
    expect([ssl[0], ssl.readUInt32BE(1)]).toEqual([1, 1]);
    const inner = parsed(ssl.subarray(5));
    expect([String(inner.get(0x21)), String(inner.get(0x23))]).toEqual([
      'TLSv1.3',
      'TLS_AES_256_GCM_SHA384',
    ]);
    expect(String(bytes.subarray(16 + length))).toBe('hello');
  });

  it.each(['v1', 'v2'] as const)('the addresses of a proxy in front, in %s', async (version) => {
    const { bytes } = await received(version, { ...trusted, header: V1 });
    if (version === 'v1') expect(String(bytes)).toBe(`${String(V1)}hello`);
    else
      expect(bytes.subarray(12, 28).toString('hex').slice(8)).toBe(V2.subarray(16).toString('hex'));
  });
});

function parsed(bytes: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (let at = 0; at < bytes.length;) {
    const end = at + 3 + bytes.readUInt16BE(at + 1);
    found.set(bytes[at]!, bytes.subarray(at + 3, end));
    at = end;
  }
  return found;
}

it.each<[unknown, string]>([
  [true, 'ERR_INVALID_ARG_TYPE'],
  [{}, 'ERR_INVALID_ARG_VALUE'],
  [{ trusted: [] }, 'ERR_INVALID_ARG_VALUE'],
  [{ trusted: '10.0.0.0/8' }, 'ERR_INVALID_ARG_VALUE'],
  [{ trusted: ['10.0.0.0/33'] }, 'ERR_INVALID_ARG_VALUE'],
  [{ trusted: ['10.0.0.0/8/8'] }, 'ERR_INVALID_ARG_VALUE'],
  [{ trusted: ['localhost'] }, 'ERR_INVALID_ARG_VALUE'],
  [{ trusted: ['::1', 'fe80::1%lo'] }, 'ERR_INVALID_ARG_VALUE'],
])('proxyProtocol: %j is refused', (proxyProtocol, code) => {
  expect(() => createServer({ ...identity, proxyProtocol: proxyProtocol as never })).toThrow(
    expect.objectContaining({ code, message: expect.stringContaining('proxyProtocol') }),
  );
});
