/** Streams without a descriptor: in memory, TLS in TLS, what SSH and WebSocket libraries have. */
import { once } from 'node:events';
import { Duplex, PassThrough, Transform } from 'node:stream';
import tls from 'node:tls';

import { acceptTls, createServer, stats, type TlsSocket } from 'offloop';
import { beforeAll, describe, expect, test } from 'vitest';

import { Checked, Dice, Sequence } from './support/bytes.js';
import { Authority, type Issued } from './support/certificates.js';
import { pair, tcpPair } from './support/disposables.js';
import { nodeTls, offloop } from './support/libraries.js';
import {
  closed,
  duplexPair,
  readAll,
  readExactly,
  settled,
  until,
  watchClose,
} from './support/streams.js';

let identity: Issued;

beforeAll(async () => {
  identity = await (await Authority.create()).issue();
});

async function overMemory(
  options: { highWaterMark?: number; accept?: object; client?: tls.ConnectionOptions } = {},
): Promise<{ socket: TlsSocket; client: tls.TLSSocket; beneath: Duplex; far: Duplex }> {
  const [beneath, far] = duplexPair(options);
  const client = tls.connect({ socket: far, rejectUnauthorized: false, ...options.client });
  void watchClose(client);
  const [socket] = await Promise.all([
    acceptTls(beneath, { ...identity, ...options.accept }),
    once(client, 'secureConnect'),
  ]);
  void watchClose(socket);
  return { socket, client, beneath, far };
}

describe('a Duplex in memory', () => {
  test('carries both directions and the end', async () => {
    const { socket, client, beneath } = await overMemory();
    client.write('question');
    expect(String(await readExactly(socket, 8))).toBe('question');
    socket.end('answer');
    expect(String(await readAll(client))).toBe('answer');
    client.end();
    socket.resume();
    await closed(socket);
    expect(beneath.destroyed).toBe(true);
  });

  test('half-open as the stream beneath, as in Node: the answer comes after the end of the question', async () => {
    const { socket, client } = await overMemory();
    client.end('question');
    const question = String(await readAll(socket));
    socket.end(`${question}, answered`);
    expect(String(await readAll(client))).toBe('question, answered');
    await closed(socket);
  });

  test.for(['TLSv1.2', 'TLSv1.3'] as const)(
    'that hands over single bytes (%s)',
    async (version) => {
      const [beneath, far] = duplexPair();
      const client = tls.connect({
        socket: Duplex.from({ readable: far.pipe(crumbs()), writable: crumbsInto(far) }).on(
          'error',
          () => {},
        ),
        rejectUnauthorized: false,
        minVersion: version,
        maxVersion: version,
      });
      const socket = await acceptTls(beneath, identity);
      socket.end('crumb by crumb');
      expect(String(await readAll(client))).toBe('crumb by crumb');
      expect(socket.getProtocol() ?? version).toBe(version);
    },
  );

  test('has the addresses it says it has, and none otherwise', async () => {
    const [beneath, far] = duplexPair();
    Object.assign(beneath, { remoteAddress: '192.0.2.7', remotePort: 7, remoteFamily: 'IPv4' });
    tls.connect({ socket: far, rejectUnauthorized: false });
    const socket = await acceptTls(beneath, identity);
    expect([socket.remoteAddress, socket.remotePort, socket.remoteFamily]).toEqual([
      '192.0.2.7',
      7,
      'IPv4',
    ]);
    expect([socket.localAddress, socket.address()]).toEqual([undefined, {}]);
    const { socket: without } = await overMemory();
    expect([without.remoteAddress, without.remotePort]).toEqual([undefined, undefined]);
    socket.destroy();
    without.destroy();
  });

  test('that was paused flows', async () => {
    const [beneath, far] = duplexPair();
    beneath.pause();
    const client = tls.connect({ socket: far, rejectUnauthorized: false });
    const socket = await acceptTls(beneath, identity);
    socket.end('flows');
    expect(String(await readAll(client))).toBe('flows');
  });

  test('keeps what was read of it and put back', async () => {
    const [beneath, far] = duplexPair();
    const client = tls.connect({ socket: far, rejectUnauthorized: false });
    beneath.unshift(await readExactly(beneath, 7));
    const socket = await acceptTls(beneath, identity);
    socket.end('kept');
    expect(String(await readAll(client))).toBe('kept');
  });

  test("sends what was written to it before the handshake's bytes", async () => {
    const [beneath, far] = duplexPair();
    beneath.write('220 go ahead\r\n');
    const accepting = acceptTls(beneath, identity);
    expect(String(await readExactly(far, 14))).toBe('220 go ahead\r\n');
    const client = tls.connect({ socket: far, rejectUnauthorized: false });
    const socket = await accepting;
    socket.end('gone ahead');
    expect(String(await readAll(client))).toBe('gone ahead');
  });

  test('that breaks: its error is the error of the TLS socket', async () => {
    const { socket, client, beneath } = await overMemory();
    client.on('error', () => {});
    const error = Object.assign(new Error('cable cut'), { code: 'ECUT' });
    const seen = once(socket, 'error');
    beneath.destroy(error);
    await closed(socket);
    expect((await seen)[0]).toBe(error);
  });

  test('that is destroyed without an error closes the TLS socket', async () => {
    const { socket, client, beneath } = await overMemory();
    client.on('error', () => {});
    beneath.destroy();
    await closed(socket);
    expect(socket.destroyed).toBe(true);
  });

  test('is destroyed with the TLS socket', async () => {
    const { socket, client, beneath } = await overMemory();
    client.on('error', () => {});
    socket.destroy();
    await closed(socket);
    expect(beneath.destroyed).toBe(true);
  });

  test.for([false, true])(
    'that closes right after its end: all that came before is delivered (half-open: %s)',
    async (allowHalfOpen) => {
      for (let i = 0; i < 20; i++) {
        const { socket, client, beneath, far } = await overMemory({ accept: { allowHalfOpen } });
        client.on('error', () => {});
        const received = readAll(socket);
        const over = closed(socket);
        beneath.once('end', () => beneath.destroy());
        client.write('a'.repeat(100_000));
        client.end('last words');
        await once(far, 'finish');
        expect(String((await received).subarray(100_000))).toBe('last words');
        await over;
      }
    },
  );

  test('that ends without close_notify ends the TLS socket', async () => {
    const { socket, client, far } = await overMemory({ accept: { allowHalfOpen: false } });
    client.on('error', () => {});
    socket.resume();
    far.end();
    await once(socket, 'end');
    await closed(socket);
  });

  test('by which no TLS comes is destroyed, and the promise rejects', async () => {
    const [beneath, far] = duplexPair();
    const accepting = acceptTls(beneath, identity);
    far.write('EHLO, is this TLS?\r\n');
    await expect(accepting).rejects.toMatchObject({ code: 'ERR_SSL_WRONG_VERSION_NUMBER' });
    await readAll(far);
    await until(() => beneath.destroyed, 'the stream to be destroyed');
  });

  test('by which the alert of a failed handshake still goes', async () => {
    const [beneath, far] = duplexPair();
    const accepting = acceptTls(beneath, { ...identity, ALPNProtocols: ['ours'] });
    const client = tls.connect({
      socket: far,
      rejectUnauthorized: false,
      ALPNProtocols: ['theirs'],
    });
    const [[error]] = await Promise.all([
      once(client, 'error'),
      expect(accepting).rejects.toMatchObject({ code: 'ERR_SSL_NO_APPLICATION_PROTOCOL' }),
    ]);
    expect(error).toMatchObject({ code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL' });
    await until(() => beneath.destroyed, 'the stream to be destroyed');
  });

  test('that ends in the middle of the handshake: ECONNRESET', async () => {
    const [beneath, far] = duplexPair();
    const accepting = acceptTls(beneath, identity);
    far.end(Buffer.of(22, 3, 1, 0));
    await expect(accepting).rejects.toMatchObject({ code: 'ECONNRESET' });
  });

  test('that is silent: ERR_TLS_HANDSHAKE_TIMEOUT', async () => {
    const [beneath] = duplexPair();
    const accepting = acceptTls(beneath, { ...identity, handshakeTimeout: 30 });
    await expect(accepting).rejects.toMatchObject({ code: 'ERR_TLS_HANDSHAKE_TIMEOUT' });
    expect(beneath.destroyed).toBe(true);
  });

  test('an AbortSignal gives up', async () => {
    const [beneath] = duplexPair();
    const abort = new AbortController();
    const accepting = acceptTls(beneath, { ...identity, signal: abort.signal });
    abort.abort();
    await expect(accepting).rejects.toMatchObject({ code: 'ABORT_ERR' });
    expect(beneath.destroyed).toBe(true);
  });

  test('of another implementation counts by what it does', async () => {
    const [beneath, far] = duplexPair();
    // Neither a Duplex nor an EventEmitter to instanceof, as readable-stream's are not.
    const stranger = new Proxy(beneath, { getPrototypeOf: () => Object.prototype });
    expect(stranger).not.toBeInstanceOf(Duplex);
    const client = tls.connect({ socket: far, rejectUnauthorized: false });
    const socket = await acceptTls(stranger, identity);
    socket.end('strange');
    expect(String(await readAll(client))).toBe('strange');
  });

  test("reaches a server by emit('connection')", async () => {
    const [beneath, far] = duplexPair();
    const server = createServer(identity, (socket) => socket.end(`hello ${socket.servername}`));
    server.emit('connection', beneath);
    const client = tls.connect({
      socket: far,
      rejectUnauthorized: false,
      servername: 'memory.test',
    });
    expect(String(await readAll(client))).toBe('hello memory.test');
  });
});

describe('TLS in TLS', () => {
  for (const [outer, library] of Object.entries({ offloop, 'node:tls': nodeTls })) {
    test(`inside of a socket of ${outer}`, async () => {
      await using ends = await pair(library, { server: identity });
      const inside = tls.connect({ socket: ends.client, rejectUnauthorized: false });
      const socket = await acceptTls(ends.socket, identity);
      expect(socket.remotePort).toBe(ends.socket.remotePort);
      inside.end('two layers deep');
      expect(String(await readAll(socket))).toBe('two layers deep');
      await closed(socket);
      expect(ends.socket.destroyed).toBe(true);
    });
  }

  test('three layers deep, some megabytes', async () => {
    await using ends = await pair(offloop, { server: identity });
    let [near, far]: [Duplex, Duplex] = [ends.socket, ends.client];
    for (let layer = 0; layer < 2; layer++) {
      const client: tls.TLSSocket = tls.connect({ socket: far, rejectUnauthorized: false });
      near = await acceptTls(near, identity);
      far = client;
    }
    const sent = new Sequence();
    near.end(sent.slice(0, 3_000_000));
    expect((await readAll(far)).equals(sent.slice(0, 3_000_000))).toBe(true);
  });

  test('resetAndDestroy() and destroySoon() end the outer socket too', async () => {
    for (const end of ['resetAndDestroy', 'destroySoon'] as const) {
      await using ends = await pair(offloop, { server: identity });
      const inside = tls.connect({ socket: ends.client, rejectUnauthorized: false });
      inside.on('error', () => {}).resume();
      const socket = await acceptTls(ends.socket, identity);
      socket[end]();
      await Promise.all([closed(socket), closed(ends.socket)]);
    }
  });
});

describe('backpressure', () => {
  test('20 MB in each direction at once, byte by byte', async () => {
    const { socket, client } = await overMemory();
    const size = 20_000_000;
    const sequence = new Sequence();
    const dice = new Dice(5);
    const send = async (stream: Duplex): Promise<void> => {
      for (let at = 0; at < size;) {
        const piece = Math.min(size - at, 1 + dice.next(100_000));
        if (!stream.write(sequence.slice(at, piece))) await once(stream, 'drain');
        at += piece;
      }
    };
    const receive = (stream: Duplex): Promise<void> =>
      new Promise((resolve, reject) => {
        const checked = new Checked(sequence);
        stream.on('error', reject).on('data', (chunk: Buffer) => {
          checked.take(chunk);
          if (checked.received === size) resolve();
        });
      });
    await Promise.all([receive(socket), receive(client), send(socket), send(client)]);
    socket.destroy();
    client.destroy();
  });

  test('a stream beneath that takes no more holds the writer back', async () => {
    const [beneath, far] = duplexPair();
    const gate = new Gate();
    const client = tls.connect({
      socket: Duplex.from({ readable: far.pipe(gate), writable: far }).on('error', () => {}),
      rejectUnauthorized: false,
    });
    client.on('error', () => {});
    const [socket] = await Promise.all([
      acceptTls(beneath, identity),
      once(client, 'secureConnect'),
    ]);
    gate.shut();
    client.resume();
    let written = 0;
    let stopped = false;
    const sequence = new Sequence();
    const pump = (): void => {
      while (written < 50_000_000) {
        written += 50_000;
        if (!socket.write(sequence.slice(0, 50_000))) break;
      }
      stopped = true;
    };
    socket.on('drain', pump);
    pump();
    await settled(() => written);
    expect(stopped).toBe(true);
    expect(written).toBeLessThan(4_000_000);
    expect(socket.writableLength).toBeGreaterThan(0);
    expect(stats().memory.sentQueued).toBeLessThan(1_000_000);
    gate.open();
    await until(() => written >= 10_000_000, 'the writer to go on');
    socket.destroy();
    client.destroy();
  });

  test('a reader that pauses holds the stream beneath back', async () => {
    const { socket, client } = await overMemory({ accept: { pauseOnConnect: true } });
    const sequence = new Sequence();
    const total = 30_000_000;
    client.on('error', () => {});
    let written = 0;
    const pump = (): void => {
      while (written < total && client.write(sequence.slice(written, 50_000))) written += 50_000;
      written += 50_000;
      if (written >= total) client.end();
    };
    const going = (): void => {
      if (written < total) pump();
    };
    client.on('drain', going);
    pump();
    await settled(() => written);
    expect(written).toBeLessThan(4_000_000);
    const checked = new Checked(sequence);
    for await (const chunk of socket) checked.take(chunk as Buffer);
    expect(checked.received).toBeGreaterThanOrEqual(total);
  });
});

test('streams that a net.Socket is beneath, but not in front, go this way too', async () => {
  await using ends = await tcpPair();
  const client = tls.connect({ socket: ends.client, rejectUnauthorized: false });
  const counted = new PassThrough();
  const wrapped = Duplex.from({ readable: ends.socket.pipe(counted), writable: ends.socket });
  const socket = await acceptTls(wrapped, identity);
  socket.end('wrapped');
  expect(String(await readAll(client))).toBe('wrapped');
  client.end();
  socket.resume();
  await closed(socket);
});

/** Hands on single bytes. */
function crumbs(): Transform {
  return new Transform({
    transform(chunk: Buffer, _, callback) {
      for (const byte of chunk) this.push(Buffer.of(byte));
      callback();
    },
  });
}

function crumbsInto(target: Duplex): Transform {
  const stream = crumbs();
  stream.pipe(target);
  return stream;
}

/** Hands on while it is open. */
class Gate extends Transform {
  private waiting: (() => void) | null = null;
  private isShut = false;

  override _transform(
    chunk: Buffer,
    _: BufferEncoding,
    callback: (error: null, chunk: Buffer) => void,
  ): void {
    const pass = (): void => callback(null, chunk);
    if (this.isShut) this.waiting = pass;
    else pass();
  }

  shut(): void {
    this.isShut = true;
  }

  open(): void {
    this.isShut = false;
    this.waiting?.();
    this.waiting = null;
  }
}
