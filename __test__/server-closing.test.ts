/** How servers close, and what keeps a process alive. */
import { once } from 'node:events';
import net from 'node:net';

import { createServer } from 'offloop';
import { beforeAll, describe, expect, test } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { listen, pair } from './support/disposables.js';
import { offloop } from './support/libraries.js';
import { run } from './support/program.js';
import { connections, untilConnections } from './support/servers.js';
import { closed, readAll } from './support/streams.js';

let identity: Issued;

beforeAll(async () => {
  const authority = await Authority.create();
  identity = await authority.issue();
});

describe('closing', () => {
  test('close() of a server that never listened: ERR_SERVER_NOT_RUNNING, and close', async () => {
    const server = createServer(identity);
    const event = once(server, 'close');
    const error = await new Promise((resolve) => server.close(resolve));
    expect(error).toMatchObject({ code: 'ERR_SERVER_NOT_RUNNING' });
    await event;
  });

  test('close() refuses new connections at once', async () => {
    await using ends = await pair(offloop, { server: identity });
    ends.server.close();
    const refused = net.connect(ends.port, '127.0.0.1');
    const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ECONNREFUSED');
    ends.socket.end('still here');
    expect(String(await readAll(ends.client))).toBe('still here');
  });

  test('close() waits for handshakes too', async () => {
    const server = createServer({ ...identity, handshakeTimeout: 60 });
    const listening = await listen(server);
    const silent = net.connect(listening.port, '127.0.0.1').on('error', () => {});
    const over = closed(silent.resume());
    await untilConnections(server, 1);
    await new Promise<void>((resolve) => server.close(() => resolve()));
    expect(await connections(server)).toBe(0);
    await over;
  });

  test('await using closes', async () => {
    const order: string[] = [];
    {
      await using server = createServer(identity);
      server.on('close', () => order.push('close'));
      server.listen(0);
      await once(server, 'listening');
    }
    order.push('after');
    expect(order).toEqual(['close', 'after']);
    {
      await using server = createServer(identity);
      expect(server.listening).toBe(false);
    }
  });
});

describe('the event loop', () => {
  test('a closing server with a socket that nobody reads lets the process end', async () => {
    const { code, stdout } = await run(
      `
      import tls from 'node:tls';
      import { createServer } from 'offloop';
      const server = createServer(input, (socket) => socket.end('world'));
      server.listen(0, () => {
        const { port } = server.address();
        const client = tls.connect({ port, rejectUnauthorized: false }, () => server.close());
        client.end('hello');
      });
      process.on('exit', () => console.log('closed by nobody'));
    `,
      identity,
    );
    expect([code, stdout]).toEqual([0, 'closed by nobody\n']);
  });

  test('a listening server keeps the process, an unreferenced one does not', async () => {
    const { code, stdout } = await run(
      `import { createServer } from 'offloop';
      const unreferenced = createServer(input).unref();
      unreferenced.listen(0);
      const server = createServer(input);
      server.listen(0, () => {
        server.unref().ref();
        setTimeout(() => { console.log('still here'); server.close(); }, 100).unref();
      });
      process.on('exit', () => console.log('ends'));`,
      identity,
    );
    expect([stdout, code]).toEqual(['still here\nends\n', 0]);
  });

  test('a process whose server is closed ends by itself', async () => {
    const { code, stdout } = await run(
      `import tls from 'node:tls';
      import { createServer } from 'offloop';
      const server = createServer(input, (socket) => { socket.end('bye'); server.close(); });
      server.listen(0, () => {
        tls.connect({ port: server.address().port, rejectUnauthorized: false }).resume();
      });
      process.on('exit', () => console.log('ends'));`,
      identity,
    );
    expect([stdout, code]).toEqual(['ends\n', 0]);
  });
});
