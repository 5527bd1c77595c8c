/** `clientHello`: programs that decide about a client before any cryptography is done for it. */
import { once } from 'node:events';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import tls from 'node:tls';

import * as offloop from 'offloop';
import type { ClientHelloCallback } from 'offloop';
import { beforeAll, describe, expect, it } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { listen } from './support/disposables.js';
import { closed, until } from './support/streams.js';

let identity: Issued;
let other: Issued;

beforeAll(async () => {
  const authority = await Authority.create();
  identity = await authority.issue();
  other = await authority.issue({ names: ['other.test'], subject: 'CN=other.test' });
});

it('is never given up: a server that would fall back is refused', () => {
  const options = { ...identity, fallback: true, clientHello: () => {}, pskCallback: () => null };
  expect(() => offloop.createServer(options)).toThrow(
    expect.objectContaining({
      code: 'ERR_OFFLOOP_UNSUPPORTED_OPTION',
      message: expect.stringContaining('pskCallback') as string,
    }),
  );
});

interface Outcome {
  /** Whose certificate the client got; or the code of what it got instead. */
  client: string;
  /** The code of what the program heard, if anything. */
  server?: string | undefined;
  stats?: offloop.ServerStats;
}

type Program = (clientHello: ClientHelloCallback, more?: offloop.ServerOptions) => Promise<Outcome>;

async function connect(port: number): Promise<string> {
  const client = tls.connect({ port, rejectUnauthorized: false, servername: 'asked.test' });
  const outcome = new Promise<string>((resolve) => {
    client.once('secureConnect', () => resolve(String(client.getPeerCertificate().subject.CN)));
    client.once('error', (error: NodeJS.ErrnoException) => resolve(error.code!));
  });
  client.resume();
  const result = await outcome;
  client.destroy();
  return result;
}

const subjects = new Set(['localhost', 'other.test']);

const ways: Record<string, Program> = {
  async createServer(clientHello, more) {
    const { key, cert } = identity;
    const server = offloop.createServer({ key, cert, clientHello, ...more });
    return run(server, () => server.stats());
  },
  async 'adopt()'(clientHello, more) {
    const { key, cert } = identity;
    const server = https.createServer({ key, cert, ...more });
    const adopted = offloop.adopt(server, { clientHello });
    return run(server, () => adopted.stats());
  },
  async acceptTls(clientHello, more = {}) {
    const { key, cert } = identity;
    let heard: string | undefined;
    await using listening = await listen(
      net.createServer((socket) => {
        const { handshakeTimeout } = more;
        offloop.acceptTls(socket, { key, cert, clientHello, handshakeTimeout }).then(
          (secure) => secure.on('error', () => {}).resume(),
          (error: NodeJS.ErrnoException) => (heard = error.code),
        );
      }),
    );
    const client = await connect((listening.server.address() as AddressInfo).port);
    if (!subjects.has(client)) await until(() => heard !== undefined);
    return { client, server: heard };
  },
};

async function run(server: tls.Server, stats: () => offloop.ServerStats): Promise<Outcome> {
  let heard: string | undefined;
  server.on('tlsClientError', (error: NodeJS.ErrnoException) => (heard = error.code));
  await using listening = await listen(server);
  const client = await connect(listening.port);
  if (!subjects.has(client)) await until(() => heard !== undefined);
  await until(() => stats().connections.alive === 0);
  return { client, server: heard, stats: stats() };
}

const mine = (): Error => Object.assign(new Error('mine'), { code: 'MINE' });

describe.each(Object.entries(ways))('clientHello of %s', (_way, perform) => {
  it('gets the facts of the hello, and the socket', async () => {
    let seen: offloop.ClientHello | undefined;
    let socket: offloop.TlsSocket | undefined;
    let self: unknown;
    const outcome = await perform(function (hello, of) {
      [seen, socket, self] = [hello, of, this];
      expect(of.remoteAddress).toMatch(/127\.0\.0\.1$/);
    });
    expect(outcome.client).toBe('localhost');
    expect(seen).toMatchObject({ servername: 'asked.test' });
    expect(seen!.ja4).toMatch(/^t13d/);
    expect(seen!.ja3Hash).toMatch(/^[0-9a-f]{32}$/);
    expect(seen!.ciphers.length).toBeGreaterThan(0);
    expect(socket).toBeInstanceOf(tls.TLSSocket);
    expect(self).toBe(socket);
  });

  it.each([
    ['at once', (answer: offloop.ClientHelloDecision) => answer],
    ['later', (answer: offloop.ClientHelloDecision) => Promise.resolve(answer)],
  ])('refuses with an alert, %s, before anything was computed', async (_when, given) => {
    const { client, server, stats } = await perform(() => given({ reject: 'access_denied' }));
    expect(client).toBe('ERR_SSL_TLSV1_ALERT_ACCESS_DENIED');
    expect(server).toBe('ERR_OFFLOOP_REJECTED');
    if (stats === undefined) return;
    expect(stats.handshakes).toMatchObject({
      failures: { ERR_OFFLOOP_REJECTED: 1 },
      jobsInline: 0,
      jobsOffloaded: 0,
    });
  });

  it('answers with another context', async () => {
    const { key, cert } = other;
    const context = offloop.createSecureContext({ key, cert });
    expect((await perform(() => ({ context }))).client).toBe('other.test');
    expect((await perform(async () => ({ context }))).client).toBe('other.test');
  });

  it.each<[string, ClientHelloCallback, string]>([
    [
      'throws',
      () => {
        throw mine();
      },
      'MINE',
    ],
    ['rejects', () => Promise.reject(mine()), 'MINE'],
    ['names no alert', () => ({ reject: 'go_away' as never }), 'ERR_INVALID_ARG_VALUE'],
    ['answers with what is no answer', () => 'no' as never, 'ERR_INVALID_ARG_TYPE'],
    ['answers with an empty one', () => ({}) as never, 'ERR_INVALID_ARG_VALUE'],
    ['has no context', () => ({ context: 7 as never }), 'ERR_INVALID_ARG_TYPE'],
  ])('ends one connection when it %s', async (_what, clientHello, code) => {
    const { client, server } = await perform(clientHello);
    expect(client).toBe('ECONNRESET');
    expect(server).toBe(code);
  });

  it('is cut off by the deadline when it never answers', async () => {
    const never = new Promise<void>(() => {});
    const { client, server } = await perform(() => never, { handshakeTimeout: 200 });
    expect(client).toBe('ECONNRESET');
    expect(server).toBe('ERR_TLS_HANDSHAKE_TIMEOUT');
  });
});

describe('clientHello', () => {
  it('answers too late for a client that has left', async () => {
    const { key, cert } = identity;
    let answer: (() => void) | undefined;
    const clientHello: ClientHelloCallback = () =>
      new Promise<void>((resolve) => (answer = resolve));
    await using listening = await listen(offloop.createServer({ key, cert, clientHello }));
    const client = tls.connect({ port: listening.port }).on('error', () => {});
    await until(() => answer !== undefined);
    client.destroy();
    await closed(client);
    await until(() => listening.server.stats().connections.alive === 0);
    answer!();
    answer = undefined;
    const next = connect(listening.port);
    await until(() => answer !== undefined);
    answer!();
    expect(await next).toBe('localhost');
  });

  it('goes before SNICallback, which is not asked about a context that was chosen', async () => {
    const { key, cert } = other;
    const context = offloop.createSecureContext({ key, cert });
    const order: string[] = [];
    let chosen = false;
    const server = offloop.createServer({
      key: identity.key,
      cert: identity.cert,
      clientHello: () => {
        order.push('clientHello');
        return chosen ? { context } : undefined;
      },
      SNICallback: (_name, callback) => {
        order.push('SNICallback');
        callback(null);
      },
    });
    await using listening = await listen(server);
    expect(await connect(listening.port)).toBe('localhost');
    chosen = true;
    expect(await connect(listening.port)).toBe('other.test');
    expect(order).toEqual(['clientHello', 'SNICallback', 'clientHello']);
  });

  it('must be a function', () => {
    const { key, cert } = identity;
    expect(() => offloop.createServer({ key, cert, clientHello: 7 as never })).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
    );
  });

  it('refuses a flood at the price of its hellos', async () => {
    const { key, cert } = identity;
    const server = offloop.createServer({
      key,
      cert,
      clientHello: () => ({ reject: 'handshake_failure' }),
    });
    await using listening = await listen(server);
    const codes = await Promise.all(Array.from({ length: 200 }, () => connect(listening.port)));
    expect(new Set(codes)).toEqual(new Set(['ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE']));
    expect(server.stats().handshakes.failures).toEqual({ ERR_OFFLOOP_REJECTED: 200 });
    server.close();
    await once(server, 'close');
  });
});
