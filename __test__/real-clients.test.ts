/** Clients that are not Node: `openssl s_client` and curl. */
import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage } from 'node:http';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

import {
  createServer,
  type OffloopError,
  type Server,
  type ServerOptions,
  type TlsSocket,
} from 'offloop';
import { afterAll, beforeAll, describe, expect } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { commandIt, type Ended, run } from './support/faults/commands.js';

let folder: string;
let ids: Record<'server' | 'other' | 'rsa' | 'client' | 'stranger', Issued>;

/** Files for programs that want files. */
const file = (name: string): string => path.join(folder, name);

beforeAll(async () => {
  const authority = await Authority.create();
  const strangers = await Authority.create('Strangers');
  ids = {
    server: await authority.issue({
      names: ['localhost', 'server.test'],
      subject: 'CN=server.test',
    }),
    other: await authority.issue({ names: ['other.test'], subject: 'CN=other.test' }),
    rsa: await authority.issue({ names: ['rsa.test'], subject: 'CN=rsa.test', key: 'rsa2048' }),
    client: await authority.issue({ use: 'client', subject: 'CN=alice' }),
    stranger: await strangers.issue({ use: 'client', subject: 'CN=mallory' }),
  };
  folder = mkdtempSync(path.join(tmpdir(), 'offloop-clients-'));
  writeFileSync(file('ca.pem'), authority.cert);
  writeFileSync(file('strangers.pem'), strangers.cert);
  for (const name of ['client', 'stranger'] as const) {
    writeFileSync(file(`${name}.key`), ids[name].key);
    writeFileSync(file(`${name}.pem`), ids[name].cert);
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Running extends AsyncDisposable {
  server: Server;
  port: number;
  /** What each connection was, as the server saw it when it opened. */
  seen: {
    protocol: string | null;
    alpn: string | false;
    name: string | false;
    reused: boolean;
    peer?: string;
  }[];
  failures: string[];
}

/** Answers each line with the same in capitals, and ends at `bye`. */
async function serve(
  options: Partial<ServerOptions> = {},
  prepare?: (server: Server) => void,
): Promise<Running> {
  const seen: Running['seen'] = [];
  const failures: string[] = [];
  const { key, cert } = ids.server;
  const server = createServer({ key, cert, ...options }, (socket: TlsSocket) => {
    const peer = socket.getPeerCertificate().subject?.CN as string | undefined;
    seen.push({
      protocol: socket.getProtocol(),
      alpn: socket.alpnProtocol,
      name: socket.servername,
      reused: socket.isSessionReused(),
      ...(peer !== undefined && { peer }),
    });
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      socket.write(String(chunk).toUpperCase());
      if (String(chunk).includes('bye')) socket.end();
    });
  });
  server.on('tlsClientError', (error: OffloopError) => failures.push(error.code));
  prepare?.(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    server,
    port,
    seen,
    failures,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** One connection of s_client, which must trust the certificate, saying `hello` and `bye`. */
function sClient(port: number, args: readonly string[] = []): Promise<Ended> {
  const all = ['s_client', '-connect', `127.0.0.1:${port}`, '-CAfile', file('ca.pem')];
  const strict = args.includes('-servername') ? [] : ['-servername', 'server.test'];
  // Not -quiet: the summary is what is looked at. -ign_eof: until the server ends.
  const rest = ['-verify_return_error', '-ign_eof', ...strict, ...args];
  return run('openssl', [...all, ...rest], 'hello\nbye\n');
}

describe('openssl s_client', () => {
  for (const [flag, protocol, cipher] of [
    ['-tls1_2', 'TLSv1.2', 'ECDHE-ECDSA-'],
    ['-tls1_3', 'TLSv1.3', 'TLS_'],
  ] as const) {
    commandIt('openssl', `speaks ${protocol}`, async () => {
      await using running = await serve();
      const { code, output } = await sClient(running.port, [flag]);
      expect(output).toContain('Verify return code: 0 (ok)');
      expect(output).toMatch(new RegExp(`New, ${protocol}, Cipher is ${cipher}`));
      expect(output).toContain('HELLO');
      expect(output).toContain('BYE');
      // The end is close_notify, not a truncation.
      expect(output).not.toMatch(/unexpected eof|errno/i);
      expect(code).toBe(0);
      expect(running.seen).toEqual([{ protocol, alpn: false, name: 'server.test', reused: false }]);
    });

    commandIt('openssl', `resumes a session of ${protocol}`, async () => {
      await using running = await serve();
      const session = file(`session-${protocol}`);
      const first = await sClient(running.port, [flag, '-sess_out', session]);
      expect(first.output).toMatch(/New, TLSv/);
      const again = await sClient(running.port, [flag, '-sess_in', session]);
      expect(again.output).toMatch(/Reused, TLSv/);
      expect(again.output).toContain('HELLO');
      expect(running.seen.map(({ reused }) => reused)).toEqual([false, true]);
    });
  }

  commandIt('openssl', 'reconnects with its session', async () => {
    await using running = await serve();
    // -reconnect drops the connection and makes it again, five times.
    const { output } = await sClient(running.port, ['-tls1_2', '-reconnect']);
    expect(output.match(/^Reused, TLSv1\.2/gm)).toHaveLength(5);
    expect(output).toContain('HELLO');
    expect(running.seen.filter(({ reused }) => reused)).toHaveLength(5);
  });

  commandIt('openssl', 'agrees on a protocol by ALPN', async () => {
    await using running = await serve({ ALPNProtocols: ['h2', 'http/1.1'] });
    const { output } = await sClient(running.port, ['-alpn', 'http/1.1,h2']);
    // The server's order counts, as in node:tls.
    expect(output).toContain('ALPN protocol: h2');
    expect(running.seen[0].alpn).toBe('h2');
  });

  commandIt('openssl', 'gets the alert when there is none in common', async () => {
    await using running = await serve({ ALPNProtocols: ['h2'] });
    const { output, code } = await sClient(running.port, ['-alpn', 'other']);
    expect(output).toMatch(/alert no application protocol/);
    expect(code).not.toBe(0);
    expect(running.failures).toEqual(['ERR_SSL_NO_APPLICATION_PROTOCOL']);
  });

  commandIt('openssl', 'gets the certificate of the name that it asks for', async () => {
    await using running = await serve({}, (server) => {
      server.addContext('other.test', { key: ids.other.key, cert: ids.other.cert });
      server.addContext('*.wild.test', { key: ids.rsa.key, cert: ids.rsa.cert });
    });
    for (const [name, subject] of [
      ['other.test', 'other.test'],
      ['OTHER.test', 'other.test'],
      ['a.wild.test', 'rsa.test'],
      ['unknown.test', 'server.test'],
    ]) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const { output } = await sClient(running.port, ['-servername', name]);
      expect(output).toMatch(new RegExp(`^subject=CN ?= ?${subject}$`, 'm'));
      expect(output).toContain('Verify return code: 0 (ok)');
    }
  });

  commandIt('openssl', 'shows its certificate when asked', async () => {
    await using running = await serve({ requestCert: true, ca: ids.client.ca });
    const own = ['-cert', file('client.pem'), '-key', file('client.key')];
    for (const flag of ['-tls1_2', '-tls1_3']) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const { output, code } = await sClient(running.port, [flag, ...own]);
      expect(output).toContain('Acceptable client certificate CA names');
      expect(output).toContain('HELLO');
      expect(code).toBe(0);
    }
    expect(running.seen.map(({ peer }) => peer)).toEqual(['alice', 'alice']);
  });

  commandIt('openssl', 'is refused with the certificate of a stranger, or none', async () => {
    await using running = await serve({ requestCert: true, ca: ids.client.ca });
    const own = ['-cert', file('stranger.pem'), '-key', file('stranger.key')];
    expect((await sClient(running.port, own)).output).toMatch(/alert unknown ca/);
    expect((await sClient(running.port)).output).toMatch(/alert certificate required/);
    expect((await sClient(running.port, ['-tls1_2'])).output).toMatch(/alert handshake failure/);
    expect(running.seen).toEqual([]);
  });

  commandIt(
    'openssl',
    'refuses a certificate that it does not trust, and the server is told',
    async () => {
      await using running = await serve();
      const failed = once(running.server, 'tlsClientError') as Promise<[{ code: string }]>;
      const { output } = await sClient(running.port, ['-CAfile', file('strangers.pem')]);
      expect(output).toMatch(/verify error/);
      const [{ code }] = await failed;
      expect(code).toBe('ERR_SSL_TLSV1_ALERT_UNKNOWN_CA');
    },
  );
});

const web = async (
  options: Partial<ServerOptions>,
  answer: (request: IncomingMessage) => string,
): Promise<Running> => {
  const http = createHttpServer((request, response) => {
    request.resume().on('end', () => response.end(answer(request)));
  });
  // What an http server that listens would do: its timeouts run.
  http.emit('listening');
  return serve(options, (server) => {
    server.removeAllListeners('secureConnection');
    server.on('secureConnection', (socket) => http.emit('connection', socket));
  });
};

const curl = (port: number, args: readonly string[], name = 'server.test'): Promise<Ended> =>
  run('curl', [
    '--silent',
    '--show-error',
    '--cacert',
    file('ca.pem'),
    '--resolve',
    `${name}:${port}:127.0.0.1`,
    ...args,
  ]);

describe('curl', () => {
  commandIt('curl', 'gets a page over https', async () => {
    await using running = await web({}, (request) => {
      const socket = request.socket as unknown as TlsSocket;
      return `${request.method} ${request.url} ${socket.encrypted} ${socket.getProtocol()}`;
    });
    const url = `https://server.test:${running.port}/page`;
    expect(await curl(running.port, [url])).toMatchObject({
      code: 0,
      stdout: 'GET /page true TLSv1.3',
    });
    expect(await curl(running.port, ['--tls-max', '1.2', url])).toMatchObject({
      code: 0,
      stdout: 'GET /page true TLSv1.2',
    });
  });

  commandIt('curl', 'sends and gets a megabyte, and keeps the connection alive', async () => {
    const body = 'x'.repeat(1024 * 1024);
    let connections = 0;
    await using running = await web({}, (request) => `${request.method}:${body}`);
    running.server.on('secureConnection', () => connections++);
    writeFileSync(file('body'), body);
    const url = `https://server.test:${running.port}/`;
    const { code, stdout } = await curl(running.port, [
      '--data-binary',
      `@${file('body')}`,
      url,
      url,
    ]);
    expect(code).toBe(0);
    expect(stdout.length).toBe(2 * (body.length + 'POST:'.length));
    expect(connections).toBe(1);
  });

  commandIt('curl', 'shows its certificate, and is refused without', async () => {
    await using running = await web({ requestCert: true, ca: ids.client.ca }, (request) => {
      const socket = request.socket as unknown as TlsSocket;
      return `hello ${socket.getPeerCertificate().subject.CN}, ${socket.authorized}`;
    });
    const url = `https://server.test:${running.port}/`;
    const own = ['--cert', file('client.pem'), '--key', file('client.key')];
    expect(await curl(running.port, [...own, url])).toMatchObject({
      code: 0,
      stdout: 'hello alice, true',
    });
    const refused = await curl(running.port, [url]);
    expect(refused.code).toBe(56);
    expect(refused.stderr).toMatch(/certificate required/);
  });

  commandIt('curl', 'is told when it speaks plain HTTP', async () => {
    await using running = await web({}, () => 'never');
    const { code } = await curl(running.port, [`http://server.test:${running.port}/`]);
    expect(code).toBe(52);
    expect(running.failures).toEqual(['ERR_SSL_HTTP_REQUEST']);
  });
});
