/** Where a server listens: all forms of net.Server's listen(). */
import { once } from 'node:events';
import { existsSync, openSync, statSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createServer, type Server } from 'offloop';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { connect } from './support/disposables.js';
import { nodeTls, offloop } from './support/libraries.js';
import { run as runWith } from './support/program.js';
import { readAll } from './support/streams.js';

let identity: Issued;
let folder: string;

beforeAll(async () => {
  identity = await (await Authority.create()).issue();
  folder = await mkdtemp(join(tmpdir(), 'offloop-'));
});

afterAll(() => rm(folder, { recursive: true }));

const hello = (): Server => createServer(identity, (socket) => socket.end('hello'));

describe('forms', () => {
  test.for<[string, (callback: () => void) => unknown[]]>([
    ['(callback)', (callback) => [callback]],
    ['(0, callback)', (callback) => [0, callback]],
    ["('0', callback)", (callback) => ['0', callback]],
    ['(0, host, callback)', (callback) => [0, '127.0.0.1', callback]],
    ["(0, 'localhost', callback)", (callback) => [0, 'localhost', callback]],
    ['(0, backlog, callback)', (callback) => [0, 16, callback]],
    ['(0, host, backlog, callback)', (callback) => [0, '127.0.0.1', 16, callback]],
    ['(0, undefined, undefined, callback)', (callback) => [0, undefined, undefined, callback]],
    ['(undefined, callback)', (callback) => [undefined, callback]],
    ['(null, callback)', (callback) => [null, callback]],
    ['({ port: 0 }, callback)', (callback) => [{ port: 0 }, callback]],
    ["({ port: '0' }, callback)", (callback) => [{ port: '0' }, callback]],
    ['({ port: 0, host }, callback)', (callback) => [{ port: 0, host: '127.0.0.1' }, callback]],
    [
      '({ port, backlog, exclusive }, callback)',
      (callback) => [{ port: 0, backlog: 5, exclusive: true }, callback],
    ],
  ])('listen%s listens where net.Server does', async ([, args]) => {
    const found = [];
    for (const server of [hello(), net.createServer()]) {
      let called = 0;
      const returned = (server as net.Server).listen(...(args(() => called++) as [number]));
      await once(server, 'listening');
      const { address, family, port } = server.address() as AddressInfo;
      if (server !== (server as unknown as net.Server) || !(server instanceof net.Server)) {
        expect(
          String(await readAll(connect(port, { host: address === '::' ? '::1' : address }))),
        ).toBe('hello');
      }
      found.push({
        address,
        family,
        called,
        itself: returned === server,
        listening: server.listening,
        port: port > 0,
      });
      await new Promise((resolve) => server.close(resolve));
    }
    expect(found[0]).toEqual(found[1]);
  });

  test.for<[string, (path: string) => unknown[]]>([
    ['(path)', (path) => [path]],
    ['({ path })', (path) => [{ path }]],
  ])('listen%s: a Unix socket, which goes when the server does', async ([name, args]) => {
    const path = join(folder, `socket ${name.length}`);
    const server = hello();
    server.listen(...(args(path) as [string]));
    await once(server, 'listening');
    expect(server.address()).toBe(path);
    const client = connect(0, { path } as never);
    expect(String(await readAll(client))).toBe('hello');
    await new Promise((resolve) => server.close(resolve));
    expect(existsSync(path)).toBe(false);
  });

  test('readableAll and writableAll', async () => {
    const path = join(folder, 'open to all');
    const server = hello().listen({ path, readableAll: true, writableAll: true });
    await once(server, 'listening');
    expect(statSync(path).mode & 0o666).toBe(0o666);
    server.close();
    await once(server, 'close');
  });

  test.for(
    [nodeTls, offloop].flatMap(({ name, createServer: create }) =>
      ['server', 'handle'].map((kind) => ({ name, create, kind })),
    ),
  )('a $kind that listens already: it is taken over, as $name does', async ({ create, kind }) => {
    const other = net.createServer(() => expect.unreachable());
    other.listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const { _handle } = other as unknown as { _handle: object };
    const server = create(identity, (socket) => socket.end('hello'));
    server.listen(kind === 'server' ? other : { _handle });
    await once(server, 'listening');
    expect((server.address() as AddressInfo).port).toBe(port);
    expect(String(await readAll(connect(port)))).toBe('hello');
    await new Promise<unknown>((resolve) => server.close(resolve));
    // One handle, which is closed for both.
    const [refused] = await once(net.connect(port, '127.0.0.1'), 'error');
    expect(refused).toMatchObject({ code: 'ECONNREFUSED' });
    other.close();
  });

  test.for<[string, () => net.Server]>([
    ['net.Server', () => net.createServer()],
    ['server of its own', () => createServer(identity)],
  ])('{ fd }: the descriptor of a parent’s %s', async ([, make]) => {
    const parent = make().listen(0, '127.0.0.1');
    await once(parent, 'listening');
    const { fd } = (parent as unknown as { _handle: { fd: number } })._handle;
    const child = runWith(
      `import { createServer } from 'offloop';
      const server = createServer(input, (socket) => { socket.end('from the child'); server.close(); });
      server.listen({ fd: 3 }, () => console.log('port', server.address().port));`,
      identity,
      [fd],
    );
    const { port } = parent.address() as AddressInfo;
    // Not accepted by the parent, which no longer watches.
    parent.close();
    expect(String(await readAll(connect(port)))).toBe('from the child');
    expect(await child).toMatchObject({ code: 0, stdout: `port ${port}\n` });
  });

  test('a port number that is taken after close() can be listened on again', async () => {
    const server = hello().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    await readAll(connect(port));
    await new Promise((resolve) => server.close(resolve));
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    expect(String(await readAll(connect(port)))).toBe('hello');
    server.close();
  });

  test('ipv6Only leaves IPv4 to others', async () => {
    const six = hello().listen({ port: 0, host: '::', ipv6Only: true });
    await once(six, 'listening');
    const { port } = six.address() as AddressInfo;
    const four = net.createServer().listen(port, '0.0.0.0');
    await once(four, 'listening');
    four.close();
    six.close();
  });

  test('a signal closes', async () => {
    const abort = new AbortController();
    const server = hello().listen({ port: 0, signal: abort.signal });
    await once(server, 'listening');
    abort.abort();
    await once(server, 'close');
    expect(server.listening).toBe(false);
    const early = hello().listen({ port: 0, signal: AbortSignal.abort() });
    await once(early, 'close');
    expect(early.listening).toBe(false);
  });

  test('close() before the host name is looked up', async () => {
    const server = hello();
    server.on('listening', () => expect.unreachable());
    server.listen(0, 'localhost');
    server.close();
    await once(server, 'close');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(server.listening).toBe(false);
  });
});

describe('refusals are those of net.Server', () => {
  test.for<[string, unknown[]]>([
    ['a port beyond 65535', [65_536]],
    ['a negative port', [{ port: -1 }]],
    ['a port that is no number', [{ port: 'x1' }]],
    ['a fraction', [{ port: 1.5 }]],
    ['a boolean', [true]],
    ['options without a place', [{}]],
    ['a bad signal', [{ port: 0, signal: 'x' }]],
  ])('%s', ([, args]) => {
    const codes = [hello(), net.createServer()].map((server) => {
      try {
        (server as net.Server).listen(...(args as [number]));
        server.close();
        return 'listens';
      } catch (error) {
        return [(error as NodeJS.ErrnoException).code, (error as Error).name];
      }
    });
    expect(codes[0]).toEqual(codes[1]);
  });

  test.for<[string, () => Promise<unknown[]>]>([
    [
      'a port in use',
      async () => {
        const other = net.createServer().listen(0, '127.0.0.1').unref();
        await once(other, 'listening');
        return [(other.address() as AddressInfo).port, '127.0.0.1'];
      },
    ],
    [
      'a path in use',
      async () => {
        const path = join(folder, 'in use');
        await writeFile(path, '');
        return [path];
      },
    ],
    ['a folder that does not exist', async () => [join(folder, 'none', 'socket')]],
    ['an address that is not ours', async () => [0, '192.0.2.1']],
    ['a host name that does not exist', async () => [0, 'does-not-exist.invalid']],
    ['a descriptor that is no socket', async () => [{ fd: openSync(join(folder, 'in use'), 'r') }]],
  ])('%s', async ([, place]) => {
    const seen = [];
    for (const server of [net.createServer(), hello()]) {
      const args = await place();
      (server as net.Server).listen(...(args as [number]));
      const [error] = (await once(server, 'error')) as [
        NodeJS.ErrnoException & { address?: string; port?: number },
      ];
      const { code, syscall, errno, address } = error;
      const [, message] = /^(\w+ \w+)/.exec(error.message)!;
      seen.push({ code, syscall, errno, address, message, listening: server.listening });
    }
    expect(seen[1]).toEqual(seen[0]);
  });

  test('after an error it can listen elsewhere', async () => {
    const server = hello().listen(join(folder, 'none', 'socket'));
    await once(server, 'error');
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    expect(String(await readAll(connect((server.address() as AddressInfo).port)))).toBe('hello');
    server.close();
    await once(server, 'close');
  });
});
