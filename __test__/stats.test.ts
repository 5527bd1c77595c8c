/** What the core says of itself: figures of the process and of one server. */
import { once } from 'node:events';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';

import * as offloop from 'offloop';
import { bucketBounds, type Histogram, type ServerStats, stats } from 'offloop';
import { beforeAll, describe, expect, it } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { listen } from './support/disposables.js';
import { closed, until } from './support/streams.js';

let identity: Issued;
let rsa: Issued;

beforeAll(async () => {
  const authority = await Authority.create();
  identity = await authority.issue();
  rsa = await authority.issue({ key: 'rsa2048' });
});

const server = (options: offloop.ServerOptions = {}): offloop.Server =>
  offloop.createServer({ key: identity.key, cert: identity.cert, ...options }, (socket) => {
    socket.on('error', () => {});
    socket.pipe(socket);
  });

async function echo(port: number, text: string, options: tls.ConnectionOptions = {}) {
  const client = tls.connect({ port, rejectUnauthorized: false, ...options });
  client.write(text);
  await once(client, 'data');
  return client;
}

function wellFormed(times: Histogram): void {
  const { count, sum, mean, p50, p90, p99, max, buckets } = times;
  expect(buckets).toHaveLength(bucketBounds.length);
  expect(buckets).toEqual(buckets.toSorted((a, b) => a - b));
  expect(buckets.at(-1)).toBeLessThanOrEqual(count);
  expect([p50, p90, p99, max]).toEqual([p50, p90, p99, max].toSorted((a, b) => a - b));
  if (count > 0) expect(mean).toBeCloseTo(sum / count, 0);
}

function mine(): never {
  throw new Error('mine');
}

describe('server.stats()', () => {
  it('counts what happened to one server, and stays apart from others', async () => {
    await using one = await listen(server());
    await using other = await listen(server());
    (await echo(one.port, 'x'.repeat(1000))).destroy();
    (await echo(one.port, 'x', { maxVersion: 'TLSv1.2' })).destroy();
    await until(() => one.server.stats().connections.alive === 0);
    const { connections, handshakes, bytes } = one.server.stats();
    expect(connections).toEqual({
      accepted: 2,
      acceptErrors: 0,
      listeners: 1,
      alive: 0,
      waiting: 0,
      handshaking: 0,
      open: 0,
    });
    expect(handshakes).toMatchObject({
      done: 2,
      full: 2,
      resumed: 0,
      failed: 0,
      abandoned: 0,
      byVersion: { 'TLSv1.2': 1, 'TLSv1.3': 1 },
      byCipher: { TLS_AES_256_GCM_SHA384: 1 },
      byKeyType: { rsa: 0, ecdsa: 2, ed25519: 0 },
      failures: {},
    });
    expect(handshakes.jobsOffloaded + handshakes.jobsInline).toBeGreaterThanOrEqual(2);
    expect(bytes).toMatchObject({ received: 1001, sent: 1001 });
    expect(bytes.receivedWire).toBeGreaterThan(1001 + 2 * 300);
    expect(bytes.sentWire).toBeGreaterThan(1001 + 2 * 300);
    const { phases } = handshakes;
    for (const times of Object.values(phases)) wellFormed(times);
    expect(phases.total.count).toBe(2);
    const parts = ['hello', 'asked', 'queued', 'computing', 'client'] as const;
    const sum = parts.reduce((all, name) => all + phases[name].sum, 0);
    expect(phases.total.sum).toBeCloseTo(sum, 0);
    expect(phases.computing.sum).toBeGreaterThan(0);
    expect(other.server.stats().connections.accepted).toBe(0);
  });

  it('tells of states, of key types and of resumed sessions', async () => {
    await using listening = await listen(server({ key: rsa.key, cert: rsa.cert }));
    const { port } = listening;
    const read = (): ServerStats => listening.server.stats();
    const silent = net.connect(port, '127.0.0.1');
    await until(() => read().connections.waiting === 1);
    expect(read().connections).toMatchObject({ alive: 1, waiting: 1, handshaking: 1, open: 0 });
    const held = stats().memory.hellos;
    silent.write(Buffer.from('160301', 'hex'));
    await until(() => stats().memory.hellos === held + 3);

    const client = await echo(port, 'x', { maxVersion: 'TLSv1.2' });
    const session = client.getSession();
    await until(() => read().connections.open === 1);
    client.destroy();
    (await echo(port, 'x', { maxVersion: 'TLSv1.2', session })).destroy();
    expect(read().handshakes).toMatchObject({
      done: 2,
      full: 1,
      resumed: 1,
      byKeyType: { rsa: 1 },
    });
    silent.destroy();
    await until(() => read().connections.alive === 0);
    expect(stats().memory.hellos).toBe(held);
  });

  it('tells lanes of the pool apart, by the cost of a key', async () => {
    const { key, cert } = await (await Authority.create()).issue({ key: 'rsa3072' });
    await using large = await listen(server({ key, cert }));
    await using small = await listen(server({ key: rsa.key, cert: rsa.cert }));
    for (const [lane, { port }] of [
      ['largeRsa', large],
      ['rsa', small],
    ] as const) {
      const { pool: before } = stats();
      (await echo(port, 'x')).destroy();
      const { pool: after } = stats();
      const done = { largeRsa: 0, rsa: 0, other: 0, [lane]: 1 };
      for (const [name, count] of Object.entries(done) as [keyof typeof after, number][])
        expect(after[name].done - before[name].done, name).toBe(count);
    }
  });

  it('counts failures by their code, and what the program gave up', async () => {
    await using listening = await listen(server({ handshakeTimeout: 200 }));
    const { port } = listening;
    const visits = [
      async () =>
        void net
          .connect(port, '127.0.0.1')
          .resume()
          .on('error', () => {}),
      async () => void net.connect(port, '127.0.0.1').resume().end('GET / HTTP/1.1\r\n\r\n'),
      async () => {
        const socket = net.connect(port, '127.0.0.1').on('error', () => {});
        await once(socket, 'connect');
        socket.destroy();
      },
    ];
    await Promise.all(visits.map((visit) => visit()));
    await until(() => listening.server.stats().handshakes.failed === 3);
    expect(listening.server.stats().handshakes.failures).toEqual({
      ERR_TLS_HANDSHAKE_TIMEOUT: 1,
      ERR_SSL_HTTP_REQUEST: 1,
      ECONNRESET: 1,
    });
    await using other = await listen(server({ SNICallback: mine }));
    const client = tls.connect({ port: other.port, servername: 'a.test' }).on('error', () => {});
    await closed(client);
    await until(() => other.server.stats().handshakes.abandoned === 1);
  });

  it('counts what was shed, by its limit', async () => {
    await using one = await listen(server({ maxConnections: 1 }));
    await using other = await listen(server({ limits: { helloTimeout: 50 } }));
    const before = stats().sheds;
    const client = await echo(one.port, 'x');
    const more = [one, other].map(({ port }) => net.connect(port, '127.0.0.1').resume());
    await Promise.all(more.map((socket) => closed(socket.on('error', () => {}))));
    const [ofOne, ofOther] = [one.server.stats().sheds, other.server.stats().sheds];
    expect(ofOne).toMatchObject({ maxConnections: 1, helloTimeout: 0 });
    expect(ofOther).toMatchObject({ maxConnections: 0, helloTimeout: 1 });
    expect(other.server.stats().handshakes.failures).toEqual({ ERR_TLS_HANDSHAKE_TIMEOUT: 1 });
    const { sheds } = stats();
    expect(sheds.maxConnections - before.maxConnections).toBe(1);
    expect(sheds.helloTimeout - before.helloTimeout).toBe(1);
    client.destroy();
  });

  it('goes on when the server listens again', async () => {
    const one = server();
    {
      await using listening = await listen(one);
      (await echo(listening.port, 'x')).destroy();
    }
    await using again = await listen(one);
    (await echo(again.port, 'x')).destroy();
    expect(one.stats().handshakes.done).toBe(2);
  });

  it('comes with adopt(), and goes with release()', async () => {
    const { key, cert } = identity;
    const plain = https.createServer({ key, cert }, (_request, response) => response.end('hello'));
    const adopted = offloop.adopt(plain);
    await using listening = await listen(plain);
    const client = await echo(listening.port, 'GET / HTTP/1.0\r\n\r\n');
    client.destroy();
    expect(adopted.stats().handshakes.done).toBe(1);
    expect((plain as unknown as offloop.OnCore).stats()).toEqual(adopted.stats());
    adopted.release();
    expect('stats' in plain).toBe(false);
  });
});

describe('stats()', () => {
  it('has the sums of all servers, of acceptTls, and what the threads do', async () => {
    const before = stats();
    const raw = net.createServer((socket) => {
      void offloop
        .acceptTls(socket, { key: identity.key, cert: identity.cert })
        .then((secure) => secure.on('error', () => {}).pipe(secure));
    });
    await using listening = await listen(raw);
    (await echo(listening.port, 'x')).destroy();
    await using native = await listen(server({ offload: 'always' }));
    (await echo(native.port, 'x')).destroy();
    const after = stats();
    expect(after.handshakes.done - before.handshakes.done).toBe(2);
    expect(after.handshakes.jobsOffloaded).toBeGreaterThan(before.handshakes.jobsOffloaded);
    expect(after.pool.other.done).toBeGreaterThan(before.pool.other.done);
    expect(after.threads.io).toBeGreaterThan(0);
    expect(after.memory.slots).toBeGreaterThan(0);
    expect(after.eventLoop.turns.count).toBeGreaterThan(before.eventLoop.turns.count);
    for (const times of [
      after.eventLoop.turns,
      after.pool.rsa.queuedMicros,
      after.pool.other.runMicros,
      ...Object.values(after.handshakes.phases),
    ])
      wellFormed(times);
    // Plain data.
    expect(JSON.parse(JSON.stringify(after))).toEqual(after);
    expect(bucketBounds[0]).toBe(10);
    expect(bucketBounds.at(-1)).toBe(10_000_000);
  });
});
