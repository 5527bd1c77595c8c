/** HTTP/1 over it: https.createServer() and https.Server. */
import { once } from 'node:events';
import nodeHttp, { type IncomingMessage } from 'node:http';
import nodeHttps from 'node:https';
import type { ServerOptions } from 'node:https';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';

import { closed, until } from '../support/streams.js';
import type { Modules, Row } from './row.js';
import { order, problem, promised, type Stage, text } from './stage.js';

type Server = nodeHttps.Server;
type Listener = nodeHttp.RequestListener;

async function serve(
  { https }: Modules,
  stage: Stage,
  listener: Listener,
  options: ServerOptions = {},
): Promise<[Server, number]> {
  const server = https.createServer({ ...stage.material.ecdsa, ...options }, listener);
  return [server, await stage.listen(server)];
}

/** Without what changes from one second to the next. */
function stable(said: string): string {
  return said.replaceAll(/^date: .*$/gim, 'Date: then');
}

function answering(body: string): Listener {
  return (_, response) => response.end(body);
}

function ask(path: string, more = ''): string {
  return `GET ${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n`;
}

function expecting(what: string): string {
  return `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: ${what}\r\nConnection: close\r\n\r\nbody`;
}

/** A connection that speaks by hand: what it was told so far can be awaited. */
function dialogue(
  stage: Stage,
  port: number,
): { client: TLSSocket; said: () => string; until: (part: string) => Promise<void> } {
  const client = stage.connect(port);
  let heard = '';
  client.on('data', (chunk: Buffer) => (heard += String(chunk)));
  return {
    client,
    said: () => stable(heard),
    until: (part) => until(() => heard.includes(part), part),
  };
}

export const http1: Row[] = [
  {
    name: 'a request and its answer, as they are on the wire',
    run: async (modules, stage) => {
      const [, port] = await serve(modules, stage, answering('hello'));
      return stable(
        await stage.exchange(port, 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'),
      );
    },
  },
  {
    name: 'HTTP/1.0',
    run: async (modules, stage) => {
      const [, port] = await serve(modules, stage, answering('hello'));
      return stable(await stage.exchange(port, 'GET / HTTP/1.0\r\n\r\n'));
    },
  },
  {
    name: 'what a request says of itself and its socket',
    run: async (modules, stage) => {
      const [server, port] = await serve(modules, stage, (request, response) => {
        const socket = request.socket as TLSSocket;
        response.end(
          JSON.stringify([
            request.method,
            request.url,
            request.httpVersion,
            request.headers['x-mine'],
            request.rawHeaders.includes('X-Mine'),
            socket.encrypted,
            socket.authorized,
            socket.remoteAddress,
            socket.getProtocol(),
            socket.alpnProtocol,
            (socket as unknown as { server: unknown }).server === server,
            request.socket === response.socket,
            request.socket === request.connection,
          ]),
        );
      });
      const { body } = await stage.request(port, {
        method: 'PUT',
        path: '/a?b=c',
        headers: { 'X-Mine': 'yes' },
      });
      return JSON.parse(body);
    },
  },
  {
    name: 'keep-alive: one connection serves many requests',
    run: async (modules, stage) => {
      let connections = 0;
      const [server, port] = await serve(modules, stage, answering('hello'));
      server.on('secureConnection', () => connections++);
      const agent = new nodeHttps.Agent({ keepAlive: true, maxSockets: 1 });
      stage.finally(() => agent.destroy());
      const seen = [];
      for (let i = 0; i < 5; i++) {
        const { headers, body } = await stage.request(port, { agent });
        seen.push([headers.connection, headers['keep-alive'], body]);
      }
      return [connections, seen];
    },
  },
  {
    name: 'keepAliveTimeout closes an idle connection',
    run: async (modules, stage) => {
      const [, port] = await serve(modules, stage, answering('hello'), {
        keepAliveTimeout: 60,
      } as ServerOptions);
      const { client, said } = dialogue(stage, port);
      client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      await once(client, 'end');
      return said();
    },
  },
  {
    name: 'pipelining: answers in the order of the requests',
    run: async (modules, stage) => {
      const waiting: (() => void)[] = [];
      const [, port] = await serve(modules, stage, (request, response) => {
        waiting.push(() => response.end(request.url));
        // The last one first.
        if (waiting.length === 3) for (const answer of waiting.toReversed()) answer();
      });
      return stable(
        await stage.exchange(port, ask('/1') + ask('/2') + ask('/3', 'Connection: close\r\n')),
      );
    },
  },
  {
    name: 'many pipelined requests',
    run: async (modules, stage) => {
      let count = 0;
      const [, port] = await serve(modules, stage, (_, response) => response.end(String(++count)));
      const first = ask('/').repeat(99);
      const said = await stage.exchange(port, first + ask('/', 'Connection: close\r\n'));
      return [count, said.match(/HTTP\/1.1 200 OK/g)?.length];
    },
    expect: [100, 100],
  },
  {
    name: 'a body that is sent with a length, and one in chunks',
    run: async (modules, stage) => {
      const [, port] = await serve(modules, stage, (request, response) => {
        void text(request).then((body) =>
          response.end(`${request.headers['content-length']} ${body}`),
        );
      });
      return [
        (await stage.request(port, { method: 'POST', headers: { 'content-length': '4' } }, 'body'))
          .body,
        (await stage.request(port, { method: 'POST' }, 'body')).body,
        (
          await stage.request(
            port,
            { method: 'POST', headers: { 'transfer-encoding': 'chunked' } },
            'body',
          )
        ).body,
      ];
    },
  },
  {
    name: 'a large upload and a large download',
    run: async (modules, stage) => {
      const bytes = Buffer.alloc(3 << 20, 'abcdefghij');
      const [, port] = await serve(modules, stage, (request, response) => {
        request.pipe(response);
      });
      const echoed = [];
      for (let i = 0; i < 5; i++) {
        const { body } = await stage.request(port, { method: 'POST' }, bytes);
        echoed.push(Buffer.from(body).equals(bytes));
      }
      return echoed;
    },
    expect: [true, true, true, true, true],
  },
  {
    name: 'write() gives false, drain follows',
    run: async (modules, stage) => {
      const drained: unknown[] = [];
      const [, port] = await serve(modules, stage, (_, response) => {
        drained.push(response.write(Buffer.alloc(4 << 20)));
        response.once('drain', () => {
          drained.push('drain');
          response.end();
        });
      });
      const { body } = await stage.request(port);
      return [drained, body.length];
    },
    expect: [[false, 'drain'], 4 << 20],
  },
  {
    name: 'Upgrade: the socket is handed over, with what came behind',
    run: async (modules, stage) => {
      const [server, port] = await serve(modules, stage, answering('no upgrade'));
      const seen: unknown[] = [];
      server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
        seen.push(request.headers.upgrade, String(head), request.socket === socket);
        socket.write(
          'HTTP/1.1 101 Switching Protocols\r\nUpgrade: mine\r\nConnection: Upgrade\r\n\r\n',
        );
        socket.pipe(socket);
      });
      const { client, said, until: saying } = dialogue(stage, port);
      client.write(
        'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: mine\r\nConnection: Upgrade\r\n\r\nbehind the head',
      );
      await saying('\r\n\r\n');
      client.end('echo');
      await once(client, 'end');
      return [seen, said()];
    },
  },
  {
    name: 'Upgrade: nobody listens',
    run: async (modules, stage) => {
      const [, port] = await serve(modules, stage, answering('as a request'));
      return stable(
        await stage.exchange(
          port,
          'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: mine\r\nConnection: Upgrade, close\r\n\r\n',
        ),
      );
    },
  },
  {
    name: 'Upgrade through a client of node:https',
    run: async (modules, stage) => {
      const [server, port] = await serve(modules, stage, answering('no upgrade'));
      server.on('upgrade', (_request, socket: Duplex) => {
        socket.end(
          'HTTP/1.1 101 Switching Protocols\r\nUpgrade: mine\r\nConnection: Upgrade\r\n\r\nhello',
        );
      });
      const request = nodeHttps.request({
        port,
        host: '127.0.0.1',
        rejectUnauthorized: false,
        agent: false,
        headers: { Upgrade: 'mine', Connection: 'Upgrade' },
      });
      request.end();
      const [response, socket, head] = (await once(request, 'upgrade')) as [
        IncomingMessage,
        TLSSocket,
        Buffer,
      ];
      const rest = await text(stage.keep(socket));
      return [response.statusCode, response.headers.upgrade, String(head) + rest];
    },
    expect: [101, 'mine', 'hello'],
  },
  {
    name: 'CONNECT',
    run: async (modules, stage) => {
      const [server, port] = await serve(modules, stage, answering('no connect'));
      server.on('connect', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
        socket.write(`HTTP/1.1 200 Yes\r\n\r\n${request.url} ${head.length}`);
        socket.pipe(socket);
      });
      const { client, said, until: saying } = dialogue(stage, port);
      client.write('CONNECT there:443 HTTP/1.1\r\nHost: x\r\n\r\n');
      await saying('there:443 0');
      client.end('!');
      await once(client, 'end');
      return said();
    },
    expect: 'HTTP/1.1 200 Yes\r\n\r\nthere:443 0!',
  },
  {
    name: 'CONNECT: nobody listens',
    run: async (modules, stage) => {
      const [, port] = await serve(modules, stage, answering('no connect'));
      return stage.exchange(port, 'CONNECT there:443 HTTP/1.1\r\nHost: x\r\n\r\n');
    },
    expect: '',
  },
  {
    name: 'a tunnel: TLS in CONNECT over TLS',
    run: async (modules, stage) => {
      const [, inner] = await serve(modules, stage, answering('from within'));
      const [server, outer] = await serve(modules, stage, answering('outside'));
      server.on('connect', (_request, socket: Duplex) => {
        const through = stage.raw(inner);
        socket.write('HTTP/1.1 200 Yes\r\n\r\n');
        socket.pipe(through).pipe(socket);
      });
      const request = nodeHttps.request({
        port: outer,
        host: '127.0.0.1',
        rejectUnauthorized: false,
        agent: false,
        method: 'CONNECT',
        path: 'within:443',
      });
      request.end();
      const [, tunnel] = (await once(request, 'connect')) as [IncomingMessage, TLSSocket];
      stage.keep(tunnel);
      const client = stage.connect(0, { socket: tunnel });
      client.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
      return (await text(client)).split('\r\n\r\n')[1];
    },
    expect: 'from within',
  },
  {
    name: 'Expect: 100-continue',
    run: async (modules, stage) => {
      const [, port] = await serve(modules, stage, (request, response) => {
        void text(request).then((body) => response.end(body));
      });
      const { client, said, until: saying } = dialogue(stage, port);
      client.write(
        'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n',
      );
      await saying('100 Continue\r\n\r\n');
      client.write('body');
      await once(client, 'end');
      return said();
    },
  },
  {
    name: 'Expect: checkContinue and checkExpectation',
    run: async (modules, stage) => {
      const [server, port] = await serve(modules, stage, answering('no'));
      server.on('checkContinue', (request, response) => {
        response.writeContinue();
        void text(request).then((body) => response.end(`continued ${body}`));
      });
      server.on('checkExpectation', (request, response) => {
        response.statusCode = 417;
        response.end(request.headers.expect);
      });
      return [
        stable(await stage.exchange(port, expecting('100-continue'))),
        stable(await stage.exchange(port, expecting('meditation'))),
      ];
    },
  },
  {
    name: 'early hints and 102',
    run: async (modules, stage) => {
      const [, port] = await serve(modules, stage, (_, response) => {
        response.writeProcessing();
        response.writeEarlyHints({ link: '</x.css>; rel=preload' });
        response.end('done');
      });
      return stable(
        await stage.exchange(port, 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'),
      );
    },
  },
  {
    name: 'trailers, both ways',
    run: async (modules, stage) => {
      const [, port] = await serve(modules, stage, async (request, response) => {
        const body = await text(request);
        response.setHeader('Trailer', 'X-Sum');
        response.write(`${body} ${JSON.stringify(request.trailers)}`);
        response.addTrailers({ 'X-Sum': '42' });
        response.end();
      });
      return stable(
        await stage.exchange(
          port,
          'POST / HTTP/1.1\r\nHost: x\r\nTrailer: X-In\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n4\r\nbody\r\n0\r\nX-In: 7\r\n\r\n',
        ),
      );
    },
  },
  {
    name: 'HEAD, 204 and 304 have no body',
    run: async (modules, stage) => {
      const [, port] = await serve(modules, stage, (request, response) => {
        response.statusCode = Number(request.url!.slice(1));
        response.end('a body');
      });
      const said = [];
      for (const line of ['HEAD /200', 'GET /204', 'GET /304']) {
        said.push(
          stable(
            await stage.exchange(port, `${line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`),
          ),
        );
      }
      return said;
    },
  },
  {
    name: 'bad requests, each with its answer',
    run: async (modules, stage) => {
      const [, port] = await serve(modules, stage, answering('no'));
      const said = [];
      for (const bytes of [
        'nonsense\r\n\r\n',
        'GET / HTTP/1.1\r\n\r\n',
        'GET / HTTP/9.9\r\nHost: x\r\n\r\n',
        'GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n',
        `GET / HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(20_000)}\r\n\r\n`,
        'GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
      ]) {
        said.push(stable(await stage.exchange(port, bytes)));
      }
      return said;
    },
  },
  {
    name: 'maxHeaderSize and maxHeadersCount',
    run: async (modules, stage) => {
      const [server, port] = await serve(
        modules,
        stage,
        (request, response) => response.end(String(Object.keys(request.headers).length)),
        { maxHeaderSize: 500 },
      );
      server.maxHeadersCount = 2;
      return [
        stable(
          await stage.exchange(port, ask('/', 'A: 1\r\nB: 2\r\nC: 3\r\nConnection: close\r\n')),
        ),
        stable(await stage.exchange(port, ask('/', `Long: ${'x'.repeat(600)}\r\n`))),
      ];
    },
  },
  {
    name: 'maxRequestsPerSocket',
    run: async (modules, stage) => {
      const [server, port] = await serve(modules, stage, answering('ok'));
      server.maxRequestsPerSocket = 2;
      const dropped: string[] = [];
      server.on('dropRequest', (request: IncomingMessage) => dropped.push(request.url!));
      const { client, said, until: saying } = dialogue(stage, port);
      client.write(ask('/1') + ask('/2') + ask('/3'));
      await saying('0\r\n\r\n');
      client.end();
      return [said(), dropped];
    },
  },
  {
    name: 'headersTimeout: 408',
    run: async (modules, stage) => {
      const [server, port] = await serve(modules, stage, answering('no'), {
        headersTimeout: 50,
        requestTimeout: 100,
        connectionsCheckingInterval: 25,
      } as ServerOptions);
      const seen: unknown[] = [];
      const { client, said } = dialogue(stage, port);
      client.write('GET / HTTP/1.1\r\nHost: x\r\n');
      await once(client, 'end');
      seen.push(said());
      server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
        seen.push(error.code);
        socket.destroy();
      });
      const again = stage.connect(port);
      again.write('GET / HTTP/1.1\r\nHost: x\r\n');
      await closed(again.resume());
      return seen;
    },
  },
  {
    name: 'requestTimeout: 408',
    run: async (modules, stage) => {
      const [, port] = await serve(modules, stage, () => {}, {
        headersTimeout: 50,
        requestTimeout: 100,
        connectionsCheckingInterval: 25,
      } as ServerOptions);
      const { client, said } = dialogue(stage, port);
      client.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\npart');
      await once(client, 'end');
      return said();
    },
  },
  {
    name: 'server.timeout and setTimeout(): the event, and what closes',
    run: async (modules, stage) => {
      const [server, port] = await serve(modules, stage, () => {});
      const given = server.setTimeout(40) === server;
      const first = stage.connect(port);
      first.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      await closed(first.resume());
      const seen: unknown[] = [given, server.timeout];
      const fired = promised();
      server.setTimeout(40, (socket) => {
        seen.push(typeof socket, (socket as TLSSocket).destroyed);
        fired.resolve();
      });
      const second = stage.connect(port);
      second.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      await fired.promise;
      return seen;
    },
  },
  {
    name: 'response.setTimeout() and request.setTimeout()',
    run: async (modules, stage) => {
      const seen: string[] = [];
      const [, port] = await serve(modules, stage, (request, response) => {
        response.setTimeout(40, () => {
          seen.push('response');
          response.end('late');
        });
        request.on('timeout', () => seen.push('request'));
      });
      return [(await stage.request(port)).body, seen];
    },
  },
  {
    name: 'the client goes: what request and response emit',
    run: async (modules, stage) => {
      const events: string[] = [];
      const gone = promised();
      const [, port] = await serve(modules, stage, (request, response) => {
        for (const event of ['aborted', 'error', 'close', 'end']) {
          request.on(event, (error?: NodeJS.ErrnoException) =>
            events.push(`request ${event} ${error?.code ?? ''}`),
          );
        }
        for (const event of ['error', 'close', 'finish']) {
          response.on(event, () => events.push(`response ${event}`));
        }
        response.on('close', () => setImmediate(gone.resolve));
        client.destroy();
      });
      const client = stage.connect(port);
      client.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\npart');
      await gone.promise;
      return events.toSorted();
    },
  },
  {
    name: 'response.destroy(): the client sees the connection end',
    run: async (modules, stage) => {
      const [, port] = await serve(modules, stage, (_, response) => response.destroy());
      return stage.request(port).then(
        () => 'answered',
        (error: Error) => problem(error),
      );
    },
  },
  {
    name: 'a listener of request that throws: uncaught, and the server goes on',
    run: async (modules, stage) => {
      const uncaught = stage.uncaught();
      let calls = 0;
      const [, port] = await serve(modules, stage, (_, response) => {
        if (++calls === 1) throw new Error('thrown by the listener');
        response.end('served');
      });
      const first = stage.connect(port);
      first.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      await until(() => uncaught.length > 0);
      return [uncaught.map(problem), (await stage.request(port)).body];
    },
    expect: [[{ name: 'Error', message: 'thrown by the listener' }], 'served'],
  },
  {
    name: 'closeIdleConnections(): idle ones go, busy ones stay',
    run: async (modules, stage) => {
      const busy = promised<nodeHttp.ServerResponse>();
      const [server, port] = await serve(modules, stage, (request, response) => {
        if (request.url === '/busy') busy.resolve(response);
        else response.end('idle');
      });
      const idle = dialogue(stage, port);
      idle.client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      await idle.until('idle');
      const other = dialogue(stage, port);
      other.client.write('GET /busy HTTP/1.1\r\nHost: x\r\n\r\n');
      const response = await busy.promise;
      const over = closed(idle.client);
      server.closeIdleConnections();
      await over;
      const alive = other.client.destroyed;
      response.end('done');
      await other.until('done');
      return [alive, other.said()];
    },
  },
  {
    name: 'closeAllConnections()',
    run: async (modules, stage) => {
      const busy = promised();
      let requests = 0;
      const [server, port] = await serve(modules, stage, () => {
        if (++requests === 2) busy.resolve();
      });
      const clients = [dialogue(stage, port), dialogue(stage, port)];
      for (const { client } of clients) client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      await busy.promise;
      const over = Promise.all(clients.map(({ client }) => closed(client)));
      const done = promised();
      server.close(() => done.resolve());
      server.closeAllConnections();
      await Promise.all([over, done.promise]);
      return server.listening;
    },
    expect: false,
  },
  {
    name: 'close() ends idle connections, waits for busy ones',
    run: async (modules, stage) => {
      const busy = promised<nodeHttp.ServerResponse>();
      const [server, port] = await serve(modules, stage, (request, response) => {
        if (request.url === '/busy') busy.resolve(response);
        else response.end('idle');
      });
      const events: string[] = [];
      const idle = dialogue(stage, port);
      idle.client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      await idle.until('idle');
      const other = dialogue(stage, port);
      other.client.write('GET /busy HTTP/1.1\r\nHost: x\r\n\r\n');
      const response = await busy.promise;
      const idleOver = closed(idle.client);
      const done = promised();
      server.close(() => {
        events.push('closed');
        done.resolve();
      });
      await idleOver;
      events.push('idle gone');
      response.end('busy done');
      await other.until('busy done');
      other.client.end();
      await done.promise;
      return [events, other.said()];
    },
  },
  {
    name: 'a request behind close() on a kept connection',
    run: async (modules, stage) => {
      const [server, port] = await serve(modules, stage, (_, response) => {
        server.close();
        response.end('last');
      });
      const { client, said, until: saying } = dialogue(stage, port);
      client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      await saying('last');
      return said();
    },
  },
  {
    name: 'events of a server through a request',
    run: async (modules, stage) => {
      const [server, port] = await serve(modules, stage, answering('ok'));
      const seen = order(server, ['connection', 'secureConnection', 'request', 'close']);
      await stage.request(port);
      const done = promised();
      server.close(() => done.resolve());
      await done.promise;
      return [...seen];
    },
    expect: ['connection', 'secureConnection', 'request', 'close'],
  },
  {
    name: 'getConnections() of an https server',
    run: async (modules, stage) => {
      const [server, port] = await serve(modules, stage, answering('ok'));
      const count = (): Promise<number> =>
        new Promise((resolve) => server.getConnections((_, value) => resolve(value)));
      const { client, until: saying } = dialogue(stage, port);
      client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      await saying('ok');
      const one = await count();
      client.destroy();
      while ((await count()) > 0) await new Promise((resolve) => setImmediate(resolve));
      return [one, await count()];
    },
    expect: [1, 0],
  },
  {
    name: 'ServerResponse and IncomingMessage of the options',
    run: async (modules, stage) => {
      class MyResponse extends nodeHttp.ServerResponse {
        mine(): this {
          return this.end('mine');
        }
      }
      class MyRequest extends nodeHttp.IncomingMessage {}
      const [, port] = await serve(
        modules,
        stage,
        (request, response) => {
          if (request instanceof MyRequest) (response as MyResponse).mine();
        },
        { ServerResponse: MyResponse, IncomingMessage: MyRequest } as ServerOptions,
      );
      return (await stage.request(port)).body;
    },
    expect: 'mine',
  },
  {
    name: 'the client ends its side before the answer',
    run: async (modules, stage) => {
      const [, port] = await serve(modules, stage, (request, response) => {
        request.resume();
        request.socket.once('end', () => setImmediate(() => response.end('answered')));
      });
      const client = stage.connect(port);
      client.end('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      return stable(await text(client));
    },
  },
  {
    name: 'setKeepAlive and setNoDelay of its sockets',
    run: async (modules, stage) => {
      const [, port] = await serve(modules, stage, ({ socket }, response) => {
        const given = [
          socket.setNoDelay(true) === socket,
          socket.setKeepAlive(true, 1000) === socket,
        ];
        response.end(JSON.stringify(given));
      });
      return JSON.parse((await stage.request(port)).body);
    },
    expect: [true, true],
  },
  {
    name: 'cork, and a flood of small writes',
    run: async (modules, stage) => {
      const [, port] = await serve(modules, stage, (_, response) => {
        for (let i = 0; i < 500; i++) response.write(`${i} `);
        response.end();
      });
      const { body } = await stage.request(port);
      return [body.length, body.endsWith('499 ')];
    },
    expect: [1890, true],
  },
  {
    name: 'bytesWritten and bytesRead of a request',
    run: async (modules, stage) => {
      const counted = promised<number[]>();
      const [, port] = await serve(modules, stage, ({ socket }, response) => {
        response.sendDate = false;
        response.end('hello', () => counted.resolve([socket.bytesRead, socket.bytesWritten]));
      });
      const client = stage.connect(port);
      client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      client.resume();
      return counted.promise;
    },
  },
];
