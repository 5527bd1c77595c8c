/** createServer(): what it takes, refuses and leaves to Node. */
import net from 'node:net';
import tls from 'node:tls';

import { createSecureContext, createServer, Server, type ServerOptions } from 'offloop';
import { beforeAll, describe, expect, test, vi } from 'vitest';

import { type Issued, issued } from './support/certificates.js';
import { pair } from './support/disposables.js';
import { keepAliveIn } from './support/faults/keep-alive.js';
import { offloop } from './support/libraries.js';
import { run } from './support/program.js';
import { readAll, until } from './support/streams.js';

let identity: Issued;
let named: Issued;

beforeAll(async () => {
  [identity, named] = await issued({}, { subject: 'CN=first' });
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
    const context = createSecureContext(named);
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

  test('keepAlive reaches the socket, and setKeepAlive() after it', async () => {
    const server = { ...identity, keepAlive: true, keepAliveInitialDelay: 300_000 };
    await using ends = await pair(offloop, { server });
    const { socket, port } = ends;
    const seconds = (): number | null => keepAliveIn(port, socket.remotePort!);
    const within = (from: number, to: number) => (): boolean => {
      const left = seconds();
      return left !== null && left > from && left <= to;
    };
    await until(within(250, 300), 'the delay of the server');
    socket.setKeepAlive(false);
    await until(() => seconds() === null, 'no probes');
    socket.setKeepAlive(true, 100_000);
    await until(within(50, 100), 'the delay of the socket');
    await using without = await pair(offloop, { server: identity });
    expect(keepAliveIn(without.port, without.socket.remotePort!)).toBe(null);
  });
});
