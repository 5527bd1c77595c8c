/** What the server's end of a connection emits, in which order. */
import { once } from 'node:events';
import type net from 'node:net';
import type { TLSSocket } from 'node:tls';

import { diary } from '../support/diary.js';
import { closed } from '../support/streams.js';
import type { Row } from './row.js';
import { attempt, type Ends, problem, promised, reset, type Stage, text } from './stage.js';

interface Scene extends Ends {
  /** What the server's end emitted. */
  readonly events: string[];
  readonly stage: Stage;
}

/** A program on a connection whose events are noted; `pause` and `resume` are not told. */
function scene(program: (scene: Scene) => unknown, options: object = {}): Row['run'] {
  return async ({ tls }, stage) => {
    const server = tls.createServer({ ...stage.material.ecdsa, ...options });
    let events: string[] = [];
    const ends = await stage.pair(server, {}, (socket) => {
      events = diary(socket);
    });
    return program({ ...ends, events, stage });
  };
}

/** As `scene`, with the connection below the client at hand. */
function tapped(program: (scene: Scene & { raw: net.Socket }) => unknown): Row['run'] {
  return async ({ tls }, stage) => {
    const server = tls.createServer(stage.material.ecdsa);
    const port = await stage.listen(server);
    const { wire, raw } = stage.tap(port);
    const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>;
    const client = stage.connect(port, { socket: wire });
    const [[socket]] = await Promise.all([accepted, once(client, 'secureConnect')]);
    // Once there and back: nothing of the handshake is under way any more.
    client.write('there');
    await once(socket, 'data');
    socket.write('back');
    await once(client, 'data');
    const events = diary(socket.resume());
    return program({ port, socket, client, raw, events, stage });
  };
}

const told = (events: readonly string[]): string[] =>
  events.filter((event) => event !== 'pause' && event !== 'resume');

/** The answer of the peer to an end may or may not come before all is closed. */
const withoutEnd = (events: readonly string[]): string[] =>
  told(events).filter((event) => event !== 'end');

const halfOpen = { allowHalfOpen: true };

const NODE_MAJOR = Number.parseInt(process.versions.node, 10);

export const socketEvents: Row[] = [
  {
    name: 'the client ends',
    run: scene(async ({ socket, client, events }) => {
      client.resume().end();
      socket.resume();
      await closed(socket);
      return told(events);
    }),
    expect: ['end', 'finish', 'close false'],
  },
  {
    name: 'the server ends',
    run: scene(async ({ socket, client, events }) => {
      client.resume();
      socket.resume().end();
      await closed(socket);
      return told(events);
    }),
  },
  {
    name: 'destroy(): close, and nothing else',
    run: scene(async ({ socket, client, events }) => {
      client.resume();
      socket.destroy();
      const at = [...events];
      await closed(socket);
      return [at, told(events)];
    }),
    expect: [[], ['close false']],
  },
  {
    name: 'destroy(error): error, then close',
    run: scene(async ({ socket, events }) => {
      const error = new Error('enough');
      const given = socket.destroy(error) === socket;
      const at = [...events];
      await closed(socket);
      return [given, at, told(events), socket.errored === error];
    }),
    expect: [true, [], ['error enough', 'close true'], true],
  },
  {
    name: 'destroy() is asynchronous: what the same tick still sees',
    run: scene(async ({ socket }) => {
      const order: string[] = [];
      socket.on('close', () => order.push('close'));
      socket.destroy();
      order.push('behind destroy');
      process.nextTick(() => order.push('next tick'));
      void Promise.resolve().then(() => order.push('microtask'));
      await closed(socket);
      return order;
    }),
  },
  {
    name: 'destroy() with a write that is not through: its callback has an error',
    run: scene(async ({ socket, events }) => {
      const order: unknown[] = [];
      socket.write(Buffer.alloc(1 << 22), (error) => order.push(error && problem(error).code));
      socket.destroy();
      await closed(socket);
      return [order, told(events)];
    }),
    different: {
      reason:
        'The callback of a write that destroy() overtakes has ERR_STREAM_DESTROYED, from Node 22 on ECANCELED; with Node it is null, EBADF or ECANCELED.',
      ours: [[NODE_MAJOR < 22 ? 'ERR_STREAM_DESTROYED' : 'ECANCELED'], ['close false']],
    },
  },
  {
    name: 'destroy(error) with a write that is not through: its callback has that error',
    run: scene(async ({ socket, events }) => {
      const order: unknown[] = [];
      socket.write(Buffer.alloc(1 << 22), (error) => order.push(error?.message));
      socket.destroy(new Error('enough'));
      await closed(socket);
      return [order, told(events)];
    }),
    different: {
      reason:
        'The callback of a write that destroy(error) overtakes has that error, as the documentation of streams says.',
      ours: [['enough'], ['error enough', 'close true']],
    },
  },
  {
    name: 'end() and destroy() in one tick',
    run: scene(async ({ socket, client, events }) => {
      const order: unknown[] = [];
      socket.end('lost', () => order.push('end callback'));
      socket.destroy();
      await Promise.all([closed(socket), closed(client.resume())]);
      return [order.length, told(events)];
    }),
  },
  {
    name: 'write() behind end()',
    run: scene(async ({ socket, client, events }) => {
      const order: unknown[] = [];
      client.resume();
      socket.resume().end();
      const given = socket.write('late', (error) => order.push(problem(error)));
      await closed(socket);
      return [given, order, withoutEnd(events), socket.errored && problem(socket.errored)];
    }),
  },
  {
    name: 'write() behind the end of the client, which closed both',
    run: scene(async ({ socket, client, events }) => {
      const order: unknown[] = [];
      client.resume().end();
      socket.resume();
      await once(socket, 'end');
      const given = socket.write('late', (error) => order.push(problem(error)));
      await closed(socket);
      return [given, order, told(events)];
    }),
  },
  {
    name: 'write() behind destroy()',
    run: scene(async ({ socket, events }) => {
      const order: unknown[] = [];
      socket.destroy();
      const given = socket.write('late', (error) => order.push(problem(error)));
      await closed(socket);
      const later = socket.write('later', (error) => order.push(problem(error)));
      await new Promise((resolve) => setImmediate(resolve));
      return [given, later, order, told(events)];
    }),
  },
  {
    name: 'end() twice, and behind destroy()',
    run: scene(async ({ socket, client, events }) => {
      const order: unknown[] = [];
      client.resume();
      socket.resume().end();
      socket.end((error?: Error) => order.push(error ? problem(error).code : 'no error'));
      socket.end('with data', (error?: Error) =>
        order.push(error ? problem(error).code : 'no error'),
      );
      await closed(socket);
      socket.end((error?: Error) => order.push(error ? problem(error).code : 'no error'));
      await new Promise((resolve) => setImmediate(resolve));
      return [order, withoutEnd(events)];
    }),
  },
  {
    name: 'a reset by the client',
    run: tapped(async ({ socket, raw, events }) => {
      reset(raw);
      await closed(socket);
      return [told(events), socket.errored && problem(socket.errored)];
    }),
    expect: [
      ['error ECONNRESET (read)', 'close true'],
      { name: 'Error', code: 'ECONNRESET', message: 'read ECONNRESET' },
    ],
  },
  {
    name: 'a FIN without close_notify',
    run: tapped(async ({ socket, raw, events }) => {
      raw.end();
      await closed(socket);
      return told(events);
    }),
    expect: ['end', 'finish', 'close false'],
  },
  {
    name: 'junk behind the handshake',
    run: tapped(async ({ socket, raw, events }) => {
      const failed = once(socket, 'error') as Promise<[Error]>;
      raw.write('this is no record, and long enough to be one');
      const [error] = await failed;
      return [problem(error), told(events)];
    }),
    different: {
      reason:
        'Codes of broken records are those of OpenSSL 3.5 (Node 22 and later), whichever Node it is.',
      ours: [{ name: 'Error', code: 'ERR_SSL_BAD_RECORD_TYPE' }, ['error ERR_SSL_BAD_RECORD_TYPE']],
    },
  },
  {
    name: 'junk behind the handshake: what is left of the connection',
    run: tapped(async ({ socket, raw }) => {
      const failed = once(socket, 'error');
      raw.write('this is no record, and long enough to be one');
      await failed;
      await new Promise((resolve) => setImmediate(resolve));
      return socket.destroyed;
    }),
    different: {
      reason:
        'A connection that broke the protocol is closed; Node emits the error and leaves it open.',
      ours: true,
    },
  },
  {
    name: 'a record that was bent on its way',
    run: tapped(async ({ socket, raw, events }) => {
      const failed = once(socket, 'error') as Promise<[Error]>;
      raw.write(Buffer.concat([Buffer.from([23, 3, 3, 0, 40]), Buffer.alloc(40, 7)]));
      const [error] = await failed;
      return [problem(error), told(events)];
    }),
  },
  {
    name: 'half-open: the client ends, the server answers',
    run: scene(async ({ socket, client, events }) => {
      const said = text(client);
      client.end('question');
      await text(socket);
      const between = [...told(events)];
      socket.end('answer');
      await closed(socket);
      return [between, await said, told(events)];
    }, halfOpen),
  },
  {
    name: 'half-open: nobody ends, nobody is closed',
    run: scene(async ({ socket, client, events }) => {
      client.end();
      socket.resume();
      await once(socket, 'end');
      await new Promise((resolve) => setImmediate(resolve));
      return [told(events), socket.readyState, socket.destroyed, socket.writable];
    }, halfOpen),
    expect: [['end'], 'writeOnly', false, true],
  },
  {
    name: 'readyState on its way',
    run: scene(async ({ socket, client }) => {
      const states: string[] = [socket.readyState];
      client.end();
      socket.resume();
      await once(socket, 'end');
      states.push(socket.readyState);
      socket.end();
      states.push(socket.readyState);
      await closed(socket);
      states.push(socket.readyState);
      return states;
    }, halfOpen),
  },
  {
    name: 'the order of finish, the callback of end() and close',
    run: scene(async ({ socket, client }) => {
      const order: string[] = [];
      client.resume();
      socket.resume();
      for (const event of ['finish', 'close', 'prefinish']) {
        socket.on(event, () => order.push(event));
      }
      socket.write('first', () => order.push('written'));
      socket.end('last', () => order.push('ended'));
      await closed(socket);
      return order;
    }),
  },
  {
    name: 'callbacks of writes come in their order',
    run: scene(async ({ socket, client }) => {
      const order: number[] = [];
      const all = promised();
      client.resume();
      for (let i = 0; i < 5; i++) {
        socket.write(Buffer.alloc(i * 40_000, 'x'), () => {
          order.push(i);
          if (i === 4) all.resolve();
        });
      }
      await all.promise;
      return order;
    }),
    expect: [0, 1, 2, 3, 4],
  },
  {
    name: 'the callback of write() is never called at once',
    run: scene(async ({ socket, client }) => {
      const order: string[] = [];
      client.resume();
      const written = promised();
      socket.write('x', () => {
        order.push('callback');
        written.resolve();
      });
      order.push('behind write');
      await written.promise;
      return order;
    }),
    expect: ['behind write', 'callback'],
  },
  {
    name: 'drain follows a write() that gave false',
    run: scene(async ({ socket, client }) => {
      client.pause();
      const given = [
        socket.write('x'),
        socket.write(Buffer.alloc(1 << 20)),
        socket.writableNeedDrain,
      ];
      const drained = once(socket, 'drain');
      client.resume();
      await drained;
      return [...given, socket.writableNeedDrain, socket.writableLength];
    }),
    expect: [true, false, true, false, 0],
  },
  {
    name: 'timeout does not close',
    run: scene(async ({ socket, events }) => {
      const fired = once(socket, 'timeout');
      socket.setTimeout(25);
      const set = socket.timeout;
      await fired;
      return [set, told(events), socket.destroyed];
    }),
    expect: [25, ['timeout'], false],
  },
  {
    name: 'a listener of data that throws: uncaught, and the connection goes on',
    run: scene(async ({ socket, client, stage, events }) => {
      const uncaught = stage.uncaught();
      const chunks: string[] = [];
      const second = promised();
      socket.on('data', (chunk) => {
        chunks.push(String(chunk));
        if (chunks.length === 1) {
          client.write('second');
          throw new Error('thrown by the listener');
        }
        second.resolve();
      });
      client.write('first');
      await second.promise;
      return [chunks, uncaught.map(problem), socket.destroyed, told(events)];
    }),
    expect: [
      ['first', 'second'],
      [{ name: 'Error', message: 'thrown by the listener' }],
      false,
      ['data'],
    ],
  },
  {
    name: 'a listener of close that throws',
    run: scene(async ({ socket, client, stage }) => {
      const uncaught = stage.uncaught();
      const order: string[] = [];
      const over = promised();
      socket.once('close', () => order.push('first'));
      socket.once('close', () => {
        process.nextTick(over.resolve);
        throw new Error('thrown by the listener');
      });
      socket.once('close', () => order.push('third'));
      client.resume();
      socket.destroy();
      await over.promise;
      await new Promise((resolve) => setImmediate(resolve));
      return [uncaught.map(problem), order];
    }),
    expect: [[{ name: 'Error', message: 'thrown by the listener' }], ['first']],
  },
  {
    name: 'the callback of a write that throws',
    run: scene(async ({ socket, client, stage }) => {
      const uncaught = stage.uncaught();
      const next = promised();
      client.resume();
      socket.write('first', () => {
        setImmediate(() => socket.write('second', () => next.resolve()));
        throw new Error('thrown by the callback');
      });
      await next.promise;
      return [uncaught.map(problem), socket.destroyed];
    }),
    expect: [[{ name: 'Error', message: 'thrown by the callback' }], false],
  },
  {
    name: 'an error that nobody listens to is uncaught',
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      const { socket } = await stage.pair(server);
      socket.removeAllListeners('error');
      const uncaught = stage.uncaught();
      const over = promised();
      socket.once('close', () => over.resolve());
      socket.destroy(new Error('heard by nobody'));
      await over.promise;
      socket.on('error', () => {});
      return uncaught.map(problem);
    },
    expect: [{ name: 'Error', message: 'heard by nobody' }],
  },
  {
    name: 'a fresh connection has no listeners of what flows',
    run: scene(({ socket }) =>
      ['data', 'readable', 'timeout', 'connect', 'finish', 'drain'].map((event) =>
        socket.listenerCount(event),
      ),
    ),
    expect: [0, 0, 0, 0, 0, 0],
  },
  {
    name: 'destroySoon() sends what is written',
    run: scene(async ({ socket, client, events }) => {
      socket.write('last words');
      socket.destroySoon();
      const said = await text(client);
      await closed(socket);
      return [said, withoutEnd(events)];
    }),
    expect: ['last words', ['finish', 'close false']],
  },
  {
    name: 'resetAndDestroy()',
    run: scene(async ({ socket, client, events }) => {
      const seen = once(client, 'error') as Promise<[Error]>;
      client.resume();
      const given = attempt(() => socket.resetAndDestroy() === socket);
      if (given !== true) return given;
      await closed(socket);
      const [error] = await seen;
      return [told(events), problem(error).code];
    }),
    different: {
      reason: 'It works: the client sees a reset. Node throws for TLS sockets.',
      ours: [['close false'], 'ECONNRESET'],
    },
  },
  {
    name: 'pause() holds data and end back',
    run: scene(async ({ socket, client, events }) => {
      socket.pause();
      client.end('held back');
      await once(client, 'finish');
      const held = [...told(events)];
      const heard = text(socket);
      socket.resume();
      return [held, await heard, (await closed(socket), told(events))];
    }),
    expect: [[], 'held back', ['data', 'end', 'finish', 'close false']],
  },
  {
    name: 'readable and read(size)',
    run: scene(async ({ socket, client }) => {
      client.write('abcdef');
      await once(socket, 'readable');
      const pieces = [socket.read(2), socket.read(3), socket.read(2), socket.readableLength];
      return pieces.map((piece) => (Buffer.isBuffer(piece) ? String(piece) : piece));
    }),
    expect: ['ab', 'cde', null, 1],
  },
  {
    name: 'an AbortSignal of a stream ends it',
    run: scene(async ({ socket }) => {
      const { addAbortSignal } = await import('node:stream');
      const controller = new AbortController();
      addAbortSignal(controller.signal, socket);
      const failed = once(socket, 'error') as Promise<[Error]>;
      controller.abort();
      const [error] = await failed;
      await closed(socket);
      return [problem(error).code, socket.destroyed];
    }),
    expect: ['ABORT_ERR', true],
  },
];
