/** What a socket tells of its handshake, with real clients whose ClientHellos are read apart. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import tls from 'node:tls';

import * as offloop from 'offloop';
import type { Handshake } from 'offloop';
import { beforeAll, describe, expect, it } from 'vitest';

import { Authority, type Issued, type KeyKind } from './support/certificates.js';
import { type Listening, listen } from './support/disposables.js';
import { commandIt } from './support/faults/commands.js';
import { type Fingerprints, fingerprints } from './support/fingerprints.js';

const identities = new Map<KeyKind, Issued>();

beforeAll(async () => {
  const authority = await Authority.create();
  for (const key of ['p256', 'rsa2048', 'ed25519'] as const)
    identities.set(key, await authority.issue({ key }));
});

function server(key: KeyKind = 'p256', options: offloop.ServerOptions = {}): offloop.Server {
  const { key: pem, cert } = identities.get(key)!;
  return offloop.createServer({ key: pem, cert, ...options });
}

/** What the next connection tells. */
async function told({ server: at }: Listening<offloop.Server>): Promise<Handshake> {
  const [socket] = (await once(at, 'secureConnection')) as [offloop.TlsSocket];
  const { handshake } = socket;
  socket.end();
  return handshake!;
}

async function visit(
  listening: Listening<offloop.Server>,
  options: tls.ConnectionOptions = {},
): Promise<Handshake> {
  const telling = told(listening);
  const client = tls.connect({
    port: listening.port,
    rejectUnauthorized: false,
    ...options,
  });
  client.resume();
  const handshake = await telling;
  client.end();
  return handshake;
}

describe('socket.handshake', () => {
  it('tells what was agreed, what the client offered, and where the time went', async () => {
    await using listening = await listen(server('p256', { ALPNProtocols: ['h2', 'http/1.1'] }));
    const handshake = await visit(listening, {
      servername: 'localhost',
      ALPNProtocols: ['http/1.1'],
      ecdhCurve: 'P-384',
      sigalgs: 'ecdsa_secp256r1_sha256',
    });
    expect(handshake).toMatchObject({
      resumed: false,
      version: 'TLSv1.3',
      cipher: 'TLS_AES_256_GCM_SHA384',
      group: 'secp384r1',
      signatureScheme: 'ecdsa_secp256r1_sha256',
      keyType: 'ecdsa',
      servername: 'localhost',
      alpnProtocol: 'http/1.1',
    });
    expect(handshake.connection).toBeGreaterThan(0);
    expect(handshake.hello).toMatchObject({
      servername: 'localhost',
      alpnProtocols: ['http/1.1'],
      groups: [24],
      keyShares: [24],
      signatureAlgorithms: [0x0403],
    });
    expect(handshake.hello!.versions).toContain(0x0304);
    expect(handshake.hello!.ciphers).toContain(0x1302);
    expect(handshake.hello!.extensions).toContain(51);
    const { total, ...phases } = handshake.phases;
    const sum = Object.values(phases).reduce((all, each) => all + each, 0);
    expect(total).toBeCloseTo(sum, 3);
    expect(phases.computing).toBeGreaterThan(0);
    expect(phases.asked).toBe(0);
  });

  it.each([
    ['rsa2048', 'TLSv1.3', 'rsa', 'rsa_pss_rsae_sha256'],
    ['rsa2048', 'TLSv1.2', 'rsa', 'rsa_pss_rsae_sha256'],
    ['ed25519', 'TLSv1.3', 'ed25519', 'ed25519'],
    ['p256', 'TLSv1.2', 'ecdsa', 'ecdsa_secp256r1_sha256'],
  ] as const)('tells of %s keys in %s', async (key, version, keyType, signatureScheme) => {
    await using listening = await listen(server(key));
    const handshake = await visit(listening, { maxVersion: version });
    expect(handshake).toMatchObject({ version, keyType, signatureScheme, resumed: false });
  });

  it('tells of a resumed session, which nobody signed', async () => {
    await using listening = await listen(server());
    const telling = told(listening);
    const first = tls.connect({ port: listening.port, rejectUnauthorized: false });
    first.resume();
    const [session] = (await once(first, 'session')) as [Buffer];
    expect((await telling).resumed).toBe(false);
    const handshake = await visit(listening, { session });
    expect(handshake).toMatchObject({ resumed: true });
    expect(handshake).not.toHaveProperty('keyType');
    expect(handshake).not.toHaveProperty('signatureScheme');
  });

  it('tells when it is asked late, and remembers after the end what it told', async () => {
    await using listening = await listen(server());
    const client = tls.connect({ port: listening.port, rejectUnauthorized: false });
    const [socket] = (await once(listening.server, 'secureConnection')) as [offloop.TlsSocket];
    socket.resume().on('error', () => {});
    await new Promise((resolve) => setTimeout(resolve, 50));
    const { handshake } = socket;
    expect(handshake?.hello?.ja4).toMatch(/^t13/);
    client.resume().destroy();
    await once(socket, 'close');
    expect(socket.handshake).toEqual(handshake);
  });

  it('is there in requests of https, and for what acceptTls and adopt() take', async () => {
    const { key, cert } = identities.get('p256')!;
    const plain = https.createServer({ key, cert }, (request, response) => {
      response.end((request.socket as offloop.TlsSocket).handshake!.hello!.ja4);
    });
    offloop.adopt(plain);
    await using listening = await listen(plain);
    const request = https.get({ port: listening.port, rejectUnauthorized: false });
    const [response] = (await once(request, 'response')) as [NodeJS.ReadableStream];
    const [ja4] = (await once(response, 'data')) as [Buffer];
    expect(String(ja4)).toMatch(/^t13d\d{4}/);
    const accepting = new Promise<Handshake | null>((resolve) => {
      const raw = net.createServer(async (socket) => {
        const secure = await offloop.acceptTls(socket, { key, cert });
        resolve(secure.handshake);
        secure.destroy();
        raw.close();
      });
      raw.listen(0, () => {
        const { port } = raw.address() as AddressInfo;
        tls
          .connect({ port, rejectUnauthorized: false })
          .on('error', () => {})
          .resume();
      });
    });
    expect((await accepting)?.version).toBe('TLSv1.3');
  });

  it('keeps nothing of a ClientHello that is longer than any real one', async () => {
    await using listening = await listen(server());
    const protocols = Array.from({ length: 100 }, (_, i) => `protocol-${i}`.padEnd(60, 'x'));
    await using other = await listen(
      server('p256', { ALPNCallback: ({ protocols: [first] }) => first }),
    );
    const handshake = await visit(other, { ALPNProtocols: protocols });
    expect(handshake.alpnProtocol).toBe(protocols[0]);
    expect(handshake).not.toHaveProperty('hello');
    expect((await visit(listening)).hello).toBeDefined();
  });
});

/** A relay that notes the first record of each client. */
async function relay(port: number): Promise<Listening<net.Server> & { records: Buffer[] }> {
  const records: Buffer[] = [];
  const between = net.createServer((client) => {
    const upstream = net.connect(port, '127.0.0.1');
    client.once('data', (chunk: Buffer) => records.push(chunk));
    client.pipe(upstream).pipe(client);
    for (const socket of [client, upstream]) socket.on('error', () => {});
  });
  return Object.assign(await listen(between), { records });
}

async function compare(client: (port: number) => unknown): Promise<void> {
  await using listening = await listen(server('rsa2048'));
  await using between = await relay(listening.port);
  const telling = told(listening);
  await client(between.port);
  const { ja3, ja3Hash, ja4 } = (await telling).hello!;
  const expected: Fingerprints = fingerprints(between.records[0]);
  expect({ ja3, ja3Hash, ja4 }).toEqual(expected);
}

describe('JA3 and JA4', () => {
  it.each([
    ['as it comes', {}],
    ['with TLS 1.2 alone', { maxVersion: 'TLSv1.2' }],
    ['with a name and protocols', { servername: 'localhost', ALPNProtocols: ['h2', 'http/1.1'] }],
    ['with odd protocols', { ALPNProtocols: ['x'] }],
  ] as const)('of Node %s', async (_name, options) => {
    await compare((port) => {
      const client = tls.connect({
        port,
        rejectUnauthorized: false,
        ...(options as tls.ConnectionOptions),
      });
      client.on('error', () => {}).resume();
    });
  });

  commandIt('openssl', 'of openssl s_client', async () => {
    await compare((port) => {
      const child = execFile('openssl', ['s_client', '-connect', `127.0.0.1:${port}`]);
      child.stdin!.on('error', () => {}).end();
    });
  });

  commandIt('curl', 'of curl', async () => {
    await compare((port) => {
      execFile('curl', ['--silent', '--insecure', `https://localhost:${port}/`], () => {});
    });
  });
});
