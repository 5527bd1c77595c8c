/** The programs of examples/ run, each with a certificate and a real client. */
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls from 'node:tls';

import grpc from '@grpc/grpc-js';
import { connectAsync } from 'mqtt';
import { createTransport } from 'nodemailer';
// @ts-expect-error -- it has no types
import { Client as PgClient } from 'pg';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { WebSocket } from 'ws';

// @ts-expect-error -- as it has none
import { servePostgres } from './frameworks/postgres.mjs';
import { Authority, type Issued } from './support/certificates.js';
import { listen } from './support/disposables.js';
import { Example } from './support/example.js';
import { PACKAGE } from './support/faults/child.js';
import { commonName } from './support/servers.js';
import { closed, readAll, until } from './support/streams.js';

let authority: Authority;
let folder: string;
let ca: string;

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'offloop-examples-'));
  authority = await Authority.create();
  ca = authority.cert;
  writeFileSync(path.join(folder, 'ca.pem'), ca);
  store(await authority.issue());
});
afterAll(() => rmSync(folder, { recursive: true }));

/** As `offloop cert --out` does. */
function store({ key, cert }: Issued, into = '.'): void {
  mkdirSync(path.join(folder, into), { recursive: true });
  writeFileSync(path.join(folder, into, 'key.pem'), key);
  writeFileSync(path.join(folder, into, 'cert.pem'), cert);
}

async function storeNamed(name: string): Promise<void> {
  store(await authority.issue({ names: [name], subject: `CN=${name}` }), `certs/${name}`);
}

/** Programs that a test has started. */
const tried = new Set<string>();

function start(name: string, env: Record<string, string> = {}): Example {
  tried.add(name);
  return new Example(name, folder, env);
}

interface Answer {
  readonly status: number | undefined;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
}

/** One request on a connection of its own. */
async function get(
  port: number,
  options: https.RequestOptions & { session?: Buffer | undefined } = {},
): Promise<Answer> {
  const request = https.get({ host: 'localhost', port, ca, agent: false, ...options });
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  const text = String(await readAll(response));
  return { status: response.statusCode, headers: response.headers, text };
}

async function getByHttp2(port: number): Promise<string> {
  const session = connectHttp2(`https://localhost:${port}`, { ca });
  const text = String(await readAll(session.request({ ':path': '/' })));
  session.close();
  return text;
}

test('https.mjs', async () => {
  using program = start('https.mjs');
  expect(await get(await program.port())).toMatchObject({
    text: 'hello by TLSv1.3, TLS_AES_256_GCM_SHA384\n',
  });
  const plain = net.connect(await program.port()).on('error', () => {});
  plain.end('GET / HTTP/1.1\r\n\r\n');
  await program.printed(/ ERR_SSL_HTTP_REQUEST$/m);
});

test('express.mjs', async () => {
  using program = start('express.mjs');
  expect(JSON.parse((await get(await program.port())).text)).toEqual({
    secure: true,
    cipher: 'TLS_AES_256_GCM_SHA384',
  });
  expect(await program.handshakes()).toBe(1);
});

test.each(['fastify.mjs', 'http2.mjs'])('%s, by HTTP/2 and HTTP/1.1', async (name) => {
  using program = start(name);
  const port = await program.port();
  expect(await getByHttp2(port)).toMatch(/2\.0/);
  expect((await get(port)).text).toMatch(/1\.1/);
  expect(await program.handshakes()).toBe(2);
});

test('grpc.mjs', async () => {
  using program = start('grpc.mjs');
  const method = {
    path: '/Greeter/Greet',
    requestStream: false,
    responseStream: false,
    requestSerialize: (value: object) => Buffer.from(JSON.stringify(value)),
    requestDeserialize: String,
    responseSerialize: Buffer.from,
    responseDeserialize: (bytes: Buffer) => JSON.parse(String(bytes)) as unknown,
  };
  const Client = grpc.makeGenericClientConstructor({ greet: method }, 'Greeter');
  const credentials = grpc.credentials.createSsl(Buffer.from(ca));
  const client = new Client(`localhost:${await program.port()}`, credentials);
  const answer = await new Promise((resolve, reject) => {
    client['greet']!({ name: 'alice' }, (error: Error | null, value: unknown) =>
      error ? reject(error) : resolve(value),
    );
  });
  expect(answer).toEqual({ greeting: 'hello alice' });
  client.close();
  expect(await program.handshakes()).toBe(1);
});

test('ws.mjs', async () => {
  using program = start('ws.mjs');
  const port = await program.port();
  const clients = [1, 2].map(() => new WebSocket(`wss://localhost:${port}`, { ca }));
  await Promise.all(clients.map((client) => once(client, 'open')));
  const heard = clients.map(async (client) => String((await once(client, 'message'))[0]));
  clients[0]!.send('hello all');
  expect(await Promise.all(heard)).toEqual(['hello all', 'hello all']);
  for (const client of clients) client.terminate();
  expect(await program.handshakes()).toBe(2);
});

test('mqtt.mjs', async () => {
  using program = start('mqtt.mjs');
  const port = await program.port();
  const client = await connectAsync({ protocol: 'mqtts', host: 'localhost', port, ca });
  await client.subscribeAsync('doors/#');
  const heard = new Promise<[string, Buffer]>((resolve) =>
    client.once('message', (topic, payload) => resolve([topic, payload])),
  );
  await client.publishAsync('doors/1', 'open');
  const [topic, payload] = await heard;
  expect([topic, String(payload)]).toEqual(['doors/1', 'open']);
  await client.endAsync();
  expect(await program.handshakes()).toBe(1);
});

test('smtp.mjs', async () => {
  using program = start('smtp.mjs');
  const port = await program.port();
  const transport = createTransport({ host: 'localhost', port, requireTLS: true, tls: { ca } });
  await transport.sendMail({ from: 'alice@example.org', to: 'bob@example.org', text: 'hello' });
  await program.printed(/^mail to bob@example\.org by TLS_AES_256_GCM_SHA384$/m);
  expect(await program.handshakes()).toBe(1);
});

test('postgres.mjs', async () => {
  await using backend = await listen(net.createServer(servePostgres));
  using program = start('postgres.mjs', { BACKEND_PORT: String(backend.port) });
  const options = { host: 'localhost', port: await program.port(), user: 'alice' };
  const client = new PgClient({ ...options, ssl: { ca } });
  await client.connect();
  expect((await client.query('hello')).rows).toEqual([{ value: 'hello' }]);
  await client.end();
  expect(await program.handshakes()).toBe(1);
  await expect(new PgClient({ ...options, ssl: false }).connect()).rejects.toThrow();
});

test('proxy.mjs', async () => {
  await using backend = await listen(http.createServer((_, response) => response.end('behind')));
  using program = start('proxy.mjs', {
    BACKEND: `127.0.0.1:${backend.port}`,
    METRICS_PORT: '0',
  });
  const port = await program.port();
  expect((await get(port, { headers: { connection: 'close' } })).text).toBe('behind');
  expect(await program.handshakes()).toBe(1);
  const metrics = await program.printed(/^figures on (\d+)$/m);
  const figures = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text();
  expect(figures).toContain(`tls_proxy_backend_connections_opened_total{backend="127.0.0.1:`);
  program.kill('SIGTERM');
  await program.printed(/^drained, 0 connections were cut$/m);
});

test('sni.mjs', async () => {
  await storeNamed('one.test');
  using program = start('sni.mjs');
  const port = await program.port();
  const ask = async (servername: string) => (await get(port, { servername })).text;
  expect(await ask('one.test')).toBe('hello from one.test\n');
  expect(await commonName(port, 'ONE.test')).toBe('one.test');
  // Unknown, and known without a restart.
  expect(await commonName(port, 'two.test')).toBe('localhost');
  expect(await commonName(port, 'no_such.test')).toBe('localhost');
  await storeNamed('two.test');
  expect(await ask('two.test')).toBe('hello from two.test\n');
});

test('reload.mjs', async () => {
  store(await authority.issue({ subject: 'CN=first' }));
  using program = start('reload.mjs');
  const port = await program.port();
  expect(await commonName(port)).toBe('first');

  const next = await authority.issue({ subject: 'CN=second' });
  writeFileSync(path.join(folder, 'cert.pem'), next.cert);
  program.kill('SIGHUP');
  await program.printed(/^the old certificate stays: ERR_OSSL_X509_KEY_VALUES_MISMATCH/m);
  expect(await commonName(port)).toBe('first');

  store(next);
  program.kill('SIGHUP');
  await program.printed(/^new connections get the new certificate$/m);
  expect(await commonName(port)).toBe('second');
});

test('mutual-tls.mjs', async () => {
  using program = start('mutual-tls.mjs');
  const port = await program.port();
  const alice = { use: 'client', subject: 'CN=alice' } as const;
  const { key, cert } = await authority.issue(alice);
  expect((await get(port, { key, cert })).text).toBe('hello alice\n');

  await expect(get(port)).rejects.toThrow();
  await program.printed(/^refused: ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE$/m);
  const stranger = await (await Authority.create('Strangers')).issue(alice);
  await expect(get(port, { key: stranger.key, cert: stranger.cert })).rejects.toThrow();
  await program.printed(/^refused: UNABLE_TO_VERIFY_LEAF_SIGNATURE$/m);
});

test('tickets.mjs: a session of one process resumes on another', async () => {
  const TICKET_SECRET = 'a'.repeat(64);
  using first = start('tickets.mjs', { TICKET_SECRET });
  using second = start('tickets.mjs', { TICKET_SECRET });
  using other = start('tickets.mjs', { TICKET_SECRET: 'b'.repeat(64) });
  let session: Buffer | undefined;
  const visitor = tls.connect({ port: await first.port(), servername: 'localhost', ca });
  visitor.on('session', (ticket) => (session = ticket));
  visitor.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  expect(String(await readAll(visitor))).toMatch(/new\n$/);
  expect((await get(await second.port(), { session })).text).toBe('resumed\n');
  expect((await get(await other.port(), { session })).text).toBe('new\n');

  using without = start('tickets.mjs');
  await without.printed(/TICKET_SECRET is not set/);
});

test('drain.mjs finishes what is under way', async () => {
  using program = start('drain.mjs');
  const port = await program.port();
  const request = https.get({ host: 'localhost', port, path: '/slow', ca, agent: false });
  const [socket] = (await once(request, 'socket')) as [tls.TLSSocket];
  await once(socket, 'secureConnect');
  program.kill('SIGTERM');
  await program.printed(/^draining$/m);
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  expect(String(await readAll(response))).toBe('done\n');
  await program.printed(/^drained, 0 connections were cut$/m);
  expect(await program.ended()).toBe(0);
  await expect(get(port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});

test('threads.mjs', async () => {
  using program = start('threads.mjs', { INTERVAL: '50', OFFLOOP_POOL_THREADS: '3' });
  const port = await program.port();
  await program.printed(/^\d+ cores, \d+ I\/O threads, 3 pool threads$/m);
  await get(port);
  await program.printed(/^1 handshakes, 0 wait for a thread; 99 % waited for at most \d+ us/m);
});

test('adopt.mjs, and back', async () => {
  using program = start('adopt.mjs');
  const port = await program.port();
  expect((await get(port)).text).toBe('offloop\n');
  program.kill('SIGUSR2');
  await program.printed(/^released$/m);
  expect((await get(port)).text).toBe('node:tls\n');
});

test('without-nginx.mjs', async () => {
  using program = start('without-nginx.mjs', { HTTP_PORT: '0' });
  const port = await program.port();
  expect(await getByHttp2(port)).toMatch(/^hello /);
  expect((await get(port)).headers['strict-transport-security']).toBe('max-age=63072000');
  const redirecting = await program.printed(/^redirecting from (\d+)$/m);
  const response = await fetch(`http://localhost:${redirecting}/a?b=c`, { redirect: 'manual' });
  expect([response.status, response.headers.get('location')]).toEqual([
    301,
    `https://localhost:${port}/a?b=c`,
  ]);
});

test('failures.mjs', async () => {
  using program = start('failures.mjs', { INTERVAL: '50' });
  const old = tls.connect({
    port: await program.port(),
    maxVersion: 'TLSv1.1',
    minVersion: 'TLSv1',
    ciphers: 'ALL@SECLEVEL=0',
  });
  await once(old, 'error');
  await program.printed(/^1 ERR_SSL_UNSUPPORTED_PROTOCOL, last \S+$/m);
});

describe('metrics', () => {
  it('metrics-prometheus.mjs shows what happened', async () => {
    using program = start('metrics-prometheus.mjs', { METRICS_PORT: '0' });
    await visit(await number(program, 'port'));
    const metrics = await number(program, 'metrics');
    const response = await fetch(`http://127.0.0.1:${metrics}/metrics`);
    expect(response.headers.get('content-type')).toContain('text/plain');
    const text = await response.text();
    for (const line of [
      'tls_server_handshakes_total{tls_protocol_version="1.3"} 1',
      'tls_server_handshakes_by_cipher_total{tls_cipher="TLS_AES_256_GCM_SHA384"} 1',
      'tls_server_handshakes_by_resumption_total{tls_resumed="false"} 1',
      'tls_server_handshake_errors_total{error_type="ERR_SSL_HTTP_REQUEST"} 1',
      'tls_server_sheds_total{reason="maxConnections"} 0',
      'tls_server_io_bytes_total{network_io_direction="receive"} 10',
      'tls_server_io_bytes_total{network_io_direction="transmit"} 10',
      'tls_server_connections{state="handshaking"} 0',
      '# TYPE tls_server_handshake_duration_seconds histogram',
      'tls_server_handshake_duration_seconds_bucket{le="10",phase="total"} 1',
      'tls_server_handshake_duration_seconds_bucket{le="+Inf",phase="computing"} 1',
      'tls_server_handshake_duration_seconds_count{phase="total"} 1',
    ])
      expect(text.split('\n')).toContain(line);
  });

  it('metrics-opentelemetry.mjs exports what happened, and logs each handshake', async () => {
    using program = start('metrics-opentelemetry.mjs', { EXPORT_INTERVAL: '300' });
    const port = await number(program, 'port');
    await visit(port);
    const logged = (): string[] =>
      program.output.split('\n').filter((line) => line.startsWith('{"eventName"'));
    await until(() => logged().length === 2, 'two lines of log');
    const [done, failed] = logged().map((line) => JSON.parse(line) as unknown);
    expect(done).toMatchObject({
      eventName: 'tls.handshake',
      attributes: {
        'tls.established': true,
        'tls.protocol.version': '1.3',
        'tls.cipher': 'TLS_AES_256_GCM_SHA384',
        'tls.client.ja3': expect.stringMatching(/^[0-9a-f]{32}$/),
        'tls.client.ja4': expect.stringMatching(/^t13d/),
        'server.address': 'example.test',
        'server.port': port,
      },
    });
    expect(failed).toMatchObject({
      attributes: { 'tls.established': false, 'error.type': 'ERR_SSL_HTTP_REQUEST' },
    });
    const exported = [
      /'error\.type': 'ERR_SSL_HTTP_REQUEST' \},[^}]*value: 1\b/,
      /'offloop\.shed\.reason': 'maxConnections' \},[^}]*value: 0\b/,
      /'network\.io\.direction': 'receive' \},[^}]*value: 10\b/,
      /name: 'tls\.server\.handshake\.duration'[^]*'tls\.protocol\.version': '1\.3',\s*'tls\.cipher': 'TLS_AES_256_GCM_SHA384'/,
    ];
    await until(
      () => exported.every((pattern) => pattern.test(program.output)),
      `what is exported in ${program.output}`,
    );
  });
});

it('tries every program', () => {
  const programs = readdirSync(path.join(PACKAGE, 'examples')).filter((name) => !tried.has(name));
  expect(programs).toEqual([]);
});

/** The value behind this key in the output. */
async function number(program: Example, key: string): Promise<number> {
  return Number(await program.printed(new RegExp(`"${key}":(\\d+)`)));
}

/** Ten bytes there and back, and one client that speaks no TLS. */
async function visit(port: number): Promise<void> {
  const client = tls.connect({ port, rejectUnauthorized: false, servername: 'example.test' });
  client.write('ten bytes.');
  await once(client, 'data');
  client.end();
  await closed(client);
  const plain = net.connect(port, '127.0.0.1').on('error', () => {});
  plain.resume().end('GET / HTTP/1.1\r\n\r\n');
  await closed(plain);
}
