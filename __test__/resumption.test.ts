/** Sessions that go on in another connection. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import tls from 'node:tls';

import {
  acceptTls,
  createSecureContext,
  createServer,
  stats,
  type Server,
  type TlsSocket,
} from 'offloop';
import { beforeAll, describe, expect, test } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { connect, listen, tcpPair } from './support/disposables.js';
import { readAll } from './support/streams.js';

let identity: Issued;
let other: Issued;
let clientIdentity: Issued;

beforeAll(async () => {
  const authority = await Authority.create();
  identity = await authority.issue();
  other = await authority.issue({ subject: 'CN=other' });
  clientIdentity = await authority.issue({ use: 'client', subject: 'CN=client' });
});

interface Visit {
  /** The server's view. */
  readonly reused: boolean;
  /** The client's. */
  readonly clientReused: boolean;
  readonly session: Buffer;
  readonly socket: TlsSocket;
}

/** Connects, exchanges a byte, takes a session along. */
async function visit(server: Server, port: number, options: tls.ConnectionOptions): Promise<Visit> {
  const accepted = once(server, 'secureConnection');
  const client = connect(port, options);
  let session: Buffer | undefined;
  client.on('session', (ticket) => (session = ticket));
  const [socket] = (await accepted) as [TlsSocket];
  socket.on('error', () => {});
  const reused = socket.isSessionReused();
  // Facts that are asked for after the end must have been asked for before.
  void [socket.authorized, socket.servername];
  socket.end('x');
  expect(String(await readAll(client))).toBe('x');
  const clientReused = client.isSessionReused();
  const result = { reused, clientReused, session: session ?? client.getSession()!, socket };
  client.destroy();
  return result;
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  const only = { minVersion: version, maxVersion: version };
  describe(version, () => {
    test('a session resumes, again and again', async () => {
      const server = createServer(identity);
      await using listening = await listen(server);
      const before = stats().handshakes.resumed;
      const first = await visit(server, listening.port, only);
      expect(first.reused).toBe(false);
      let { session } = first;
      for (let i = 0; i < 3; i++) {
        const next = await visit(server, listening.port, { ...only, session });
        expect([next.reused, next.clientReused]).toEqual([true, true]);
        ({ session } = next);
      }
      expect(stats().handshakes.resumed - before).toBe(3);
    });

    test('and has the facts of the first: version, cipher, ALPN, SNI', async () => {
      const server = createServer({ ...identity, ALPNProtocols: ['a'] });
      await using listening = await listen(server);
      const options = { ...only, ALPNProtocols: ['a'], servername: 'name.test' };
      const facts: unknown[] = [];
      server.on('secureConnection', (socket) =>
        facts.push([
          socket.getProtocol(),
          socket.getCipher(),
          socket.alpnProtocol,
          socket.servername,
        ]),
      );
      const { session } = await visit(server, listening.port, options);
      const { reused } = await visit(server, listening.port, { ...options, session });
      expect(reused).toBe(true);
      expect(facts[1]).toEqual(facts[0]);
    });

    test('keeps the client certificate, and that it was good', async () => {
      const server = createServer({ ...identity, requestCert: true, ca: identity.ca });
      const seen: unknown[] = [];
      server.on('secureConnection', (socket) =>
        seen.push([
          socket.authorized,
          socket.authorizationError,
          socket.getPeerCertificate().subject.CN,
        ]),
      );
      await using listening = await listen(server);
      const options = { ...only, key: clientIdentity.key, cert: clientIdentity.cert };
      const { session } = await visit(server, listening.port, options);
      const { reused } = await visit(server, listening.port, { ...options, session });
      expect(reused).toBe(true);
      expect(seen).toEqual([
        [true, null, 'client'],
        [true, null, 'client'],
      ]);
    });

    test('a session without a client certificate does not pass where one is required', async () => {
      // CVE-2025-23419: one address, two names, one of them with client certificates.
      const lax = createServer(identity);
      const strict = createServer({
        ...identity,
        requestCert: true,
        rejectUnauthorized: true,
        ca: identity.ca,
      });
      await using first = await listen(lax);
      await using second = await listen(strict);
      const { session } = await visit(lax, first.port, only);
      const refused = once(strict, 'tlsClientError');
      const client = connect(second.port, { ...only, session }).on('error', () => {});
      const [error] = (await refused) as [Error];
      expect(error).toMatchObject({ code: 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE' });
      client.destroy();
    });

    test('a session of one name is no session of another context', async () => {
      const server = createServer(identity);
      server.addContext('other.test', other);
      await using listening = await listen(server);
      const { session } = await visit(server, listening.port, {
        ...only,
        servername: 'first.test',
      });
      const next = await visit(server, listening.port, {
        ...only,
        servername: 'other.test',
        session,
      });
      expect(next.reused).toBe(false);
    });

    test('two servers of one context share sessions', async () => {
      const context = createSecureContext(identity);
      const servers = [createServer({ context }), createServer({ context })];
      await using first = await listen(servers[0]);
      await using second = await listen(servers[1]);
      const { session } = await visit(servers[0], first.port, only);
      const { reused } = await visit(servers[1], second.port, { ...only, session });
      expect(reused).toBe(true);
    });

    test('setSecureContext() with another certificate ends old sessions', async () => {
      const server = createServer(identity);
      await using listening = await listen(server);
      const { session } = await visit(server, listening.port, only);
      server.setSecureContext(other);
      const { reused } = await visit(server, listening.port, { ...only, session });
      expect(reused).toBe(false);
    });

    test('garbage in place of a ticket: a full handshake', async () => {
      const server = createServer(identity);
      const elsewhere = createServer(identity);
      await using listening = await listen(server);
      await using there = await listen(elsewhere);
      // A good ticket of other keys.
      const { session } = await visit(elsewhere, there.port, only);
      const next = await visit(server, listening.port, { ...only, session });
      expect([next.reused, next.clientReused]).toEqual([false, false]);
    });

    test('acceptTls() resumes what it began', async () => {
      const context = createSecureContext(identity);
      let session: Buffer | undefined;
      for (const expected of [false, true]) {
        await using ends = await tcpPair();
        const client = tls.connect({
          socket: ends.client,
          rejectUnauthorized: false,
          session,
          ...only,
        });
        client.on('session', (ticket) => (session = ticket));
        const socket = await acceptTls(ends.socket, { context });
        socket.on('error', () => {});
        expect(socket.isSessionReused()).toBe(expected);
        socket.end('x');
        await readAll(client);
      }
    });
  });
}

test('openssl s_client -reconnect resumes five times', async () => {
  const server = createServer({ ...identity, maxVersion: 'TLSv1.2' }, (socket) =>
    socket.on('error', () => {}).resume(),
  );
  const reused: boolean[] = [];
  server.on('secureConnection', (socket) => reused.push(socket.isSessionReused()));
  await using listening = await listen(server);
  const client = spawn(
    'openssl',
    ['s_client', '-connect', `127.0.0.1:${listening.port}`, '-reconnect', '-tls1_2'],
    {
      stdio: ['ignore', 'ignore', 'ignore'],
    },
  );
  await once(client, 'exit');
  expect(reused).toEqual([false, true, true, true, true, true]);
});
