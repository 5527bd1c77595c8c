/** diagnostics_channel: what is told of handshakes and contexts to who subscribes. */
import dc from 'node:diagnostics_channel';
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';

import * as offloop from 'offloop';
import type {
  ConnectionsShed,
  ContextReload,
  HandshakeEnd,
  HandshakeError,
  HandshakeStart,
} from 'offloop';
import { beforeAll, describe, expect, it } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { listen } from './support/disposables.js';
import { closed, until } from './support/streams.js';

let identity: Issued;
beforeAll(async () => {
  identity = await (await Authority.create()).issue();
});

/** What is published while it is held. */
function subscribed<T>(name: string): T[] & Disposable {
  const messages: T[] = [];
  const note = (message: unknown): void => void messages.push(message as T);
  dc.subscribe(name, note);
  return Object.assign(messages, { [Symbol.dispose]: () => void dc.unsubscribe(name, note) });
}

function server(options: offloop.ServerOptions = {}): offloop.Server {
  const { key, cert } = identity;
  return offloop.createServer({ key, cert, ...options }, (socket) => {
    socket.on('error', () => {}).resume();
  });
}

async function visit(port: number, options: tls.ConnectionOptions = {}): Promise<void> {
  const client = tls.connect({
    port,
    rejectUnauthorized: false,
    servername: 'localhost',
    ...options,
  });
  client.on('secureConnect', () => client.end()).resume();
  await closed(client);
}

/** A client that says nothing, until it is got rid of. */
async function refused(port: number): Promise<void> {
  await closed(
    net
      .connect(port, '127.0.0.1')
      .on('error', () => {})
      .resume(),
  );
}

function mine(): never {
  throw Object.assign(new Error('mine'), { code: 'MINE' });
}

function angry(): never {
  throw new Error('a subscriber');
}

describe.each([
  ['a native server', {}],
  ['a server that is asked', { clientHello: () => {} }],
])('handshakes of %s', (_kind, options) => {
  it('are told from start to end', async () => {
    // Listening before somebody subscribes.
    await using listening = await listen(server(options));
    using starts = subscribed<HandshakeStart>('offloop:handshake:start');
    using ends = subscribed<HandshakeEnd>('offloop:handshake:end');
    using errors = subscribed<HandshakeError>('offloop:handshake:error');
    await visit(listening.port, { ALPNProtocols: ['h2'] });
    await until(() => ends.length === 1);
    const [start] = starts;
    const [end] = ends;
    expect(starts).toHaveLength(1);
    expect(errors).toHaveLength(0);
    expect(start.server).toBe(listening.server);
    expect(start).toMatchObject({
      servername: 'localhost',
      alpnProtocols: ['h2'],
      remoteAddress: expect.stringMatching(/127\.0\.0\.1$/),
      localPort: listening.port,
    });
    expect(end.server).toBe(listening.server);
    expect(end).toMatchObject({
      connection: start.connection,
      remotePort: start.remotePort,
      handshake: { version: 'TLSv1.3', resumed: false },
    });
    expect(end.handshake.hello!.ja4).toBe(start.ja4);
    expect(end.handshake.hello!.ja3Hash).toBe(start.ja3Hash);
  });

  it('that fail are told with code and addresses', async () => {
    await using listening = await listen(server({ ...options, minVersion: 'TLSv1.3' }));
    using starts = subscribed<HandshakeStart>('offloop:handshake:start');
    using errors = subscribed<HandshakeError>('offloop:handshake:error');
    await visit(listening.port, { maxVersion: 'TLSv1.2' });
    await until(() => errors.length === 1);
    const [error] = errors;
    expect(error).toMatchObject({
      code: 'ERR_SSL_UNSUPPORTED_PROTOCOL',
      localPort: listening.port,
      connection: starts[0].connection,
    });
    expect(error.error).toBeInstanceOf(Error);
    expect(error.server).toBe(listening.server);
    // Before a ClientHello there is no start.
    net
      .connect(listening.port, '127.0.0.1')
      .on('error', () => {})
      .resume()
      .end('GET / HTTP/1.1');
    await until(() => errors.length === 2);
    expect(errors[1].code).toBe('ERR_SSL_HTTP_REQUEST');
    expect(starts).toHaveLength(1);
  });
});

describe('handshakes', () => {
  it('that the program gives up are told once, with its error', async () => {
    await using listening = await listen(server({ SNICallback: mine }));
    using starts = subscribed<HandshakeStart>('offloop:handshake:start');
    using errors = subscribed<HandshakeError>('offloop:handshake:error');
    await visit(listening.port);
    await until(() => errors.length === 1);
    expect(errors[0]).toMatchObject({ code: 'MINE', connection: starts[0].connection });
  });

  it('of acceptTls are told too', async () => {
    const { key, cert } = identity;
    using ends = subscribed<HandshakeEnd>('offloop:handshake:end');
    const raw = net.createServer((socket) => {
      void offloop.acceptTls(socket, { key, cert }).then((secure) => secure.resume());
    });
    await using listening = await listen(raw);
    await visit((listening.server.address() as net.AddressInfo).port);
    await until(() => ends.length === 1);
    expect(ends[0].server).toBeNull();
    expect(ends[0].handshake.version).toBe('TLSv1.3');
  });

  it('are told to nobody when nobody subscribes any more', async () => {
    await using listening = await listen(server());
    const starts = subscribed<HandshakeStart>('offloop:handshake:start');
    starts[Symbol.dispose]();
    expect(dc.hasSubscribers('offloop:handshake:start')).toBe(false);
    await visit(listening.port);
    expect(starts).toHaveLength(0);
    using again = subscribed<HandshakeStart>('offloop:handshake:start');
    await visit(listening.port);
    expect(again).toHaveLength(1);
  });

  it('go on when a subscriber throws', async () => {
    await using listening = await listen(server());
    dc.subscribe('offloop:handshake:end', angry);
    const caught = new Promise<Error>((resolve) => {
      process.setUncaughtExceptionCaptureCallback((error) => {
        process.setUncaughtExceptionCaptureCallback(null);
        resolve(error);
      });
    });
    const served = once(listening.server, 'secureConnection');
    await visit(listening.port);
    await served;
    expect((await caught).message).toBe('a subscriber');
    dc.unsubscribe('offloop:handshake:end', angry);
  });
});

describe('connections that are shed', () => {
  it('are told with reason and addresses, all in a few messages', async () => {
    await using listening = await listen(server({ limits: { handshakes: 1 } }));
    const { port } = listening;
    const sheds = (): number => listening.server.stats().sheds.handshakes;
    const only = net.connect(port, '127.0.0.1').on('error', () => {});
    await until(() => listening.server.stats().connections.handshaking === 1);
    await refused(port);
    await until(() => sheds() === 1);
    // What happened before somebody subscribed is not told.
    using messages = subscribed<ConnectionsShed>('offloop:shed');
    await Promise.all(Array.from({ length: 20 }, () => refused(port)));
    const told = (): number => messages.reduce((sum, { counts }) => sum + counts.handshakes, 0);
    await until(() => told() === 20);
    expect(sheds()).toBe(21);
    const samples = messages.flatMap((message) => message.samples);
    expect(samples).toHaveLength(20);
    for (const sample of samples) {
      expect(sample.server).toBe(listening.server);
      expect(sample).toMatchObject({
        reason: 'handshakes',
        remoteAddress: expect.stringMatching(/127\.0\.0\.1$/),
        remoteFamily: expect.stringMatching(/^IPv/),
        remotePort: expect.any(Number),
        localPort: port,
      });
    }
    expect(messages[0].counts.connectionRate).toBe(0);
    only.destroy();
  });

  it('of acceptTls are told too, and to nobody when nobody subscribes any more', async () => {
    const { key, cert } = identity;
    const raw = net.createServer((socket) => {
      const accepting = offloop.acceptTls(socket, { key, cert, limits: { helloTimeout: 50 } });
      accepting.catch(() => {});
    });
    await using listening = await listen(raw);
    const { port } = raw.address() as net.AddressInfo;
    const messages = subscribed<ConnectionsShed>('offloop:shed');
    await refused(port);
    await until(() => messages.length === 1);
    expect(messages[0]).toMatchObject({
      counts: { helloTimeout: 1 },
      samples: [{ server: null, reason: 'helloTimeout', localPort: listening.port }],
    });
    messages[Symbol.dispose]();
    await refused(port);
    using again = subscribed<ConnectionsShed>('offloop:shed');
    await refused(port);
    await until(() => again.length === 1);
    expect(again[0].counts.helloTimeout).toBe(1);
    expect(messages).toHaveLength(1);
  });
});

describe('contexts', () => {
  it('that replace others are told', () => {
    const { key, cert } = identity;
    const one = server();
    using reloads = subscribed<ContextReload>('offloop:context:reload');
    one.addContext('a.test', { key, cert });
    expect(reloads).toHaveLength(0);
    one.addContext('A.test', { key, cert });
    one.setSecureContext({ key, cert });
    expect(reloads).toHaveLength(2);
    expect(reloads[0]).toEqual({ server: one, servername: 'A.test' });
    expect(reloads[1]).toEqual({ server: one });
  });
});
