/** TLS that begins in the middle of a plaintext protocol, with its real clients where there are. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';

import { acceptTls, createServer } from 'offloop';
import { beforeAll, expect, test } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { listen } from './support/disposables.js';
import { closed, deferred, readAll, readExactly } from './support/streams.js';

let identity: Issued;

beforeAll(async () => {
  identity = await (await Authority.create()).issue();
});

/** An SMTP server, as much of one as STARTTLS needs. */
async function smtp(socket: net.Socket): Promise<void> {
  socket.write('220 test ESMTP\r\n');
  for (;;) {
    const line = await readLine(socket);
    if (line.startsWith('EHLO')) {
      socket.write('250-test\r\n250 STARTTLS\r\n');
    } else if (line === 'STARTTLS') {
      socket.write('220 go ahead\r\n');
      const secure = await acceptTls(socket, identity);
      secure.write(`250 ${secure.getProtocol()} ${(await readLine(secure)).split(' ')[0]}\r\n`);
      secure.end('221 bye\r\n');
      return;
    } else {
      socket.end('500 what?\r\n');
      return;
    }
  }
}

test('openssl s_client -starttls smtp', async () => {
  await using listening = await listen(
    net.createServer({ pauseOnConnect: true }, (socket) => void smtp(socket)),
  );
  const args = [
    's_client',
    '-connect',
    `127.0.0.1:${listening.port}`,
    '-starttls',
    'smtp',
    '-quiet',
    '-crlf',
  ];
  const client = spawn('openssl', args, { stdio: ['pipe', 'pipe', 'ignore'] });
  client.stdin.write('NOOP\n');
  const output = String(await readAll(client.stdout));
  client.kill();
  expect(output).toContain('250 TLSv1.3 NOOP\r\n221 bye\r\n');
});

test('node:tls on a socket that spoke SMTP before', async () => {
  await using listening = await listen(
    net.createServer({ pauseOnConnect: true }, (socket) => void smtp(socket)),
  );
  const raw = net.connect(listening.port, '127.0.0.1');
  expect(await readLine(raw)).toBe('220 test ESMTP');
  raw.write('EHLO me\r\n');
  expect(await readLine(raw)).toBe('250-test');
  expect(await readLine(raw)).toBe('250 STARTTLS');
  raw.write('STARTTLS\r\n');
  expect(await readLine(raw)).toBe('220 go ahead');
  const client = tls.connect({ socket: raw, ca: identity.ca, servername: 'localhost' });
  client.write('QUIT\r\n');
  expect(String(await readAll(client))).toBe('250 TLSv1.3 QUIT\r\n221 bye\r\n');
});

test('a ClientHello that comes in one piece with the command before it', async () => {
  const over = deferred<unknown>();
  const server = net.createServer({ pauseOnConnect: true }, (socket) => {
    smtp(socket).then(over.resolve, over.resolve);
  });
  await using listening = await listen(server);
  const raw = net.connect(listening.port, '127.0.0.1');
  // What the client sends first is held back until the whole of it can go out in one write.
  const hello = await firstFlight();
  raw.write(Buffer.concat([Buffer.from('EHLO me\r\nSTARTTLS\r\n'), hello]));
  const plain = Buffer.from('220 test ESMTP\r\n250-test\r\n250 STARTTLS\r\n220 go ahead\r\n');
  const answer = await readExactly(raw, plain.length + 3);
  expect(answer.subarray(0, plain.length).equals(plain)).toBe(true);
  // A handshake record, and no alert: the hello was understood.
  expect([...answer.subarray(plain.length)]).toEqual([22, 3, 3]);
  raw.destroy();
  expect(await over.promise).toMatchObject({ code: 'ECONNRESET' });
});

test('PostgreSQL: SSLRequest, one byte, TLS', async () => {
  const SSL_REQUEST = Buffer.from('0000000804d2162f', 'hex');
  const server = net.createServer({ pauseOnConnect: true }, async (socket) => {
    const request = await readExactly(socket, 8);
    expect(request.equals(SSL_REQUEST)).toBe(true);
    socket.write('S');
    const secure = await acceptTls(socket, identity);
    secure.pipe(secure);
  });
  await using listening = await listen(server);
  const raw = net.connect(listening.port, '127.0.0.1');
  raw.write(SSL_REQUEST);
  expect(String(await readExactly(raw, 1))).toBe('S');
  const client = tls.connect({ socket: raw, ca: identity.ca, servername: 'localhost' });
  client.end('select 1');
  expect(String(await readAll(client))).toBe('select 1');
});

test('one port for plaintext and TLS: the first byte decides', async () => {
  const server = net.createServer({ pauseOnConnect: true }, async (socket) => {
    const first = await readExactly(socket, 1);
    socket.unshift(first);
    const stream = first[0] === 22 ? await acceptTls(socket, identity) : socket;
    stream.end(`you said ${String(await readExactly(stream, 5))}`);
  });
  await using listening = await listen(server);
  const plain = net.connect(listening.port, '127.0.0.1');
  plain.write('plain');
  expect(String(await readAll(plain))).toBe('you said plain');
  const secure = tls.connect({
    port: listening.port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
  });
  secure.write('sealed'.slice(0, 5));
  expect(String(await readAll(secure))).toBe('you said seale');
});

test("a server takes sockets from elsewhere by emit('connection')", async () => {
  const server = createServer(identity, (socket) =>
    socket.end(`hello ${socket.server === server}`),
  );
  const front = net.createServer({ pauseOnConnect: true }, async (socket) => {
    await readLine(socket);
    socket.write('ok\n');
    server.emit('connection', socket);
  });
  await using listening = await listen(front);
  const raw = net.connect(listening.port, '127.0.0.1');
  raw.write('PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n');
  expect(await readLine(raw)).toBe('ok');
  const client = tls.connect({ socket: raw, rejectUnauthorized: false });
  expect(String(await readAll(client))).toBe('hello true');
  await closed(client);
});

test('plaintext where TLS should begin', async () => {
  const outcome = deferred<unknown>();
  const server = net.createServer({ pauseOnConnect: true }, async (socket) => {
    await readLine(socket);
    socket.write('220 go ahead\r\n');
    acceptTls(socket, identity).then(outcome.resolve, outcome.resolve);
  });
  await using listening = await listen(server);
  const raw = net.connect(listening.port, '127.0.0.1');
  raw.write('STARTTLS\r\n');
  await readLine(raw);
  const rest = readAll(raw);
  raw.write('EHLO I forgot\r\n');
  expect(await outcome.promise).toMatchObject({ code: 'ERR_SSL_WRONG_VERSION_NUMBER' });
  // As OpenSSL: who speaks no TLS gets no alert.
  expect(String(await rest)).toBe('');
});

/** The line up to the next CRLF or LF, byte by byte: what follows it stays in the stream. */
async function readLine(stream: net.Socket): Promise<string> {
  let line = '';
  while (!line.endsWith('\n')) line += String(await readExactly(stream, 1));
  return line.trimEnd();
}

/** The ClientHello of node:tls. */
async function firstFlight(): Promise<Buffer> {
  await using listening = await listen(net.createServer());
  const client = tls.connect({ port: listening.port, host: '127.0.0.1' }).on('error', () => {});
  const [socket] = (await once(listening.server, 'connection')) as [net.Socket];
  const [hello] = (await once(socket, 'data')) as [Buffer];
  client.destroy();
  return hello;
}
