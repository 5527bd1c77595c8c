/** Contexts of servers: by name, changed, with their policy and ticket keys. */
import { once } from 'node:events';
import tls from 'node:tls';

import { createSecureContext, createServer, type Server, type TlsSocket } from 'offloop';
import { beforeAll, describe, expect, test } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { connect, listen, pair } from './support/disposables.js';
import { nodeTls, offloop } from './support/libraries.js';
import { outcome } from './support/outcome.js';
import { commonName } from './support/servers.js';
import { closed, readAll } from './support/streams.js';

let identity: Issued;
let named: Record<'first' | 'second' | 'third', Issued>;
let clientIdentity: Issued;

beforeAll(async () => {
  const authority = await Authority.create();
  identity = await authority.issue();
  clientIdentity = await authority.issue({ use: 'client', subject: 'CN=client' });
  named = {
    first: await authority.issue({ subject: 'CN=first' }),
    second: await authority.issue({ subject: 'CN=second' }),
    third: await authority.issue({ subject: 'CN=third' }),
  };
});

describe('contexts', () => {
  test('addContext(): exact and wildcard names, case-insensitive, the last match wins', async () => {
    const server = createServer(identity);
    server.addContext('exact.test', named.first);
    server.addContext('*.wild.test', createSecureContext(named.second));
    server.addContext('TWICE.test', named.first);
    server.addContext('twice.TEST', named.third);
    await using listening = await listen(server);
    const names = [
      'exact.test',
      'EXACT.test',
      'a.wild.test',
      'a.b.wild.test',
      'wild.test',
      'twice.test',
      'other.test',
      undefined,
    ];
    const found: Record<string, string> = {};
    for (const name of names) found[String(name)] = await commonName(listening.port, name);
    expect(found).toEqual({
      'exact.test': 'first',
      'EXACT.test': 'first',
      'a.wild.test': 'second',
      'a.b.wild.test': 'localhost',
      'wild.test': 'localhost',
      'twice.test': 'third',
      'other.test': 'localhost',
      undefined: 'localhost',
    });
  });

  test('addContext() while listening', async () => {
    const server = createServer(identity);
    await using listening = await listen(server);
    expect(await commonName(listening.port, 'later.test')).toBe('localhost');
    server.addContext('later.test', named.first);
    expect(await commonName(listening.port, 'later.test')).toBe('first');
  });

  test('addContext() does not put ALPN out of force', async () => {
    const server = createServer({ ...identity, ALPNProtocols: ['ours'] });
    server.addContext('first.test', named.first);
    await using listening = await listen(server);
    const client = connect(listening.port, { servername: 'first.test', ALPNProtocols: ['ours'] });
    await once(client, 'secureConnect');
    expect(client.alpnProtocol).toBe('ours');
    client.destroy();
  });

  test.for<[string, unknown[]]>([
    ['no name', ['', {}]],
    ['a number for a name', [5, {}]],
    ['no context', ['a.test', undefined]],
    ['a number for a context', ['a.test', 5]],
    ['a key that is none', ['a.test', { key: 'x' }]],
  ])('addContext() with %s, as in node:tls', ([, args]) => {
    const [ours, nodes] = [offloop, nodeTls].map((library) =>
      outcome(() => library.createServer(identity).addContext(...(args as [string, object]))),
    );
    expect(ours).toEqual(nodes);
  });

  test('setSecureContext(): new connections get it, open ones stay', async () => {
    await using ends = await pair(offloop, { server: identity });
    (ends.server as unknown as Server).setSecureContext(named.second);
    expect(await commonName(ends.port)).toBe('second');
    ends.socket.end('old one');
    expect(String(await readAll(ends.client))).toBe('old one');
  });

  test('setSecureContext() with what is wrong throws and changes nothing', async () => {
    const server = createServer(identity);
    await using listening = await listen(server);
    expect(() => server.setSecureContext({ key: identity.key, cert: 'none' })).toThrow(
      expect.objectContaining({ code: 'ERR_OSSL_PEM_NO_START_LINE' }),
    );
    expect(() => server.setSecureContext(undefined as never)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
    );
    expect(await commonName(listening.port)).toBe('localhost');
  });

  test('the policy for client certificates is that of the server, for every context', async () => {
    const server = createServer({
      ...identity,
      requestCert: true,
      rejectUnauthorized: true,
      ca: identity.ca,
    });
    server.addContext('first.test', { ...named.first, ca: identity.ca });
    const sockets: TlsSocket[] = [];
    server.on('secureConnection', (socket: TlsSocket) => sockets.push(socket));
    await using listening = await listen(server);
    const { key, cert } = clientIdentity;
    const welcome = connect(listening.port, { servername: 'first.test', key, cert });
    await once(server, 'secureConnection');
    expect(sockets[0].authorized).toBe(true);
    expect(sockets[0].getPeerCertificate().subject.CN).toBe('client');
    welcome.destroy();
    const refused = connect(listening.port, { servername: 'first.test' }).on('error', () => {});
    const [error] = (await once(server, 'tlsClientError')) as [Error];
    expect(error).toMatchObject({ code: 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE' });
    await closed(refused.resume());
  });
});

test('requestCert and rejectUnauthorized that are set later hold from the next connection on', async () => {
  const server = createServer(identity, (socket) => socket.end());
  await using listening = await listen(server);
  const first = connect(listening.port);
  await readAll(first);
  Object.assign(server, { requestCert: true, rejectUnauthorized: true });
  const refused = once(server, 'tlsClientError');
  connect(listening.port).on('error', () => {});
  const [error] = (await refused) as [NodeJS.ErrnoException];
  expect(error.code).toBe('ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE');
});

test('a name with a context that the core can’t use stays with neither of them', () => {
  const server = createServer(identity);
  const foreign = tls.createSecureContext(identity);
  expect(() => server.addContext('a.test', foreign)).toThrow(
    expect.objectContaining({ code: 'ERR_OFFLOOP_UNSUPPORTED_OPTION' }),
  );
  expect((server as unknown as { _contexts: unknown[] })._contexts).toEqual([]);
});

test('setSecureContext() with what the core can’t do changes nothing', async () => {
  const server = createServer(identity, (socket) => socket.end());
  await using listening = await listen(server);
  const wanted = { ...named.first, dhparam: 'auto' };
  expect(() => server.setSecureContext(wanted)).toThrow(
    expect.objectContaining({ code: 'ERR_OFFLOOP_UNSUPPORTED_OPTION' }),
  );
  expect((server as unknown as { cert: unknown }).cert).toBe(identity.cert);
  expect(await commonName(listening.port)).toBe('localhost');
  server.setSecureContext(named.first);
  expect(await commonName(listening.port)).toBe('first');
});

test('ticket keys that are shared let the sessions of one server resume at another', async () => {
  const ticketKeys = Buffer.alloc(48, 7);
  const options = { ...identity, maxVersion: 'TLSv1.2', ticketKeys } as const;
  const first = createServer(options, (socket) => socket.end());
  const second = createServer({ ...identity, maxVersion: 'TLSv1.2' }, (socket) => socket.end());
  expect(first.getTicketKeys()).toEqual(ticketKeys);
  expect(second.getTicketKeys()).not.toEqual(ticketKeys);
  second.setTicketKeys(first.getTicketKeys());
  expect(second.getTicketKeys()).toEqual(ticketKeys);
  await using from = await listen(first);
  await using to = await listen(second);
  const client = connect(from.port);
  await once(client, 'secureConnect');
  const session = client.getSession()!;
  await closed(client.resume());
  const again = connect(to.port, { session });
  await once(again, 'secureConnect');
  expect(again.isSessionReused()).toBe(true);
  await closed(again.resume());
});

test.each(['TLSv1.2', 'TLSv1.3'] as const)(
  '%s: a session of the old ticket keys is resumed, and goes on under the new ones',
  async (maxVersion) => {
    const options = { ...identity, maxVersion };
    const keys = Buffer.alloc(48, 9);
    const server = createServer(options, (socket) => socket.end('hello'));
    const other = createServer({ ...options, ticketKeys: keys }, (socket) => socket.end('hello'));
    await using old = await listen(server);
    await using fresh = await listen(other);
    const { session } = await visit(old.port);
    const strange = await visit(fresh.port, session);
    expect(strange.reused).toBe(false);
    server.setTicketKeys(keys);
    const renewed = await visit(old.port, session);
    expect(renewed.reused).toBe(true);
    const again = await visit(fresh.port, renewed.session);
    expect(again.reused).toBe(true);
  },
);

/** Was that session resumed, and which does the client have in the end? */
async function visit(
  port: number,
  session?: Buffer,
): Promise<{ reused: boolean; session: Buffer | undefined }> {
  const client = connect(port, { session });
  let last = session;
  // In TLS 1.3 tickets come later.
  client.on('secureConnect', () => (last = client.getSession()));
  client.on('session', (given: Buffer) => (last = given));
  await readAll(client);
  return { reused: client.isSessionReused(), session: last };
}
