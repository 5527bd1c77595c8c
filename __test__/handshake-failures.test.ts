/**
 * What clients do wrong, one table against node:tls and every way into offloop: the same code for
 * the server's owner, the same alert for the client, nothing left behind, and the server goes on.
 */
import { once } from 'node:events';
import tls from 'node:tls';

import { createServer } from 'offloop';

import { afterEach, beforeAll, describe, expect, it } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { type Break, breakDuring } from './support/faults/breaking-wire.js';
import {
  CLIENT_HELLO,
  clientHello,
  HANDSHAKE,
  message,
  record,
} from './support/faults/client-hello.js';
import { RawClient, records } from './support/faults/raw-client.js';
import { type Holdings, holdings, restored } from './support/faults/settled.js';
import { attempt } from './support/faults/tls-client.js';
import { type Kind, startServer, type TlsServer } from './support/faults/tls-server.js';

const OFFLOOP: Kind[] = ['offloop server', 'acceptTls', 'acceptTls on a Duplex'];

/**
 * The codes are those of Node 20 and 22 (OpenSSL 3.0). Later versions name a few otherwise: there
 * the table is offloop's own.
 */
const KINDS: Kind[] = process.versions.openssl.startsWith('3.0')
  ? ['node:tls', ...OFFLOOP]
  : OFFLOOP;

let ecdsa: Issued;
let hello: Buffer;

beforeAll(async () => {
  ecdsa = await (await Authority.create()).issue();
  hello = await clientHello();
});

/** Starts a server; what it held before must be given back when the test is over. */
const after: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const step of after.splice(0).toReversed()) {
    // oxlint-disable-next-line no-await-in-loop -- in order
    await step();
  }
});

async function serve(
  kind: Kind,
  options: Parameters<typeof startServer>[1] = {},
): Promise<TlsServer & { before: Holdings }> {
  const atStart = holdings();
  after.push(() => restored(atStart));
  const server = await startServer(kind, { key: ecdsa.key, cert: ecdsa.cert, ...options });
  after.push(async () => server[Symbol.asyncDispose]());
  return Object.assign(server, { before: holdings() });
}

async function goesOn(server: TlsServer, options: tls.ConnectionOptions = {}): Promise<void> {
  expect(await attempt(server.port, options)).toMatchObject({ code: null, echoed: 'ping' });
}

describe('bytes that are no handshake', () => {
  interface Case {
    bytes: () => Uint8Array | string;
    code: string;
    /** The number of the alert that the client gets in the clear, null for none. */
    alert: number | null;
    /** Why node:tls does otherwise. */
    unlikeNode?: string;
  }

  const cases: Record<string, Case> = {
    'a plain HTTP GET': {
      bytes: () => 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n',
      code: 'ERR_SSL_HTTP_REQUEST',
      alert: null,
    },
    'a plain HTTP POST': {
      bytes: () => 'POST /form HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi',
      code: 'ERR_SSL_HTTP_REQUEST',
      alert: null,
    },
    'a plain HTTP CONNECT': {
      bytes: () => 'CONNECT localhost:443 HTTP/1.1\r\n\r\n',
      code: 'ERR_SSL_HTTPS_PROXY_REQUEST',
      alert: null,
    },
    'a plain HTTP method that OpenSSL does not know': {
      bytes: () => 'OPTIONS * HTTP/1.1\r\n\r\n',
      code: 'ERR_SSL_WRONG_VERSION_NUMBER',
      alert: null,
    },
    "SSH's greeting": {
      bytes: () => 'SSH-2.0-OpenSSH_9.2\r\n',
      code: 'ERR_SSL_WRONG_VERSION_NUMBER',
      alert: null,
    },
    zeros: { bytes: () => Buffer.alloc(64), code: 'ERR_SSL_WRONG_VERSION_NUMBER', alert: null },
    'all bits set': {
      bytes: () => Buffer.alloc(64, 0xff),
      code: 'ERR_SSL_WRONG_VERSION_NUMBER',
      alert: null,
    },
    'a record of version 4': {
      bytes: () => Buffer.concat([Buffer.from([HANDSHAKE, 4, 0]), hello.subarray(3)]),
      code: 'ERR_SSL_WRONG_VERSION_NUMBER',
      alert: null,
    },
    'an SSL 2.0 ClientHello': {
      bytes: () => Buffer.from([0x80, 0x2e, 1, 0, 2, 0, 21, 0, 0, 0, 16, ...Array(37).fill(1)]),
      code: 'ERR_SSL_UNKNOWN_PROTOCOL',
      alert: 70,
    },
    'a record of unknown type': {
      bytes: () => record(99, Buffer.alloc(20)),
      code: 'ERR_SSL_UNEXPECTED_MESSAGE',
      alert: 10,
    },
    'application data first': {
      bytes: () => record(23, Buffer.alloc(20)),
      code: 'ERR_SSL_UNEXPECTED_MESSAGE',
      alert: 10,
    },
    'an alert first': {
      bytes: () => record(21, Buffer.from([2, 40])),
      code: 'ERR_SSL_UNEXPECTED_MESSAGE',
      alert: 10,
    },
    'a ChangeCipherSpec first': {
      bytes: () => record(20, Buffer.from([1])),
      code: 'ERR_SSL_UNEXPECTED_MESSAGE',
      alert: 10,
    },
    "a server's message": {
      bytes: () => record(HANDSHAKE, message(2, Buffer.alloc(60))),
      code: 'ERR_SSL_UNEXPECTED_MESSAGE',
      alert: 10,
    },
    'an empty handshake record': {
      bytes: () => record(HANDSHAKE, Buffer.alloc(0)),
      code: 'ERR_SSL_UNEXPECTED_MESSAGE',
      alert: 10,
      unlikeNode: 'OpenSSL waits for more; RFC 8446 section 5.1 forbids such records',
    },
    'a record above 16 KiB': {
      bytes: () => record(HANDSHAKE, Buffer.alloc(20_000, 1)),
      code: 'ERR_SSL_PACKET_LENGTH_TOO_LONG',
      alert: 22,
    },
    'a ClientHello that claims 200,000 bytes': {
      bytes: () => record(HANDSHAKE, message(CLIENT_HELLO, Buffer.alloc(1000), 200_000)),
      code: 'ERR_SSL_EXCESSIVE_MESSAGE_SIZE',
      alert: 47,
    },
    'a ClientHello that claims more than the limit of 32 KiB': {
      bytes: () => record(HANDSHAKE, message(CLIENT_HELLO, Buffer.alloc(1000), 32 * 1024)),
      code: 'ERR_SSL_EXCESSIVE_MESSAGE_SIZE',
      alert: 47,
      unlikeNode: "OpenSSL's limit is 128 KiB",
    },
    'a ClientHello that is a version and no more': {
      bytes: () => record(HANDSHAKE, message(CLIENT_HELLO, Buffer.from([3, 3]))),
      code: 'ERR_SSL_LENGTH_MISMATCH',
      alert: 50,
    },
    'a ClientHello that lacks its last bytes': {
      bytes: () => record(HANDSHAKE, message(CLIENT_HELLO, hello.subarray(9, -3))),
      code: 'ERR_SSL_LENGTH_MISMATCH',
      alert: 50,
    },
  };

  describe.each(KINDS)('%s', (kind) => {
    it.each(Object.keys(cases))('%s', async (name) => {
      const { bytes, code, alert, unlikeNode } = cases[name];
      if (kind === 'node:tls' && unlikeNode !== undefined) return;
      const server = await serve(kind);
      using client = await RawClient.connect(server.port);
      await client.send(bytes());
      const failure = await server.nextFailure();
      expect(failure.code).toBe(code);
      // The client has read all that there is, and the connection ended in order.
      await client.closed();
      expect(client.alert()).toBe(alert);
      expect(client.closedBy).toBe('end');
      if (kind !== 'node:tls') {
        expect(failure.alert ?? null).toBe(alert);
        expect(failure.message).not.toBe('');
      }
      await restored(server.before);
      await goesOn(server);
      expect(server.failures).toHaveLength(1);
    });
  });
});

/** As clients send them then: version 3.3. */
const later = (type: number, payload: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from([type, 3, 3, 0, payload.length]), payload]);

describe('bytes that go wrong behind a good ClientHello', () => {
  const cases: Record<string, { bytes: () => Uint8Array; code: string; likeNode: boolean }> = {
    'ciphertext that does not decrypt': {
      bytes: () => later(23, Buffer.alloc(40, 7)),
      code: 'ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC',
      likeNode: true,
    },
    'an alert in the clear': {
      bytes: () => later(21, Buffer.from([2, 48])),
      code: 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA',
      likeNode: true,
    },
    close_notify: {
      bytes: () => later(21, Buffer.from([1, 0])),
      code: 'ECONNRESET',
      likeNode: true,
    },
  };

  describe.each(KINDS)('%s', (kind) => {
    it.each(Object.keys(cases))('%s', async (name) => {
      const { bytes, code } = cases[name];
      const server = await serve(kind);
      using client = await RawClient.connect(server.port);
      await client.send(hello);
      // The server has answered: what follows comes in a flight of its own.
      await client.receive(100);
      await client.send(bytes());
      expect((await server.nextFailure()).code).toBe(code);
      client.end();
      await client.closed();
      await restored(server.before);
      await goesOn(server);
    });
  });
});

describe('a ClientHello in pieces', () => {
  describe.each(KINDS)('%s', (kind) => {
    it('is understood byte by byte', async () => {
      const server = await serve(kind);
      using client = await RawClient.connect(server.port);
      client.socket.setNoDelay(true);
      for (const byte of hello) {
        // oxlint-disable-next-line no-await-in-loop -- each in a segment of its own
        await client.send(Uint8Array.of(byte));
      }
      await client.receive(100);
      const [first] = records(client.received);
      // A ServerHello.
      expect([first[0], first[5]]).toEqual([HANDSHAKE, 2]);
      client.reset();
      expect((await server.nextFailure()).code).toBe('ECONNRESET');
    });

    it('is understood in records of 32 bytes', async () => {
      const server = await serve(kind);
      using client = await RawClient.connect(server.port);
      const handshake = hello.subarray(5);
      const pieces: Buffer[] = [];
      for (let at = 0; at < handshake.length; at += 32) {
        pieces.push(record(HANDSHAKE, handshake.subarray(at, at + 32)));
      }
      await client.send(Buffer.concat(pieces));
      await client.receive(100);
      expect(records(client.received)[0][5]).toBe(2);
      client.reset();
      expect((await server.nextFailure()).code).toBe('ECONNRESET');
    });
  });

  describe.each(OFFLOOP)('%s', (kind) => {
    it('is refused in more records than anyone needs', async () => {
      const server = await serve(kind);
      using client = await RawClient.connect(server.port);
      const start = message(CLIENT_HELLO, Buffer.alloc(4000), 30_000);
      const pieces = Array.from(start, (byte) => record(HANDSHAKE, Uint8Array.of(byte)));
      await client.send(Buffer.concat(pieces));
      const failure = await server.nextFailure();
      expect([failure.code, failure.alert]).toEqual(['ERR_SSL_RECORD_TOO_SMALL', 10]);
      await client.closed();
      expect(client.alert()).toBe(10);
      await restored(server.before);
      await goesOn(server);
    });

    it('is refused above limits.clientHelloSize, and not below', async () => {
      const server = await serve(kind, { limits: { clientHelloSize: 600 } });
      const ALPNProtocols = Array.from({ length: 40 }, (_, i) => `protocol-${i}`);
      expect(await attempt(server.port, { ALPNProtocols })).toMatchObject({
        // OpenSSL 3.0 says SSLV3_ALERT, later ones SSL/TLS_ALERT.
        code: expect.stringMatching(/ALERT_ILLEGAL_PARAMETER$/) as string,
      });
      const failure = await server.nextFailure();
      expect(failure.code).toBe('ERR_SSL_EXCESSIVE_MESSAGE_SIZE');
      expect(failure.message).toMatch(/the ClientHello has \d+ bytes, the limit is 600/);
      await restored(server.before);
      await goesOn(server, { ecdhCurve: 'X25519' });
    });
  });
});

describe('clients that are silent', () => {
  const starts: Record<string, () => Uint8Array> = {
    'from the start': () => new Uint8Array(0),
    'in the middle of a record': () => hello.subarray(0, 40),
    'in the middle of a ClientHello of 30,000 bytes': () =>
      record(HANDSHAKE, message(CLIENT_HELLO, Buffer.alloc(1000), 30_000)),
    'after their ClientHello': () => hello,
  };

  describe.each(KINDS)('%s', (kind) => {
    it.each(Object.keys(starts))('%s, are timed out', async (name) => {
      const server = await serve(kind, { handshakeTimeout: 100 });
      using client = await RawClient.connect(server.port);
      const bytes = starts[name]();
      if (bytes.length > 0) await client.send(bytes);
      expect((await server.nextFailure()).code).toBe('ERR_TLS_HANDSHAKE_TIMEOUT');
      await client.closed();
      await restored(server.before);
    });
  });

  it('do not keep others from being served', async () => {
    const server = await serve('offloop server');
    const silent = await Promise.all(
      Array.from({ length: 50 }, () => RawClient.connect(server.port)),
    );
    await Promise.all(silent.map((client, i) => client.send(hello.subarray(0, 1 + i * 4))));
    await goesOn(server);
    for (const client of silent) client.reset();
    for (const _ of silent) expect((await server.nextFailure()).code).toBe('ECONNRESET');
    await restored(server.before);
  });
});

describe('clients that go away', () => {
  const steps: Record<string, { bytes: () => Uint8Array; answered?: boolean }> = {
    'before any byte': { bytes: () => new Uint8Array(0) },
    'after one byte': { bytes: () => hello.subarray(0, 1) },
    'in the middle of the ClientHello': { bytes: () => hello.subarray(0, hello.length >> 1) },
    'right behind the ClientHello': { bytes: () => hello },
    "after the server's answer": { bytes: () => hello, answered: true },
  };

  describe.each(KINDS)('%s', (kind) => {
    describe.each(['FIN', 'RST'] as const)('by %s', (how) => {
      it.each(Object.keys(steps))('%s', async (name) => {
        const { bytes, answered } = steps[name];
        const server = await serve(kind);
        using client = await RawClient.connect(server.port);
        if (bytes().length > 0) await client.send(bytes());
        if (answered) await client.receive(100);
        if (how === 'RST') client.reset();
        else client.end();
        expect((await server.nextFailure()).code).toBe('ECONNRESET');
        await client.closed();
        await restored(server.before);
        await goesOn(server);
        expect(server.failures).toHaveLength(1);
      });
    });
  });

  const breaks: Omit<Break, 'how'>[] = [
    { flight: 2, share: 'nothing' },
    { flight: 2, share: 'half' },
  ];

  describe.each(OFFLOOP)('%s', (kind) => {
    describe.each(['TLSv1.2', 'TLSv1.3'] as const)('%s', (version) => {
      describe.each(['FIN', 'RST'] as const)('by %s', (how) => {
        it.each(breaks)('with $share of their second flight sent', async (when) => {
          const server = await serve(kind);
          await breakDuring(server.port, { maxVersion: version }, { ...when, how });
          expect((await server.nextFailure()).code).toBe('ECONNRESET');
          await restored(server.before);
          await goesOn(server);
          expect(server.failures).toHaveLength(1);
        });

        it('with the handshake done: the connection opens and ends', async () => {
          const server = await serve(kind);
          const opened = server.nextSocket();
          const broken = breakDuring(
            server.port,
            { maxVersion: version },
            { flight: 2, share: 'all', how },
          );
          // A reset may overtake what it follows: then the handshake failed.
          const end = await Promise.race([opened, server.nextFailure()]);
          if (end instanceof Error) expect([how, end.code]).toEqual(['RST', 'ECONNRESET']);
          await broken;
          await restored(server.before);
          await goesOn(server);
        });
      });
    });
  });
});

describe('nothing in common', () => {
  interface Case {
    server: Parameters<typeof startServer>[1];
    client: tls.ConnectionOptions;
    /** What the server is told. */
    code: string;
    /** What a node:tls client makes of the alert. */
    clientCode: string;
  }

  const OLD = { minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
  const cases: Record<string, Case> = {
    'a client of TLS 1.1': {
      server: {},
      client: { ...OLD, maxVersion: 'TLSv1.1' },
      code: 'ERR_SSL_UNSUPPORTED_PROTOCOL',
      clientCode: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
    },
    'a client of TLS 1.0': {
      server: {},
      client: { ...OLD, maxVersion: 'TLSv1' },
      code: 'ERR_SSL_UNSUPPORTED_PROTOCOL',
      clientCode: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
    },
    'a client of TLS 1.2 and a server of TLS 1.3': {
      server: { minVersion: 'TLSv1.3' },
      client: { maxVersion: 'TLSv1.2' },
      code: 'ERR_SSL_UNSUPPORTED_PROTOCOL',
      clientCode: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
    },
    'a client of TLS 1.3 and a server of TLS 1.2': {
      server: { maxVersion: 'TLSv1.2' },
      client: { minVersion: 'TLSv1.3' },
      code: 'ERR_SSL_UNSUPPORTED_PROTOCOL',
      clientCode: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
    },
    'no cipher suite: RSA key exchange only': {
      server: {},
      client: { maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA' },
      code: 'ERR_SSL_NO_SHARED_CIPHER',
      clientCode: 'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE',
    },
    'no cipher suite: CBC only': {
      server: {},
      client: { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-SHA256' },
      code: 'ERR_SSL_NO_SHARED_CIPHER',
      clientCode: 'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE',
    },
    'no cipher suite for the kind of the key': {
      server: {},
      client: { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' },
      code: 'ERR_SSL_NO_SHARED_CIPHER',
      clientCode: 'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE',
    },
    'no group, TLS 1.3': {
      server: { ecdhCurve: 'X25519:P-256' },
      client: { minVersion: 'TLSv1.3', ecdhCurve: 'P-521' },
      code: 'ERR_SSL_NO_SUITABLE_KEY_SHARE',
      clientCode: 'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE',
    },
    'no group, TLS 1.2': {
      server: { ecdhCurve: 'X25519:P-256' },
      client: { maxVersion: 'TLSv1.2', ecdhCurve: 'P-521' },
      code: 'ERR_SSL_NO_SHARED_CIPHER',
      clientCode: 'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE',
    },
    'no signature algorithm, TLS 1.3': {
      server: {},
      client: { minVersion: 'TLSv1.3', sigalgs: 'rsa_pss_rsae_sha256' },
      code: 'ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM',
      clientCode: 'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE',
    },
    'no signature algorithm, TLS 1.2': {
      server: {},
      client: { maxVersion: 'TLSv1.2', sigalgs: 'rsa_pss_rsae_sha256' },
      code: 'ERR_SSL_NO_SHARED_CIPHER',
      clientCode: 'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE',
    },
    'no ALPN protocol, TLS 1.3': {
      server: { ALPNProtocols: ['h2'] },
      client: { minVersion: 'TLSv1.3', ALPNProtocols: ['other'] },
      code: 'ERR_SSL_NO_APPLICATION_PROTOCOL',
      clientCode: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL',
    },
    'no ALPN protocol, TLS 1.2': {
      server: { ALPNProtocols: ['h2'] },
      client: { maxVersion: 'TLSv1.2', ALPNProtocols: ['other'] },
      code: 'ERR_SSL_NO_APPLICATION_PROTOCOL',
      clientCode: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL',
    },
  };

  describe.each(KINDS)('%s', (kind) => {
    it.each(Object.keys(cases))('%s', async (name) => {
      const { server: options, client, code, clientCode } = cases[name];
      const server = await serve(kind, options);
      const outcome = await attempt(server.port, client);
      expect((await server.nextFailure()).code).toBe(code);
      expect(outcome.code).toBe(clientCode);
      await restored(server.before);
      await goesOn(server);
      expect(server.failures).toHaveLength(1);
    });
  });

  it('the server tells the alert that it sent', async () => {
    const server = await serve('offloop server', { ALPNProtocols: ['h2'] });
    await attempt(server.port, { ALPNProtocols: ['other'] });
    expect(await server.nextFailure()).toMatchObject({ alert: 120 });
  });
});

describe('where the failure is told', () => {
  it("'tlsClientError' names the client's address, on a socket that is closed", async () => {
    await using server = createServer({ key: ecdsa.key, cert: ecdsa.cert });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const told = once(server, 'tlsClientError');
    using client = await RawClient.connect(port);
    const { localPort } = client.socket;
    await client.send('GET / HTTP/1.1\r\n\r\n');
    const [error, socket] = (await told) as [Error, tls.TLSSocket];
    expect(error).toBeInstanceOf(Error);
    expect(socket).toBeInstanceOf(tls.TLSSocket);
    expect(socket.destroyed).toBe(true);
    expect([socket.remoteAddress, socket.remotePort]).toEqual(['127.0.0.1', localPort]);
    expect(socket.getPeerCertificate()).toEqual({});
    expect(socket.getProtocol()).toBe('TLSv1.3');
    await client.closed();
  });

  it('a server without a listener for it goes on as well', async () => {
    const before = holdings();
    {
      await using server = createServer({ key: ecdsa.key, cert: ecdsa.cert }, (socket) =>
        socket.pipe(socket),
      );
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as { port: number };
      using client = await RawClient.connect(port);
      await client.send('GET / HTTP/1.1\r\n\r\n');
      await client.closed();
      expect(await attempt(port)).toMatchObject({ code: null, echoed: 'ping' });
    }
    await restored(before);
  });
});
