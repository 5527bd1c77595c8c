/** One test for each fault that a review has found: it fails where the fault is back. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { spawn } from 'node:child_process';
import { EventEmitter, getEventListeners, once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import net from 'node:net';
import { networkInterfaces } from 'node:os';
import { Duplex } from 'node:stream';
import tls from 'node:tls';

import { acceptTls, createServer, stats, type TlsSocket } from 'offloop';
import { beforeAll, describe, expect, test } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { connect, listen, pair, tcpPair } from './support/disposables.js';
import { nodeTls, offloop } from './support/libraries.js';
import { run } from './support/program.js';
import { closed, duplexPair, readAll, readExactly, settled, until } from './support/streams.js';

const require = createRequire(import.meta.url);
const MiB = 1 << 20;
let identity: Issued;

beforeAll(async () => {
  identity = await (await Authority.create()).issue();
});

describe('a record that does not fit the rest of the slab', () => {
  test('gets a fresh one', async () => {
    const { code, stdout, stderr } = await run(drainThatNeeds('64 * 1024'), identity);
    expect([code, stdout, stderr]).toEqual([0, '', '']);
  });

  test('nor a fresh one: the hub says so and stops, it does not spin', async () => {
    const { code, stdout } = await run(drainThatNeeds('64 * 1024 + 1'), identity);
    expect([code, stdout]).toEqual([0, 'ERR_OFFLOOP_INTERNAL 1\n1\n']);
  });
});

describe('written bytes are taken by write()', () => {
  const sizes = [20_000, 300_000, 3 * MiB];

  test.for(sizes)('%i bytes whose buffer is transferred in the same tick', async (size) => {
    await using ends = await pair(offloop, { server: identity });
    const bytes = new Uint8Array(size).fill(65);
    ends.socket.write(bytes);
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    ends.socket.end('tail');
    const received = await readAll(ends.client);
    expect(received.equals(Buffer.concat([Buffer.alloc(size, 65), Buffer.from('tail')]))).toBe(
      true,
    );
  });

  test.for(sizes)('%i bytes that are overwritten in the same tick', async (size) => {
    await using ends = await pair(offloop, { server: identity });
    const bytes = Buffer.alloc(size, 65);
    ends.socket.write(bytes);
    bytes.fill(66);
    ends.socket.end();
    expect((await readAll(ends.client)).equals(Buffer.alloc(size, 65))).toBe(true);
  });

  test.for(sizes)('corked pieces of %i bytes', async (size) => {
    await using ends = await pair(offloop, { server: identity });
    const bytes = Buffer.alloc(size, 65);
    ends.socket.cork();
    ends.socket.write('head');
    ends.socket.write(bytes);
    ends.socket.write('é'.repeat(100_000));
    ends.socket.uncork();
    bytes.fill(66);
    ends.socket.end();
    const expected = [
      Buffer.from('head'),
      Buffer.alloc(size, 65),
      Buffer.from('é'.repeat(100_000)),
    ];
    expect((await readAll(ends.client)).equals(Buffer.concat(expected))).toBe(true);
  });

  test('by a handler whose socket others share a turn with', async () => {
    const server = createServer(identity, (socket) => {
      socket.on('data', () => {
        const bytes = Buffer.alloc(50_000, 65);
        socket.write(bytes);
        bytes.fill(66);
      });
    });
    await using listening = await listen(server);
    const clients = Array.from({ length: 8 }, () => connect(listening.port));
    for (const client of clients) client.write('x');
    const answers = await Promise.all(clients.map((client) => readExactly(client, 50_000)));
    for (const answer of answers) expect(answer.equals(Buffer.alloc(50_000, 65))).toBe(true);
    for (const client of clients) client.destroy();
  });
});

describe('a peer that does not read', () => {
  test.for([
    ['one write', (socket: tls.TLSSocket) => socket.write(Buffer.alloc(24 * MiB, 65))],
    [
      'corked writes',
      (socket: tls.TLSSocket) => {
        socket.cork();
        for (let i = 0; i < 24; i++) socket.write(Buffer.alloc(MiB, 65));
        socket.uncork();
      },
    ],
  ] as const)('leaves at most 256 KiB of it in the core: %s', async ([, write]) => {
    await using ends = await pair(offloop, { server: identity });
    ends.client.pause();
    write(ends.socket);
    let done = false;
    ends.socket.write('', () => (done = true));
    await settled(() => ends.socket.bytesWritten + stats().memory.sentQueued);
    expect(stats().memory.sentQueued).toBeLessThanOrEqual(256 * 1024);
    expect(stats().memory.sentQueued).toBeGreaterThan(0);
    // The callback tells the truth, and so does the count.
    expect(done).toBe(false);
    expect(ends.socket.writableLength).toBe(24 * MiB);
    expect(ends.socket.bytesWritten).toBe(24 * MiB);
    ends.socket.end();
    const received = readAll(ends.client);
    ends.client.resume();
    expect((await received).equals(Buffer.alloc(24 * MiB, 65))).toBe(true);
    expect(done).toBe(true);
    expect(stats().memory.sentQueued).toBe(0);
  });

  test('and is destroyed: the rest is dropped, the callback told', async () => {
    await using ends = await pair(offloop, { server: identity });
    ends.client.pause();
    const outcome = new Promise((resolve) => ends.socket.write(Buffer.alloc(24 * MiB), resolve));
    await settled(() => stats().memory.sentQueued);
    ends.socket.destroy();
    expect(await outcome).toMatchObject({ code: 'ERR_STREAM_DESTROYED' });
    await until(() => stats().memory.sentQueued === 0);
  });
});

test.for([nodeTls, offloop])(
  'callbacks run in the async context of their call: $name',
  async (library) => {
    await using ends = await pair(library, { server: identity });
    const context = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const note = (name: string) => () => seen.push(`${name} ${context.getStore()}`);
    ends.client.resume();
    for (const [name, size] of [
      ['small', 10],
      ['large', 100_000],
      ['huge', MiB],
    ] as const) {
      await new Promise<void>((resolve) => {
        context.run(name, () =>
          ends.socket.write(Buffer.alloc(size), () => (note('write')(), resolve())),
        );
      });
    }
    await new Promise<void>((resolve) => {
      context.run('end', () => ends.socket.end(() => (note('end')(), resolve())));
    });
    expect(seen).toEqual(['write small', 'write large', 'write huge', 'end end']);
  },
);

describe('what a socket tells of its session stays after it has closed', () => {
  test.for([
    ['by both ends', (client: tls.TLSSocket) => void client.end()],
    ['by a reset', (client: tls.TLSSocket) => reset(client)],
    ['by destroy()', (_: tls.TLSSocket, socket: TlsSocket) => void socket.destroy()],
  ] as const)('%s', async ([, leave]) => {
    const authority = await Authority.create();
    const { key, cert } = await authority.issue({ use: 'client' });
    const options = { ...identity, ALPNProtocols: ['x'], ca: authority.cert, requestCert: true };
    const server = createServer(options);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as net.AddressInfo;
    const client = connect(port, { ALPNProtocols: ['x'], servername: 'localhost', key, cert });
    client.on('error', () => {}).resume();
    const [socket] = (await once(server, 'secureConnection')) as [TlsSocket];
    socket.on('error', () => {}).resume();
    leave(client, socket);
    await ended(socket);
    expect(socket).toMatchObject({
      alpnProtocol: 'x',
      servername: 'localhost',
      authorized: true,
      authorizationError: null,
    });
    // As Node: only these stay.
    expect([socket.getProtocol(), socket.getCipher()]).toEqual([null, null]);
    client.destroy();
    server.close();
  });

  test('of acceptTls', async () => {
    await using tcp = await tcpPair();
    const accepted = acceptTls(tcp.socket, { ...identity, ALPNProtocols: ['x'] });
    const client = tls.connect({
      socket: tcp.client,
      ALPNProtocols: ['x'],
      rejectUnauthorized: false,
    });
    client.on('error', () => {});
    const socket = (await accepted).on('error', () => {}).resume();
    tcp.client.resetAndDestroy();
    await ended(socket);
    expect(socket.alpnProtocol).toBe('x');
  });
});

test("what is written in a handler of 'exit' arrives", async () => {
  const program = `
    import { createServer } from 'offloop';
    const server = createServer(input, (socket) => {
      socket.on('error', () => {});
      process.on('exit', () => {
        socket.write('first,');
        socket.write(Buffer.alloc(1000000, 'x'));
        socket.end('last');
      });
      socket.on('data', () => process.exit());
    });
    server.listen(0, '127.0.0.1', () => process.send(server.address().port));
  `;
  const child = spawn(
    process.execPath,
    ['--input-type=module', '-e', `globalThis.input = ${JSON.stringify(identity)};${program}`],
    { cwd: new URL('..', import.meta.url), stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
  );
  const [port] = (await once(child, 'message')) as [number];
  const client = connect(port);
  client.write('x');
  const received = (await readAll(client)).toString();
  expect(received.replace(/x+/, (many) => String(many.length))).toBe('first,1000000last');
});

test('handshakeTimeout 0 is the default, as in Node', async () => {
  await using ends = await pair(offloop, { server: { ...identity, handshakeTimeout: 0 } });
  ends.socket.write('x');
  expect(String(await readExactly(ends.client, 1))).toBe('x');
});

describe('listen() on an address with a scope', () => {
  const [name, scoped] =
    Object.entries(networkInterfaces())
      .flatMap(([key, all]) => all!.map((each) => [key, each] as const))
      .find(([, each]) => each.family === 'IPv6' && each.scopeid !== 0) ?? [];

  test.skipIf(scoped === undefined)('takes the name of an interface', async () => {
    const address = `${scoped!.address}%${name}`;
    await using listening = await listen(createServer(identity) as never, 0, address);
    const client = net.connect({ port: listening.port, host: address });
    await once(client, 'connect');
    client.destroy();
  });

  test.for(['fe80::1%none', 'fe80::1%4294967296', 'fe80::1%'])(
    "what can't be bound is an 'error' event: %s",
    async (host) => {
      const server = createServer(identity);
      server.listen(0, host);
      const [error] = await once(server, 'error');
      expect(error).toBeInstanceOf(Error);
      // It can listen elsewhere.
      await using listening = await listen(server as never);
      expect(listening.port).toBeGreaterThan(0);
    },
  );
});

describe('the time before the core has the socket', () => {
  test('counts: a peer that does not read what was written before', async () => {
    await using tcp = await tcpPair();
    tcp.client.pause();
    tcp.socket.write(Buffer.alloc(32 * MiB));
    await expect(
      acceptTls(tcp.socket, { ...identity, handshakeTimeout: 100 }),
    ).rejects.toMatchObject({
      code: 'ERR_TLS_HANDSHAKE_TIMEOUT',
      message: 'TLS handshake timeout',
    });
    expect(tcp.socket.destroyed).toBe(true);
  });

  test('counts: the rest of it is for the handshake', async () => {
    await using tcp = await tcpPair();
    tcp.client.pause();
    tcp.socket.write(Buffer.alloc(16 * MiB));
    const started = performance.now();
    const accepted = acceptTls(tcp.socket, { ...identity, handshakeTimeout: 600 });
    setTimeout(() => tcp.client.resume(), 400);
    await expect(accepted).rejects.toMatchObject({ code: 'ERR_TLS_HANDSHAKE_TIMEOUT' });
    expect(performance.now() - started).toBeLessThan(950);
  });

  test('does not begin for a socket that nobody connects', async () => {
    await expect(acceptTls(new net.Socket(), identity)).rejects.toMatchObject({
      code: 'ERR_SOCKET_CLOSED',
    });
  });
});

describe("a socket's handshake is not seen by its old listeners", () => {
  test.for(['data', 'readable'])('of %s', async (event) => {
    await using tcp = await tcpPair();
    const seen: unknown[] = [];
    let over = false;
    tcp.socket.on(event, (bytes) => over && seen.push(bytes));
    tcp.socket.pause();
    const client = tls.connect({ socket: tcp.client, rejectUnauthorized: false });
    // The ClientHello waits in the old socket's buffer.
    tcp.socket.read(0);
    await until(() => tcp.socket.readableLength > 0);
    over = true;
    const socket = await acceptTls(tcp.socket, identity);
    socket.end('x');
    expect(String(await readAll(client))).toBe('x');
    await closed(socket);
    expect(seen).toEqual([]);
  });
});

test('a handshake that the core loses rejects', async () => {
  const { stdout } = await run(
    `
    import { createRequire } from 'node:module';
    import net from 'node:net';
    const { Hub, EventKind } = createRequire(import.meta.url)('./native/binding.js');
    const { drain } = Hub.prototype;
    Hub.prototype.drain = function (records, slab) {
      const answer = drain.call(this, records, slab);
      if (records[0] === EventKind.Failed) records[0] = EventKind.Closed;
      return answer;
    };
    const { acceptTls } = await import('offloop');
    const server = net.createServer(async (socket) => {
      await acceptTls(socket, input).catch((error) => console.log(error.code, socket.destroyed));
      server.close();
    });
    server.listen(0, '127.0.0.1', () => {
      net.connect(server.address().port, '127.0.0.1').on('error', () => {}).end('no TLS');
    });
    `,
    identity,
  );
  expect(stdout).toBe('ERR_OFFLOOP_INTERNAL true\n');
});

test('a foreign stream that is ending is not cut off', async () => {
  const [near, far] = duplexPair();
  let finished = false;
  near._final = (callback) => {
    setTimeout(() => {
      finished = true;
      far.push(null);
      callback();
    }, 100);
  };
  const accepted = acceptTls(near, identity);
  const client = tls.connect({ socket: far, rejectUnauthorized: false });
  client.on('error', () => {});
  const socket = await accepted;
  client.resume();
  const finishedAtClose = once(near, 'close').then(() => finished);
  socket.end();
  await once(client, 'end');
  client.end();
  expect(await finishedAtClose).toBe(true);
});

test('a signal keeps no listener of what has failed at once', async () => {
  const { signal } = new AbortController();
  const decoded = new Duplex({ read() {}, write: (_chunk, _encoding, callback) => callback() });
  decoded.setEncoding('utf8');
  const gone = new net.Socket();
  gone.destroy();
  // Its descriptor is none that could be taken.
  const refused = new net.Socket();
  Object.defineProperty(refused, 'pending', { value: false });
  Object.defineProperty(refused, '_handle', {
    value: new (class TCP {
      fd = 2 ** 20;
      readStop(): void {}
      close(): void {}
    })(),
  });
  const streams = [decoded, gone, new net.Socket(), refused];
  const outcomes = await Promise.allSettled(
    streams.map((stream) => acceptTls(stream, { ...identity, signal })),
  );
  expect(outcomes.map(({ status }) => status)).toEqual(streams.map(() => 'rejected'));
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});

describe('a server that closes', () => {
  test('takes a stream from elsewhere until the last connection is gone', async () => {
    const server = createServer(identity, (socket) => socket.end('served'));
    await listen(server as never);
    await using tcp = await tcpPair();
    const over = once(server, 'close');
    server.close();
    // The core has forgotten it; JavaScript has not heard of that yet.
    server.emit('connection', tcp.socket);
    const client = tls.connect({ socket: tcp.client, rejectUnauthorized: false });
    expect(String(await readAll(client))).toBe('served');
    client.destroy();
    await over;
    expect(server.listening).toBe(false);
  });

  test('and listens again: the old connections count', async () => {
    const server = createServer(identity, (socket) => void socket.on('error', () => {}).resume());
    const first = await listen(server as never, 0);
    const old = connect(first.port).on('error', () => {});
    await once(old, 'secureConnect');
    server.close();
    await using second = await listen(server as never, 0);
    const young = connect(second.port).on('error', () => {});
    await once(young, 'secureConnect');
    await until(() => (server as unknown as EventEmitter).listenerCount('secureConnection') > 0);
    const count = (): Promise<number> =>
      new Promise((resolve) => server.getConnections((_, number) => resolve(number)));
    expect(await count()).toBe(2);
    let closes = 0;
    server.on('close', () => closes++);
    server.close();
    young.destroy();
    await once(young, 'close');
    expect(closes).toBe(0);
    old.destroy();
    await until(() => closes === 1);
  });

  test("and can't listen again: 'close' comes all the same", async () => {
    await using taken = await listen(net.createServer(), 0);
    const server = createServer(identity, (socket) => void socket.on('error', () => {}).resume());
    const { port } = await listen(server as never, 0);
    const client = connect(port).on('error', () => {});
    await once(client, 'secureConnect');
    server.close();
    server.listen(taken.port);
    expect((await once(server, 'error'))[0]).toMatchObject({ code: 'EADDRINUSE' });
    const over = once(server, 'close');
    client.destroy();
    await over;
  });
});

test('a small chunk that is kept does not keep a slab', async () => {
  await using ends = await pair(offloop, { server: identity });
  ends.client.write('a piece of a frame');
  const [chunk] = (await once(ends.socket, 'data')) as [Buffer];
  expect(chunk.buffer.byteLength).toBeLessThanOrEqual(Buffer.poolSize);
});

test.for([nodeTls, offloop])('a peer that leaves in its handshake: $name', async (library) => {
  const server = library.createServer(identity);
  await using listening = await listen(server as never);
  const failed = once(server, 'tlsClientError');
  const client = net.connect(listening.port, '127.0.0.1');
  client.end(Buffer.of(22, 3, 1));
  const [error] = (await failed) as [NodeJS.ErrnoException];
  expect([error.code, error.message]).toEqual(['ECONNRESET', 'socket hang up']);
});

describe('both sides of the border', () => {
  const { EventKind, Opcode } = require('../native/binding.js') as Record<
    'EventKind' | 'Opcode',
    Record<string, number>
  >;
  const constants = require('../dist/native.js') as Record<string, unknown>;

  test('have the same numbers', () => {
    const rust = [
      ...Object.entries(EventKind).map(([name, value]) => [shouted(name), value]),
      ...Object.entries(Opcode).map(([name, value]) => [`OP_${shouted(name)}`, value]),
    ];
    const others = new Set(['WORDS', 'MORE', 'CONGESTED', 'DONE_INLINE']);
    const script = Object.entries(constants).filter(
      ([name, value]) => typeof value === 'number' && !others.has(name),
    );
    expect(Object.fromEntries(script)).toEqual(Object.fromEntries(rust));
  });

  test('have the same codes', () => {
    const { nativeErrorCodes, errorTable } = require('../dist/errors.js') as {
      nativeErrorCodes: readonly string[];
      errorTable: object;
    };
    const source = readFileSync(new URL('../crates/tls/src/code.rs', import.meta.url), 'utf8');
    const [table] = source.split('#[cfg(test)]');
    const codes = new Set([...table.matchAll(/(?:= |=> )"([A-Z0-9_]+)"/g)].map(([, code]) => code));
    expect(codes.size).toBeGreaterThan(50);
    const listed = new Set(nativeErrorCodes);
    expect([...codes].filter((code) => !listed.has(code))).toEqual([]);
    expect(nativeErrorCodes).toHaveLength(listed.size);
    // What is listed beside them comes from the crates around.
    const around = [...listed].filter((code) => !codes.has(code));
    expect(around.filter((code) => code.startsWith('ERR_SSL_'))).toEqual([]);
    expect(Object.keys(errorTable)).toContain('ERR_OFFLOOP_INTERNAL');
  });
});

/** `drain` answers as the core would if payloads needed `room` bytes. */
function drainThatNeeds(room: string): string {
  return `
  import { createRequire } from 'node:module';
  import tls from 'node:tls';
  const { Hub } = createRequire(import.meta.url)('./native/binding.js');
  const { drain } = Hub.prototype;
  let asked = 0;
  Hub.prototype.drain = function (records, slab) {
    asked++;
    return slab.length < ${room} ? 0x80000000 : drain.call(this, records, slab);
  };
  const { createServer } = await import('offloop');
  const server = createServer(input, (socket) => socket.pipe(socket));
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    client.on('error', () => {});
    client.on('data', () => (client.end(), server.close()));
    client.write('x');
  });
  process.on('uncaughtException', (error) => {
    console.log(error.code, asked);
    setTimeout(() => {
      console.log(asked);
      process.exit();
    }, 100);
  });
`;
}

function reset(client: tls.TLSSocket): void {
  const { _parent } = (
    client as unknown as { _handle: { _parent: { reset(callback: () => void): number } } }
  )._handle;
  _parent.reset(() => {});
}

function shouted(name: string): string {
  return name.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase();
}

/** Without a listener of 'close': nobody has announced that he will ask. */
function ended(socket: TlsSocket): Promise<void> {
  return until(() => socket.closed, "the socket's end");
}
