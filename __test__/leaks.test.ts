/** 20,000 connections that come and go leave a process as large as before, with nothing open. */
import { once } from 'node:events';
import net from 'node:net';

import { createServer, stats, type Stats } from 'offloop';
import { beforeAll, describe, expect, it } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { bounded, Child } from './support/faults/child.js';
import { clientHello } from './support/faults/client-hello.js';
import { until } from './support/faults/settled.js';
import { attempt } from './support/faults/tls-client.js';

const MEGABYTE = 1024 * 1024;

let options: Pick<Issued, 'key' | 'cert'>;
let hello: Buffer;

beforeAll(async () => {
  const { key, cert } = await (await Authority.create()).issue();
  options = { key, cert };
  hello = await clientHello();
});

interface Memory {
  rss: number;
  stats: Stats;
}

/** Connects, and leaves in one of the ways; ports of several addresses, so that none run out. */
async function connectAndDrop(port: number, i: number): Promise<void> {
  const localAddress = `127.0.0.${1 + (i % 8)}`;
  const socket = net.connect({ port, host: '127.0.0.1', localAddress });
  const closed = once(socket, 'close');
  socket.on('error', () => {});
  await once(socket, 'connect');
  switch (i % 5) {
    case 0:
      socket.destroy();
      break;
    case 1:
      socket.resetAndDestroy();
      break;
    case 2:
      // The server says that this is no TLS, and closes.
      socket.resume().end('GET / HTTP/1.1\r\n\r\n');
      break;
    case 3:
      socket.end(hello.subarray(0, hello.length >> 1));
      socket.resume();
      break;
    case 4:
      // A whole handshake's cost, for a client that has gone.
      socket.write(hello, () => socket.resetAndDestroy());
      break;
  }
  await closed;
}

async function memory(child: Child): Promise<Memory> {
  child.tell('memory');
  const measured = await child.message<Memory>();
  expect(measured.stats).toMatchObject({
    connections: { alive: 0, waiting: 0, handshaking: 0, open: 0 },
    memory: { receivedQueued: 0, sentQueued: 0, hellos: 0 },
  });
  return measured;
}

const CYCLES = 20_000;

describe.each(['offloop server', 'acceptTls'] as const)('%s', (kind) => {
  it(`is as large after ${CYCLES} connect-and-drop cycles as before`, async () => {
    const child = new Child('serve.cjs', {
      env: { SERVE: JSON.stringify({ kind, options }) },
      // A young generation of fixed size: newer versions of Node let it grow by 50 MB.
      nodeFlags: ['--expose-gc', '--max-semi-space-size=1'],
      bound: 120_000,
    });
    const { port } = await child.message<{ port: number }>();
    // What is allocated once: buffers, code, arenas; after 10,000 cycles it stays as it is.
    await bounded(CYCLES / 2, 64, (i) => connectAndDrop(port, i));
    child.tell('failures');
    await child.message();
    const before = await memory(child);

    await bounded(CYCLES, 64, (i) => connectAndDrop(port, i));
    child.tell('failures');
    const { failures } = await child.message<{ failures: string[] }>();
    const after = await memory(child);
    // A leak of 500 bytes a connection would be 10 MB.
    expect((after.rss - before.rss) / MEGABYTE).toBeLessThan(10);
    expect(after.stats.connections.accepted - before.stats.connections.accepted).toBe(CYCLES);
    expect(new Set(failures)).toEqual(new Set(['ECONNRESET', 'ERR_SSL_HTTP_REQUEST']));

    expect(await attempt(port)).toMatchObject({ code: null, echoed: 'ping' });
    child.tell('close');
    expect(await child.message()).toEqual({ event: 'closed' });
    expect(await child.result).toMatchObject({ code: 0, signal: null, stderr: '' });
  }, 120_000);
});

describe('closing a server', () => {
  it("is no error of accept(2): no 'acceptError', and the listener is gone", async () => {
    const before = stats();
    const errors: unknown[] = [];
    const closeOne = async (): Promise<void> => {
      const server = createServer(options).on('acceptError', (error) => errors.push(error));
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      server.close();
      await once(server, 'close');
    };
    await bounded(2000, 8, closeOne);
    expect(errors.length).toBe(0);
    expect(stats().connections.acceptErrors).toBe(before.connections.acceptErrors);
    await until(
      () => stats().connections.listeners === before.connections.listeners,
      'the listeners are gone',
    );
  });
});
