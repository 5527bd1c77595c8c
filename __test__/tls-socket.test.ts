/** What a TlsSocket has of its own; what it shares with Node's is in compare.test.ts. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import net from 'node:net';
import { Duplex } from 'node:stream';
import tls from 'node:tls';

import * as esm from 'offloop';
import { beforeAll, describe, expect, test } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { diary } from './support/diary.js';
import { connect, listen, pair } from './support/disposables.js';
import { offloop } from './support/libraries.js';
import { run } from './support/program.js';
import { closed, readAll, readExactly, until } from './support/streams.js';

let identity: Issued;

beforeAll(async () => {
  identity = await (await Authority.create()).issue();
});

describe('what it is', () => {
  test('a TlsSocket, a tls.TLSSocket, a net.Socket and a Duplex', async () => {
    await using ends = await pair(offloop, { server: identity });
    for (const type of [esm.TlsSocket, tls.TLSSocket, net.Socket, Duplex]) {
      expect(ends.socket).toBeInstanceOf(type);
    }
    expect(ends.socket.constructor.name).toBe('TlsSocket');
    expect(tls.TLSSocket.prototype.isPrototypeOf(esm.TlsSocket.prototype)).toBe(true);
    expect(Object.hasOwn(tls.TLSSocket, Symbol.hasInstance)).toBe(false);
  });

  test('the same class for import and require', () => {
    const cjs = createRequire(import.meta.url)('offloop') as typeof esm;
    expect(cjs.TlsSocket).toBe(esm.TlsSocket);
    expect(cjs.SecureContext).toBe(esm.SecureContext);
    expect(Object.keys(cjs).toSorted()).toEqual(
      Object.keys(esm)
        .filter((name) => name !== 'default' && name !== 'module.exports')
        .toSorted(),
    );
  });

  test('its handle is none that Node would read from natively', async () => {
    await using ends = await pair(offloop, { server: identity });
    const handle = () =>
      (ends.socket as unknown as { _handle: { isStreamBase: boolean; fd: number } | null })._handle;
    expect(handle()).toMatchObject({ isStreamBase: false, fd: -1 });
    ends.socket.destroy();
    expect(handle()).toBeNull();
  });
});

describe('what it does not have, it refuses', () => {
  test.for([
    ['connect', [1]],
    ['setKeyCert', [{}]],
  ] as const)('%s()', async ([name, args]) => {
    await using ends = await pair(offloop, { server: identity });
    const call = (): unknown =>
      (ends.socket as unknown as Record<string, (...args: readonly unknown[]) => unknown>)[name](
        ...args,
      );
    expect(call).toThrow(expect.objectContaining({ code: 'ERR_OFFLOOP_UNSUPPORTED_OPTION' }));
  });

  test('what rustls does not tell, as Node before it is known', async () => {
    await using ends = await pair(offloop, { server: identity });
    const { socket } = ends;
    expect([socket.getFinished(), socket.getPeerFinished(), socket.getSession()]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  test('setKeepAlive() with an interval or a count', async () => {
    await using ends = await pair(offloop, { server: identity });
    for (const options of [
      { enable: true, interval: 1000 },
      { enable: true, count: 3 },
    ]) {
      expect(() => ends.socket.setKeepAlive(options as never)).toThrow(
        expect.objectContaining({ code: 'ERR_OFFLOOP_UNSUPPORTED_OPTION' }),
      );
    }
    expect(ends.socket.setKeepAlive({ enable: true, initialDelay: 1000 } as never)).toBe(
      ends.socket,
    );
  });
});

describe('resetAndDestroy()', () => {
  test('the peer gets ECONNRESET', async () => {
    await using ends = await pair(offloop, { server: identity });
    const events = diary(ends.socket);
    ends.client.resume();
    const error = once(ends.client, 'error');
    expect(ends.socket.resetAndDestroy()).toBe(ends.socket);
    expect((await error)[0]).toMatchObject({ code: 'ECONNRESET', syscall: 'read' });
    await closed(ends.socket);
    expect(events).toEqual(['close false']);
  });

  test('loses what is not sent', async () => {
    await using ends = await pair(offloop, { server: identity });
    ends.client.on('error', () => {});
    const outcome = new Promise((resolve) => ends.socket.write(Buffer.alloc(64 << 20), resolve));
    ends.socket.resetAndDestroy();
    expect(await outcome).toMatchObject({ code: expect.any(String) as string });
    // Where data and RST come together, libuv reports an end instead of ECONNRESET.
    let received = 0;
    ends.client.on('data', (chunk: Buffer) => (received += chunk.length));
    await closed(ends.client);
    expect(received).toBeLessThan(64 << 20);
  });

  test('after destroy() changes nothing', async () => {
    await using ends = await pair(offloop, { server: identity });
    ends.socket.destroy();
    expect(ends.socket.resetAndDestroy()).toBe(ends.socket);
    await closed(ends.socket);
  });
});

describe('a peer that resets', () => {
  test("'error' ECONNRESET of read, then 'close' true", async () => {
    await using ends = await pair(offloop, { server: identity });
    const events = diary(ends.socket);
    const over = closed(ends.socket);
    resetBeneath(ends.client);
    await over;
    expect(events).toEqual(['error ECONNRESET (read)', 'close true']);
    expect(ends.socket.errored).toMatchObject({ errno: -104, message: 'read ECONNRESET' });
  });

  test.for(['tls.createServer', 'createServer'])(
    'without a listener of error, on a socket of %s: nothing but close',
    async (create) => {
      const { code, stdout } = await reset(`${create}(input, opened)`);
      expect([stdout, code]).toEqual(['close true\n', 0]);
    },
  );

  test('without a listener of error, on a socket of acceptTls: uncaughtException', async () => {
    const { code, stdout } = await reset(
      'net.createServer((socket) => acceptTls(socket, input).then(opened))',
    );
    expect([stdout, code]).toEqual(['uncaught ECONNRESET\nclose true\n', 0]);
  });
});

describe('writing', () => {
  test('corked pieces travel as one record', async () => {
    const records = await applicationRecords((socket) => {
      socket.cork();
      for (let i = 0; i < 100; i++) socket.write(`piece ${i} `);
      socket.uncork();
    });
    expect(records).toHaveLength(1);
  });

  test('pieces that are not corked, of one tick, reach the peer whole', async () => {
    await using ends = await pair(offloop, { server: identity });
    let expected = '';
    for (let i = 0; i < 3000; i++) {
      ends.socket.write(`${i},`);
      expected += `${i},`;
    }
    ends.socket.end();
    expect(String(await readAll(ends.client))).toBe(expected);
  });

  test('corked pieces of all sizes keep their order', async () => {
    await using ends = await pair(offloop, { server: identity });
    const pieces = Array.from({ length: 400 }, (_, i) =>
      Buffer.alloc([1, 5000, 16_384, 16_385, 70_000, 0][i % 6], i),
    );
    ends.socket.cork();
    for (const piece of pieces) ends.socket.write(piece);
    ends.socket.end();
    expect((await readAll(ends.client)).equals(Buffer.concat(pieces))).toBe(true);
  });

  test.for([0, 1, 5461, 5462, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, 262_144])(
    'a string and a buffer of %i bytes',
    async (size) => {
      await using ends = await pair(offloop, { server: identity });
      ends.socket.write('s'.repeat(size));
      ends.socket.write('é'.repeat(size));
      ends.socket.write('l'.repeat(size), 'latin1');
      ends.socket.end(Buffer.alloc(size, 'b'));
      const received = await readAll(ends.client);
      const expected = Buffer.from(
        's'.repeat(size) + 'é'.repeat(size) + 'l'.repeat(size) + 'b'.repeat(size),
      );
      expect(received.equals(expected)).toBe(true);
    },
  );

  test('a buffer may be changed once its callback came', async () => {
    await using ends = await pair(offloop, { server: identity });
    const received = readAll(ends.client);
    const buffer = Buffer.alloc(100_000);
    for (let i = 1; i <= 20; i++) {
      buffer.fill(i);
      await new Promise<void>((resolve) => ends.socket.write(buffer, () => resolve()));
    }
    ends.socket.end();
    const all = await received;
    for (let i = 0; i < 20; i++)
      expect(all[i * 100_000] === i + 1 && all[i * 100_000 + 99_999] === i + 1).toBe(true);
  });

  test("'finish' waits until the peer has made room", async () => {
    await using ends = await pair(offloop, { server: identity });
    let finished = false;
    ends.socket.on('finish', () => (finished = true)).end(Buffer.alloc(64 << 20));
    for (let i = 0; i < 10; i++) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(finished).toBe(false);
    expect(ends.socket.writableLength).toBeGreaterThan(0);
    ends.client.resume();
    await once(ends.socket, 'finish');
    expect(ends.socket.writableLength).toBe(0);
  });

  test('destroy() in the callback of a write', async () => {
    await using ends = await pair(offloop, { server: identity });
    ends.client.on('error', () => {}).resume();
    const codes: unknown[] = [];
    ends.socket.write('one', () => ends.socket.destroy());
    ends.socket.write('two', (error) => codes.push((error as NodeJS.ErrnoException)?.code));
    await closed(ends.socket);
    expect(codes).toHaveLength(1);
  });
});

describe('the event loop', () => {
  test('an unreferenced socket lets the process end', async () => {
    const { code, stdout } = await run(
      `${PROGRAM}
      const server = createServer(input, (socket) => {
        socket.unref();
        server.unref();
        client.unref();
        console.log('open');
      });
      await new Promise((resolve) => server.listen(0, resolve));
      const client = tls.connect({ port: server.address().port, rejectUnauthorized: false });
      process.on('exit', () => console.log('ends'));`,
      identity,
    );
    expect([stdout, code]).toEqual(['open\nends\n', 0]);
  });

  test('a referenced one keeps it alive until it is closed', async () => {
    const { code, stdout } = await run(
      `${PROGRAM}
      const server = createServer(input, (socket) => {
        server.close();
        socket.unref().ref();
        socket.on('close', () => console.log('closed'));
        client.unref();
        setTimeout(() => socket.destroy(), 100).unref();
        process.on('exit', () => console.log('ends'));
      });
      await new Promise((resolve) => server.listen(0, resolve));
      const client = tls.connect({ port: server.address().port, rejectUnauthorized: false }).on('error', () => {});`,
      identity,
    );
    // The timer alone would not have kept the process.
    expect([stdout, code]).toEqual(['closed\nends\n', 0]);
  });

  test('no AsyncLocalStorage of the request that came first leaks into later ones', async () => {
    const storage = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const server = offloop.createServer(identity, (socket) => {
      seen.push(storage.getStore());
      storage.run('mine', () => socket.on('data', () => seen.push(storage.getStore())).write('x'));
    });
    await using listening = await listen(server);
    for (let i = 0; i < 2; i++) {
      const client = connect(listening.port);
      client.write('x');
      await once(client, 'data');
      await until(() => seen.length === 2 * (i + 1), 'the data');
      client.destroy();
    }
    expect(seen[0]).toBeUndefined();
    expect(seen[2]).toBeUndefined();
  });
});

describe('a throw in a handler', () => {
  test("of 'data' reaches uncaughtException, and no other record is lost", async () => {
    const { code, stdout, stderr } = await run(
      `${PROGRAM}
      const CLIENTS = 40, MESSAGES = 25;
      let thrown = 0, caught = 0, received = 0, closes = 0;
      process.on('uncaughtException', (error) => {
        if (error.message === 'mine') caught++;
        else throw error;
      });
      const server = createServer(input, (socket) => {
        socket.on('data', (chunk) => {
          received += chunk.length;
          if (received % 3 === 0) { thrown++; throw new Error('mine'); }
        });
        socket.on('close', () => { closes++; });
      });
      await new Promise((resolve) => server.listen(0, resolve));
      const clients = await Promise.all(Array.from({ length: CLIENTS }, async () => {
        const client = tls.connect({ port: server.address().port, rejectUnauthorized: false });
        await once(client, 'secureConnect');
        return client;
      }));
      for (let i = 0; i < MESSAGES; i++) {
        for (const client of clients) client.write(Buffer.alloc(1 + i));
        await new Promise(setImmediate);
      }
      for (const client of clients) client.resume().end();
      server.close(() => console.log(JSON.stringify({ equal: thrown === caught, some: thrown > 0, received, closes })));`,
      identity,
    );
    expect(stderr).toBe('');
    const received = 40 * ((25 * 26) / 2);
    expect(JSON.parse(stdout)).toEqual({ equal: true, some: true, received, closes: 40 });
    expect(code).toBe(0);
  });

  test("of 'secureConnection', 'close' and of a write's callback: the others go on", async () => {
    const { stdout, stderr } = await run(
      `${PROGRAM}
      const caught = {};
      process.on('uncaughtException', (error) => { caught[error.message] = (caught[error.message] ?? 0) + 1; });
      let served = 0;
      const server = createServer(input, (socket) => {
        const n = served++;
        socket.on('close', () => { if (n % 3 === 0) throw new Error('close'); });
        socket.write('x', () => { if (n % 2) throw new Error('write'); });
        socket.resume();
        if (n % 4 === 0) throw new Error('secureConnection');
      });
      await new Promise((resolve) => server.listen(0, resolve));
      await Promise.all(Array.from({ length: 24 }, async () => {
        const client = tls.connect({ port: server.address().port, rejectUnauthorized: false });
        await once(client, 'data');
        client.resume().end();
        await once(client, 'close');
      }));
      server.close(() => console.log(JSON.stringify({ served, caught })));`,
      identity,
    );
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual({
      served: 24,
      caught: { secureConnection: 6, close: 8, write: 12 },
    });
  });

  test('without a handler of uncaughtException ends the process as always', async () => {
    const { code, stderr } = await run(
      `${PROGRAM}
      const server = createServer(input, () => { throw new Error('mine'); });
      await new Promise((resolve) => server.listen(0, resolve));
      tls.connect({ port: server.address().port, rejectUnauthorized: false }).on('error', () => {});`,
      identity,
    );
    expect(code).toBe(1);
    expect(stderr).toContain('Error: mine');
  });
});

test('reading stops at the high water mark, and goes on', async () => {
  await using ends = await pair(offloop, { server: { ...identity, highWaterMark: 1000 } });
  const sent = Buffer.alloc(3_000_000, 'pattern of ours');
  ends.client.end(sent);
  await once(ends.socket, 'readable');
  const received = [];
  for (let rest = sent.length; rest > 0;) {
    const chunk = await readExactly(ends.socket, Math.min(rest, 10_007));
    rest -= chunk.length;
    received.push(chunk);
  }
  expect(Buffer.concat(received).equals(sent)).toBe(true);
});

test('setTimeout() counts from the last traffic in either direction', async () => {
  await using ends = await pair(offloop, { server: identity });
  let timeouts = 0;
  ends.socket.resume().setTimeout(400, () => timeouts++);
  for (let i = 0; i < 8; i++) {
    (i % 2 === 0 ? ends.client : ends.socket).write('still here');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  expect(timeouts).toBe(0);
  await once(ends.socket, 'timeout');
  ends.socket.setTimeout(50);
  ends.socket.destroy();
  await closed(ends.socket);
  expect(timeouts).toBe(1);
});

// Session tickets sent by themselves would make the first answer wait for their acknowledgement
// (Nagle's algorithm and 40 ms of delayed ACK).
test('the first answer of a TLS 1.3 connection does not wait for an acknowledgement', async () => {
  const server = offloop.createServer(identity, (socket) => socket.pipe(socket));
  await using listening = await listen(server);
  const times: number[] = [];
  for (let i = 0; i < 9; i++) {
    const client = connect(listening.port);
    await once(client, 'secureConnect');
    const start = performance.now();
    client.write('x');
    await once(client, 'data');
    times.push(performance.now() - start);
    client.end();
    await closed(client);
  }
  expect(times.toSorted((a, b) => a - b)[4]).toBeLessThan(25);
});

const PROGRAM = `
  import { once } from 'node:events';
  import net from 'node:net';
  import tls from 'node:tls';
  import { acceptTls, createServer } from 'offloop';
`;

/** Prints what becomes of a reset that nobody listens for on the server's end. */
function reset(serve: string): ReturnType<typeof run> {
  return run(
    `${PROGRAM}
    process.on('uncaughtException', (error) => console.log('uncaught', error.code));
    const opened = (socket) => {
      socket.on('close', (failed) => {
        console.log('close', failed);
        server.close();
      });
      socket.write('now');
    };
    const server = ${serve};
    await new Promise((resolve) => server.listen(0, resolve));
    const raw = net.connect(server.address().port);
    const client = tls.connect({ socket: raw, rejectUnauthorized: false }).on('error', () => {});
    client.once('data', () => raw.resetAndDestroy());`,
    identity,
  );
}

/** The sizes of the application-data records that `write` makes, seen on the wire of TLS 1.2. */
async function applicationRecords(write: (socket: tls.TLSSocket) => void): Promise<number[]> {
  const server = offloop.createServer({ ...identity, maxVersion: 'TLSv1.2' }, (socket) => {
    write(socket);
    socket.end();
  });
  await using listening = await listen(server);
  const wire: Buffer[] = [];
  const tap = net.createServer((near) => {
    const far = net.connect(listening.port, '127.0.0.1');
    near.pipe(far).pipe(near);
    far.on('data', (chunk: Buffer) => wire.push(chunk));
  });
  await using tapping = await listen(tap);
  const client = connect(tapping.port);
  await readAll(client);
  client.destroy();
  const bytes = Buffer.concat(wire);
  const sizes: number[] = [];
  for (let at = 0; at < bytes.length; at += 5 + bytes.readUInt16BE(at + 3)) {
    if (bytes[at] === 23) sizes.push(bytes.readUInt16BE(at + 3));
  }
  return sizes;
}

/** RST instead of FIN from node:tls, whose sockets can't. */
function resetBeneath(client: tls.TLSSocket): void {
  const handle = (
    client as unknown as { _handle: { _parent: { reset(callback: () => void): number } } }
  )._handle;
  handle._parent.reset(() => {});
}
