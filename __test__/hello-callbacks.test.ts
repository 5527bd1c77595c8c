/**
 * Callbacks and events that answer a ClientHello: one table of programs, each run with node:tls and
 * with offloop, of which events, values and codes must be the same.
 */
import { constants, createHash } from 'node:crypto';
import { once } from 'node:events';
import tls from 'node:tls';

import * as offloop from 'offloop';
import { beforeAll, describe, expect, test } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { perform, type Program, type Stage, visit } from './support/socket-stage.js';
import { closed, until } from './support/streams.js';
import {
  nodeSockets,
  offloopSockets,
  type SocketLibrary,
  type SocketOptions,
} from './support/tls-socket-classes.js';

let identity: Issued;
let other: Issued;

beforeAll(async () => {
  const authority = await Authority.create();
  identity = await authority.issue();
  other = await authority.issue({ names: ['other.test'], subject: 'CN=other.test' });
});

type Answer = (error?: unknown, value?: unknown) => void;

/** A program about SNICallback, of which a client asks for `other.test`. */
function named(
  SNICallback: (this: tls.TLSSocket, name: string, answer: Answer, library: SocketLibrary) => void,
  run: (stage: Stage) => unknown = subjectSeen,
): Program {
  return {
    options: (library) =>
      ({
        SNICallback(this: tls.TLSSocket, name: string, answer: Answer) {
          SNICallback.call(this, name, answer, library);
        },
      }) as SocketOptions,
    made: ({ socket }) => void socket.resume(),
    run,
  };
}

/** Whose certificate the client is shown; undefined if none. */
async function subjectSeen(stage: Stage): Promise<string | undefined> {
  const client = stage.connect({ servername: 'other.test' });
  const shown = once(client, 'secureConnect').then(
    () => client.getPeerCertificate().subject.CN as string,
    () => undefined,
  );
  void shown.then(() => client.resume().end());
  return shown;
}

/** Of connections that are cut off: it depends on the moment what the client gets to see. */
function visitNamed(stage: Stage): void {
  visit(stage, { servername: 'other.test' });
}

function contextFor(library: SocketLibrary): tls.SecureContext {
  return library.createSecureContext({ key: other.key, cert: other.cert });
}

function isConnecting(socket: tls.TLSSocket): boolean {
  return (socket as unknown as { secureConnecting: boolean }).secureConnecting;
}

const mine = (): Error => Object.assign(new Error('mine'), { code: 'MINE' });

const serverNames: Record<string, Program> = {
  'a context, at once': named((_name, answer, library) => answer(null, contextFor(library))),
  'a context, later': named((_name, answer, library) => {
    setImmediate(() => answer(null, contextFor(library)));
  }),
  "a context's handle": named((_name, answer, library) =>
    answer(null, (contextFor(library) as unknown as { context: object }).context),
  ),
  'no context: that of the socket': named((_name, answer) => answer(null, null)),
  'no arguments at all': named((_name, answer) => answer()),
  'neither context nor object: that of the socket': named((_name, answer) => answer(null, 5)),
  'the socket is `this`, and knows the name': {
    ...named(function (name, answer) {
      (this as unknown as { seen: unknown }).seen = [name, isConnecting(this), this.authorized];
      answer();
    }),
    async run(stage) {
      await subjectSeen(stage);
      return (stage.socket as unknown as { seen: unknown }).seen;
    },
  },
  'is not asked without a name': named(
    () => {
      throw mine();
    },
    (stage) => void visit(stage, { servername: '' }),
  ),
  'an error': named((_name, answer) => answer(mine())),
  'an error, later': named((_name, answer) => void setImmediate(answer, mine())),
  'a throw': named(() => {
    throw mine();
  }),
  'an answer and a throw': named((_name, answer) => {
    answer();
    throw mine();
  }, visitNamed),
  'two answers': named((_name, answer) => {
    answer();
    answer();
  }, visitNamed),
  'an answer to a socket that is gone': named(function (_name, answer) {
    this.destroy();
    answer();
  }),
  'an answer, much later, to a socket that is gone': {
    ...named(function (_name, answer) {
      this.destroy();
      this.once('close', () => answer());
    }),
  },
  'destroys the socket with an error': named(function () {
    this.destroy(mine());
  }),
};

/** A program about ALPNCallback, whose client offers `one` and `two`. */
function offered(
  ALPNCallback: (this: tls.TLSSocket, offer: tls.ALPNCallbackOffer) => unknown,
  options: SocketOptions = {},
  offer: string[] | undefined = ['one', 'two'],
): Program {
  return {
    options: () => ({ ALPNCallback, ...options }) as SocketOptions,
    made: ({ socket }) => void socket.resume(),
    async run(stage) {
      const client = stage.connect({ ALPNProtocols: offer, servername: 'example.test' });
      const spoken = once(client, 'secureConnect').then(
        () => client.alpnProtocol,
        (error: NodeJS.ErrnoException) => error.code,
      );
      void spoken.then(() => client.resume().end());
      const told = await spoken;
      if (!stage.socket.destroyed) await closed(stage.socket);
      // A client that is cut off may hear of it in several ways.
      return stage.socket.errored === null ? [told, stage.socket.alpnProtocol] : undefined;
    },
  };
}

declare module 'node:tls' {
  interface ALPNCallbackOffer {
    servername: string | false;
    protocols: string[];
  }
}

const protocols: Record<string, Program> = {
  'one of those that are offered': offered(() => 'two'),
  'is told name and protocols': offered(function ({ servername, protocols: names }) {
    return isConnecting(this) && servername === 'example.test' && names.join() === 'one,two'
      ? 'one'
      : undefined;
  }),
  'counts more than ALPNProtocols': offered(() => 'two', { ALPNProtocols: ['one'] }),
  none: offered(() => undefined),
  'one that is not offered': offered(() => 'three'),
  'a throw': offered(() => {
    throw mine();
  }),
  'is not asked by clients without ALPN': {
    ...offered(() => {
      throw mine();
    }),
    run: (stage) => void visit(stage),
  },
};

/** A `server` option: what is emitted on it is asked for. */
function serverWith(listeners: Record<string, (...args: never[]) => void>): () => SocketOptions {
  return () => {
    const server = tls.createServer({
      key: identity.key,
      cert: `${identity.cert}\n${identity.ca}`,
    });
    for (const [event, listener] of Object.entries(listeners)) server.on(event, listener as never);
    return { server, cert: `${identity.cert}\n${identity.ca}` } as unknown as SocketOptions;
  };
}

const staples: Record<string, Program> = {
  'a response': {
    options: serverWith({
      OCSPRequest(certificate: Buffer, issuer: Buffer, answer: Answer) {
        const digest = createHash('sha256').update(certificate).update(issuer).digest();
        setImmediate(answer, null, digest);
      },
    }),
    made: ({ socket }) => void socket.resume(),
    async run(stage) {
      const client = visit(stage, { requestOCSP: true });
      const [response] = (await once(client, 'OCSPResponse')) as [Buffer];
      return response;
    },
  },
  'no response': {
    options: serverWith({
      OCSPRequest: (_certificate: Buffer, _issuer: Buffer, answer: Answer) => answer(),
    }),
    made: ({ socket }) => void socket.resume(),
    async run(stage) {
      const client = visit(stage, { requestOCSP: true });
      const [response] = (await once(client, 'OCSPResponse')) as [Buffer | null];
      return response;
    },
  },
  'is not asked by clients that do not ask': {
    options: serverWith({
      OCSPRequest() {
        throw mine();
      },
    }),
    made: ({ socket }) => void socket.resume(),
    run: (stage) => void visit(stage),
  },
  'an error': {
    options: serverWith({
      OCSPRequest: (_certificate: Buffer, _issuer: Buffer, answer: Answer) => answer(mine()),
    }),
    run: (stage) => void stage.connect({ requestOCSP: true }),
  },
};

const TLS12 = { maxVersion: 'TLSv1.2', secureOptions: constants.SSL_OP_NO_TICKET } as const;

const sessions: Record<string, Program> = {
  "'newSession' holds the handshake back until it is stored": {
    options: () => ({
      ...serverWith({
        newSession(id: Buffer, session: Buffer, done: () => void) {
          order.push(`new ${id.length} ${session.length > 0}`);
          setImmediate(() => {
            order.push('stored');
            done();
          });
        },
      })(),
      ...TLS12,
    }),
    made({ socket }) {
      order = [];
      socket.resume().on('secure', () => order.push('secure'));
    },
    async run(stage) {
      visit(stage, TLS12);
      await once(stage.socket, 'secure');
      return order;
    },
  },
  "'resumeSession': an error": {
    options: () => ({
      ...serverWith({
        resumeSession: (_id: Buffer, answer: Answer) => answer(mine()),
      })(),
      ...TLS12,
    }),
    // A client that knows TLS 1.3 always sends an id.
    run: (stage) => void stage.connect(),
  },
};

let order: string[] = [];

describe.each([
  ['SNICallback', serverNames],
  ['ALPNCallback', protocols],
  ["'OCSPRequest'", staples],
  ['sessions', sessions],
])('%s', (_, programs) => {
  test.for(Object.entries(programs))('%s', async ([, program]) => {
    expect(await perform(offloopSockets, identity, program)).toStrictEqual(
      await perform(nodeSockets, identity, program),
    );
  });
});

describe('sessions by their id', () => {
  test.for([nodeSockets, offloopSockets])('$name: stored and resumed', async (library) => {
    const store = new Map<string, Buffer>();
    const options = (): SocketOptions => ({
      ...serverWith({
        newSession(id: Buffer, session: Buffer, done: () => void) {
          store.set(id.toString('hex'), session);
          done();
        },
        resumeSession: (id: Buffer, answer: Answer) => answer(null, store.get(id.toString('hex'))),
      })(),
      ...TLS12,
    });
    let session: Buffer | undefined;
    const reused: boolean[] = [];
    for (let i = 0; i < 2; i++) {
      await perform(library, identity, {
        options,
        made: ({ socket }) => void socket.resume(),
        async run(stage) {
          const client = stage.connect({ ...TLS12, session });
          await once(client, 'secureConnect');
          session = client.getSession();
          reused.push(client.isSessionReused());
          client.resume().end();
        },
      });
    }
    expect(reused).toEqual([false, true]);
    expect(store.size).toBe(1);
  });
});

describe('what Node has not, or not so', () => {
  test('a context of offloop', async () => {
    const { key, cert } = other;
    const { result } = await perform(
      offloopSockets,
      identity,
      named((_name, answer) => answer(null, offloop.createSecureContext({ key, cert }))),
    );
    expect(result).toBe('other.test');
  });

  test.for([
    ['what is no context', () => ({}), undefined],
    [
      'a context whose key nobody knows',
      () => tls.createSecureContext({ key: other.key, cert: other.cert }),
      'ERR_OFFLOOP_UNSUPPORTED_OPTION',
    ],
  ] as const)('%s', async ([, context, code]) => {
    const { events } = await perform(
      offloopSockets,
      identity,
      named((_name, answer) => answer(null, context())),
    );
    expect(events).toContain(`error ${String(code)}`);
    expect(events.at(-1)).toBe('close true');
  });

  // Node does so from 24 on, and lets them be uncaught exceptions before.
  test.for(['OCSPRequest', 'resumeSession'])("a throw in '%s' is the socket's", async (event) => {
    const { events } = await perform(offloopSockets, identity, {
      options: serverWith({
        [event]() {
          throw mine();
        },
      }),
      run: (stage) => void stage.connect({ requestOCSP: true }),
    });
    expect(events).toEqual(['error MINE', '_tlsError MINE', 'close true']);
  });

  test("a throw in 'newSession' is an error of the server, and the handshake goes on", async () => {
    const errors: Error[] = [];
    const { events } = await perform(offloopSockets, identity, {
      options: () => ({
        ...serverWith({
          newSession() {
            throw mine();
          },
          error: (error: Error) => void errors.push(error),
        })(),
        ...TLS12,
      }),
      made: ({ socket }) => void socket.resume(),
      run: (stage) => void visit(stage, TLS12),
    });
    expect(events).toContain('secure');
    expect(errors).toMatchObject([{ code: 'MINE' }]);
  });

  test('a second answer, when the handshake is over', async () => {
    const { events } = await perform(
      offloopSockets,
      identity,
      named(
        function (_name, answer) {
          answer();
          this.once('secure', () => setImmediate(answer));
        },
        (stage) => void stage.connect({ servername: 'other.test' }),
      ),
    );
    expect(events.slice(-3)).toEqual([
      'error ERR_MULTIPLE_CALLBACK',
      '_tlsError ERR_MULTIPLE_CALLBACK',
      'close true',
    ]);
  });

  test('a callback that never answers: the deadline holds', async () => {
    const { events } = await perform(offloopSockets, identity, {
      options: () => ({ SNICallback: () => {}, handshakeTimeout: 50 }) as SocketOptions,
      run: (stage) => void stage.connect({ servername: 'other.test' }),
    });
    expect(events).toEqual(['_tlsError ERR_TLS_HANDSHAKE_TIMEOUT', 'close false']);
  });

  test('an answer when the client is gone', async () => {
    const answers: Answer[] = [];
    const { events } = await perform(offloopSockets, identity, {
      ...named((_name, answer) => void answers.push(answer)),
      async run(stage) {
        const client = stage.connect({ servername: 'other.test' });
        await until(() => answers.length > 0);
        client.destroy();
        stage.peer.destroy();
        answers[0]();
      },
    });
    expect(events.at(-1)).toMatch(/^close/);
  });

  test('setKeyCert() in ALPNCallback', async () => {
    const { result } = await perform(offloopSockets, identity, {
      options: () =>
        ({
          ALPNCallback(this: tls.TLSSocket) {
            this.setKeyCert(contextFor(offloopSockets));
            return 'one';
          },
        }) as SocketOptions,
      made: ({ socket }) => void socket.resume(),
      async run(stage) {
        const client = stage.connect({ ALPNProtocols: ['one'] });
        await once(client, 'secureConnect');
        const { subject } = client.getPeerCertificate();
        client.resume().end();
        return subject.CN;
      },
    });
    expect(result).toBe('other.test');
  });
});
