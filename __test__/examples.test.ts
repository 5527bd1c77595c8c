/** The programs of examples/ run, each with a certificate and a real client. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import net from 'node:net';
import tls from 'node:tls';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { Authority } from './support/certificates.js';
import { PACKAGE } from './support/faults/child.js';
import { closed, until } from './support/streams.js';

let folder: string;
let env: Record<string, string>;

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'offloop-examples-'));
  const { key, cert } = await (await Authority.create()).issue();
  const [KEY_FILE, CERT_FILE] = [path.join(folder, 'key.pem'), path.join(folder, 'cert.pem')];
  writeFileSync(KEY_FILE, key);
  writeFileSync(CERT_FILE, cert);
  env = { KEY_FILE, CERT_FILE, PORT: '0', METRICS_PORT: '0', EXPORT_INTERVAL: '300' };
});
afterAll(() => rmSync(folder, { recursive: true }));

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

/** A program that runs until it is disposed; `output` is what it has printed. */
class Example implements Disposable {
  output = '';
  private readonly process;

  constructor(name: string) {
    const file = path.join(PACKAGE, 'examples', name);
    const stdio = ['ignore', 'pipe', 'inherit'] as const;
    this.process = spawn(process.execPath, [file], {
      env: { ...process.env, ...env },
      stdio: [...stdio],
    });
    this.process.stdout!.setEncoding('utf8').on('data', (text: string) => (this.output += text));
  }

  /** The value behind this key in the output. */
  async number(key: string): Promise<number> {
    const pattern = new RegExp(`"${key}":(\\d+)`);
    await until(() => pattern.test(this.output), `"${key}" in ${this.output}`);
    return Number(pattern.exec(this.output)![1]);
  }

  [Symbol.dispose](): void {
    this.process.kill();
  }
}

it('metrics-prometheus.mjs shows what happened', async () => {
  using program = new Example('metrics-prometheus.mjs');
  await visit(await program.number('port'));
  const metrics = await program.number('metrics');
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
  using program = new Example('metrics-opentelemetry.mjs');
  const port = await program.number('port');
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
