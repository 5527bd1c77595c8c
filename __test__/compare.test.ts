/**
 * One table of programs, each run against node:tls and against offloop: order of events, values
 * and codes must be the same.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import stream, { Duplex, Readable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import tls from 'node:tls';

import { beforeAll, describe, expect, test } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { type Entry, diary } from './support/diary.js';
import { connect, listen, type Pair, pair } from './support/disposables.js';
import { type Library, nodeTls, offloop } from './support/libraries.js';
import { closed, readAll, readExactly, until } from './support/streams.js';

let identity: Issued;
let clientIdentity: Issued;
let strangerIdentity: Issued;

beforeAll(async () => {
  const authority = await Authority.create();
  identity = await authority.issue({ key: 'rsa2048' });
  clientIdentity = await authority.issue({ use: 'client', subject: 'CN=client, O=Example' });
  const stranger = await Authority.create('Stranger');
  strangerIdentity = await stranger.issue({ use: 'client', subject: 'CN=outsider' });
});

interface Stage extends Pair {
  /** What the server's end emitted. */
  readonly events: Entry[];
  /** What the client's end emitted. */
  readonly clientEvents: Entry[];
  readonly library: Library;
}

interface Program {
  /** Of the server. */
  readonly server?: object | (() => object);
  readonly client?: tls.ConnectionOptions | (() => tls.ConnectionOptions);
  /** Runs in the 'secureConnection' listener. */
  readonly onSecure?: (socket: tls.TLSSocket) => void;
  /** What it gives is compared. */
  readonly run: (stage: Stage) => unknown;
}

const both: tls.TlsOptions = { allowHalfOpen: true };
const clientAuth = { requestCert: true, rejectUnauthorized: false };

/** Connections that end. */
const endings: Record<string, Program> = {
  'the client ends, the server follows': {
    async run({ socket, client, events, clientEvents }) {
      socket.resume();
      client.resume().end();
      await Promise.all([closed(socket), closed(client)]);
      // Which of its 'end' and 'finish' comes first depends on how fast the answer is.
      return { events, clientEvents: clientEvents.toSorted() };
    },
  },
  'the client ends after data': {
    async run({ socket, client, events }) {
      client.resume().end('last words');
      const received = await readAll(socket);
      await closed(socket);
      return { received: String(received), events };
    },
  },
  'the client ends and nobody reads the server: it closes all the same': {
    async run({ socket, client, events }) {
      client.resume().end();
      await closed(socket);
      return events;
    },
  },
  'the server ends, the client follows': {
    async run({ socket, client, events, clientEvents }) {
      client.resume();
      socket.resume().end();
      await Promise.all([closed(socket), closed(client)]);
      return { events, clientEvents };
    },
  },
  'the server ends with a last piece': {
    async run({ socket, client, events }) {
      socket.resume().end('bye');
      const received = await readAll(client);
      await closed(socket);
      return { received: String(received), events };
    },
  },
  'half-open: the server goes on after the client ended': {
    server: both,
    async run({ socket, client, events }) {
      client.end('question');
      const question = String(await readAll(socket));
      const state = [socket.readyState, socket.writable, socket.readable, socket.destroyed];
      socket.end('answer');
      const answer = String(await readAll(client));
      await closed(socket);
      return { question, state, answer, events };
    },
  },
  'half-open: the server ends and goes on reading': {
    server: both,
    client: { allowHalfOpen: true } as tls.ConnectionOptions,
    async run({ socket, client, events }) {
      const finish = once(socket, 'finish');
      socket.end('first');
      const first = String(await readAll(client));
      await finish;
      const state = [socket.readyState, socket.writable, socket.readable, socket.destroyed];
      client.end('second');
      const second = String(await readAll(socket));
      await closed(socket);
      // 'finish' is not bound to when reading begins.
      return { first, state, second, events: events.filter((event) => event !== 'resume') };
    },
  },
  'destroy()': {
    async run({ socket, client, events, clientEvents }) {
      client.resume();
      socket.resume().destroy();
      const at = [socket.destroyed, socket.closed, [...events]];
      await Promise.all([closed(socket), closed(client)]);
      return { at, events, clientEvents, errored: socket.errored };
    },
  },
  'destroy(error)': {
    async run({ socket, client, events }) {
      client.on('error', () => {}).resume();
      const error = Object.assign(new Error('enough'), { code: 'ENOUGH' });
      const seen = once(socket, 'error');
      socket.destroy(error);
      const kept = socket.errored === error;
      await closed(socket);
      return { events, kept, emitted: (await seen)[0] === error };
    },
  },
  'destroy() twice closes once': {
    async run({ socket, client, events }) {
      client.resume();
      socket.destroy();
      socket.destroy(new Error('late'));
      await closed(socket);
      await closed(client);
      return events;
    },
  },
  "destroy() in the handler of 'data'": {
    async run({ socket, client, events }) {
      let calls = 0;
      socket.on('data', () => {
        calls++;
        socket.destroy();
      });
      client.on('error', () => {});
      client.write(Buffer.alloc(300_000));
      await closed(socket);
      return { calls, events };
    },
  },
  'destroySoon() sends what is written first': {
    async run({ socket, client, events }) {
      const sent = Buffer.alloc(700_000, 'soon');
      socket.resume().write(sent);
      socket.destroySoon();
      const received = await readAll(client);
      await closed(socket);
      return { whole: received.equals(sent), events: withoutEnd(events) };
    },
  },
  'destroySoon() after end()': {
    async run({ socket, client, events }) {
      client.resume();
      socket.resume().end('x');
      socket.destroySoon();
      await closed(socket);
      return withoutEnd(events);
    },
  },
  'the client destroys': {
    async run({ socket, client, events }) {
      socket.resume();
      // With the session tickets still unread, the system would reset the connection.
      socket.write('x');
      await once(client, 'data');
      client.destroy();
      await closed(socket);
      return events;
    },
  },
  'end() twice, with a callback': {
    async run({ socket, client }) {
      client.resume();
      const order: string[] = [];
      socket.resume().on('finish', () => order.push('finish'));
      await new Promise<void>((resolve) => {
        socket.end(() => {
          order.push('callback');
          resolve();
        });
      });
      const again = await new Promise<unknown>((resolve) => {
        socket.end((error?: NodeJS.ErrnoException | null) => resolve(error?.code));
      });
      await closed(socket);
      return { order, again };
    },
  },
  'write after end()': {
    async run({ socket, client, events }) {
      client.on('error', () => {}).resume();
      socket.on('error', () => {});
      socket.end();
      const code = await new Promise<unknown>((resolve) => {
        socket.write('late', (error) => resolve((error as NodeJS.ErrnoException)?.code));
      });
      await closed(socket);
      return { code, events };
    },
  },
  'write after destroy()': {
    async run({ socket }) {
      socket.destroy();
      const code = await new Promise<unknown>((resolve) => {
        socket.write('late', (error) => resolve((error as NodeJS.ErrnoException)?.code));
      });
      await closed(socket);
      return code;
    },
  },
  'write after both sides ended because the client did: EPIPE': {
    async run({ socket, client, events }) {
      socket.on('error', () => {});
      client.resume().end();
      socket.resume();
      await once(socket, 'end');
      const code = await new Promise<unknown>((resolve) => {
        socket.write('late', (error) => resolve((error as NodeJS.ErrnoException)?.code));
      });
      await closed(socket);
      return { code, events };
    },
  },
  'an AbortSignal destroys': {
    async run({ socket, client, events }) {
      client.on('error', () => {}).resume();
      const abort = new AbortController();
      stream.addAbortSignal(abort.signal, socket);
      abort.abort();
      await closed(socket);
      return events;
    },
  },
  'finished(): a whole end': {
    async run({ socket, client }) {
      client.resume().end();
      socket.resume();
      return finished(socket).then(
        () => 'fine',
        (error: NodeJS.ErrnoException) => error.code,
      );
    },
  },
  'finished(): a premature close': {
    async run({ socket, client }) {
      client.on('error', () => {}).resume();
      const over = finished(socket).then(
        () => 'fine',
        (error: NodeJS.ErrnoException) => error.code,
      );
      socket.destroy();
      return over;
    },
  },
};

/** Data in both directions. */
const data: Record<string, Program> = {
  'every encoding of write()': {
    async run({ socket, client }) {
      socket.write('grüße €𝄞 ', 'utf8');
      socket.write('4869', 'hex');
      socket.write('SGVsbG8=', 'base64');
      socket.write('SGVsbG8_', 'base64url');
      socket.write('\u00ff\u0100', 'latin1');
      socket.write('\u00ff\u0100', 'binary');
      socket.write('abc\u00e9', 'ascii');
      socket.write('wörter', 'utf16le');
      socket.write('wörter', 'ucs2');
      socket.write(new Uint8Array([1, 2, 3]));
      socket.write(Buffer.from('buffer'));
      socket.write('');
      socket.write(Buffer.alloc(0));
      socket.end('€'.repeat(20_000));
      return (await readAll(client)).toString('hex');
    },
  },
  'setDefaultEncoding()': {
    async run({ socket, client }) {
      socket.setDefaultEncoding('hex').write('00ff');
      socket.end();
      return (await readAll(client)).toString('hex');
    },
  },
  'chunks that are none': {
    run({ socket }) {
      return [null, 5, {}, [], true, undefined, Symbol('x')].map((chunk) => {
        try {
          socket.write(chunk as never, () => {});
          return 'taken';
        } catch (error) {
          return (error as NodeJS.ErrnoException).code;
        }
      });
    },
  },
  'callbacks of write(): each once, in order': {
    async run({ socket, client }) {
      client.resume();
      const order: unknown[] = [];
      for (let i = 0; i < 20; i++) {
        socket.write(Buffer.alloc(i % 3 === 0 ? 40_000 : 10), (error) =>
          order.push([i, error ?? null]),
        );
      }
      await new Promise<void>((resolve) => socket.end(() => resolve()));
      return order;
    },
  },
  'callbacks of writes that destroy() cuts off': {
    async run({ socket, client }) {
      client.on('error', () => {});
      client.pause();
      const codes: unknown[] = [];
      const calls: Promise<void>[] = [];
      for (let i = 0; i < 4; i++) {
        calls.push(
          new Promise((resolve) => {
            socket.write(Buffer.alloc(16 << 20), (error) => {
              codes.push((error as NodeJS.ErrnoException | undefined)?.code);
              resolve();
            });
          }),
        );
      }
      await new Promise((resolve) => setImmediate(resolve));
      socket.destroy();
      await closed(socket);
      await Promise.all(calls);
      // The first was with the system already, and which code cuts it off there differs.
      return codes.slice(1);
    },
  },
  'cork() and uncork()': {
    async run({ socket, client }) {
      const states: unknown[] = [];
      const note = (): void => void states.push([socket.writableCorked, socket.writableLength]);
      socket.cork();
      socket.write('one ');
      socket.cork();
      socket.write(Buffer.from('two '));
      note();
      socket.uncork();
      note();
      socket.write('746872656520', 'hex');
      note();
      socket.uncork();
      const received = await readExactly(client, 14);
      return { states, received: String(received) };
    },
  },
  'end() while corked': {
    async run({ socket, client }) {
      socket.cork();
      socket.write('corked ');
      socket.end('end');
      return String(await readAll(client));
    },
  },
  'backpressure: write() says false, drain follows': {
    async run({ socket, client }) {
      const first = socket.write(Buffer.alloc(socket.writableHighWaterMark * 2));
      const need = socket.writableNeedDrain;
      client.resume();
      await once(socket, 'drain');
      return { first, need, after: [socket.writableLength, socket.writableNeedDrain] };
    },
  },
  'bytesWritten counts what is still buffered': {
    async run({ socket, client }) {
      client.resume();
      socket.cork();
      socket.write('12345');
      socket.write('é');
      const corked = socket.bytesWritten;
      socket.uncork();
      await new Promise<void>((resolve) => socket.end('!', () => resolve()));
      return { corked, after: socket.bytesWritten };
    },
  },
  'bytesRead, bytesWritten, and what is left of them after close': {
    async run({ socket, client }) {
      client.write('x'.repeat(70_000));
      socket.write('y'.repeat(1234));
      await Promise.all([readExactly(socket, 70_000), readExactly(client, 1234)]);
      const during = [socket.bytesRead, socket.bytesWritten];
      client.end();
      socket.resume();
      await closed(socket);
      return { during, after: [socket.bytesRead, socket.bytesWritten] };
    },
  },
  'pause() and resume()': {
    async run({ socket, client, events }) {
      const chunks: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => chunks.push(chunk));
      client.write('one');
      await once(socket, 'data');
      socket.pause();
      const paused = [socket.isPaused(), socket.readableFlowing];
      client.write('two');
      // The answer to what the server sends proves that 'two' had its time to come.
      socket.write('ping');
      await once(client, 'data');
      await new Promise((resolve) => setTimeout(resolve, 50));
      const during = String(Buffer.concat(chunks));
      socket.resume();
      await until(() => chunks.length > 1);
      return { paused, during, after: String(Buffer.concat(chunks)), events };
    },
  },
  "read(n) and 'readable'": {
    async run({ socket, client }) {
      client.write('abcdefghij');
      const pieces: (string | null)[] = [];
      await once(socket, 'readable');
      await until(() => socket.readableLength === 10);
      for (const size of [3, 4, 20, undefined]) pieces.push(socket.read(size)?.toString() ?? null);
      return pieces;
    },
  },
  'unshift()': {
    async run({ socket, client }) {
      client.write('body');
      const first = await readExactly(socket, 4);
      socket.unshift(first);
      socket.unshift('head ');
      return String(await readExactly(socket, 9));
    },
  },
  'setEncoding() keeps characters whole': {
    async run({ socket, client }) {
      socket.setEncoding('utf8');
      let text = '';
      socket.on('data', (chunk: string) => (text += chunk));
      const bytes = Buffer.from('€𝄞é');
      for (const byte of bytes) {
        client.write(Buffer.of(byte));
        await new Promise((resolve) => setImmediate(resolve));
      }
      client.end();
      await once(socket, 'end');
      return [text, socket.readableEncoding];
    },
  },
  'for await': {
    async run({ socket, client, events }) {
      client.end('all of it');
      let text = '';
      for await (const chunk of socket) text += String(chunk);
      await closed(socket);
      return { text, events };
    },
  },
  'for await, left early, destroys': {
    async run({ socket, client, events }) {
      client.on('error', () => {}).write('first');
      for await (const chunk of socket) {
        expect(String(chunk)).toBe('first');
        break;
      }
      const { destroyed } = socket;
      await closed(socket);
      return { destroyed, events };
    },
  },
  'pipeline() from a source': {
    async run({ socket, client, events }) {
      const source = Readable.from([Buffer.alloc(90_000, 'a'), 'b', Buffer.alloc(90_000, 'c')]);
      const done = pipeline(source, socket);
      const received = await readAll(client);
      await done;
      await closed(socket);
      // Whether a last 'drain' comes before the end depends on how fast it is sent.
      return { size: received.length, events: events.filter((event) => event !== 'drain') };
    },
  },
  'pipeline() echoes': {
    async run({ socket, client, events }) {
      const done = pipeline(socket, socket);
      const sent = Buffer.alloc(500_000, 'echo');
      client.end(sent);
      const received = await readAll(client);
      await done;
      await closed(socket);
      // How often it paused is chance.
      return {
        whole: received.equals(sent),
        events: events.slice(events.indexOf('end')).filter((event) => event !== 'pause'),
      };
    },
    server: both,
  },
  'pipeline() that the client cuts off': {
    async run({ socket, client }) {
      const source = new Readable({
        read() {
          this.push(Buffer.alloc(65_536));
        },
      });
      const done = pipeline(source, socket).then(
        () => 'fine',
        (error: NodeJS.ErrnoException) => error.code,
      );
      await once(client, 'data');
      client.destroy();
      const code = (await done) as string;
      // Which of the three the system says is chance, in Node too.
      return {
        known: ['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE'].includes(code),
        destroyed: source.destroyed,
      };
    },
  },
  'pipe() to another stream and unpipe()': {
    async run({ socket, client }) {
      const sink = new stream.PassThrough();
      socket.pipe(sink);
      client.write('piped');
      const piped = String(await readExactly(sink, 5));
      socket.unpipe(sink);
      return { piped, flowing: socket.readableFlowing };
    },
  },
  'Duplex.toWeb()': {
    async run({ socket, client, events }) {
      const { readable, writable } = Duplex.toWeb(socket);
      client.write('to the web');
      const reader = (readable as ReadableStream<Uint8Array>).getReader();
      let text = '';
      while (text.length < 10) text += Buffer.from((await reader.read()).value!).toString();
      const writer = (writable as WritableStream).getWriter();
      await writer.write(Buffer.from('and back'));
      const back = String(await readExactly(client, 8));
      client.resume();
      await writer.close();
      await closed(socket);
      return { text, back, events: events.filter((event) => !/pause|resume/.test(event)) };
    },
  },
  'pauseOnConnect: nothing flows until resume()': {
    server: { pauseOnConnect: true },
    async run({ socket, client }) {
      client.write('early');
      const before = [socket.readableFlowing, socket.isPaused()];
      const early = once(socket, 'data');
      socket.resume();
      return { before, early: String((await early)[0]) };
    },
  },
};

/** Facts and settings. */
const facts: Record<string, Program> = {
  'state from open to closed': {
    server: both,
    async run({ socket, client }) {
      const states = [snapshot(socket)];
      client.end();
      socket.resume();
      await once(socket, 'end');
      states.push(snapshot(socket));
      await new Promise<void>((resolve) => socket.end(() => resolve()));
      await closed(socket);
      states.push(snapshot(socket));
      return states;
    },
  },
  'state after destroy()': {
    async run({ socket }) {
      socket.destroy();
      const at = snapshot(socket);
      await closed(socket);
      return [at, snapshot(socket)];
    },
  },
  addresses: {
    async run({ socket, client, port }) {
      const address = socket.address() as AddressInfo;
      const local = {
        address: socket.localAddress,
        port: socket.localPort,
        family: socket.localFamily,
      };
      const right = [
        socket.remotePort === client.localPort,
        socket.localPort === port,
        address.port === port,
      ];
      const named = [
        socket.remoteAddress,
        socket.remoteFamily,
        address.address,
        address.family,
        local.address,
        local.family,
      ];
      socket.destroy();
      await closed(socket);
      return {
        right,
        named,
        after: [socket.remoteAddress, typeof socket.remotePort, socket.remoteFamily],
      };
    },
  },
  'addresses are there to the handlers of close': {
    async run({ socket, client }) {
      const asked = socket.remoteAddress;
      const seen = new Promise((resolve) => {
        socket.once('close', () => resolve([socket.remoteAddress, socket.remoteFamily]));
      });
      client.resume();
      socket.resume().end();
      return { asked, seen: await seen };
    },
  },
  'no client certificate asked for': {
    run: ({ socket }) => certificateFacts(socket),
  },
  'a client certificate asked for and not shown': {
    server: clientAuth,
    run: ({ socket }) => certificateFacts(socket),
  },
  'a valid client certificate': {
    server: () => ({ ...clientAuth, ca: identity.ca }),
    client: () => ({ key: clientIdentity.key, cert: clientIdentity.cert }),
    run: ({ socket }) => certificateFacts(socket),
  },
  'getPeerCertificate(true) of a client that shows no issuers': {
    server: () => ({ ...clientAuth, ca: identity.ca }),
    client: () => ({ key: clientIdentity.key, cert: clientIdentity.cert }),
    run: ({ socket }) => detailedFacts(socket),
  },
  'getPeerCertificate(true) without a certificate, and of a stranger': {
    server: () => ({ ...clientAuth, ca: identity.ca }),
    client: () => ({ key: strangerIdentity.key, cert: strangerIdentity.cert }),
    async run({ socket, port, server }) {
      const next = once(server, 'secureConnection');
      const client = connect(port);
      const [bare] = (await next) as [tls.TLSSocket];
      const described = [detailedFacts(socket), detailedFacts(bare)];
      client.destroy();
      bare.destroy();
      return described;
    },
  },
  "a client certificate of a stranger's authority": {
    server: () => ({ ...clientAuth, ca: identity.ca }),
    client: () => ({ key: strangerIdentity.key, cert: strangerIdentity.cert }),
    run: ({ socket }) => certificateFacts(socket),
  },
  'a client certificate with its chain': {
    server: () => ({ ...clientAuth, ca: identity.ca }),
    client: () => ({
      key: clientIdentity.key,
      cert: `${clientIdentity.cert}\n${clientIdentity.ca}`,
    }),
    run: ({ socket }) => [certificateFacts(socket), detailedFacts(socket)],
  },
  'neither ALPN nor SNI': {
    run: ({ socket }) => [socket.alpnProtocol, servername(socket)],
  },
  'ALPN: the server prefers': {
    server: { ALPNProtocols: ['one', 'two'] },
    client: { ALPNProtocols: ['two', 'one'] },
    run: ({ socket, client }) => [socket.alpnProtocol, client.alpnProtocol],
  },
  'ALPN of the server alone': {
    server: { ALPNProtocols: ['one'] },
    run: ({ socket, client }) => [socket.alpnProtocol, client.alpnProtocol],
  },
  'ALPN of the client alone': {
    client: { ALPNProtocols: ['one'] },
    run: ({ socket, client }) => [socket.alpnProtocol, client.alpnProtocol],
  },
  SNI: {
    client: { servername: 'Example.test' },
    run: ({ socket }) => servername(socket),
  },
  'TLS 1.3': {
    client: { minVersion: 'TLSv1.3', ciphers: 'TLS_AES_256_GCM_SHA384' },
    run: ({ socket, client }) => sessionFacts(socket, client),
  },
  'TLS 1.3 with ChaCha20': {
    client: { minVersion: 'TLSv1.3', ciphers: 'TLS_CHACHA20_POLY1305_SHA256' },
    run: ({ socket, client }) => sessionFacts(socket, client),
  },
  'TLS 1.2': {
    client: { maxVersion: 'TLSv1.2' },
    run: ({ socket, client }) => sessionFacts(socket, client),
  },
  'TLS 1.2 with one cipher suite': {
    client: { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES256-GCM-SHA384' },
    run: ({ socket, client }) => sessionFacts(socket, client),
  },
  'the certificate of the server itself': {
    run: ({ socket }) => ({
      certificate: plain(socket.getCertificate()),
      x509: socket.getX509Certificate()?.fingerprint256,
    }),
  },
  'what a destroyed socket says of its session': {
    async run({ socket }) {
      socket.destroy();
      const say = () => [
        socket.getProtocol(),
        socket.getCipher(),
        socket.getPeerCertificate(),
        socket.getCertificate(),
        socket.getPeerX509Certificate(),
        socket.getX509Certificate(),
        socket.authorized,
        socket.alpnProtocol,
        servername(socket),
      ];
      const at = say();
      await closed(socket);
      return [at, say()];
    },
  },
  'setters give the socket back': {
    run: ({ socket }) =>
      [
        socket.setNoDelay(),
        socket.setNoDelay(false),
        socket.setKeepAlive(true, 5000),
        socket.setKeepAlive(),
        socket.setTimeout(5000),
        socket.setTimeout(0),
        socket.ref(),
        socket.unref(),
        socket.ref(),
        socket.pause(),
        socket.resume(),
        socket.setDefaultEncoding('utf8'),
        socket.destroy(),
      ].map((answer) => answer === socket),
  },
  'setTimeout(): fires once idle, does not close': {
    async run({ socket, events }) {
      let calls = 0;
      socket.setTimeout(30, () => calls++);
      const set = socket.timeout;
      await once(socket, 'timeout');
      return { set, calls, events, destroyed: socket.destroyed, readyState: socket.readyState };
    },
  },
  'setTimeout(0) takes the timeout and its callback back': {
    async run({ socket, events }) {
      socket.setTimeout(20, ignore);
      socket.setTimeout(0, ignore);
      const listeners = socket.listenerCount('timeout');
      await new Promise((resolve) => setTimeout(resolve, 60));
      return { listeners, timeout: socket.timeout, events };
    },
  },
  'setTimeout() with bad values': {
    run({ socket }) {
      const values: unknown[][] = [['5'], [-1], [Number.NaN], [Number.POSITIVE_INFINITY], [5, 'x']];
      return values.map((args) => {
        try {
          socket.setTimeout(...(args as [number]));
          return 'taken';
        } catch (error) {
          return [(error as NodeJS.ErrnoException).code, (error as Error).name];
        }
      });
    },
  },
  'documented members are there': {
    run: ({ socket }) =>
      [
        'address',
        'connect',
        'destroy',
        'destroySoon',
        'disableRenegotiation',
        'enableTrace',
        'end',
        'exportKeyingMaterial',
        'getCertificate',
        'getCipher',
        'getEphemeralKeyInfo',
        'getFinished',
        'getPeerCertificate',
        'getPeerFinished',
        'getPeerX509Certificate',
        'getProtocol',
        'getSession',
        'getSharedSigalgs',
        'getTLSTicket',
        'getX509Certificate',
        'isSessionReused',
        'pause',
        'read',
        'ref',
        'renegotiate',
        'resetAndDestroy',
        'resume',
        'setEncoding',
        'setKeepAlive',
        'setMaxSendFragment',
        'setNoDelay',
        'setTimeout',
        'unref',
        'unshift',
        'wrap',
        'write',
        'pipe',
        'cork',
        'uncork',
        'compose',
        'map',
        'toArray',
      ].map((name) => [name, typeof (socket as unknown as Record<string, unknown>)[name]]),
  },
  'what methods say of arguments they do not take': {
    run({ socket }) {
      const calls: [string, ...unknown[]][] = [
        ['exportKeyingMaterial', 0, 'label'],
        ['exportKeyingMaterial', -3, 'label'],
        ['exportKeyingMaterial', 'length', 'label'],
        ['exportKeyingMaterial', 10, null],
        ['exportKeyingMaterial', 10, 'label', 'context'],
        ['setMaxSendFragment', 511],
        ['setMaxSendFragment', 512],
        ['setMaxSendFragment', 16_384],
        ['setMaxSendFragment', 16_385],
        ['setMaxSendFragment', '1024'],
        ['setMaxSendFragment', 1024.5],
        ['setServername', 'localhost'],
        ['setServername', 1],
        ['renegotiate'],
        ['renegotiate', {}, 'callback'],
        ['setSession', 5],
        ['setSession', 'session'],
        ['disableRenegotiation'],
        ['setKeyCert', 5],
      ];
      return calls.map(([name, ...args]) => {
        try {
          return (socket as unknown as Record<string, (...args: unknown[]) => unknown>)[name](
            ...args,
          );
        } catch (error) {
          return [(error as NodeJS.ErrnoException).code, (error as Error).name];
        }
      });
    },
  },
  ...Object.fromEntries(
    (['TLSv1.2', 'TLSv1.3'] as const).map((version): [string, Program] => [
      `exportKeyingMaterial(): both ends, with and without context, ${version}`,
      {
        client: { minVersion: version, maxVersion: version },
        run({ socket, client }) {
          const label = 'EXPORTER-offloop';
          const contexts = [undefined, Buffer.alloc(0), Buffer.from('context'), new Uint16Array(3)];
          const material = contexts.map((context) => [
            socket.exportKeyingMaterial(128, label, context as never),
            client.exportKeyingMaterial(128, label, context as never),
          ]);
          const all = material.map(([own]) => own.toString('hex'));
          return [material.map(([own, theirs]) => own.equals(theirs)), new Set(all).size];
        },
      },
    ]),
  ),
  'exportKeyingMaterial() of a closed socket': {
    async run({ socket }) {
      socket.destroy();
      await closed(socket);
      try {
        return socket.exportKeyingMaterial(10, 'label', Buffer.alloc(0));
      } catch (error) {
        return (error as Error).name;
      }
    },
  },
  'renegotiate() in TLS 1.3 calls back with an error': {
    async run({ socket }) {
      const outcome = new Promise<unknown>((resolve) => {
        resolve(
          new Promise((settle) => {
            const answer = socket.renegotiate({}, (error) => settle([answer, codeOf(error)]));
          }),
        );
      });
      return outcome;
    },
  },
  'setMaxSendFragment(): records are no larger': {
    client: { minVersion: 'TLSv1.3' },
    async run({ socket, client }) {
      socket.setMaxSendFragment(512);
      socket.end(Buffer.alloc(2000));
      return (await readAll(client)).length;
    },
  },
  'who is asked for a certificate': {
    server: clientAuth,
    run: ({ socket }) => {
      const { _requestCert, _rejectUnauthorized, _tlsOptions, ssl, _handle } =
        socket as unknown as Record<string, Record<string, unknown>>;
      const { isServer, requestCert } = _tlsOptions;
      return [_requestCert, _rejectUnauthorized, isServer, requestCert, ssl === _handle];
    },
  },
  'what the handle says': {
    client: { servername: 'example.test', ALPNProtocols: ['one'] },
    server: { ...clientAuth, ALPNProtocols: ['one'] },
    run: ({ socket }) => {
      const { _handle: handle } = socket as unknown as {
        _handle: Record<string, () => Error | string>;
      };
      return [
        handle.getServername(),
        handle.getALPNNegotiatedProtocol(),
        codeOf(handle.verifyError() as Error),
      ];
    },
  },
  'constant facts': {
    run: ({ socket, client }) => [
      socket.encrypted,
      socket.isSessionReused(),
      socket.getEphemeralKeyInfo(),
      socket.getTLSTicket(),
      socket instanceof tls.TLSSocket,
      client.authorized,
      Object.prototype.toString.call(socket),
      socket.allowHalfOpen,
      socket.autoSelectFamilyAttemptedAddresses,
    ],
  },
};

/** Servers. */
const servers: Record<string, Program> = {
  'close() waits for connections, then calls back and emits': {
    async run({ server, socket, client, events }) {
      const order: string[] = [];
      socket.on('close', () => order.push('socket'));
      server.on('close', () => order.push('server'));
      const done = new Promise<unknown>((resolve) =>
        server.close((error) => {
          order.push('callback');
          resolve(error);
        }),
      );
      const during = [server.listening, server.address()];
      client.resume().end();
      socket.resume();
      const error = await done;
      await closed(socket);
      // Node's server does not wait for the 'close' of its last socket, ours does.
      return {
        order: order.filter((entry) => entry !== 'socket'),
        during,
        error,
        events: [...events],
      };
    },
  },
  'close() twice': {
    async run({ server, socket, client }) {
      const first = new Promise<unknown>((resolve) => server.close(resolve));
      const second = new Promise<unknown>((resolve) =>
        server.close((error) => resolve((error as NodeJS.ErrnoException)?.code)),
      );
      client.destroy();
      socket.on('error', () => {}).destroy();
      return Promise.all([first, second]);
    },
  },
  'getConnections() counts, and counts down': {
    async run({ server, port, socket, client }) {
      const count = () =>
        new Promise<number>((resolve) => server.getConnections((_, value) => resolve(value)));
      const one = await count();
      const more = [connect(port), connect(port)];
      await Promise.all(more.map((each) => once(each, 'secureConnect')));
      const three = await count();
      for (const each of [client, ...more]) each.resume().end();
      socket.resume();
      let left = await count();
      const deadline = Date.now() + 10_000;
      while (left > 0 && Date.now() < deadline) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        left = await count();
      }
      return { one, three, left };
    },
    onSecure: (socket) => socket.resume(),
  },
  'address() of a listening server': {
    run({ server }) {
      const { address, family, port } = server.address() as AddressInfo;
      return [address, family, typeof port, server.listening, Object.keys(server.address()!)];
    },
  },
  'listen() while it listens': {
    run({ server }) {
      try {
        server.listen(0);
        return 'taken';
      } catch (error) {
        return [(error as NodeJS.ErrnoException).code, (error as Error).message];
      }
    },
  },
  'a server that listens again after close()': {
    async run({ server, socket, client }) {
      client.destroy();
      socket.on('error', () => {}).destroy();
      await new Promise((resolve) => server.close(resolve));
      const again = await listen(server as never);
      const next = connect(again.port);
      await once(next, 'secureConnect');
      next.destroy();
      return [server.listening, client.destroyed];
    },
  },
  'the socket knows its server': {
    run: ({ server, socket }) => (socket as unknown as { server: unknown }).server === server,
  },
};

for (const [group, programs] of Object.entries({ endings, data, facts, servers })) {
  describe(group, () => {
    for (const [name, program] of Object.entries(programs)) {
      test(name, async () => {
        const expected = await perform(nodeTls, program);
        expect(expected).toBeDefined();
        expect(await perform(offloop, program)).toStrictEqual(expected);
      });
    }
  });
}

async function perform(library: Library, program: Program): Promise<unknown> {
  let events: Entry[] = [];
  await using ends = await pair(library, {
    server: { ...identity, ca: undefined, ...given(program.server) },
    client: given(program.client) ?? {},
    onSecure(socket) {
      events = diary(socket);
      program.onSecure?.(socket);
    },
  });
  const clientEvents = diary(ends.client);
  return await program.run({ ...ends, events, clientEvents, library });
}

function given<T>(value: T | (() => T) | undefined): T | undefined {
  return typeof value === 'function' ? (value as () => T)() : value;
}

function codeOf(error: Error | null | undefined): string | undefined {
  return (error as NodeJS.ErrnoException | null)?.code;
}

function ignore(): void {}

/** The peer answers our end with its own, which may or may not come before we are closed. */
function withoutEnd(events: Entry[]): Entry[] {
  return events.filter((event) => event !== 'end');
}

function snapshot(socket: tls.TLSSocket): object {
  const {
    readyState,
    pending,
    connecting,
    destroyed,
    closed: isClosed,
    errored,
    readable,
    writable,
    readableEnded,
    readableAborted,
    readableDidRead,
    writableEnded,
    writableFinished,
    writableLength,
    writableNeedDrain,
    writableCorked,
    readableLength,
    readableObjectMode,
    writableObjectMode,
    encrypted,
    bufferSize,
    timeout,
  } = socket;
  return {
    readyState,
    pending,
    connecting,
    destroyed,
    isClosed,
    errored,
    readable,
    writable,
    readableEnded,
    readableAborted,
    readableDidRead,
    writableEnded,
    writableFinished,
    writableLength,
    writableNeedDrain,
    writableCorked,
    readableLength,
    readableObjectMode,
    writableObjectMode,
    encrypted,
    bufferSize,
    timeout,
  };
}

function certificateFacts(socket: tls.TLSSocket): object {
  return {
    authorized: socket.authorized,
    authorizationError: socket.authorizationError,
    certificate: plain(socket.getPeerCertificate()),
    x509: socket.getPeerX509Certificate()?.fingerprint256,
  };
}

function detailedFacts(socket: tls.TLSSocket): object {
  return { detailed: plain(socket.getPeerCertificate(true)) };
}

function sessionFacts(socket: tls.TLSSocket, client: tls.TLSSocket): object {
  return {
    protocol: socket.getProtocol(),
    cipher: socket.getCipher(),
    clientsCipher: client.getCipher(),
    reused: socket.isSessionReused(),
  };
}

function servername(socket: tls.TLSSocket): unknown {
  return (socket as unknown as { servername: unknown }).servername;
}

/** Certificates link to themselves and hold objects without prototypes; neither is compared. */
function plain(value: unknown, seen = new Set<unknown>()): unknown {
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return value;
  if (seen.has(value)) return 'circular';
  seen.add(value);
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plain(item, seen)]));
}
