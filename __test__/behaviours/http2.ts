/** HTTP/2 over it: http2.createSecureServer(). */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import nodeHttp2, {
  type ClientHttp2Session,
  type Http2SecureServer,
  type Http2ServerRequest,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
  type SecureServerOptions,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import nodeTls, { type TLSSocket } from 'node:tls';

import { closed, until } from '../support/streams.js';
import type { Modules, Row } from './row.js';
import { attempt, ignore, order, problem, promised, type Stage, text } from './stage.js';

interface Scene {
  readonly server: Http2SecureServer;
  readonly port: number;
  readonly stage: Stage;
  /** A session of node:http2, closed with the row. */
  readonly connect: (options?: nodeHttp2.SecureClientSessionOptions) => ClientHttp2Session;
}

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders & IncomingHttpStatusHeader;
  readonly body: string;
}

function scene(
  program: (scene: Scene) => unknown,
  options: SecureServerOptions | ((stage: Stage) => SecureServerOptions) = {},
): Row['run'] {
  return async ({ http2 }: Modules, stage) => {
    const server = http2.createSecureServer({
      ...stage.material.ecdsa,
      ...(typeof options === 'function' ? options(stage) : options),
    });
    const port = await stage.listen(server);
    const connect: Scene['connect'] = (given = {}) => {
      const session = nodeHttp2.connect(`https://localhost:${port}`, {
        host: '127.0.0.1',
        rejectUnauthorized: false,
        ...given,
      } as nodeHttp2.SecureClientSessionOptions);
      session.on('error', () => {});
      stage.finally(() => session.destroy());
      return session;
    };
    return program({ server, port, stage, connect });
  };
}

/** One request on this session; its whole answer. */
async function ask(
  session: ClientHttp2Session,
  headers: nodeHttp2.OutgoingHttpHeaders = {},
  body?: string | Buffer,
): Promise<Answer> {
  const stream = session.request({ ':path': '/', ...headers }, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  const [response] = (await once(stream, 'response')) as [Answer['headers']];
  return { status: response[':status'], headers: response, body: await text(stream) };
}

function answering(server: Http2SecureServer, body: string): void {
  server.on('stream', (stream) => {
    stream.respond({ ':status': 200 });
    stream.end(body);
  });
}

/** Origins name ports, which differ. */
function portless(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value).replaceAll(/:\d{4,5}"/g, ':port"'));
}

export const http2: Row[] = [
  {
    name: 'a stream and its answer',
    run: scene(async ({ server, connect }) => {
      server.on('stream', (stream, headers) => {
        stream.respond({ ':status': 201, 'x-path': headers[':path'] });
        stream.end('hello');
      });
      const { status, headers, body } = await ask(connect(), { ':path': '/here' });
      return [status, headers['x-path'], body];
    }),
    expect: [201, '/here', 'hello'],
  },
  {
    name: 'the compatibility API',
    run: scene(async ({ server, connect }) => {
      server.on('request', async (request, response) => {
        const body = await text(request.stream);
        response.setHeader('X-Method', request.method);
        response.end(
          `${request.httpVersion} ${request.scheme} ${request.authority !== ''} ${body}`,
        );
      });
      const { status, headers, body } = await ask(connect(), { ':method': 'POST' }, 'body');
      return [status, headers['x-method'], body];
    }),
    expect: [200, 'POST', '2.0 https true body'],
  },
  {
    name: 'ALPN: h2 and what a client offers besides',
    run: scene(async ({ server, port, stage }) => {
      answering(server, 'hello');
      const got = [];
      for (const ALPNProtocols of [['h2'], ['http/1.1', 'h2']]) {
        const client = stage.connect(port, { ALPNProtocols });
        await once(client, 'secureConnect');
        got.push(client.alpnProtocol);
      }
      return got;
    }),
    expect: ['h2', 'h2'],
  },
  {
    name: 'ALPN: nothing in common',
    run: scene(async ({ server, port, stage }) => {
      const seen: unknown[] = [];
      const failed = promised();
      server.on('tlsClientError', (error) => {
        seen.push(problem(error));
        failed.resolve();
      });
      const { code } = await stage.visit(port, { ALPNProtocols: ['http/1.1'] });
      await failed.promise;
      return [code, seen];
    }),
  },
  {
    name: 'allowHTTP1: both are served by one listener',
    run: scene(
      async ({ server, port, stage, connect }) => {
        server.on('request', (request: Http2ServerRequest, response) => {
          response.end(`${request.httpVersion} ${(request.socket as TLSSocket).alpnProtocol}`);
        });
        const old = await stage.request(port, { ALPNProtocols: ['http/1.1'] } as object);
        const bare = await stage.request(port);
        return [(await ask(connect())).body, old.body, bare.body];
      },
      { allowHTTP1: true },
    ),
  },
  {
    name: 'allowHTTP1: keep-alive and Upgrade',
    run: scene(
      async ({ server, port, stage }) => {
        server.on('upgrade', (_request: unknown, socket: Duplex) => {
          socket.end(
            'HTTP/1.1 101 Switching Protocols\r\nUpgrade: mine\r\nConnection: Upgrade\r\n\r\nhello',
          );
        });
        return stage.exchange(
          port,
          'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: mine\r\nConnection: Upgrade\r\n\r\n',
        );
      },
      { allowHTTP1: true },
    ),
  },
  {
    name: 'unknownProtocol: what the listener gets',
    run: scene(async ({ server, port, stage }) => {
      const seen = promised<unknown[]>();
      server.on('unknownProtocol', (socket) => {
        seen.resolve([
          socket instanceof nodeTls.TLSSocket,
          socket.alpnProtocol,
          socket.destroyed,
          socket.encrypted,
        ]);
        socket.end('not for you');
      });
      const client = stage.connect(port);
      const said = await text(client);
      return [await seen.promise, said];
    }),
    expect: [[true, false, false, true], 'not for you'],
  },
  {
    name: 'unknownProtocol: nobody listens',
    run: scene(async ({ port, stage }) => {
      const said = await stage.exchange(port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      return said;
    }),
  },
  {
    name: 'unknownProtocolTimeout destroys a socket that the client does not end',
    run: scene(
      async ({ server, port, stage }) => {
        const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>;
        const client = stage.connect(port, { allowHalfOpen: true } as object);
        client.resume();
        const [socket] = await accepted;
        await closed(socket);
        return client.destroyed;
      },
      { unknownProtocolTimeout: 30 } as SecureServerOptions,
    ),
    expect: false,
  },
  {
    name: 'session: encrypted, alpnProtocol, originSet, type, destroyed',
    run: scene(
      async ({ server, connect }) => {
        const seen = promised<unknown[]>();
        answering(server, 'hello');
        server.on('session', (session) => {
          session.once('stream', () => {
            seen.resolve([
              session.encrypted,
              session.alpnProtocol,
              session.originSet,
              session.type,
              session.destroyed,
              session.closed,
              session.connecting,
            ]);
          });
        });
        const session = connect({ servername: 'a.example' } as object);
        await ask(session);
        return portless([
          await seen.promise,
          session.encrypted,
          session.alpnProtocol,
          session.originSet,
        ]);
      },
      (stage) => stage.material.a,
    ),
  },
  {
    name: 'session.originSet with the origins that the server sends',
    run: scene(
      async ({ server, connect }) => {
        const seen = promised<unknown>();
        answering(server, 'hello');
        server.on('session', (session) => {
          session.origin('https://b.example');
          session.once('stream', () => seen.resolve(session.originSet));
        });
        const session = connect();
        const told = once(session, 'origin') as Promise<[string[]]>;
        await ask(session);
        const [first] = await told;
        return portless([await seen.promise, first, session.originSet?.length]);
      },
      { origins: ['https://a.example', 'https://c.example'] },
    ),
  },
  {
    name: 'session.altsvc()',
    run: scene(async ({ server, connect }) => {
      answering(server, 'hello');
      server.on('session', (session) => session.altsvc('h2=":8000"', 'https://a.example'));
      const session = connect();
      const told = once(session, 'altsvc') as Promise<[string, string, number]>;
      await ask(session);
      return told;
    }),
    expect: ['h2=":8000"', 'https://a.example', 0],
  },
  {
    name: 'session.socket: what its proxy gives, and what it refuses',
    run: scene(async ({ server, connect }) => {
      const seen = promised<unknown>();
      server.on('stream', (stream: ServerHttp2Stream) => {
        const socket = stream.session!.socket as TLSSocket;
        seen.resolve([
          socket.encrypted,
          socket.authorized,
          socket.alpnProtocol,
          (socket as unknown as { servername: unknown }).servername,
          socket.remoteAddress,
          socket.remoteFamily,
          typeof socket.remotePort,
          socket.localAddress,
          socket.getProtocol(),
          socket.getCipher(),
          { ...socket.getPeerCertificate() },
          socket instanceof net.Socket,
          [
            'destroy',
            'emit',
            'end',
            'pause',
            'read',
            'resume',
            'write',
            'setEncoding',
            'setKeepAlive',
            'setNoDelay',
          ].map((name) => [
            name,
            attempt(() => typeof (socket as unknown as Record<string, unknown>)[name]),
          ]),
          attempt(() => Object.assign(socket, { pause: 1 }) && 'set'),
        ]);
        stream.respond();
        stream.end();
      });
      await ask(connect());
      return seen.promise;
    }),
  },
  {
    name: 'request.socket and stream.session.socket are one',
    run: scene(async ({ server, connect }) => {
      server.on('request', (request, response) => {
        const socket = request.socket as TLSSocket;
        response.end(
          JSON.stringify([
            socket === request.stream.session!.socket,
            socket.encrypted,
            socket.alpnProtocol,
            socket.remoteAddress,
            socket.getProtocol(),
            typeof socket.setTimeout,
          ]),
        );
      });
      return JSON.parse((await ask(connect())).body);
    }),
  },
  {
    name: 'client certificates are seen through the proxy',
    run: scene(
      async ({ server, connect, stage }) => {
        server.on('request', ({ socket }, response) => {
          const peer = socket as TLSSocket;
          response.end(JSON.stringify([peer.authorized, peer.getPeerCertificate().subject.CN]));
        });
        return JSON.parse((await ask(connect(stage.material.client))).body);
      },
      ({ material: { ca } }) => ({ ca, requestCert: true }),
    ),
    expect: [true, 'client'],
  },
  {
    name: 'ping, both ways',
    run: scene(async ({ server, connect }) => {
      const answered = promised<unknown[]>();
      const heard = promised<string>();
      server.on('session', (session) => {
        session.on('ping', (payload) => heard.resolve(String(payload)));
        session.ping(Buffer.from('12345678'), (error, duration, payload) => {
          answered.resolve([error, typeof duration, String(payload)]);
        });
      });
      const session = connect();
      await once(session, 'connect');
      const mine = promised<unknown[]>();
      session.ping(Buffer.from('abcdefgh'), (error, duration, payload) => {
        mine.resolve([error, typeof duration, String(payload)]);
      });
      return [await answered.promise, await heard.promise, await mine.promise];
    }),
    expect: [[null, 'number', '12345678'], 'abcdefgh', [null, 'number', 'abcdefgh']],
  },
  {
    name: 'settings: of the options, and changed',
    run: scene(
      async ({ server, connect }) => {
        const seen = promised<unknown>();
        server.on('session', (session) => {
          session.on('remoteSettings', ({ initialWindowSize, enablePush }) => {
            session.settings({ maxConcurrentStreams: 7 }, (error, settings) => {
              seen.resolve([initialWindowSize, enablePush, error, settings.maxConcurrentStreams]);
            });
          });
        });
        const session = connect({ settings: { initialWindowSize: 70_000, enablePush: false } });
        const [first] = (await once(session, 'remoteSettings')) as [nodeHttp2.Settings];
        const [second] = (await once(session, 'remoteSettings')) as [nodeHttp2.Settings];
        return [
          first.maxFrameSize,
          first.maxConcurrentStreams,
          second.maxConcurrentStreams,
          await seen.promise,
        ];
      },
      { settings: { maxFrameSize: 20_000, maxConcurrentStreams: 50 } },
    ),
  },
  {
    name: 'push',
    run: scene(async ({ server, connect }) => {
      server.on('stream', (stream: ServerHttp2Stream, headers) => {
        const answer = (): void => {
          stream.respond();
          stream.end(`answer to ${headers[':path']}`);
        };
        if (!stream.pushAllowed) return answer();
        stream.pushStream({ ':path': '/pushed' }, (error, pushed, given) => {
          if (error) throw error;
          pushed.respond({ 'x-given': given[':path'] });
          pushed.end('pushed');
          answer();
        });
      });
      const session = connect();
      const pushed = promised<unknown[]>();
      session.on('stream', (stream, headers) => {
        stream.on('push', (responseHeaders) => {
          void text(stream).then((body) =>
            pushed.resolve([headers[':path'], responseHeaders['x-given'], body]),
          );
        });
      });
      return [(await ask(session)).body, await pushed.promise];
    }),
    expect: ['answer to /', ['/pushed', '/pushed', 'pushed']],
  },
  {
    name: 'trailers, both ways',
    run: scene(async ({ server, connect }) => {
      server.on('stream', (stream: ServerHttp2Stream) => {
        stream.on('trailers', (trailers) => {
          stream.respond({ 'x-trailer': trailers['x-in'] }, { waitForTrailers: true });
          stream.on('wantTrailers', () => stream.sendTrailers({ 'x-out': 'last' }));
          stream.end('body');
        });
        stream.resume();
      });
      const stream = connect().request({ ':method': 'POST' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-in': 'first' }));
      stream.end('x');
      const [[response], [trailers], body] = await Promise.all([
        once(stream, 'response') as Promise<[IncomingHttpHeaders]>,
        once(stream, 'trailers') as Promise<[IncomingHttpHeaders]>,
        text(stream),
      ]);
      return [response['x-trailer'], trailers['x-out'], body];
    }),
    expect: ['first', 'last', 'body'],
  },
  {
    name: 'informational headers and Expect',
    run: scene(async ({ server, connect }) => {
      server.on('stream', (stream: ServerHttp2Stream) => {
        stream.additionalHeaders({ ':status': 103, link: '</x>' });
        stream.respond({ ':status': 200 });
        stream.end();
      });
      const stream = connect().request();
      const [[early], [response]] = (await Promise.all([
        once(stream, 'headers'),
        once(stream, 'response'),
      ])) as [[IncomingHttpHeaders & IncomingHttpStatusHeader], [IncomingHttpStatusHeader]];
      return [early[':status'], early.link, response[':status']];
    }),
    expect: [103, '</x>', 200],
  },
  {
    name: 'GOAWAY of the server: goaway(), then close()',
    run: scene(async ({ server, connect }) => {
      server.on('stream', (stream: ServerHttp2Stream) => {
        stream.session!.goaway(nodeHttp2.constants.NGHTTP2_NO_ERROR, 1, Buffer.from('data'));
        stream.respond();
        stream.end('before the end');
      });
      const session = connect();
      const told = once(session, 'goaway') as Promise<[number, number, Buffer]>;
      const { body } = await ask(session);
      const [code, last, data] = await told;
      return [body, code, last, String(data)];
    }),
  },
  {
    name: 'session.close() waits for its streams',
    run: scene(async ({ server, connect }) => {
      const events: string[] = [];
      const over = promised();
      server.on('stream', (stream: ServerHttp2Stream) => {
        const session = stream.session!;
        session.close(() => {
          events.push('session closed');
          over.resolve();
        });
        stream.respond();
        setImmediate(() => {
          events.push('stream ends');
          stream.end('still answered');
        });
      });
      const { body } = await ask(connect());
      await over.promise;
      return [body, events];
    }),
    expect: ['still answered', ['stream ends', 'session closed']],
  },
  {
    name: 'session.destroy(error, code): what both ends emit',
    run: scene(async ({ server, connect }) => {
      const events: string[] = [];
      const over = promised();
      server.on('stream', (stream: ServerHttp2Stream) => {
        const session = stream.session!;
        session.on('error', (error) => events.push(`session error ${error.message}`));
        session.on('close', () => {
          events.push('session close');
          over.resolve();
        });
        stream.on('error', (error: Error) => events.push(`stream error ${error.message}`));
        stream.on('close', () => events.push('stream close'));
        session.destroy(new Error('enough'), nodeHttp2.constants.NGHTTP2_INTERNAL_ERROR);
      });
      const session = connect();
      const failed = closed(session as never);
      const stream = session.request();
      stream.on('error', () => {});
      await failed;
      await over.promise;
      return events;
    }),
  },
  {
    name: 'stream.close(code): RST_STREAM',
    run: scene(async ({ server, connect }) => {
      server.on('stream', (stream: ServerHttp2Stream) => {
        stream.on('error', () => {});
        stream.close(nodeHttp2.constants.NGHTTP2_REFUSED_STREAM);
      });
      const session = connect();
      const stream = session.request();
      const [error] = (await once(stream, 'error')) as [Error];
      return [problem(error), stream.rstCode, session.destroyed];
    }),
  },
  {
    name: 'a client that cancels a stream: aborted',
    run: scene(async ({ server, connect }) => {
      const seen = promised<unknown[]>();
      const started = promised();
      server.on('stream', (stream: ServerHttp2Stream) => {
        const events: string[] = [];
        stream.on('aborted', () => events.push('aborted'));
        stream.on('error', (error: NodeJS.ErrnoException) => events.push(`error ${error.code}`));
        stream.on('close', () => seen.resolve([events, stream.rstCode, stream.aborted]));
        stream.respond();
        stream.write('part');
        started.resolve();
      });
      const stream = connect().request({ ':method': 'POST' });
      stream.on('error', () => {});
      await started.promise;
      stream.close(nodeHttp2.constants.NGHTTP2_CANCEL);
      return seen.promise;
    }),
  },
  {
    name: 'clients that go: what session and stream emit',
    run: scene(async ({ server, connect }) => {
      const transcripts: string[][] = [];
      for (let i = 0; i < 10; i++) {
        const events: string[] = [];
        const over = promised();
        const started = promised();
        server.once('session', (session: ServerHttp2Session) => {
          session.on('close', () => {
            events.push('session close');
            over.resolve();
          });
          session.on('error', (error) => events.push(`session error ${problem(error).code}`));
        });
        server.once('stream', (stream: ServerHttp2Stream) => {
          stream.on('aborted', () => events.push('aborted'));
          stream.on('error', (error) => events.push(`stream error ${problem(error).code}`));
          stream.on('close', () => events.push('stream close'));
          started.resolve();
        });
        const session = connect();
        session.request({ ':method': 'POST' }).on('error', ignore);
        await started.promise;
        session.destroy();
        await over.promise;
        transcripts.push(events.toSorted());
      }
      return transcripts;
    }),
    expect: Array.from({ length: 10 }, () => ['aborted', 'session close', 'stream close']),
  },
  {
    name: 'a large upload',
    run: scene(async ({ server, connect }) => {
      server.on('stream', (stream: ServerHttp2Stream) => {
        let size = 0;
        stream.on('data', (chunk: Buffer) => (size += chunk.length));
        stream.on('end', () => {
          stream.respond();
          stream.end(String(size));
        });
      });
      return (await ask(connect(), { ':method': 'POST' }, Buffer.alloc(5 << 20))).body;
    }),
    expect: String(5 << 20),
  },
  {
    name: 'a large download that is read slowly',
    run: scene(async ({ server, connect }) => {
      server.on('stream', (stream: ServerHttp2Stream) => {
        stream.respond();
        stream.end(Buffer.alloc(5 << 20, 'x'));
      });
      const stream = connect().request();
      let size = 0;
      stream.on('data', (chunk: Buffer) => {
        size += chunk.length;
        stream.pause();
        setImmediate(() => stream.resume());
      });
      await once(stream, 'end');
      return size;
    }),
    expect: 5 << 20,
  },
  {
    name: 'flow control: a stream that nobody reads does not hold up others',
    run: scene(async ({ server, connect }) => {
      server.on('stream', (stream: ServerHttp2Stream, headers) => {
        stream.respond();
        if (headers[':path'] === '/large') stream.end(Buffer.alloc(1 << 20));
        else stream.end('small');
      });
      const session = connect({ settings: { initialWindowSize: 10_000 } });
      const large = session.request({ ':path': '/large' });
      large.pause();
      await once(large, 'response');
      const { body } = await ask(session, { ':path': '/small' });
      let size = 0;
      large.on('data', (chunk: Buffer) => (size += chunk.length)).resume();
      await once(large, 'end');
      return [body, size];
    }),
    expect: ['small', 1 << 20],
  },
  {
    name: 'an echo of two megabytes, at once both ways',
    run: scene(async ({ server, connect }) => {
      server.on('stream', (stream: ServerHttp2Stream) => {
        stream.respond();
        stream.pipe(stream);
      });
      const bytes = Buffer.alloc(2 << 20, 'echo');
      const { body } = await ask(connect(), { ':method': 'POST' }, bytes);
      return Buffer.from(body).equals(bytes);
    }),
    expect: true,
  },
  {
    name: 'a hundred streams on one session',
    run: scene(async ({ server, connect }) => {
      let sessions = 0;
      server.on('session', () => sessions++);
      server.on('stream', (stream: ServerHttp2Stream, headers) => {
        stream.respond();
        stream.end(headers[':path']);
      });
      const session = connect();
      const bodies = await Promise.all(
        Array.from({ length: 100 }, (_, i) => ask(session, { ':path': `/${i}` })),
      );
      return [sessions, bodies.every(({ body }, i) => body === `/${i}`)];
    }),
    expect: [1, true],
  },
  {
    name: 'extended CONNECT',
    run: scene(
      async ({ server, connect }) => {
        server.on('stream', (stream: ServerHttp2Stream, headers) => {
          stream.respond({ ':status': 200, 'x-protocol': headers[':protocol'] as string });
          stream.pipe(stream);
        });
        const session = connect();
        await once(session, 'remoteSettings');
        const stream = session.request({
          ':method': 'CONNECT',
          ':protocol': 'websocket',
          ':path': '/chat',
          ':scheme': 'https',
          ':authority': 'localhost',
        });
        const [response] = (await once(stream, 'response')) as [IncomingHttpHeaders];
        stream.end('frames');
        return [response['x-protocol'], await text(stream)];
      },
      { settings: { enableConnectProtocol: true } },
    ),
    expect: ['websocket', 'frames'],
  },
  {
    name: 'CONNECT: a tunnel',
    run: scene(async ({ server, connect, stage }) => {
      const echo = net.createServer((socket) => stage.keep(socket).pipe(socket));
      const port = await stage.listen(echo);
      server.on('stream', (stream: ServerHttp2Stream) => {
        const through = stage.raw(port);
        stream.respond({ ':status': 200 });
        stream.pipe(through).pipe(stream);
      });
      const stream = connect().request({ ':method': 'CONNECT', ':authority': `there:1` });
      stream.end('through the tunnel');
      return text(stream);
    }),
    expect: 'through the tunnel',
  },
  {
    name: 'respondWithFile() and respondWithFD()',
    run: scene(async ({ server, connect, stage }) => {
      const where = `${stage.directory()}/file`;
      writeFileSync(where, Buffer.alloc(300_000, 'x'));
      const file = await open(where);
      stage.finally(() => file.close());
      server.on('stream', (stream: ServerHttp2Stream, headers) => {
        if (headers[':path'] === '/file') stream.respondWithFile(where, { 'x-by': 'name' });
        else stream.respondWithFD(file.fd, { 'x-by': 'descriptor' });
      });
      const session = connect();
      const answers = [];
      for (const path of ['/file', '/fd']) {
        const { headers, body } = await ask(session, { ':path': path });
        answers.push([headers['x-by'], body.length]);
      }
      return answers;
    }),
    expect: [
      ['name', 300_000],
      ['descriptor', 300_000],
    ],
  },
  {
    name: 'events of a server through a request',
    run: scene(async ({ server, connect }) => {
      const seen = order(server, [
        'connection',
        'secureConnection',
        'session',
        'stream',
        'request',
        'close',
      ]);
      server.on('stream', (stream: ServerHttp2Stream) => {
        stream.respond();
        stream.end();
      });
      const session = connect();
      await ask(session);
      const over = promised();
      server.close(() => over.resolve());
      session.close();
      await over.promise;
      return [...seen];
    }),
  },
  {
    name: 'sessionError: a client that speaks no HTTP/2',
    run: scene(async ({ server, port, stage }) => {
      const seen = promised<unknown>();
      server.on('sessionError', (error: Error) => seen.resolve(problem(error)));
      const client = stage.connect(port, { ALPNProtocols: ['h2'] });
      client.write('this is no preface, whatever it may be');
      return seen.promise;
    }),
  },
  {
    name: 'server.timeout: the event timeout',
    run: scene(async ({ server, connect }) => {
      const fired = once(server, 'timeout');
      server.setTimeout(40);
      const session = connect();
      await once(session, 'connect');
      await fired;
      return 'fired';
    }),
    expect: 'fired',
  },
  {
    name: 'session.setTimeout()',
    run: scene(async ({ server, connect }) => {
      const fired = promised<unknown>();
      server.on('session', (session) => {
        session.setTimeout(30, () => fired.resolve(session.destroyed));
      });
      connect();
      return fired.promise;
    }),
    expect: false,
  },
  {
    name: 'server.close(): sessions that are idle',
    run: scene(async ({ server, connect }) => {
      answering(server, 'hello');
      const session = connect();
      await ask(session);
      const over = promised();
      server.close(() => over.resolve());
      session.close();
      await over.promise;
      return server.listening;
    }),
    expect: false,
  },
  {
    name: 'updateSettings() of the server',
    run: scene(async ({ server, connect }) => {
      const given = attempt(() => server.updateSettings({ maxConcurrentStreams: 3 }));
      const session = connect();
      const [settings] = (await once(session, 'remoteSettings')) as [nodeHttp2.Settings];
      return [
        given,
        settings.maxConcurrentStreams,
        attempt(() => server.updateSettings(1 as never)),
        attempt(() => server.updateSettings({ maxConcurrentStreams: -1 })),
      ];
    }),
  },
  {
    name: 'session.ref(), unref(), state and localSettings',
    run: scene(async ({ server, connect }) => {
      const seen = promised<unknown>();
      answering(server, 'hello');
      server.on('session', (session) => {
        session.once('stream', () => {
          session.unref();
          session.ref();
          seen.resolve([
            Object.keys(session.state).toSorted(),
            session.state.effectiveLocalWindowSize,
            session.localSettings.enablePush,
            session.remoteSettings.maxFrameSize,
          ]);
        });
      });
      await ask(connect());
      return seen.promise;
    }),
  },
  {
    name: 'session.setLocalWindowSize()',
    run: scene(async ({ server, connect }) => {
      const seen = promised<unknown>();
      answering(server, 'hello');
      server.on('session', (session) => {
        session.setLocalWindowSize(1 << 20);
        session.once('stream', () => seen.resolve(session.state.effectiveLocalWindowSize));
      });
      await ask(connect());
      return seen.promise;
    }),
    expect: 1 << 20,
  },
  {
    name: 'a listener of stream that throws: uncaught, and the server goes on',
    run: scene(async ({ server, connect, stage }) => {
      const uncaught = stage.uncaught();
      server.on('stream', (stream: ServerHttp2Stream, headers) => {
        if (headers[':path'] === '/throw') throw new Error('thrown by the listener');
        stream.respond();
        stream.end('served');
      });
      const first = connect();
      first.request({ ':path': '/throw' }).on('error', () => {});
      const { body } = await ask(connect());
      await until(() => uncaught.length > 0);
      return [uncaught.map(problem).slice(0, 1), body];
    }),
    expect: [[{ name: 'Error', message: 'thrown by the listener' }], 'served'],
  },
];
