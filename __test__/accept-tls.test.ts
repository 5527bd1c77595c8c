import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import tls from 'node:tls';

import { acceptTls, createSecureContext, setDefaultContext, stats, TlsSocket } from 'offloop';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { listen, tcpPair } from './support/disposables.js';
import { closed, deferred, readAll, readExactly, until } from './support/streams.js';

let identity: Issued;
let other: Issued;

beforeAll(async () => {
  const authority = await Authority.create();
  identity = await authority.issue();
  other = await authority.issue({ subject: 'CN=other' });
});

afterEach(() => setDefaultContext(null));

describe('the context', () => {
  test('is the one that is given', async () => {
    const context = createSecureContext(identity);
    await using ends = await tcpPair();
    const client = speakTls(ends.client);
    const socket = await take(ends.socket, { context });
    expect(socket).toBeInstanceOf(TlsSocket);
    expect(socket).toBeInstanceOf(tls.TLSSocket);
    socket.end('hello');
    expect(String(await readAll(client))).toBe('hello');
  });

  test('is made from key and cert', async () => {
    await using ends = await tcpPair();
    const client = speakTls(ends.client);
    const socket = await take(ends.socket, { key: other.key, cert: other.cert });
    expect(client.getPeerCertificate().subject.CN).toBe('other');
    socket.destroy();
  });

  test('is made once for the same key and cert: a session of one call resumes in the next', async () => {
    let session: Buffer | undefined;
    for (const expected of [false, true]) {
      await using ends = await tcpPair();
      const client = speakTls(ends.client, { session, maxVersion: 'TLSv1.2' });
      client.once('session', (ticket) => (session = ticket));
      // Each time another object with the same values.
      const options = { key: Buffer.from(identity.key), cert: [identity.cert] };
      const socket = await take(ends.socket, options);
      if (!expected) await until(() => session !== undefined, 'a session');
      expect(socket.isSessionReused()).toBe(expected);
      socket.destroy();
    }
  });

  test('is the default one where none is given', async () => {
    setDefaultContext(createSecureContext(other));
    await using ends = await tcpPair();
    const client = speakTls(ends.client);
    const socket = await take(ends.socket);
    expect(client.getPeerCertificate().subject.CN).toBe('other');
    socket.destroy();
  });

  test.for([
    ['nothing', undefined, 'ERR_MISSING_ARGS'],
    ['no key', () => ({ cert: identity.cert }), 'ERR_MISSING_ARGS'],
    ['a context that is none', () => ({ context: {} as never }), 'ERR_MISSING_ARGS'],
    [
      'an option that is not honoured',
      () => ({ ...identity, SNICallback() {} }),
      'ERR_OFFLOOP_UNSUPPORTED_OPTION',
    ],
    ['options that are none', () => 'key' as never, 'ERR_INVALID_ARG_TYPE'],
    ['a signal that is none', () => ({ ...identity, signal: {} as never }), 'ERR_INVALID_ARG_TYPE'],
    ['a negative timeout', () => ({ ...identity, handshakeTimeout: -1 }), 'ERR_OUT_OF_RANGE'],
  ] as const)('rejects with %s, and the stream is destroyed', async ([, options, code]) => {
    await using ends = await tcpPair();
    await expect(acceptTls(ends.socket, options?.() as object)).rejects.toMatchObject({ code });
    expect(ends.socket.destroyed).toBe(true);
  });

  test('setDefaultContext() refuses what is none', () => {
    expect(() => setDefaultContext('x' as never)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
    );
    expect(() => setDefaultContext(undefined as never)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
    );
  });
});

describe('the stream', () => {
  test.for<[string, () => unknown, string]>([
    ['undefined', () => undefined, 'ERR_INVALID_ARG_TYPE'],
    ['null', () => null, 'ERR_INVALID_ARG_TYPE'],
    ['a plain object', () => ({}), 'ERR_INVALID_ARG_TYPE'],
    ['a Readable', () => Readable.from([]), 'ERR_INVALID_ARG_TYPE'],
    ['a server', () => net.createServer(), 'ERR_INVALID_ARG_TYPE'],
    ['a destroyed stream', () => new PassThrough().destroy(), 'ERR_SOCKET_CLOSED'],
    ['a destroyed socket', () => new net.Socket().destroy(), 'ERR_SOCKET_CLOSED'],
    ['decoded text', () => new PassThrough().setEncoding('utf8'), 'ERR_INVALID_ARG_VALUE'],
  ])('can not be %s', async ([, make, code]) => {
    await expect(acceptTls(make() as never, identity)).rejects.toMatchObject({ code });
  });

  test('may be a Unix socket', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'offloop-'));
    try {
      const path = join(folder, 'socket');
      await using listening = await listen(net.createServer(), path);
      const client = speakTls(net.connect(path));
      const [raw] = (await once(listening.server, 'connection')) as [net.Socket];
      const socket = await take(raw, identity);
      socket.end('over a path');
      expect(String(await readAll(client))).toBe('over a path');
      expect(socket.remoteAddress).toBeUndefined();
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('may still be connecting', async () => {
    await using listening = await listen(net.createServer());
    const raw = net.connect(listening.port, '127.0.0.1');
    const accepting = acceptTls(raw, identity);
    const [peer] = (await once(listening.server, 'connection')) as [net.Socket];
    const client = speakTls(peer);
    const socket = await accepting;
    socket.end('hello');
    expect(String(await readAll(client))).toBe('hello');
  });

  test('that fails to connect rejects with its error', async () => {
    const listening = await listen(net.createServer());
    await listening[Symbol.asyncDispose]();
    const raw = net.connect(listening.port, '127.0.0.1');
    await expect(acceptTls(raw, identity)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    expect(raw.destroyed).toBe(true);
  });

  test('keeps what was read of it and put back', async () => {
    await using ends = await tcpPair();
    const client = speakTls(ends.client);
    const [hello] = (await once(ends.socket, 'data')) as [Buffer];
    ends.socket.pause();
    ends.socket.unshift(hello.subarray(5));
    ends.socket.unshift(hello.subarray(0, 5));
    const socket = await take(ends.socket, identity);
    socket.end('kept');
    expect(String(await readAll(client))).toBe('kept');
  });

  test('keeps what it holds unread', async () => {
    await using ends = await tcpPair({ pauseOnConnect: true });
    const client = speakTls(ends.client);
    ends.socket.read(0);
    await until(() => ends.socket.readableLength > 0, 'the ClientHello');
    const socket = await take(ends.socket, identity);
    socket.end('kept');
    expect(String(await readAll(client))).toBe('kept');
  });

  test('sends what was written to it first', async () => {
    await using ends = await tcpPair();
    const greeting = Buffer.alloc(3_000_000, 'greeting');
    ends.socket.write(greeting);
    const accepting = acceptTls(ends.socket, identity);
    expect((await readExactly(ends.client, greeting.length)).equals(greeting)).toBe(true);
    const client = speakTls(ends.client);
    const socket = await accepting;
    socket.end('then TLS');
    expect(String(await readAll(client))).toBe('then TLS');
  });

  test('is destroyed with the TLS socket, and its server counts it until then', async () => {
    await using ends = await tcpPair();
    const count = (): Promise<number> =>
      new Promise((resolve) => ends.server.getConnections((_, value) => resolve(value)));
    const client = speakTls(ends.client);
    const socket = await take(ends.socket, identity);
    expect(await count()).toBe(1);
    expect(ends.socket.destroyed).toBe(false);
    client.resume().end();
    socket.resume();
    await closed(socket);
    expect(ends.socket.destroyed).toBe(true);
    await until(() => ends.socket.closed, 'the raw socket');
    expect(await count()).toBe(0);
  });

  test('when it is destroyed, so is the TLS socket', async () => {
    await using ends = await tcpPair();
    speakTls(ends.client).on('error', () => {});
    const socket = await take(ends.socket, identity);
    ends.socket.destroy();
    await closed(socket);
    expect(socket.destroyed).toBe(true);
  });

  test('emits nothing any more: what comes is for the TLS socket', async () => {
    await using ends = await tcpPair();
    const client = speakTls(ends.client);
    const seen: string[] = [];
    ends.socket.on('data', () => seen.push('data'));
    ends.socket.on('end', () => seen.push('end'));
    ends.socket.on('timeout', () => seen.push('timeout'));
    ends.socket.setTimeout(20);
    const socket = await take(ends.socket, identity);
    client.write('ping');
    expect(String(await readExactly(socket, 4))).toBe('ping');
    await new Promise((resolve) => setTimeout(resolve, 50));
    client.resume().end();
    socket.resume();
    await closed(socket);
    expect(seen).toEqual([]);
  });
});

describe('the TLS socket', () => {
  test('has the addresses of the stream', async () => {
    await using ends = await tcpPair();
    const client = speakTls(ends.client);
    const { remoteAddress, remotePort, localPort } = ends.socket;
    const socket = await take(ends.socket, identity);
    expect([socket.remoteAddress, socket.remotePort, socket.localPort]).toEqual([
      remoteAddress,
      remotePort,
      localPort,
    ]);
    expect(client.remotePort).toBe(socket.localPort);
  });

  test('delivers what came with the Finished to who listens later', async () => {
    await using ends = await tcpPair();
    const client = speakTls(ends.client);
    client.end('first and last');
    const socket = await take(ends.socket, identity);
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(String(await readAll(socket))).toBe('first and last');
  });

  test("emits 'end' to who listens directly after the await", async () => {
    await using ends = await tcpPair();
    const client = speakTls(ends.client);
    client.once('secureConnect', () => client.end());
    const socket = await take(ends.socket, identity);
    socket.resume();
    await once(socket, 'end');
    await closed(socket);
  });

  test("emits 'error' to who listens directly after the await", async () => {
    await using ends = await tcpPair();
    const client = speakTls(ends.client);
    client.once('secureConnect', () => ends.client.resetAndDestroy());
    client.on('error', () => {});
    const outcome = await acceptTls(ends.socket, identity).then(
      async (socket) => {
        const failed = deferred<Error>();
        socket.on('error', failed.resolve);
        return await failed.promise;
      },
      (reason: unknown) => reason,
    );
    // The reset may come before the server is done.
    expect(outcome).toMatchObject({ code: 'ECONNRESET' });
  });

  test.for([true, false])('takes allowHalfOpen (%s) from the stream', async (allowHalfOpen) => {
    await using ends = await tcpPair({ allowHalfOpen });
    speakTls(ends.client);
    const socket = await take(ends.socket, identity);
    expect(socket.allowHalfOpen).toBe(allowHalfOpen);
  });

  test('takes allowHalfOpen, highWaterMark and pauseOnConnect from the options', async () => {
    await using ends = await tcpPair();
    speakTls(ends.client).write('early');
    const socket = await take(ends.socket, {
      ...identity,
      allowHalfOpen: true,
      highWaterMark: 1234,
      pauseOnConnect: true,
    });
    expect(socket.allowHalfOpen).toBe(true);
    expect([socket.readableHighWaterMark, socket.writableHighWaterMark]).toEqual([1234, 1234]);
    expect(socket.readableFlowing).toBe(false);
    const data = once(socket, 'data');
    socket.resume();
    expect(String((await data)[0])).toBe('early');
  });

  test('takes ALPN and client certificates from the context', async () => {
    await using ends = await tcpPair();
    const client = speakTls(ends.client, { ALPNProtocols: ['a', 'b'] });
    const socket = await take(ends.socket, {
      ...identity,
      ALPNProtocols: ['b'],
      requestCert: true,
      rejectUnauthorized: false,
    });
    expect([socket.alpnProtocol, client.alpnProtocol]).toEqual(['b', 'b']);
    expect(socket.authorized).toBe(false);
    expect(socket.server).toBeNull();
  });
});

describe('giving up', () => {
  test('a silent client: ERR_TLS_HANDSHAKE_TIMEOUT', async () => {
    await using ends = await tcpPair();
    const accepting = acceptTls(ends.socket, { ...identity, handshakeTimeout: 30 });
    await expect(accepting).rejects.toMatchObject({ code: 'ERR_TLS_HANDSHAKE_TIMEOUT' });
    expect(ends.socket.destroyed).toBe(true);
  });

  test('a signal that was aborted before', async () => {
    await using ends = await tcpPair();
    const signal = AbortSignal.abort('not now');
    const accepting = acceptTls(ends.socket, { ...identity, signal });
    await expect(accepting).rejects.toMatchObject({
      code: 'ABORT_ERR',
      name: 'AbortError',
      cause: 'not now',
    });
    expect(ends.socket.destroyed).toBe(true);
  });

  test('a signal in the middle of the handshake', async () => {
    await using ends = await tcpPair();
    const abort = new AbortController();
    const accepting = acceptTls(ends.socket, { ...identity, signal: abort.signal });
    ends.client
      .on('error', () => {})
      .resume()
      .write(Buffer.of(22, 3, 1));
    await new Promise((resolve) => setTimeout(resolve, 20));
    abort.abort(new Error('enough'));
    await expect(accepting).rejects.toMatchObject({
      code: 'ABORT_ERR',
      cause: new Error('enough'),
    });
    expect(ends.socket.destroyed).toBe(true);
    await closed(ends.client);
  });

  test('a signal after the handshake changes nothing', async () => {
    await using ends = await tcpPair();
    const client = speakTls(ends.client);
    const abort = new AbortController();
    const socket = await take(ends.socket, { ...identity, signal: abort.signal });
    abort.abort();
    socket.end('still here');
    expect(String(await readAll(client))).toBe('still here');
  });

  test('a client that goes away: ECONNRESET', async () => {
    await using ends = await tcpPair();
    const accepting = acceptTls(ends.socket, identity);
    ends.client.end(Buffer.of(22, 3, 1));
    await expect(accepting).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(ends.socket.destroyed).toBe(true);
  });

  test('a stream that is destroyed in the middle', async () => {
    await using ends = await tcpPair();
    const accepting = acceptTls(ends.socket, identity);
    await new Promise((resolve) => setTimeout(resolve, 20));
    ends.socket.destroy(new Error('mine'));
    await expect(accepting).rejects.toThrow('mine');
  });

  test('the same stream twice: one of both, and no crash', async () => {
    await using ends = await tcpPair();
    const client = speakTls(ends.client).on('error', () => {});
    const outcomes = await Promise.allSettled([
      take(ends.socket, { ...identity, handshakeTimeout: 2000 }),
      take(ends.socket, { ...identity, handshakeTimeout: 2000 }),
    ]);
    expect(outcomes.filter(({ status }) => status === 'rejected').length).toBeGreaterThan(0);
    client.destroy();
  });
});

test('a hundred at once', async () => {
  const context = createSecureContext(identity);
  await using listening = await listen(net.createServer());
  const accepted: Promise<void>[] = [];
  listening.server.on('connection', (raw: net.Socket) => {
    accepted.push(
      acceptTls(raw, { context, handshakeTimeout: 50_000 }).then(
        (socket) => void socket.pipe(socket),
      ),
    );
  });
  const echoes = Array.from({ length: 100 }, async (_, i) => {
    const client = speakTls(net.connect(listening.port, '127.0.0.1'));
    client.end(`client ${i}`);
    return String(await readAll(client));
  });
  expect(await Promise.all(echoes)).toEqual(echoes.map((_, i) => `client ${i}`));
  await Promise.all(accepted);
  await until(() => stats().connections === 0, 'all connections to go');
});

/** A socket whose peer a test tears down may be reset. */
async function take(...args: Parameters<typeof acceptTls>): Promise<TlsSocket> {
  const socket = await acceptTls(...args);
  return socket.on('error', () => {});
}

function speakTls(raw: net.Socket, options: tls.ConnectionOptions = {}): tls.TLSSocket {
  return tls.connect({ socket: raw, rejectUnauthorized: false, ...options });
}
