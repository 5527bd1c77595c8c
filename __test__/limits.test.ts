/** What a server takes on, and what it does with the rest. */
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';

import { acceptTls, type ServerLimits, stats } from 'offloop';
import { beforeAll, describe, expect, test } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { connect, listen, pair, tcpPair } from './support/disposables.js';
import { clientHello as helloOfClient } from './support/faults/client-hello.js';
import { RawClient } from './support/faults/raw-client.js';
import type { ClientError } from './support/faults/tls-server.js';
import { type AnyServer, offloop } from './support/libraries.js';
import { until } from './support/faults/settled.js';

let identity: Issued;
let rsa: Issued;

beforeAll(async () => {
  const authority = await Authority.create();
  identity = await authority.issue();
  rsa = await authority.issue({ key: 'rsa4096' });
});

type Sheds = ReturnType<typeof stats>['sheds'];

/** What was shed since, without the reasons that did not come up. */
function shedsSince(before: Sheds): Partial<Sheds> {
  const after = Object.entries(stats().sheds) as [keyof Sheds, number][];
  const changes = after.map(([reason, count]) => [reason, count - before[reason]] as const);
  return Object.fromEntries(changes.filter(([, count]) => count > 0));
}

async function serve(limits: ServerLimits, options: object = identity) {
  const server = offloop.createServer({ ...options, limits }, (socket) => socket.pipe(socket));
  const failures: ClientError[] = [];
  server.on('tlsClientError', (error: ClientError) => failures.push(error));
  const before = stats().sheds;
  const listening = await listen(server as never as net.Server);
  return {
    port: listening.port,
    server: server as AnyServer,
    failures,
    sheds: () => shedsSince(before),
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  };
}

/** An address of this machine that a client comes from. */
type Source = tls.ConnectionOptions & { localAddress: string };

/** A client that gets its handshake done, and an echo. */
async function isServed(port: number, from?: Source): Promise<boolean> {
  const client = connect(port, from);
  try {
    await once(client, 'secureConnect');
    client.write('hello');
    await once(client, 'data');
    return true;
  } catch {
    return false;
  } finally {
    client.on('error', () => {}).destroy();
  }
}

/** A client that is dropped, perhaps before it knows that it was connected. */
async function dropped(port: number): Promise<boolean> {
  const socket = net.connect(port, '127.0.0.1');
  const [error] = (await once(socket, 'error').catch((refused: unknown) => [refused])) as [
    NodeJS.ErrnoException,
  ];
  return error.code === 'ECONNRESET';
}

describe('before anything is read', () => {
  test('handshakes: one more is dropped, with its reason', async () => {
    await using at = await serve({ handshakes: 2 });
    const told = once(at.server, 'drop') as Promise<[net.DropArgument & { reason?: string }]>;
    using first = await RawClient.connect(at.port);
    using second = await RawClient.connect(at.port);
    expect(await dropped(at.port)).toBe(true);
    const [facts] = await told;
    expect(facts).toMatchObject({ reason: 'handshakes', remoteAddress: '127.0.0.1' });
    expect(at.sheds()).toEqual({ handshakes: 1 });
    first.end();
    await first.closed();
    await until(() => stats().connections.handshaking < 2, 'the first one is gone');
    expect(await isServed(at.port)).toBe(true);
    expect([second.closedBy, at.failures.map(({ code }) => code)]).toEqual([null, ['ECONNRESET']]);
  });

  test('handshakes: the one that has waited longest for its client makes room', async () => {
    await using at = await serve({ handshakes: 2 });
    const hello = await helloOfClient();
    const clients: RawClient[] = [];
    for (let i = 0; i < 2; i++) {
      clients.push(await RawClient.connect(at.port));
      await clients[i].send(hello);
      await clients[i].receive(1);
    }
    // Until they have had the time of a round trip, it is the new one that goes; not 100 of these in a
    // second, or what follows is told of no more.
    while (!(await isServed(at.port))) await new Promise((resolve) => setTimeout(resolve, 25));
    await clients[0].closed();
    expect(clients.map(({ closedBy }) => closedBy)).toEqual(['reset', null]);
    expect(at.sheds()).toMatchObject({ waitingForClient: 1 });
    await until(() => at.failures.length === 1, 'it is told');
    expect(at.failures[0].code).toBe('ERR_OFFLOOP_OVERLOADED');
    expect(at.failures[0].message).toMatch(/waitingForClient/);
    clients[1].reset();
  });

  test('handshakesPerPeer: others are served', async () => {
    await using at = await serve({ handshakesPerPeer: 1 });
    using _first = await RawClient.connect(at.port);
    expect(await dropped(at.port)).toBe(true);
    expect(await isServed(at.port, { localAddress: '127.0.0.2' })).toBe(true);
    expect(at.sheds()).toEqual({ handshakesPerPeer: 1 });
  });

  test('connectionRate: the burst is served, what follows at once is dropped', async () => {
    await using at = await serve({ connectionRate: { perSecond: 1, burst: 2 } });
    const served = [];
    for (let i = 0; i < 3; i++) served.push(await isServed(at.port));
    // A slow machine may have given the third one its second.
    expect(served.slice(0, 2)).toEqual([true, true]);
    await until(() => {
      if ((at.sheds().connectionRate ?? 0) > 0) return true;
      connect(at.port)
        .on('error', () => {})
        .end();
      return false;
    }, 'one is dropped');
  });

  test('connectionRatePerPeer: a peer has a rate of its own', async () => {
    const first: Source = { localAddress: '127.0.0.3' };
    await using at = await serve({ connectionRatePerPeer: { perSecond: 1, burst: 1 } });
    expect(await isServed(at.port, first)).toBe(true);
    expect(await isServed(at.port, { localAddress: '127.0.0.4' })).toBe(true);
    await until(() => {
      if ((at.sheds().connectionRatePerPeer ?? 0) > 0) return true;
      connect(at.port, first)
        .on('error', () => {})
        .end();
      return false;
    }, 'one of the first is dropped');
  });

  test('a server with a listener of connection has the same limits', async () => {
    await using at = await serve({ handshakes: 1 });
    at.server.on('connection', () => {});
    using _first = await RawClient.connect(at.port);
    await until(() => stats().connections.handshaking === 1, 'the first one is there');
    using second = await RawClient.connect(at.port);
    await second.closed();
    await until(() => at.failures.length > 0, 'it is told');
    expect(at.failures[0].code).toBe('ERR_OFFLOOP_OVERLOADED');
    expect(at.sheds()).toEqual({ handshakes: 1 });
  });
});

describe('while it waits for a ClientHello', () => {
  test('waitingForHello: the one that has waited longest goes', async () => {
    await using at = await serve({ waitingForHello: 2 });
    const clients: RawClient[] = [];
    for (let i = 0; i < 3; i++) {
      clients.push(await RawClient.connect(at.port));
      const count = Math.min(i + 1, 2);
      await until(() => stats().connections.handshaking >= count, 'it waits');
    }
    await clients[0].closed();
    expect(clients.map(({ closedBy }) => closedBy)).toEqual(['reset', null, null]);
    expect(at.sheds()).toEqual({ waitingForHello: 1 });
    // Who says something at once takes a place and gives it back.
    expect(await isServed(at.port)).toBe(true);
    await clients[1].closed();
    await until(() => at.failures.length === 2, 'they are told');
    expect(at.failures.map(({ code }) => code)).toEqual([
      'ERR_OFFLOOP_OVERLOADED',
      'ERR_OFFLOOP_OVERLOADED',
    ]);
    clients[2].reset();
  });

  test('helloTimeout: silence ends before the deadline of the handshake', async () => {
    await using at = await serve({ helloTimeout: 50 });
    using silent = await RawClient.connect(at.port);
    await silent.closed();
    expect(silent.closedBy).toBe('reset');
    await until(() => at.failures.length === 1, 'it is told');
    expect(at.failures[0].code).toBe('ERR_TLS_HANDSHAKE_TIMEOUT');
    expect(at.sheds()).toEqual({ helloTimeout: 1 });
    // With its hello there, a client has the handshake's time.
    using waiting = await RawClient.connect(at.port);
    await waiting.send(await helloOfClient());
    await waiting.receive(1);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(waiting.closedBy).toBe(null);
  });

  test('helloTimeout of acceptTls', async () => {
    await using ends = await tcpPair();
    const accepted = acceptTls(ends.socket, { ...identity, limits: { helloTimeout: 20 } });
    await expect(accepted).rejects.toMatchObject({ code: 'ERR_TLS_HANDSHAKE_TIMEOUT' });
  });
});

describe('in the queue of the pool', () => {
  test.each(['reset', 'alert'] as const)('queueAge: what is refused ends by %s', async (shed) => {
    await using at = await serve({ queueAge: 1, shed }, rsa);
    const hello = await helloOfClient();
    // One RSA-4096 signature takes longer than that: whoever waits for one is refused.
    const clients = await Promise.all(Array.from({ length: 40 }, () => RawClient.connect(at.port)));
    await Promise.all(clients.map((client) => client.send(hello)));
    await until(() => at.failures.length > 0, 'some are refused');
    expect(at.failures[0].code).toBe('ERR_OFFLOOP_OVERLOADED');
    expect(at.failures[0].message).toMatch(/queueAge/);
    expect(Object.keys(at.sheds())).toEqual(['queueAge']);
    const refused = (): RawClient | undefined =>
      clients.find((client) =>
        shed === 'reset' ? client.closedBy === 'reset' : client.alert() === 80,
      );
    await until(() => refused() !== undefined, 'one of them is told');
    for (const client of clients) client.reset();
    // On a busy machine a lone one may wait for longer than a millisecond too.
    while (!(await isServed(at.port)));
  });
});

describe('once it is open', () => {
  test('idleTimeout: without a byte in either direction it is closed in order', async () => {
    const before = stats().sheds;
    const limits = { idleTimeout: 100 };
    await using ends = await pair(offloop, { server: { ...identity, limits } });
    const closed = once(ends.socket, 'close');
    ends.client.resume();
    await once(ends.client, 'end');
    expect(await closed).toEqual([false]);
    expect(shedsSince(before)).toEqual({ idleTimeout: 1 });
  });

  test.each(['up', 'down'])('idleTimeout: bytes %s keep it open', async (direction) => {
    const limits = { idleTimeout: 150 };
    await using ends = await pair(offloop, { server: { ...identity, limits } });
    const [from, to] = direction === 'up' ? [ends.client, ends.socket] : [ends.socket, ends.client];
    to.resume();
    for (let i = 0; i < 10; i++) {
      from.write('x');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect([ends.client.readableEnded, ends.socket.destroyed]).toEqual([false, false]);
  });

  test('bufferedBytes: so much is read ahead, and so much of a write is handed over', async () => {
    const limits = { bufferedBytes: 16 * 1024 };
    await using ends = await pair(offloop, { server: { ...identity, limits } });
    let most = 0;
    const peak = async (ready: () => boolean): Promise<void> =>
      until(() => {
        most = Math.max(most, stats().memory.sentQueued);
        return ready();
      }, 'all came');
    const bytes = Buffer.alloc(4 << 20, 'x');
    ends.socket.write(bytes);
    let received = 0;
    ends.client.on('data', (chunk: Buffer) => (received += chunk.length));
    await peak(() => received === bytes.length);
    expect(most).toBeLessThanOrEqual(16 * 1024);
  });
});

describe('a flood of what is shed', () => {
  test('does not become a flood of events', async () => {
    await using at = await serve({ handshakes: 1 });
    let drops = 0;
    at.server.on('drop', () => drops++);
    using _only = await RawClient.connect(at.port);
    await until(() => stats().connections.handshaking === 1, 'it is there');
    const started = performance.now();
    for (let i = 0; i < 1000; i++) {
      await dropped(at.port);
    }
    await until(() => at.sheds().handshakes === 1000, 'all are counted');
    const seconds = (performance.now() - started) / 1000;
    expect(drops).toBeGreaterThan(0);
    expect(drops).toBeLessThanOrEqual(100 + 100 * Math.ceil(seconds));
  });
});

describe('a flood of what is shed after a question about its hello', () => {
  test('does not become a flood of events, and leaves no socket behind', async () => {
    const asked: tls.TLSSocket[] = [];
    const clientHello = (_hello: unknown, socket: tls.TLSSocket): void => void asked.push(socket);
    await using at = await serve({ queueAge: 1 }, { ...rsa, clientHello });
    const hello = await helloOfClient();
    const began = performance.now();
    const FLOOD = 400;
    const clients: RawClient[] = [];
    for (let i = 0; i < FLOOD; i++) clients.push(await RawClient.connect(at.port));
    // Who is shed at once may not see its write done.
    await Promise.allSettled(clients.map((client) => client.send(hello)));
    // Those that were answered wait for their clients.
    await until(
      () => clients.every(({ received, closedBy }) => received.length > 0 || closedBy !== null),
      'each is answered or shed',
    );
    const answered = clients.filter(({ received }) => received.length > 0).length;
    expect(at.sheds()).toEqual({ queueAge: FLOOD - answered });
    expect(answered).toBeLessThan(FLOOD / 2);
    const seconds = (performance.now() - began) / 1000;
    for (const client of clients) client.reset();
    await until(
      () => asked.length === FLOOD && asked.every(({ destroyed }) => destroyed),
      'their sockets are gone',
    );
    const told = at.failures.filter(({ code }) => code === 'ERR_OFFLOOP_OVERLOADED').length;
    expect(told).toBeGreaterThan(0);
    expect(told).toBeLessThanOrEqual(100 * (seconds + 1));
    // No other event in the place of those that were not told: of who was answered, one each.
    expect(at.failures.length - told).toBeLessThanOrEqual(answered);
  });
});

describe('one loud connection', () => {
  test('does not keep quiet ones, timers or other turns from theirs', async () => {
    const server = offloop.createServer(identity, (socket) => {
      socket.on('data', (chunk: Buffer) => {
        if (chunk.length < 100) return void socket.write(chunk);
        // Slow on purpose: the loud one alone could fill every turn.
        const over = performance.now() + 1;
        while (performance.now() < over);
      });
    });
    await using listening = await listen(server as never as net.Server);
    const loud = connect(listening.port);
    await once(loud, 'secureConnect');
    const pump = (): void => {
      while (!loud.destroyed && loud.write(Buffer.alloc(64 * 1024)));
    };
    loud.on('drain', pump);
    pump();
    try {
      const quiet = await Promise.all(
        Array.from({ length: 20 }, async () => {
          const client = connect(listening.port);
          await once(client, 'secureConnect');
          return client;
        }),
      );
      for (let round = 0; round < 5; round++) {
        await Promise.all(
          quiet.map(async (client) => {
            client.write('quiet');
            await once(client, 'data');
          }),
        );
      }
      for (const client of quiet) client.destroy();
    } finally {
      loud
        .off('drain', pump)
        .on('error', () => {})
        .destroy();
    }
  });
});
