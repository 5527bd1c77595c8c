import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import tls from 'node:tls';

import {
  acceptTls,
  type AcceptOptions,
  createSecureContext,
  setDefaultContext,
  stats,
  TlsSocket,
} from 'offloop';
import { createSecureContext as createNodeContext } from 'offloop/tls';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { listen, tcpPair } from './support/disposables.js';
import { run } from './support/program.js';
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
      () => ({ ...identity, pskCallback() {} }),
      'ERR_OFFLOOP_UNSUPPORTED_OPTION',
    ],
    ['a callback that is none', () => ({ ...identity, SNICallback: 5 }), 'ERR_INVALID_ARG_TYPE'],
    ['a trace that is none', () => ({ ...identity, enableTrace: 1 }), 'ERR_INVALID_ARG_TYPE'],
    [
      'protocols and a callback for them',
      () => ({ ...identity, ALPNProtocols: ['a'], ALPNCallback() {} }),
      'ERR_TLS_ALPN_CALLBACK_WITH_PROTOCOLS',
    ],
    ['options that are none', () => 'key' as never, 'ERR_INVALID_ARG_TYPE'],
    ['a signal that is none', () => ({ ...identity, signal: {} as never }), 'ERR_INVALID_ARG_TYPE'],
    ['a negative timeout', () => ({ ...identity, handshakeTimeout: -1 }), 'ERR_OUT_OF_RANGE'],
  ] as const)('rejects with %s, and the stream is destroyed', async ([, options, code]) => {
    await using ends = await tcpPair();
    await expect(acceptTls(ends.socket, options?.() as object)).rejects.toMatchObject({ code });
    expect(ends.socket.destroyed).toBe(true);
  });

  test.for([
    ['secureContext', () => ({ secureContext: createSecureContext(other) })],
    ["secureContext of Node's class", () => ({ secureContext: createNodeContext(other) })],
    ["context of Node's class", () => ({ context: createNodeContext(other) as never })],
  ] as const)('is the one of %s', async ([, options]) => {
    await using ends = await tcpPair();
    const client = speakTls(ends.client);
    const socket = await take(ends.socket, options());
    expect(client.getPeerCertificate().subject.CN).toBe('other');
    socket.destroy();
  });

  test('from objects with inherited getters is not taken for that of another', async () => {
    class Material {
      readonly #pem: string;
      constructor(pem: string) {
        this.#pem = pem;
      }
      get pem(): string {
        return this.#pem;
      }
    }
    const accept = async (key: string): Promise<void> => {
      await using ends = await tcpPair();
      speakTls(ends.client).on('error', () => {});
      const socket = await take(ends.socket, { key: [new Material(key)], cert: identity.cert });
      socket.destroy();
    };
    await accept(identity.key);
    await expect(accept(other.key)).rejects.toMatchObject({
      code: 'ERR_OSSL_X509_KEY_VALUES_MISMATCH',
    });
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

describe('what is asked during the handshake', () => {
  test('SNICallback chooses the context, with the socket for this', async () => {
    await using ends = await tcpPair();
    const client = speakTls(ends.client, { servername: 'other.test' });
    let seen: unknown;
    const socket = await take(ends.socket, {
      ...identity,
      SNICallback(this: TlsSocket, name, callback) {
        seen = [this, name, this.servername, this.secureConnecting];
        setImmediate(callback, null, createSecureContext(other));
      },
    });
    expect(seen).toEqual([socket, 'other.test', 'other.test', true]);
    expect(client.getPeerCertificate().subject.CN).toBe('other');
    expect([socket.secureConnecting, socket.servername]).toEqual([false, 'other.test']);
    client.write('ping');
    expect(String(await readExactly(socket, 4))).toBe('ping');
    socket.end('pong');
    expect(String(await readAll(client))).toBe('pong');
  });

  test('SNICallback needs no other context', async () => {
    await using ends = await tcpPair();
    const client = speakTls(ends.client, { servername: 'other.test' });
    const socket = await take(ends.socket, {
      SNICallback: (_, callback) => callback(null, createNodeContext(other)),
    });
    expect(client.getPeerCertificate().subject.CN).toBe('other');
    socket.destroy();
  });

  test('but without a name, or an answer, that is missing', async () => {
    for (const servername of ['', 'other.test']) {
      await using ends = await tcpPair();
      speakTls(ends.client, { servername }).on('error', () => {});
      const accepting = acceptTls(ends.socket, { SNICallback: (_, callback) => callback(null) });
      await expect(accepting).rejects.toMatchObject({
        code: 'ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM',
      });
    }
  });

  test.for<[string, AcceptOptions['SNICallback'] & {}, object]>([
    ['calls back an error', (_, callback) => callback(new Error('mine')), new Error('mine')],
    [
      'throws',
      () => {
        throw new Error('mine');
      },
      new Error('mine'),
    ],
    [
      'calls back no context',
      (_, callback) => callback(null, {}),
      new TypeError('Invalid SNI context'),
    ],
    [
      'destroys the socket',
      function (this: TlsSocket) {
        this.destroy();
      },
      { code: 'ECONNRESET' },
    ],
    ['never calls back', () => {}, { code: 'ERR_TLS_HANDSHAKE_TIMEOUT' }],
  ])('SNICallback that %s: a rejection', async ([, SNICallback, expected]) => {
    await using ends = await tcpPair();
    const client = speakTls(ends.client, { servername: 'other.test' }).on('error', () => {});
    const options = { ...identity, SNICallback, handshakeTimeout: 200 };
    await expect(acceptTls(ends.socket, options)).rejects.toMatchObject(expected);
    expect(ends.socket.destroyed).toBe(true);
    await closed(client);
  });

  test('a signal while SNICallback is thinking; its late answer changes nothing', async () => {
    await using ends = await tcpPair();
    speakTls(ends.client, { servername: 'other.test' }).on('error', () => {});
    const abort = new AbortController();
    const asked = deferred<(error: null) => void>();
    const accepting = acceptTls(ends.socket, {
      ...identity,
      signal: abort.signal,
      SNICallback: (_, callback) => asked.resolve(callback),
    });
    const answer = await asked.promise;
    abort.abort('enough');
    await expect(accepting).rejects.toMatchObject({ code: 'ABORT_ERR', cause: 'enough' });
    answer(null);
    await until(() => stats().connections.alive === 0, 'the connection to go');
  });

  test('ALPNCallback chooses the protocol', async () => {
    await using ends = await tcpPair();
    const client = speakTls(ends.client, { ALPNProtocols: ['a', 'b'], servername: 'x.test' });
    let offer: unknown;
    const socket = await take(ends.socket, {
      ...identity,
      ALPNCallback(asked) {
        offer = asked;
        return 'b';
      },
    });
    expect(offer).toEqual({ servername: 'x.test', protocols: ['a', 'b'] });
    expect([socket.alpnProtocol, client.alpnProtocol]).toEqual(['b', 'b']);
    socket.destroy();
  });

  test('ALPNCallback that chooses none, or what nobody offered: a rejection', async () => {
    for (const [choice, code] of [
      [undefined, 'ERR_SSL_NO_APPLICATION_PROTOCOL'],
      ['c', 'ERR_TLS_ALPN_CALLBACK_INVALID_RESULT'],
    ] as const) {
      await using ends = await tcpPair();
      speakTls(ends.client, { ALPNProtocols: ['a'] }).on('error', () => {});
      const accepting = acceptTls(ends.socket, { ...identity, ALPNCallback: () => choice });
      await expect(accepting).rejects.toMatchObject({ code });
    }
  });

  test("'error' of the socket reaches its listeners alone, as without callbacks", async () => {
    await using ends = await tcpPair();
    const client = speakTls(ends.client, { servername: 'x.test' }).on('error', () => {});
    const socket = await acceptTls(ends.socket, {
      ...identity,
      SNICallback: (_, callback) => callback(),
    });
    expect(socket.listenerCount('error')).toBe(0);
    const failed = once(socket, 'error');
    socket.write('x');
    await once(client, 'data');
    ends.client.resetAndDestroy();
    expect((await failed)[0]).toMatchObject({ code: 'ECONNRESET' });
  });

  test('enableTrace traces to standard error', async () => {
    const { stderr } = await run(
      `import net from 'node:net';
      import tls from 'node:tls';
      import { acceptTls } from 'offloop';
      const server = net.createServer(async (raw) => {
        const socket = await acceptTls(raw, { ...input, enableTrace: true });
        socket.end();
        server.close();
      });
      server.listen(0, () => {
        tls.connect({ port: server.address().port, rejectUnauthorized: false }).resume();
      });`,
      identity,
    );
    expect(stderr).toMatch(/Received Record[\s\S]*ClientHello[\s\S]*Sent Record[\s\S]*ServerHello/);
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
  await until(() => stats().connections.alive === 0, 'all connections to go');
});

/** A socket whose peer a test tears down may be reset. */
async function take(...args: Parameters<typeof acceptTls>): Promise<TlsSocket> {
  const socket = await acceptTls(...args);
  return socket.on('error', () => {});
}

function speakTls(raw: net.Socket, options: tls.ConnectionOptions = {}): tls.TLSSocket {
  return tls.connect({ socket: raw, rejectUnauthorized: false, ...options });
}
