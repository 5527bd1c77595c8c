/** offloop/register: servers of a program that knows nothing of offloop. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { Authority } from './support/certificates.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'offloop-register-'));

beforeAll(async () => {
  const { key, cert } = await (await Authority.create()).issue();
  writeFileSync(join(folder, 'key.pem'), key);
  writeFileSync(join(folder, 'cert.pem'), cert);
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a program in the repository, so that `offloop/register` resolves, with these arguments. */
function run(source: string, flags: string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  const file = join(
    folder,
    `program-${process.hrtime.bigint()}.${source.includes('import ') ? 'mjs' : 'cjs'}`,
  );
  writeFileSync(file, source);
  const child = spawn(process.execPath, [...flags, file], {
    cwd: root,
    env: { ...process.env, FOLDER: folder, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 30_000,
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk) => (stdout += chunk));
  child.stderr.on('data', (chunk) => (stderr += chunk));
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })));
}

test('options whose names are offloop’s too mean nothing, as with Node', async () => {
  const source = `const fs = require('fs');
    const https = require('https');
    const given = [{ context: '/api' }, { context: { user: 1 } }, { fallback: 'index.html' },
      { maxConnections: '100' }, { offload: true }, { drain: 1 }, { limits: 'none' },
      { clientHello: true }];
    for (const more of given) {
      const server = https.createServer({ key: fs.readFileSync(process.env.FOLDER + '/key.pem'),
        cert: fs.readFileSync(process.env.FOLDER + '/cert.pem'), ...more }, (_, r) => r.end('ok'));
      server.listen(0, () => https.get({ port: server.address().port, rejectUnauthorized: false },
        (response) => { console.log(response.statusCode); response.resume(); server.close(); }));
    }`;
  const { code, stdout, stderr } = await run(source, ['--require', 'offloop/register']);
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout).toBe('200\n'.repeat(8));
});

const common = `
const options = {
  key: fs.readFileSync(process.env.FOLDER + '/key.pem'),
  cert: fs.readFileSync(process.env.FOLDER + '/cert.pem'),
};
const insecure = { rejectUnauthorized: false };
/** Prints what serves a connection. */
function serve(name, server, event, connect) {
  return new Promise((resolve) => {
    server.on(event, (socket) => {
      console.log(name, socket.constructor.name);
      socket.on('error', () => {}).destroy();
      server.close(resolve);
    });
    server.listen(0, () => connect(server.address().port));
  });
}
const overTls = (port) => tls.connect({ port, ...insecure }).on('error', () => {}).resume();
const overHttps = (port) => https.get({ port, agent: false, ...insecure }).on('error', () => {});
`;

const everyWay = `${common}
(async () => {
  await serve('tls.createServer', tls.createServer(options), 'secureConnection', overTls);
  await serve('new tls.Server', new tls.Server(options), 'secureConnection', overTls);
  await serve('tls.Server()', tls.Server(options), 'secureConnection', overTls);
  await serve('subclass', new (class extends tls.Server {})(options), 'secureConnection', overTls);
  function Old() { tls.Server.call(this, options); }
  Object.setPrototypeOf(Old.prototype, tls.Server.prototype);
  await serve('old style', new Old(), 'secureConnection', overTls);
  await serve('https.createServer', https.createServer(options), 'secureConnection', overHttps);
  await serve('new https.Server', new https.Server(options), 'secureConnection', overHttps);
  await serve('https.Server()', https.Server(options), 'secureConnection', overHttps);
  await serve('http2.createSecureServer', http2.createSecureServer(options), 'secureConnection', overTls);
})();`;

const names = [
  'tls.createServer',
  'new tls.Server',
  'tls.Server()',
  'subclass',
  'old style',
  'https.createServer',
  'new https.Server',
  'https.Server()',
  'http2.createSecureServer',
];
const all = (kind: string): string => names.map((name) => `${name} ${kind}\n`).join('');

const modules = ['fs', 'tls', 'https', 'http2'];
const required = modules.map((name) => `const ${name} = require('node:${name}');`).join('\n');
const builtin = modules
  .map((name) => `const ${name} = process.getBuiltinModule('${name}');`)
  .join('\n');
const imported = modules.map((name) => `import ${name} from '${name}';`).join('\n');
const namespaces = modules.map((name) => `import * as ${name} from 'node:${name}';`).join('\n');

describe('every way to make a server', () => {
  test.for([
    ['--require', 'require()', required],
    ['--import', 'require()', required],
    ['--require', 'a default import', imported],
    ['--import', 'a default import', imported],
    ['--import', 'a namespace import', namespaces],
    ['--require', 'process.getBuiltinModule', builtin],
  ])('with %s and %s', async ([flag, , head]) => {
    const source = `${head}\n${everyWay}`;
    const { code, stdout, stderr } = await run(source, [flag, 'offloop/register']);
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: all('TlsSocket'), stderr: '' });
  });

  test('with named imports', async () => {
    const source = `import fs from 'node:fs'; import * as tls from 'node:tls';
      import { createServer as tlsServer, Server } from 'node:tls';
      import { createServer as httpsServer } from 'https';
      import { createSecureServer } from 'http2';
      ${common}
      await serve('tls', tlsServer(options), 'secureConnection', overTls);
      await serve('tls.Server', new Server(options), 'secureConnection', overTls);
      await serve('https', httpsServer(options), 'secureConnection', overTls);
      await serve('http2', createSecureServer(options), 'secureConnection', overTls);`;
    const { stdout, stderr } = await run(source, ['--import', 'offloop/register']);
    expect(stderr).toBe('');
    expect(stdout).toBe('tls TlsSocket\ntls.Server TlsSocket\nhttps TlsSocket\nhttp2 TlsSocket\n');
  });
});

test('without it, and with OFFLOOP_DISABLE=1, all is Node’s', async () => {
  const source = `${required}\n${everyWay}`;
  expect((await run(source, [])).stdout).toBe(all('TLSSocket'));
  const disabled = await run(source, ['--require', 'offloop/register'], { OFFLOOP_DISABLE: '1' });
  expect(disabled).toEqual({ code: 0, stdout: all('TLSSocket'), stderr: '' });
});

test('what the core has not falls back to Node, with one warning', async () => {
  const source = `${required}\n${common}
    process.on('warning', ({ name, code, message }) => console.log(name, code, /pskCallback/.test(message)));
    (async () => {
      const psk = { ...options, pskCallback: () => null };
      await serve('psk', tls.createServer(psk), 'secureConnection', overTls);
      await serve('psk', tls.createServer(psk), 'secureConnection', overTls);
      await serve('plain', tls.createServer(options), 'secureConnection', overTls);
    })();`;
  const { stdout } = await run(source, ['--no-warnings', '--require', 'offloop/register']);
  expect(stdout).toBe(
    'OffloopWarning OFFLOOP_FALLBACK true\npsk TLSSocket\npsk TLSSocket\nplain TlsSocket\n',
  );
});

test('clients are Node’s own', async () => {
  const source = `${required}\n${common}
    const server = tls.createServer(options, (socket) => socket.end('x')).listen(0, () => {
      const client = tls.connect({ port: server.address().port, ...insecure });
      client.resume().on('close', () => server.close());
      console.log(client.constructor.name, client instanceof tls.TLSSocket);
    });`;
  const { stdout } = await run(source, ['--require', 'offloop/register']);
  expect(stdout).toBe('TLSSocket true\n');
});

test("--trace-tls and --tls-keylog are obeyed, with Node's warnings", async () => {
  const file = join(folder, 'key log');
  const source = `${required}\n${common}
    const server = tls.createServer(options, (socket) => socket.end('x')).listen(0, () => {
      const { port } = server.address();
      tls.connect({ port, ...insecure, enableTrace: false }).resume().on('close', () => server.close());
    });`;
  const flags = ['--trace-tls', '--require', 'offloop/register'];
  const { code, stderr } = await run(source, flags, { NODE_OPTIONS: `--tls-keylog="${file}"` });
  expect(code).toBe(0);
  expect(stderr).toContain('Warning: Enabling --trace-tls can expose sensitive data');
  expect(stderr).toContain('Warning: Using --tls-keylog makes TLS connections insecure');
  expect(stderr).toMatch(/^Received Record$[^]*ClientHello/m);
  const secrets = readFileSync(file, 'utf8').trimEnd().split('\n');
  const both = new Set(secrets);
  // Those of the server, and again those of its client.
  expect([secrets.length, both.size]).toEqual([10, 5]);
});
