/** `offloop proxy`: serves, reloads, drains, tells its figures, and says in one line what is wrong. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls from 'node:tls';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { CLI, expectOneLine, offloop } from './support/cli.js';
import { connect, listen, type Listening } from './support/disposables.js';
import { closed, readAll, until } from './support/streams.js';

let folder: string;
let app: Listening<net.Server>;
let first: Issued;
let second: Issued;
const file = (name: string): string => path.join(folder, name);

function store({ key, cert }: Issued, name = ''): void {
  // The key first, as whoever renews them: for a moment they do not belong together.
  writeFileSync(file(`${name}key.pem`), key);
  writeFileSync(file(`${name}cert.pem`), cert);
}

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'offloop-cli-proxy-'));
  const authority = await Authority.create();
  const named = (name: string): Promise<Issued> =>
    authority.issue({ subject: `CN=${name}`, names: [name] });
  [first, second] = await Promise.all([named('first'), named('second')]);
  store(first);
  store(second, 'second-');
  app = await listen(net.createServer((socket) => void socket.on('error', () => {}).pipe(socket)));
});
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

const certificate = (): string[] => ['--cert', file('cert.pem'), '--key', file('key.pem')];

/** Options with which it runs. */
const good = (): string[] => ['-l', '127.0.0.1:0', '-t', String(app.port), ...certificate()];
const proxy = (...args: string[]) => offloop(['proxy', ...args]);

/** A proxy that runs, in a process of its own. */
class Running implements Disposable {
  output = '';
  readonly process: ChildProcess;

  constructor(...args: string[]) {
    this.process = spawn(process.execPath, [CLI, 'proxy', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.process.stdout!, this.process.stderr!])
      stream.setEncoding('utf8').on('data', (text: string) => (this.output += text));
  }

  /** To the backend of this file, with its certificate. */
  static async start(...args: string[]): Promise<{ running: Running; port: number }> {
    const running = new Running(
      '--listen',
      '127.0.0.1:0',
      '--to',
      `127.0.0.1:${app.port}`,
      ...certificate(),
      ...args,
    );
    const port = await running.printed(/listening on 127\.0\.0\.1:(\d+)/);
    return { running, port: Number(port) };
  }

  async printed(pattern: RegExp): Promise<string> {
    await until(
      () => pattern.test(this.output) || this.process.exitCode !== null,
      `${String(pattern)} in ${this.output}`,
    );
    const [whole, captured] = pattern.exec(this.output) ?? [];
    if (whole === undefined) throw new Error(`it ended: ${this.output}`);
    return captured ?? whole;
  }

  async ended(): Promise<number | null> {
    if (this.process.exitCode === null) await once(this.process, 'exit');
    return this.process.exitCode;
  }

  [Symbol.dispose](): void {
    this.process.kill('SIGKILL');
  }
}

async function open(port: number, options: tls.ConnectionOptions = {}): Promise<tls.TLSSocket> {
  const client = connect(port, options);
  await once(client, 'secureConnect');
  return client;
}

async function echoed(client: tls.TLSSocket, text: string): Promise<string> {
  client.end(text);
  return String(await readAll(client));
}

async function shown(port: number, servername = 'first'): Promise<unknown> {
  const client = await open(port, { servername });
  const name = client.getPeerCertificate().subject.CN;
  client.destroy();
  return name;
}

describe('a proxy', () => {
  it('says where it listens, passes on, and ends by SIGTERM when its connections have', async () => {
    const { running, port } = await Running.start();
    using _ = running;
    const client = await open(port);
    running.process.kill('SIGTERM');
    await running.printed(/SIGTERM: accepts no more; 1 connections/);
    await expect(open(port)).rejects.toThrow('ECONNREFUSED');
    expect(await echoed(client, 'to the end')).toBe('to the end');
    expect(await running.ended()).toBe(0);
    expect(running.output).toMatch(/ended\n$/);
  });

  it('cuts what is left after --drain-timeout', async () => {
    const { running, port } = await Running.start('--drain-timeout', '50');
    using _ = running;
    const client = await open(port);
    const cut = closed(client);
    running.process.kill('SIGINT');
    await cut;
    expect(await running.ended()).toBe(0);
    expect(running.output).toMatch(/ended; 1 connections were cut\n$/);
  });

  it('ends at once by a second signal', async () => {
    const { running, port } = await Running.start();
    using _ = running;
    const client = await open(port);
    const cut = closed(client);
    running.process.kill('SIGTERM');
    await running.printed(/accepts no more/);
    running.process.kill('SIGTERM');
    await cut;
    expect(await running.ended()).toBe(1);
  });

  it('reads certificates again by SIGHUP, and stays as it was where it can not', async () => {
    store(first);
    const { running, port } = await Running.start();
    using _ = running;
    const client = await open(port);
    expect(await shown(port)).toBe('first');
    store(second);
    running.process.kill('SIGHUP');
    await running.printed(/certificates were read again/);
    expect(await shown(port)).toBe('second');
    writeFileSync(file('cert.pem'), 'nothing');
    running.process.kill('SIGHUP');
    await running.printed(/certificates stay as they were: .*no certificate/);
    expect(await shown(port)).toBe('second');
    rmSync(file('cert.pem'));
    running.process.kill('SIGHUP');
    await running.printed(/certificates stay as they were: .*no such file/);
    expect(await echoed(client, 'not dropped')).toBe('not dropped');
    store(first);
  });

  it('sees by --watch that they changed, written anew or behind a link', async () => {
    store(first);
    for (const [version, name] of [
      ['v1', ''],
      ['v2', 'second-'],
    ] as const) {
      mkdirSync(file(version));
      for (const each of ['cert.pem', 'key.pem'])
        copyFileSync(file(`${name}${each}`), path.join(file(version), each));
    }
    // As Kubernetes mounts secrets.
    symlinkSync('v1', file('current'));
    const linked = path.join(file('current'), 'cert.pem');
    const sni = `linked.test=${linked},${path.join(file('current'), 'key.pem')}`;
    const { running, port } = await Running.start('--watch', '--sni', sni);
    using _ = running;
    expect([await shown(port), await shown(port, 'linked.test')]).toEqual(['first', 'first']);
    symlinkSync('v2', file('next'));
    renameSync(file('next'), file('current'));
    await running.printed(/certificates were read again/);
    expect([await shown(port), await shown(port, 'linked.test')]).toEqual(['first', 'second']);
    running.output = '';
    store(second);
    await running.printed(/certificates were read again/);
    expect(await shown(port)).toBe('second');
    store(first);
  });

  it('has certificates for names, protocols of ALPN, and tells who is there', async () => {
    let got = '';
    await using peer = await listen(
      net.createServer((socket) => {
        socket.on('error', () => {}).on('data', (bytes) => (got += String(bytes)));
      }),
    );
    const sni = `second.test=${file('second-cert.pem')},${file('second-key.pem')}`;
    using running = new Running(
      '-l',
      '127.0.0.1:0',
      '-t',
      String(peer.port),
      ...certificate(),
      '--sni',
      sni,
      '--alpn',
      'h2,http/1.1',
      '--proxy-protocol',
      'v1',
      '--accept-proxy',
      '127.0.0.1',
    );
    const port = Number(await running.printed(/listening on 127\.0\.0\.1:(\d+)/));
    const raw = net.connect(port, '127.0.0.1');
    raw.write('PROXY TCP4 192.0.2.1 198.51.100.2 50000 443\r\n');
    const client = tls.connect({
      socket: raw,
      servername: 'second.test',
      ALPNProtocols: ['http/1.1'],
      rejectUnauthorized: false,
    });
    await once(client, 'secureConnect');
    expect(client.getPeerCertificate().subject.CN).toBe('second');
    expect(client.alpnProtocol).toBe('http/1.1');
    client.write('request');
    await until(() => got.endsWith('request'), 'what the client said');
    expect(got).toBe('PROXY TCP4 192.0.2.1 198.51.100.2 50000 443\r\nrequest');
    client.destroy();
    const bad = net.connect(port, '127.0.0.1');
    bad.end('GET / HTTP/1.1\r\n\r\n');
    await closed(bad.resume());
    await running.printed(/1 connections of trusted sources had no good PROXY header: .+/);
  });

  it('goes on when nobody reads what it prints', async () => {
    const { running, port } = await Running.start();
    using _ = running;
    running.process.stdout!.destroy();
    running.process.stderr!.destroy();
    store(second);
    // Each prints a line.
    running.process.kill('SIGHUP');
    writeFileSync(file('cert.pem'), 'nothing');
    running.process.kill('SIGHUP');
    store(first);
    running.process.kill('SIGHUP');
    for (let i = 0; i < 3; i++) expect(await echoed(await open(port), 'still')).toBe('still');
    expect(running.process.exitCode).toBe(null);
    running.process.kill('SIGTERM');
    expect(await running.ended()).toBe(0);
  });

  it('serves figures', async () => {
    const { running, port } = await Running.start('--metrics', '127.0.0.1:0');
    using _ = running;
    const metrics = await running.printed(/figures on (127\.0\.0\.1:\d+)/);
    expect(await echoed(await open(port), 'counted')).toBe('counted');
    const response = await fetch(`http://${metrics}/metrics`);
    const text = await response.text();
    expect(response.headers.get('content-type')).toContain('text/plain');
    expect(text).toContain('tls_server_handshakes_total{tls_protocol_version="1.3"} 1\n');
    expect(text).toContain(`tls_proxy_backend_up{backend="127.0.0.1:${app.port}"} 1\n`);
    expect(text).toContain('tls_server_io_bytes_total{network_io_direction="receive"} 7\n');
    expect(text).toContain(
      'tls_server_handshake_duration_seconds_bucket{phase="total",le="+Inf"} 1\n',
    );
    // Every line is one of the format.
    const line = /^(# (HELP|TYPE) \w+ .+|\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? [\d.e+-]+)$/;
    expect(
      text
        .trimEnd()
        .split('\n')
        .filter((each) => !line.test(each)),
    ).toEqual([]);
    expect((await fetch(`http://${metrics}/other`)).status).toBe(404);
    expect((await fetch(`http://${metrics}/metrics`, { method: 'POST' })).status).toBe(405);
    running.process.kill('SIGTERM');
    expect(await running.ended()).toBe(0);
  });

  it('starts --without-backend, says that none is there, and serves when one is', async () => {
    const probe = net.createServer().listen(0, '127.0.0.1');
    await once(probe, 'listening');
    const { port: gone } = probe.address() as net.AddressInfo;
    probe.close();
    using running = new Running(
      '-l',
      '127.0.0.1:0',
      '-t',
      `127.0.0.1:${gone}`,
      ...certificate(),
      '--without-backend',
      '--check-interval',
      '50',
    );
    const port = Number(await running.printed(/listening on 127\.0\.0\.1:(\d+)/));
    expect(await echoed(await open(port), 'anybody?')).toBe('');
    await running.printed(/takes no connections/);
    await running.printed(/1 connections were closed: no backend took them/);
    const server = net.createServer((socket) => void socket.on('error', () => {}).pipe(socket));
    await using _app = await listen(server, gone, '127.0.0.1');
    await running.printed(/is back/);
    expect(await echoed(await open(port), 'here')).toBe('here');
  });
});

describe('what is wrong is said in one line, and nothing is left running:', () => {
  it.each<[string, () => string[], RegExp]>([
    ['no place', () => ['-t', '80', ...certificate()], /--listen is missing: .+/],
    ['no backend', () => ['-l', ':0', ...certificate()], /--to is missing: .+/],
    ['no certificate', () => ['-l', ':0', '-t', '80'], /--cert is missing: .+/],
    ['a wrong place', () => [...good(), '-l', 'here'], /--listen must be .+, got 'here'/],
    ['a wrong backend', () => [...good(), '-t', 'a:0'], /--to must be .+, got 'a:0'/],
    ['a wrong place of figures', () => [...good(), '--metrics', '70000'], /--metrics must be /],
    ['a wrong source', () => [...good(), '--accept-proxy', 'a'], /--accept-proxy must be .+'a'/],
    ['a wrong version', () => [...good(), '--proxy-protocol', 'v3'], /must be v1 or v2, got 'v3'/],
    ['a wrong protocol', () => [...good(), '--alpn', 'h2,'], /--alpn must be /],
    ['a wrong name', () => [...good(), '--sni', 'a'], /--sni must be <name>=.+, got 'a'/],
    ['a wrong number', () => [...good(), '--idle-timeout', '0'], /--idle-timeout must be /],
    ['a wrong option', () => [...good(), '--fast'], /'--fast'; offloop proxy --help/],
    ['a word', () => [...good(), 'now'], /'now'/],
  ])('%s', async (_, args, words) => {
    expectOneLine(await proxy(...args()), 2, words);
  });

  it.each<[string, () => string[], RegExp]>([
    [
      'a missing file',
      () => [...good(), '--cert', file('none.pem')],
      /can't read .*none\.pem \(no such file or directory\): --cert must name/,
    ],
    [
      'a folder',
      () => [...good(), '--key', folder],
      /can't read .* \(illegal operation on a directory\): --key must name/,
    ],
    ['no certificate in it', () => [...good(), '--cert', file('key.pem')], /holds no certificate/],
    ['no key in it', () => [...good(), '--key', file('cert.pem')], /holds no private key/],
    ['another key', () => [...good(), '--key', file('second-key.pem')], /key values mismatch/],
    [
      'a missing file of a name',
      () => [...good(), '--sni', `a.test=${file('none.pem')},${file('key.pem')}`],
      /can't read .*none\.pem .*--sni must name/,
    ],
    [
      'the port of another',
      () => [...good(), '-l', `127.0.0.1:${app.port}`],
      /can't listen on 127\.0\.0\.1:\d+ \(address already in use\): .+ --listen/,
    ],
    [
      'the same of figures',
      () => [...good(), '--metrics', `127.0.0.1:${app.port}`],
      /can't listen on 127\.0\.0\.1:\d+ \(address already in use\): .+ --metrics/,
    ],
    [
      'an address of another machine',
      () => [...good(), '-l', '192.0.2.1:0'],
      /can't listen on 192\.0\.2\.1:0 \(address not available\): .+ --listen/,
    ],
    [
      'a socket in no folder',
      () => [...good(), '-l', file('none/front.sock')],
      /can't listen on .*front\.sock \(.+\): .+ --listen/,
    ],
  ])('%s', async (_, args, words) => {
    expectOneLine(await proxy(...args()), 1, words);
  });

  it('a backend that is down', async () => {
    const probe = net.createServer().listen(0, '127.0.0.1');
    await once(probe, 'listening');
    const { port } = probe.address() as net.AddressInfo;
    probe.close();
    const args = ['-l', '127.0.0.1:0', '-t', `127.0.0.1:${port}`, ...certificate()];
    const words =
      /no backend takes connections \(127\.0\.0\.1:\d+: connection refused\): start one/;
    expectOneLine(await proxy(...args), 1, words);
  });

  const asNobody = process.getuid?.() === 0 ? it : it.skip;

  asNobody('a key that may not be read, and a port that is for root', async () => {
    const own = mkdtempSync(path.join(tmpdir(), 'offloop-cli-proxy-'));
    try {
      chmodSync(own, 0o755);
      const [cert, key] = ['cert.pem', 'key.pem'].map((name) => path.join(own, name));
      writeFileSync(cert!, first.cert);
      writeFileSync(key!, first.key, { mode: 0o600 });
      const args = [...good(), '--cert', cert!, '--key', key!];
      const unread = await offloop(['proxy', ...args], { uid: 65_534 });
      expectOneLine(unread, 1, /can't read .*key\.pem \(permission denied\): --key must name/);
      chmodSync(key!, 0o644);
      const port = Number(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start')) - 1;
      // Of some containers every port is for everybody.
      if (port < 1) return;
      const bound = await offloop(['proxy', ...args, '-l', `:${port}`], { uid: 65_534 });
      expectOneLine(bound, 1, /can't listen on :\d+ \(permission denied\): .* for root.* --listen/);
    } finally {
      rmSync(own, { recursive: true });
    }
  });
});
