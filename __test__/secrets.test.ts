/** Key material shows up in nothing that ends in a log, and contexts that were replaced are freed. */
import { createPrivateKey, randomBytes } from 'node:crypto';
import dc from 'node:diagnostics_channel';
import { once } from 'node:events';
import http2 from 'node:http2';
import https from 'node:https';
import tls from 'node:tls';
import { inspect } from 'node:util';

import * as offloop from 'offloop';
import { beforeAll, describe, expect, it } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { listen } from './support/disposables.js';
import { Child } from './support/faults/child.js';
import { closed } from './support/streams.js';

const PASSPHRASE = 'correct horse battery staple';
const ticketKeys = randomBytes(48);

let authority: Authority;
let identity: Issued;
let rsa: Issued;
let encrypted: string;
/** What must not be found anywhere. */
let secrets: string[];

beforeAll(async () => {
  authority = await Authority.create();
  identity = await authority.issue();
  rsa = await authority.issue({ key: 'rsa2048' });
  encrypted = createPrivateKey(identity.key)
    .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: PASSPHRASE })
    .toString();
  secrets = [PASSPHRASE, ...shown(ticketKeys.subarray(0, 24))];
  for (const pem of [identity.key, rsa.key]) {
    const der = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' });
    // Lines of the PEM, and the private part in the ways that inspect and JSON show bytes.
    secrets.push(...pem.split('\n').filter((line) => line.length >= 48));
    secrets.push(...shown(der.subarray(36, 60)));
  }
});

function shown(bytes: Buffer): string[] {
  const hex = bytes.toString('hex');
  return [hex, hex.match(/../g)!.join(' '), bytes.toString('base64'), [...bytes].join(',')];
}

/** Fails when a secret is in what logs would make of `value`. */
function reveals(what: string, value: unknown): void {
  const texts = [inspect(value, { depth: 8, maxStringLength: Infinity, maxArrayLength: Infinity })];
  if (value instanceof Error) texts.push(value.stack!, value.message, inspect(value.cause));
  try {
    texts.push(JSON.stringify(value) ?? '');
  } catch {
    // Circular: nobody can log it so.
  }
  for (const text of [...texts, String(value)])
    for (const secret of secrets)
      expect(text.replaceAll(/\n\s*/g, ' ').includes(secret), `${what} reveals a secret`).toBe(
        false,
      );
}

describe('key material', () => {
  it('would be found', () => {
    expect(() => reveals('a key', { key: identity.key })).toThrow(/reveals a secret/);
    expect(() => reveals('a buffer', { ticketKeys })).toThrow(/reveals a secret/);
  });

  it('is in no context, server, socket, figure or message', async () => {
    const { cert } = identity;
    const options = { key: encrypted, passphrase: PASSPHRASE, cert, ticketKeys };
    const messages: unknown[] = [];
    const note = (message: unknown): void => void messages.push(message);
    const names = ['start', 'end', 'error'].map((name) => `offloop:handshake:${name}`);
    for (const name of names) dc.subscribe(name, note);
    const context = offloop.createSecureContext(options);
    reveals('a context', context);
    const server = offloop.createServer({ ...options, clientHello: (hello) => note(hello) });
    server.addContext('other.test', rsa);
    const web = https.createServer({ key: rsa.key, cert: rsa.cert });
    const two = http2.createSecureServer({ key: rsa.key, cert: rsa.cert });
    for (const each of [web, two]) reveals('an adopted server', [offloop.adopt(each), each][1]);
    await using listening = await listen(server);
    const client = tls.connect({ port: listening.port, rejectUnauthorized: false });
    const [socket] = (await once(server, 'secureConnection')) as [offloop.TlsSocket];
    client.resume();
    reveals('a server', server);
    reveals('a socket', socket);
    reveals('its handshake', socket.handshake);
    reveals('its session', socket.getSession());
    reveals('figures', [offloop.stats(), server.stats()]);
    client.destroy();
    await closed(socket);
    const failing = tls.connect({
      port: listening.port,
      ciphers: 'AES128-SHA',
      maxVersion: 'TLSv1.2',
    });
    await closed(failing);
    server.setSecureContext({ key: rsa.key, cert: rsa.cert });
    reveals('a server with another context', server);
    expect(messages.length).toBeGreaterThanOrEqual(3);
    for (const message of messages) reveals('a message', message);
    for (const name of names) dc.unsubscribe(name, note);
  });

  it('can still be read where Node keeps it', () => {
    const server = offloop.createServer({ key: identity.key, cert: identity.cert });
    expect((server as unknown as { key: string }).key).toBe(identity.key);
  });

  it('is in no error about it', async () => {
    const { cert, key } = identity;
    const wrong: [string, offloop.SecureContextOptions][] = [
      ['a key of another certificate', { key: rsa.key, cert }],
      ['a key cut short', { key: key.slice(0, -60), cert }],
      ['a key with rubbish in it', { key: key.replace('MIG', 'mig'), cert }],
      ['no passphrase', { key: encrypted, cert }],
      ['a wrong passphrase', { key: encrypted, cert, passphrase: `${PASSPHRASE}!` }],
      [
        'a passphrase of the wrong type',
        { key: encrypted, cert, passphrase: [PASSPHRASE] as never },
      ],
      ['a key as a certificate', { key, cert: key }],
      ['a key as an authority', { key, cert, ca: key }],
      ['a pfx that is none', { pfx: key, passphrase: PASSPHRASE }],
      ['ticket keys cut short', { key, cert, ticketKeys: ticketKeys.subarray(1) }],
      ['ticket keys as text', { key, cert, ticketKeys: ticketKeys.toString('hex') as never }],
      ['a suite for no key', { key, cert, ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' }],
    ];
    const { version } = offloop;
    expect(version).toMatch(/^\d/);
    for (const [what, options] of wrong) {
      let error: unknown;
      try {
        offloop.createSecureContext(options);
      } catch (thrown) {
        error = thrown;
      }
      if (error !== undefined) reveals(`the error about ${what}`, error);
    }
  });

  it('is in no message of a core that panics', async () => {
    const child = new Child('serve.cjs', {
      env: {
        SERVE: JSON.stringify({
          kind: 'offloop server',
          options: { key: identity.key, cert: identity.cert },
        }),
        OFFLOOP_TEST_PANIC_ON: 'panic.test',
        RUST_BACKTRACE: 'full',
      },
    });
    const { port } = await child.message<{ port: number }>();
    await closed(tls.connect({ port, servername: 'panic.test', rejectUnauthorized: false }));
    child.tell('close');
    const { stderr, stdout } = await child.result;
    expect(stderr).toContain('panicked');
    reveals('standard error', stderr);
    reveals('standard output', stdout);
  });
});

describe('contexts', () => {
  it('that were replaced, 10,000 in each way, leave the process as large as before', async () => {
    const identities = await Promise.all([1, 2, 3].map(() => authority.issue()));
    const child = new Child('reload.cjs', {
      env: {
        TIMES: '10000',
        IDENTITIES: JSON.stringify(identities.map(({ key, cert }) => ({ key, cert }))),
      },
      // A young generation of fixed size: newer versions of Node let it grow by 50 MB.
      nodeFlags: ['--expose-gc', '--max-semi-space-size=1'],
      bound: 170_000,
    });
    for (const way of ['setSecureContext', 'addContext']) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const measured = await child.message<{
        way: string;
        before: number;
        after: number;
        kept: number;
        privateKeys: number;
      }>();
      expect(measured.way).toBe(way);
      // Leaked contexts, of 10 KB at least, would be 90 MB.
      expect((measured.after - measured.before) / 2 ** 20).toBeLessThan(20);
      expect(measured.kept).toBeLessThanOrEqual(1);
      expect(measured.privateKeys).toBe(1 + 2 * measured.kept);
    }
    expect((await child.result).code).toBe(0);
  }, 180_000);
});
