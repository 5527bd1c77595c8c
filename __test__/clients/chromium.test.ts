/** Chromium without a window: a page over HTTP/2 with what browsers do there. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type tls from 'node:tls';

import { afterAll, beforeAll, describe, expect } from 'vitest';
import { WebSocketServer } from 'ws';

import { listen } from '../support/disposables.js';
import { commandIt, has } from '../support/faults/commands.js';
import { libraries } from '../support/modules.js';
import { deferred, readAll } from '../support/streams.js';
import { Identities } from './identities.js';

/** Any of them does; Debian has the first, without all that a window needs. */
const names = ['chromium-headless-shell', 'chromium', 'google-chrome'];
const chromium = names.find(has) ?? names[0];

let ids: Identities;
beforeAll(async () => {
  ids = await Identities.create();
});
afterAll(() => ids[Symbol.dispose]());

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** What the page reports when it is done. */
interface Report {
  /** Protocols of the page and of what it fetched. */
  readonly protocols: readonly string[];
  readonly pictures: number;
  readonly download: string;
  readonly upload: string;
  readonly socket: string;
}

const PAGE = `<!doctype html>
<title>offloop</title>
<link rel="icon" href="data:,">
<script type="module">
  const hex = async (bytes) =>
    [...new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))]
      .map((byte) => byte.toString(16).padStart(2, '0')).join('');
  const paths = Array.from({ length: 50 }, (_, at) => '/picture/' + at);
  const pictures = await Promise.all(paths.map(async (path) => (await fetch(path)).text()));
  const body = await (await fetch('/bytes')).arrayBuffer();
  const upload = await (await fetch('/upload', { method: 'POST', body })).text();
  const socket = await new Promise((resolve) => {
    const socket = new WebSocket('wss://' + location.host + '/socket');
    socket.onopen = () => socket.send('hello');
    socket.onmessage = ({ data }) => resolve(data);
    socket.onclose = ({ code }) => resolve('closed ' + code);
  });
  const protocols = [
    ...performance.getEntriesByType('navigation'),
    ...performance.getEntriesByType('resource'),
  ].map(({ nextHopProtocol }) => nextHopProtocol);
  await fetch('/report', {
    method: 'POST',
    body: JSON.stringify({
      protocols,
      pictures: pictures.filter((text, at) => text === paths[at]).length,
      download: await hex(body),
      upload,
      socket,
    }),
  });
</script>`;

describe.each(libraries)('Chromium and $name', (modules) => {
  commandIt(chromium, 'loads a page over HTTP/2, and has a WebSocket', async () => {
    const bytes = randomBytes(1024 * 1024);
    const report = deferred<Report>();
    const versions = new Set<string>();
    const answer = async (
      request: Http2ServerRequest,
      response: Http2ServerResponse,
    ): Promise<void> => {
      const socket = request.socket as tls.TLSSocket;
      versions.add(`${request.httpVersion} ${socket.alpnProtocol} ${socket.getProtocol()}`);
      const body = await readAll(request);
      switch (request.url) {
        case '/':
          response.setHeader('content-type', 'text/html');
          return void response.end(PAGE);
        case '/bytes':
          return void response.end(bytes);
        case '/upload':
          return void response.end(digest(body));
        case '/report':
          report.resolve(JSON.parse(String(body)) as Report);
          return void response.end();
        default:
          return void response.end(request.url);
      }
    };
    const options = { allowHTTP1: true, ...ids.options('server') };
    const server = modules.http2.createSecureServer(options, (request, response) => {
      answer(request, response).catch(report.reject);
    });
    const sockets = new WebSocketServer({ server: server as never });
    sockets.on('connection', (socket) =>
      socket.on('message', (data) => socket.send(`${String(data as Buffer)} yourself`)),
    );
    await using listening = await listen(server);
    await using browser = open(`https://localhost:${listening.port}/`, ids.options('server').cert);
    browser.ended.catch(report.reject);
    expect(await report.promise).toEqual({
      protocols: Array.from({ length: 53 }, () => 'h2'),
      pictures: 50,
      download: digest(bytes),
      upload: digest(bytes),
      socket: 'hello yourself',
    });
    expect([...versions]).toEqual(['2.0 h2 TLSv1.3']);
  });
});

/** Opens a page; the certificate is the only one that needs no authority. */
function open(url: string, certificate: string): AsyncDisposable & { ended: Promise<never> } {
  const { publicKey } = new X509Certificate(certificate);
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const pin = createHash('sha256').update(spki).digest('base64');
  const profile = ids.file(`profile-${Date.now()}`);
  const browser: ChildProcess = spawn(
    chromium,
    [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--disable-background-networking',
      `--user-data-dir=${profile}`,
      `--ignore-certificate-errors-spki-list=${pin}`,
      // It stays until it is told to go.
      '--remote-debugging-port=0',
      url,
    ],
    // A group of its own, since it has children.
    { stdio: ['ignore', 'ignore', 'pipe'], detached: true },
  );
  let complaints = '';
  browser.stderr!.setEncoding('utf8').on('data', (text: string) => (complaints += text));
  const gone = once(browser, 'close');
  return {
    ended: gone.then(() => {
      throw new Error(`the browser is gone: ${complaints}`);
    }),
    async [Symbol.asyncDispose]() {
      if (browser.exitCode === null) process.kill(-browser.pid!, 'SIGKILL');
      await gone;
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
