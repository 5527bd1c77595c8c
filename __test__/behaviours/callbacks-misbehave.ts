/**
 * Callbacks of users that throw, never answer, answer twice, or answer when the client is gone: one
 * connection fails, the next one is served.
 */
import { constants } from 'node:crypto';
import { once } from 'node:events';
import type { ConnectionOptions, SecureContext, Server, TlsOptions, TLSSocket } from 'node:tls';

import type { Difference, Modules, Row } from './row.js';
import { failure, problem, promised, type Stage, tell } from './stage.js';

/** Answers well, for all kinds of callbacks. */
type Answer = () => void;
/** What the callback does instead of answering, the first time it is asked. */
type Misbehaviour = (answer: Answer, failWith: (error: Error) => void) => void;

interface Kind {
  readonly name: string;
  readonly client: ConnectionOptions;
  /** Makes a server that asks; each question is passed to `asked`. */
  readonly serve: (
    modules: Modules,
    stage: Stage,
    options: TlsOptions,
    asked: Misbehaviour,
  ) => Server;
  /** The callback is asked about a session that the client got before. */
  readonly resumes?: true;
}

const kinds: readonly Kind[] = [
  {
    name: 'SNICallback',
    client: { servername: 'a.example' },
    serve: ({ tls }, stage, options, asked) =>
      tls.createServer({
        ...stage.material.a,
        ...options,
        SNICallback: (_, answer) =>
          asked(
            () => answer(null, undefined),
            (error) => answer(error),
          ),
      }),
  },
  {
    name: 'OCSPRequest',
    client: { requestOCSP: true },
    serve: ({ tls }, stage, options, asked) => {
      const server = tls.createServer({ ...stage.material.a, ...options });
      server.on('OCSPRequest', (_certificate, _issuer, answer: (...args: unknown[]) => void) => {
        asked(
          () => answer(null, null),
          (error) => answer(error),
        );
      });
      return server;
    },
  },
  {
    name: 'resumeSession',
    client: { maxVersion: 'TLSv1.2' },
    resumes: true,
    serve: ({ tls }, stage, options, asked) => {
      const server = tls.createServer({
        ...stage.material.a,
        ...options,
        secureOptions: constants.SSL_OP_NO_TICKET,
      });
      server.on('newSession', (_id, _data, done: () => void) => done());
      server.on('resumeSession', (_id, answer: (...args: unknown[]) => void) => {
        asked(
          () => answer(null, null),
          (error) => answer(error),
        );
      });
      return server;
    },
  },
  {
    name: 'newSession',
    client: { maxVersion: 'TLSv1.2' },
    serve: ({ tls }, stage, options, asked) => {
      const server = tls.createServer({
        ...stage.material.a,
        ...options,
        secureOptions: constants.SSL_OP_NO_TICKET,
      });
      server.on('newSession', (_id, _data, done: () => void) => asked(done, done as never));
      return server;
    },
  },
];

/** The first question meets `misbehave`, the others are answered at once. */
function onTheFirst(misbehave: Misbehaviour): Misbehaviour {
  let first = true;
  return (answer, failWith) => {
    if (!first) return answer();
    first = false;
    return misbehave(answer, failWith);
  };
}

async function clientOf(stage: Stage, kind: Kind, port: number): Promise<ConnectionOptions> {
  if (kind.resumes === undefined) return kind.client;
  const { session } = await stage.visit(port, kind.client);
  return { ...kind.client, session: session! };
}

/** Events of a server, until its first failed handshake. */
function misbehaviour(what: string, options: TlsOptions, misbehave: Misbehaviour): Row[] {
  return kinds
    .filter(({ name }) => name !== 'newSession')
    .map((kind) => ({
      name: `${kind.name} ${what}`,
      run: async (modules, stage) => {
        const server = tell(kind.serve(modules, stage, options, onTheFirst(misbehave)));
        server.on('tlsClientError', hangUp);
        const errors: unknown[] = [];
        server.on('error', (error) => errors.push(problem(error)));
        const port = await stage.listen(server);
        const client = await clientOf(stage, kind, port);
        const failed = failure(server);
        const { secure, code } = await stage.visit(port, client);
        const next = await stage.visit(port, client);
        return [await failed, secure, code, next.secure, next.heard, errors];
      },
    }));
}

const reason =
  'A listener that throws fails its handshake with what it threw, as in Node 24; before, it was an uncaught exception and the handshake hung.';

/** The first connection fails with this error, the next one is served. */
function onlyTheFirstFails(error: object): unknown {
  return [null, 'hello', ['tlsClientError', error, 'secureConnection'], []];
}

/** Node itself leaves a connection open whose handshake took too long. */
function hangUp(_error: Error, socket: TLSSocket): void {
  socket.destroy();
}

const thrownError = { name: 'RangeError', message: 'thrown by the callback' };

function thrown(kind: Kind): Row['run'] {
  return async (modules, stage) => {
    const misbehave = onTheFirst(() => {
      throw new RangeError('thrown by the callback');
    });
    const server = tell(kind.serve(modules, stage, { handshakeTimeout: 150 }, misbehave));
    server.on('tlsClientError', hangUp);
    const port = await stage.listen(server);
    const client = await clientOf(stage, kind, port);
    const uncaught = stage.uncaught();
    const failed = failure(server);
    const { secure } = await stage.visit(port, client);
    const next = await stage.visit(port, client);
    return [await failed, secure, next.secure, next.heard, uncaught.map(problem)];
  };
}

/** What comes of an answer after which the connection may live. */
function survived(
  what: string,
  misbehave: Misbehaviour,
  differences: Record<string, Difference> = {},
): Row[] {
  return kinds
    .filter(({ name }) => name !== 'newSession')
    .map((kind) => {
      const row: Row = {
        name: `${kind.name} ${what}`,
        run: async (modules, stage) => {
          const server = kind.serve(modules, stage, {}, onTheFirst(misbehave));
          const events: unknown[] = [];
          server.on('tlsClientError', (error) => events.push('tlsClientError', problem(error)));
          server.on('secureConnection', (socket) => {
            events.push('secureConnection');
            socket.on('error', (error) => events.push('error', problem(error)));
            socket.end('"hello"');
          });
          const port = await stage.listen(server);
          const client = await clientOf(stage, kind, port);
          events.length = 0;
          const uncaught = stage.uncaught();
          const { heard } = await stage.visit(port, client);
          const next = await stage.visit(port, client);
          return [heard, next.heard, events, uncaught.map(problem)];
        },
      };
      const different = differences[kind.name];
      return different === undefined ? row : Object.assign(row, { different });
    });
}

/** The client goes while the callback is thinking; then it answers. */
const late: Row[] = kinds.map((kind) => ({
  name: `${kind.name} that answers when the client is gone`,
  run: async (modules, stage) => {
    const asked = promised<Answer>();
    const server = kind.serve(
      modules,
      stage,
      {},
      onTheFirst((answer) => asked.resolve(answer)),
    );
    tell(server);
    const port = await stage.listen(server);
    const uncaught = stage.uncaught();
    const failures: unknown[] = [];
    server.on('tlsClientError', (error) => failures.push(problem(error)));
    const options = await clientOf(stage, kind, port);
    const client = stage.connect(port, options);
    const answer = await asked.promise;
    const failed = once(server, 'tlsClientError') as Promise<[Error, TLSSocket]>;
    client.destroy();
    const [, socket] = await failed;
    await new Promise((resolve) => setImmediate(resolve));
    answer();
    const next = await stage.visit(port, options);
    return [failures, socket.destroyed, next.heard, uncaught.map(problem)];
  },
}));

export const callbacksMisbehave: Row[] = [
  {
    name: 'SNICallback that throws',
    run: thrown(kinds[0]),
    expect: [{ ...thrownError, socket: true }, false, true, 'hello', []],
  },
  ...kinds.slice(1, 3).map((kind) => ({
    name: `${kind.name} that throws`,
    run: thrown(kind),
    different: {
      reason,
      ours: [{ ...thrownError, socket: true }, false, true, 'hello', []],
    },
  })),
  ...misbehaviour('that answers with an error', {}, (_, failWith) => {
    failWith(Object.assign(new Error('answered by the callback'), { code: 'EANSWERED' }));
  }),
  ...misbehaviour('that answers with an error later', {}, (_, failWith) => {
    setImmediate(failWith, Object.assign(new Error('answered later'), { code: 'ELATER' }));
  }),
  ...misbehaviour(
    'that never answers: the handshake has its deadline',
    { handshakeTimeout: 150 },
    () => {},
  ),
  ...survived('that answers twice', (answer) => {
    answer();
    answer();
  }),
  ...survived(
    'that answers, then throws',
    (answer) => {
      answer();
      throw new Error('thrown behind the answer');
    },
    {
      OCSPRequest: {
        reason,
        ours: onlyTheFirstFails({ name: 'Error', message: 'thrown behind the answer' }),
      },
      resumeSession: {
        reason,
        ours: onlyTheFirstFails({
          name: 'Error',
          code: 'ERR_MULTIPLE_CALLBACK',
          message: 'Callback called multiple times',
        }),
      },
    },
  ),
  ...late,
  {
    name: 'newSession that never answers: the handshake has its deadline',
    run: async ({ tls }, stage) => {
      const server = tls.createServer({
        ...stage.material.a,
        handshakeTimeout: 150,
        secureOptions: constants.SSL_OP_NO_TICKET,
      });
      server.once('newSession', () => {});
      const port = await stage.listen(tell(server));
      const failed = failure(server);
      stage.connect(port, { maxVersion: 'TLSv1.2' });
      const seen = await failed;
      const next = await stage.visit(port, { maxVersion: 'TLSv1.2' });
      return [seen, next.heard];
    },
  },
  {
    name: 'newSession that throws',
    run: async ({ tls }, stage) => {
      const server = tls.createServer({
        ...stage.material.a,
        handshakeTimeout: 150,
        secureOptions: constants.SSL_OP_NO_TICKET,
      });
      server.once('newSession', () => {
        throw new RangeError('thrown by the listener');
      });
      const errors: unknown[] = [];
      server.on('error', (error) => errors.push(problem(error)));
      server.on('tlsClientError', hangUp);
      const port = await stage.listen(tell(server));
      const uncaught = stage.uncaught();
      const first = await stage.visit(port, { maxVersion: 'TLSv1.2' });
      const next = await stage.visit(port, { maxVersion: 'TLSv1.2' });
      return [errors, first.heard, next.heard, uncaught.map(problem)];
    },
    different: {
      reason:
        "What a 'newSession' listener throws is an 'error' of the server and the connection goes on, as in Node 24; before, it was an uncaught exception and the handshake hung.",
      ours: [[{ name: 'RangeError', message: 'thrown by the listener' }], 'hello', 'hello', []],
    },
  },
  {
    name: 'newSession that answers twice',
    run: async ({ tls }, stage) => {
      const server = tls.createServer({
        ...stage.material.a,
        secureOptions: constants.SSL_OP_NO_TICKET,
      });
      const uncaught = stage.uncaught();
      server.on('newSession', (_id, _data, done: () => void) => {
        done();
        done();
      });
      const port = await stage.listen(tell(server));
      const { heard } = await stage.visit(port, { maxVersion: 'TLSv1.2' });
      return [heard, uncaught.map(problem)];
    },
    expect: ['hello', []],
  },
  {
    name: 'an async SNICallback that rejects',
    run: async ({ tls }, stage) => {
      const rejections: unknown[] = [];
      const listeners = process.listeners('unhandledRejection');
      process.removeAllListeners('unhandledRejection');
      const rejected = promised();
      process.on('unhandledRejection', (error) => {
        rejections.push(problem(error));
        rejected.resolve();
      });
      stage.finally(() => {
        process.removeAllListeners('unhandledRejection');
        for (const listener of listeners) process.on('unhandledRejection', listener);
      });
      const server = tls.createServer({
        ...stage.material.a,
        handshakeTimeout: 150,
        SNICallback: (async () => {
          throw new Error('rejected by the callback');
        }) as never,
      });
      server.on('tlsClientError', hangUp);
      const port = await stage.listen(server);
      const failed = failure(server);
      const { code } = await stage.visit(port, { servername: 'a.example' });
      await rejected.promise;
      return [await failed, code, rejections];
    },
  },
  {
    name: 'a slow SNICallback does not hold up other names',
    run: async ({ tls }, stage) => {
      const waiting = promised<() => void>();
      const server = tell(
        tls.createServer({
          ...stage.material.a,
          SNICallback: (name, answer) => {
            if (name === 'slow.example') waiting.resolve(() => answer(null));
            else answer(null, tls.createSecureContext(stage.material.b) as SecureContext);
          },
        }),
      );
      const port = await stage.listen(server);
      const slow = stage.visit(port, { servername: 'slow.example' });
      const answer = await waiting.promise;
      const names = [];
      for (const servername of ['b.example', 'c.example', '']) {
        names.push((await stage.visit(port, { servername })).name);
      }
      answer();
      names.push((await slow).name);
      return names;
    },
    expect: ['b.example', 'b.example', 'a.example', 'a.example'],
  },
  {
    name: 'a callback that closes the server',
    run: async ({ tls }, stage) => {
      const server: Server = tls.createServer({
        ...stage.material.a,
        SNICallback: (_, answer) => {
          server.close();
          answer(null);
        },
      });
      const port = await stage.listen(tell(server));
      const over = once(server, 'close');
      const { heard } = await stage.visit(port, { servername: 'a.example' });
      await over;
      return [heard, server.listening];
    },
    expect: ['hello', false],
  },
];
