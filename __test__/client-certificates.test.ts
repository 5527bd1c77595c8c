/** Client certificates: who is refused, with which alert and code, and what a served one is told. */
import tls from 'node:tls';

import {
  acceptTls,
  createSecureContext,
  createServer,
  type SecureContext,
  type ServerOptions,
} from 'offloop';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { once } from 'node:events';

import { Authority, type Issued } from './support/certificates.js';
import { listen, tcpPair } from './support/disposables.js';
import { type SelfSigned, selfSigned } from './support/faults/self-signed.js';
import { type Holdings, holdings, restored } from './support/faults/settled.js';
import { attempt } from './support/faults/tls-client.js';
import { type Kind, startServer, type TlsServer } from './support/faults/tls-server.js';

const DAY = 86_400_000;
const OFFLOOP: Kind[] = ['offloop server', 'acceptTls'];
const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;

let server: Issued;
let authority: Authority;
/** What clients show. */
const shown: Record<string, SelfSigned> = {};

beforeAll(async () => {
  authority = await Authority.create('Clients');
  const stranger = await Authority.create('Strangers');
  server = await authority.issue();
  shown.good = await authority.issue({ use: 'client', subject: 'CN=alice' });
  shown.expired = await authority.issue({
    use: 'client',
    notBefore: new Date(Date.now() - 2 * DAY),
    notAfter: new Date(Date.now() - DAY),
  });
  shown.early = await authority.issue({
    use: 'client',
    notBefore: new Date(Date.now() + DAY),
    notAfter: new Date(Date.now() + 2 * DAY),
  });
  shown.unknown = await stranger.issue({ use: 'client' });
  shown.server = await authority.issue({ use: 'server' });
  shown.self = await selfSigned({ name: 'ECDSA', namedCurve: 'P-256' });
});

const after: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const step of after.splice(0).toReversed()) {
    // oxlint-disable-next-line no-await-in-loop -- in order
    await step();
  }
});

async function serve(
  kind: Kind,
  options: { rejectUnauthorized: boolean },
): Promise<TlsServer & { before: Holdings }> {
  const atStart = holdings();
  after.push(() => restored(atStart));
  const { key, cert } = server;
  const started = await startServer(kind, {
    key,
    cert,
    ca: authority.cert,
    requestCert: true,
    ...options,
  });
  after.push(async () => started[Symbol.asyncDispose]());
  return Object.assign(started, { before: holdings() });
}

const certificate = (name: string): tls.ConnectionOptions =>
  name === 'none' ? {} : { key: shown[name].key, cert: shown[name].cert };

interface Refusal {
  /** What the server's owner is told. */
  code: string;
  alert: number;
  /** What a node:tls client makes of the alert. */
  clientCode: string;
}

/** Node serves the handshake and drops the socket; refusing in the handshake says why. */
const refusals: Record<string, Refusal> = {
  expired: {
    code: 'CERT_HAS_EXPIRED',
    alert: 45,
    clientCode: 'ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED',
  },
  early: {
    code: 'CERT_NOT_YET_VALID',
    alert: 45,
    clientCode: 'ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED',
  },
  unknown: {
    code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    alert: 48,
    clientCode: 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA',
  },
  self: {
    code: 'DEPTH_ZERO_SELF_SIGNED_CERT',
    alert: 48,
    clientCode: 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA',
  },
  server: {
    code: 'INVALID_PURPOSE',
    alert: 43,
    clientCode: 'ERR_SSL_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE',
  },
};

describe.each(OFFLOOP)('%s that refuses the unauthorized', (kind) => {
  describe.each(VERSIONS)('%s', (maxVersion) => {
    it('serves a client with a good certificate', async () => {
      const started = await serve(kind, { rejectUnauthorized: true });
      const [outcome, socket] = await Promise.all([
        attempt(started.port, { maxVersion, ...certificate('good') }),
        started.nextSocket(),
      ]);
      expect(outcome).toMatchObject({ code: null, echoed: 'ping', protocol: maxVersion });
      expect(socket.authorized).toBe(true);
      expect(socket.authorizationError).toBeNull();
    });

    it.each(Object.keys(refusals))('refuses: %s', async (name) => {
      const started = await serve(kind, { rejectUnauthorized: true });
      const { code, alert, clientCode } = refusals[name];
      const outcome = await attempt(started.port, { maxVersion, ...certificate(name) });
      const failure = await started.nextFailure();
      // Of a server, as with Node's: it hung up; why, is the cause.
      const reason = kind === 'offloop server' ? failure.cause : failure;
      expect(reason).toMatchObject({ code, alert });
      expect(outcome).toMatchObject({ code: clientCode, echoed: '' });
      await restored(started.before);
      expect(await attempt(started.port, { maxVersion, ...certificate('good') })).toMatchObject({
        code: null,
        echoed: 'ping',
      });
    });
  });
});

describe.each(['node:tls', ...OFFLOOP] as Kind[])('%s and a client without certificate', (kind) => {
  it.each([
    ['TLSv1.2', 'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE', 40],
    ['TLSv1.3', 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 116],
  ] as const)('refuses it, %s', async (maxVersion, clientCode, alert) => {
    const started = await serve(kind, { rejectUnauthorized: true });
    const outcome = await attempt(started.port, { maxVersion });
    const failure = await started.nextFailure();
    expect(failure.code).toBe('ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE');
    if (kind !== 'node:tls') expect(failure.alert).toBe(alert);
    expect(outcome).toMatchObject({ code: clientCode, echoed: '' });
    await restored(started.before);
  });
});

describe.each(['node:tls', ...OFFLOOP] as Kind[])('%s that only asks', (kind) => {
  const reasons: [string, string | null][] = [
    ['good', null],
    ['none', 'UNABLE_TO_GET_ISSUER_CERT'],
    ['expired', 'CERT_HAS_EXPIRED'],
    ['early', 'CERT_NOT_YET_VALID'],
    ['unknown', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
    ['self', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    ['server', 'INVALID_PURPOSE'],
  ];

  describe.each(VERSIONS)('%s', (maxVersion) => {
    it.each(reasons)('serves %s and says: %s', async (name, reason) => {
      const started = await serve(kind, { rejectUnauthorized: false });
      const [outcome, socket] = await Promise.all([
        attempt(started.port, { maxVersion, ...certificate(name) }),
        started.nextSocket(),
      ]);
      expect(outcome).toMatchObject({ code: null, echoed: 'ping' });
      expect(socket.authorized).toBe(reason === null);
      expect(socket.authorizationError).toBe(reason);
      expect(started.failures).toEqual([]);
    });
  });
});

const identity = (): { key: string; cert: string } => ({ key: server.key, cert: server.cert });

describe('a context that asks more of clients than its server', () => {
  const demands = { requestCert: true } as const;
  const strict = (): SecureContext =>
    createSecureContext({ ...identity(), ca: authority.cert, ...demands });
  const refused = expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }) as Error;

  it.each<[asked: string, ServerOptions]>([
    ['nothing', {}],
    ['a certificate, of any kind', { requestCert: true, rejectUnauthorized: false }],
  ])('is refused where the server asks for %s', async (_, asked) => {
    const lax = createServer({ ...identity(), ...asked });
    expect(() => lax.addContext('closed.test', strict())).toThrow(refused);
    if (asked.requestCert)
      expect(() => createServer({ context: strict(), ...asked })).toThrow(refused);
  });

  it('serves where the server asks for as much', async () => {
    await using stage = await listen(createServer({ ...identity(), ...demands }));
    stage.server.addContext('closed.test', strict());
    stage.server.on('secureConnection', (socket) => socket.pipe(socket));
    const shows = { ...certificate('good'), servername: 'closed.test' };
    expect(await attempt(stage.port, shows)).toMatchObject({ code: null });
    const none = await attempt(stage.port, { servername: 'closed.test' });
    expect(none).toMatchObject({ echoed: '' });
    expect(none.code).not.toBeNull();
  });

  it.each(['SNICallback', 'setKeyCert'])('fails the handshake that %s gives it to', async (by) => {
    const options: ServerOptions =
      by === 'SNICallback'
        ? { SNICallback: (_name, answer) => answer(null, strict() as never) }
        : {
            ALPNCallback(this: tls.TLSSocket) {
              this.setKeyCert(strict() as never);
              return 'one';
            },
          };
    await using stage = await listen(createServer({ ...identity(), ...options }));
    const failed = once(stage.server, 'tlsClientError');
    const outcome = await attempt(stage.port, {
      servername: 'closed.test',
      ALPNProtocols: ['one'],
    });
    expect(outcome.code).not.toBeNull();
    const [error] = (await failed) as [Error];
    expect(error).toEqual(refused);
  });

  it('rejects the acceptTls whose SNICallback chooses it', async () => {
    await using tcp = await tcpPair();
    const accepted = acceptTls(tcp.socket, {
      ...identity(),
      SNICallback: (_name, answer) => answer(null, strict()),
    });
    const client = tls.connect({ socket: tcp.client, servername: 'closed.test' });
    client.on('error', () => {});
    await expect(accepted).rejects.toEqual(refused);
  });
});

describe('sessions and client certificates', () => {
  // The class of CVE-2025-23419: a session of one name must not skip the check of another.
  it.each(VERSIONS)('a session of one name opens no other, %s', async (maxVersion) => {
    const other = await Authority.create('Others');
    const { key, cert } = server;
    await using started = createServer({
      key,
      cert,
      ca: authority.cert,
      requestCert: true,
      rejectUnauthorized: true,
    });
    started.addContext('open.test', { key, cert, ca: authority.cert });
    started.addContext('closed.test', { key, cert, ca: other.cert });
    started.on('secureConnection', (socket) => socket.pipe(socket));
    started.listen(0, '127.0.0.1');
    await once(started, 'listening');
    const { port } = started.address() as { port: number };
    const shows = { maxVersion, ...certificate('good') };

    const first = await attempt(port, { ...shows, servername: 'open.test' });
    expect(first).toMatchObject({ code: null, reused: false });
    expect(first.session).toBeDefined();

    const again = await attempt(port, {
      ...shows,
      servername: 'open.test',
      session: first.session,
    });
    expect(again).toMatchObject({ code: null, reused: true });

    const elsewhere = await attempt(port, {
      ...shows,
      servername: 'closed.test',
      session: first.session,
    });
    expect(elsewhere).toMatchObject({ code: 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', echoed: '' });
  });

  it.each(VERSIONS)('a resumed session is authorized as the first was, %s', async (maxVersion) => {
    const started = await serve('offloop server', { rejectUnauthorized: true });
    const shows = { maxVersion, ...certificate('good') };
    const first = await attempt(started.port, shows);
    await started.nextSocket();
    const [again, seen] = await Promise.all([
      attempt(started.port, { ...shows, session: first.session }),
      started.nextSocket().then((socket) => ({
        reused: socket.isSessionReused(),
        authorized: socket.authorized,
        peer: socket.getPeerCertificate().subject,
      })),
    ]);
    expect(again).toMatchObject({ code: null, reused: true });
    expect(seen).toEqual({ reused: true, authorized: true, peer: { CN: 'alice' } });
  });
});
