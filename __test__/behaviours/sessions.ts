/** Resumption: tickets, session identifiers, keys; and what it must never skip. */
import { constants, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import nodeHttps from 'node:https';
import type { ConnectionOptions, SecureVersion, Server, TlsOptions, TLSSocket } from 'node:tls';

import type { Modules, Row } from './row.js';
import { attempt, failure, type Stage, tell } from './stage.js';

const versions: readonly SecureVersion[] = ['TLSv1.2', 'TLSv1.3'];
const withoutTickets = {
  secureOptions: constants.SSL_OP_NO_TICKET,
  maxVersion: 'TLSv1.2',
} as const;
/** A client of TLS 1.3 sends an identifier of no session, too. */
const old = { maxVersion: 'TLSv1.2' } as const;

/** Which of the connections were resumed: each offers what the one before it got. */
async function chain(
  stage: Stage,
  ports: readonly number[],
  client: ConnectionOptions = {},
  each: readonly ConnectionOptions[] = [],
): Promise<boolean[]> {
  const reused = [];
  let session: Buffer | undefined;
  for (const [index, port] of ports.entries()) {
    const visit = await stage.visit(port, {
      ...client,
      ...each[index],
      ...(session && { session }),
    });
    reused.push(visit.reused);
    // A resumed connection may come without a new one.
    session = visit.session ?? session;
  }
  return reused;
}

/** As `chain`, for each version. */
async function chains(...args: Parameters<typeof chain>): Promise<unknown> {
  const outcomes = [];
  const [stage, ports, client, each] = args;
  for (const maxVersion of versions) {
    outcomes.push(await chain(stage, ports, { ...client, maxVersion }, each));
  }
  return outcomes;
}

async function serve(
  { tls }: Modules,
  stage: Stage,
  options: TlsOptions = {},
): Promise<[Server, number]> {
  const server = tell(tls.createServer({ ...stage.material.ecdsa, ...options }));
  return [server, await stage.listen(server)];
}

/** A store as in Node's documentation; it notes what it is asked. */
function store(server: Server): { seen: string[]; kept: Map<string, Buffer> } {
  const kept = new Map<string, Buffer>();
  const seen: string[] = [];
  server.on('newSession', (id: Buffer, data: Buffer, done: () => void) => {
    seen.push(`new ${id.length} ${Buffer.isBuffer(data)}`);
    kept.set(id.toString('hex'), data);
    done();
  });
  server.on('resumeSession', (id: Buffer, answer: (error: null, data: Buffer | null) => void) => {
    const found = kept.get(id.toString('hex'));
    seen.push(found ? 'found' : 'missed');
    answer(null, found ?? null);
  });
  return { seen, kept };
}

export const sessions: Row[] = [
  {
    name: 'a ticket resumes',
    run: async (modules, stage) => {
      const [, port] = await serve(modules, stage);
      return chains(stage, [port, port, port]);
    },
    expect: [
      [false, true, true],
      [false, true, true],
    ],
  },
  {
    name: 'isSessionReused() says it on both sides',
    run: async ({ tls }, stage) => {
      const server = tell(tls.createServer(stage.material.ecdsa), (socket) =>
        socket.isSessionReused(),
      );
      const port = await stage.listen(server);
      const said = [];
      for (const maxVersion of versions) {
        const { session, heard } = await stage.visit(port, { maxVersion });
        const again = await stage.visit(port, { maxVersion, session: session! });
        said.push([heard, again.heard, again.reused]);
      }
      return said;
    },
    expect: [
      [false, true, true],
      [false, true, true],
    ],
  },
  {
    name: 'what a resumed connection knows',
    run: async ({ tls }, stage) => {
      const { ecdsa, ca, client } = stage.material;
      const server = tls.createServer({ ...ecdsa, ca, requestCert: true, ALPNProtocols: ['one'] });
      tell(server, (socket) => [
        socket.authorized,
        socket.authorizationError,
        socket.getPeerCertificate().subject?.CN ?? null,
        socket.alpnProtocol,
        (socket as unknown as { servername: string }).servername,
        socket.getProtocol(),
      ]);
      const port = await stage.listen(server);
      const said = [];
      for (const maxVersion of versions) {
        const options = { ...client, maxVersion, servername: 'x.example', ALPNProtocols: ['one'] };
        const { session } = await stage.visit(port, options);
        const { heard, reused } = await stage.visit(port, { ...options, session: session! });
        said.push([reused, heard]);
      }
      return said;
    },
    different: {
      reason:
        'servername is what the client sent, also in a resumed TLS 1.2 session, where Node has false.',
      ours: [
        [true, [true, null, 'client', 'one', 'x.example', 'TLSv1.2']],
        [true, [true, null, 'client', 'one', 'x.example', 'TLSv1.3']],
      ],
    },
  },
  {
    name: 'a ticket of another server does not resume',
    run: async (modules, stage) => {
      const [, first] = await serve(modules, stage);
      const [, second] = await serve(modules, stage);
      return chains(stage, [first, second, second]);
    },
    expect: [
      [false, false, true],
      [false, false, true],
    ],
  },
  {
    name: 'servers with the same ticketKeys resume each other',
    run: async (modules, stage) => {
      const ticketKeys = randomBytes(48);
      const [, first] = await serve(modules, stage, { ticketKeys });
      const [, second] = await serve(modules, stage, { ticketKeys });
      return chains(stage, [first, second, first]);
    },
    expect: [
      [false, true, true],
      [false, true, true],
    ],
  },
  {
    name: 'getTicketKeys() into the ticketKeys of another server',
    run: async (modules, stage) => {
      const [server, first] = await serve(modules, stage);
      const ticketKeys = server.getTicketKeys();
      const [other, second] = await serve(modules, stage, { ticketKeys });
      const facts = [
        Buffer.isBuffer(ticketKeys),
        ticketKeys.length,
        server.getTicketKeys().equals(ticketKeys),
        other.getTicketKeys().equals(ticketKeys),
      ];
      return [facts, await chains(stage, [first, second])];
    },
    expect: [
      [true, 48, true, true],
      [
        [false, true],
        [false, true],
      ],
    ],
  },
  {
    name: 'setTicketKeys() takes over the keys of another server',
    run: async (modules, stage) => {
      const [first, one] = await serve(modules, stage);
      const [second, two] = await serve(modules, stage);
      const given = second.setTicketKeys(first.getTicketKeys());
      return [
        given,
        second.getTicketKeys().equals(first.getTicketKeys()),
        await chains(stage, [one, two]),
      ];
    },
    expect: [
      undefined,
      true,
      [
        [false, true],
        [false, true],
      ],
    ],
  },
  {
    name: 'setTicketKeys(): tickets under the keys before',
    run: async (modules, stage) => {
      const [server, port] = await serve(modules, stage);
      const outcomes = [];
      for (const maxVersion of versions) {
        const { session } = await stage.visit(port, { maxVersion });
        server.setTicketKeys(randomBytes(48));
        const { reused } = await stage.visit(port, { maxVersion, session: session! });
        outcomes.push(reused);
      }
      return outcomes;
    },
    different: {
      reason:
        'Tickets under the keys before still resume until sessionTimeout; Node forgets those keys at once.',
      ours: [true, true],
    },
  },
  {
    name: 'setTicketKeys() with bad keys',
    unserved: true,
    run: ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      return [
        undefined,
        'x'.repeat(48),
        Buffer.alloc(47),
        Buffer.alloc(49),
        {},
        new Uint8Array(48),
      ].map((keys) => attempt(() => server.setTicketKeys(keys as Buffer)));
    },
  },
  {
    name: 'ticketKeys stay through setSecureContext(), when they were given',
    run: async (modules, stage) => {
      const outcomes = [];
      for (const options of [{ ticketKeys: randomBytes(48) }, {}]) {
        const [server, port] = await serve(modules, stage, options);
        const before = server.getTicketKeys();
        const { session } = await stage.visit(port);
        server.setSecureContext(stage.material.ecdsa);
        const { reused } = await stage.visit(port, { session: session! });
        outcomes.push([server.getTicketKeys().equals(before), reused]);
      }
      return outcomes;
    },
  },
  {
    name: 'SSL_OP_NO_TICKET in TLS 1.2: no resumption by itself',
    run: async (modules, stage) => {
      const [, port] = await serve(modules, stage, withoutTickets);
      return chain(stage, [port, port]);
    },
    expect: [false, false],
  },
  {
    name: 'newSession and resumeSession resume by identifier in TLS 1.2',
    run: async (modules, stage) => {
      const [server, port] = await serve(modules, stage, withoutTickets);
      const { seen } = store(server);
      return [await chain(stage, [port, port, port], old), seen];
    },
    expect: [
      [false, true, true],
      ['new 32 true', 'found', 'found'],
    ],
  },
  {
    name: 'newSession and resumeSession where tickets are on',
    run: async (modules, stage) => {
      const [server, port] = await serve(modules, stage);
      const { seen } = store(server);
      return [await chains(stage, [port, port]), seen];
    },
    different: {
      reason:
        'TLS 1.3 has no identifiers to resume by: newSession is not emitted there, and resumeSession only for a hello without a ticket.',
      ours: [
        [
          [false, true],
          [false, true],
        ],
        ['missed'],
      ],
    },
  },
  {
    name: 'newSession with a client that takes no tickets',
    run: async (modules, stage) => {
      const [server, port] = await serve(modules, stage);
      const { seen } = store(server);
      const client = { secureOptions: constants.SSL_OP_NO_TICKET, maxVersion: 'TLSv1.2' } as const;
      return [await chain(stage, [port, port], client), seen];
    },
  },
  {
    name: 'resumeSession that finds nothing: a full handshake',
    run: async (modules, stage) => {
      const [server, port] = await serve(modules, stage, withoutTickets);
      const { seen, kept } = store(server);
      const { session } = await stage.visit(port, old);
      kept.clear();
      const { reused } = await stage.visit(port, { ...old, session: session! });
      return [reused, seen];
    },
    expect: [false, ['new 32 true', 'missed', 'new 32 true']],
  },
  {
    name: 'resumeSession is asked for the identifier that a client of TLS 1.3 makes up',
    run: async (modules, stage) => {
      const [server, port] = await serve(modules, stage, withoutTickets);
      const { seen } = store(server);
      return [await chain(stage, [port, port]), seen];
    },
    expect: [
      [false, true],
      ['missed', 'new 32 true', 'found'],
    ],
  },
  {
    name: 'resumeSession that answers later',
    run: async (modules, stage) => {
      const [server, port] = await serve(modules, stage, withoutTickets);
      let kept: Buffer | undefined;
      server.on('newSession', (_id: Buffer, data: Buffer, done: () => void) => {
        kept = data;
        setImmediate(done);
      });
      server.on('resumeSession', (_id: Buffer, answer: (error: null, data: Buffer) => void) => {
        setImmediate(answer, null, kept!);
      });
      return chain(stage, [port, port, port]);
    },
    expect: [false, true, true],
  },
  {
    name: 'resumeSession that answers with an error',
    run: async (modules, stage) => {
      const [server, port] = await serve(modules, stage, withoutTickets);
      server.on('newSession', (_id, _data, done: () => void) => done());
      server.on('resumeSession', (_id: Buffer, answer: (error: Error, data: null) => void) => {
        answer(Object.assign(new Error('no store'), { code: 'ESTORE' }), null);
      });
      const { session } = await stage.visit(port);
      const failed = failure(server);
      const { secure, code } = await stage.visit(port, { session: session! });
      return [await failed, secure, code];
    },
  },
  {
    name: 'resumeSession that answers with what is no session',
    run: async (modules, stage) => {
      const [server, port] = await serve(modules, stage, withoutTickets);
      server.on('newSession', (_id, _data, done: () => void) => done());
      server.on('resumeSession', (_id: Buffer, answer: (error: null, data: Buffer) => void) => {
        answer(null, Buffer.from('no session'));
      });
      const { session } = await stage.visit(port);
      const { secure, reused } = await stage.visit(port, { session: session! });
      return [secure, reused];
    },
    expect: [true, false],
  },
  {
    name: 'newSession: secureConnection waits for its callback',
    run: async (modules, stage) => {
      const [server, port] = await serve(modules, stage, withoutTickets);
      const events: string[] = [];
      server.on('secureConnection', () => events.push('secureConnection'));
      server.on('newSession', (_id, _data, done: () => void) => {
        events.push('newSession');
        setImmediate(() => {
          events.push('done');
          done();
        });
      });
      await stage.visit(port);
      return events;
    },
    expect: ['newSession', 'done', 'secureConnection'],
  },
  {
    name: 'newSession alone, and resumeSession alone',
    run: async (modules, stage) => {
      const outcomes = [];
      for (const event of ['newSession', 'resumeSession']) {
        const [server, port] = await serve(modules, stage, withoutTickets);
        const events: string[] = [];
        server.on(event, (...args: unknown[]) => {
          events.push(`${event} ${args.length}`);
          (args.at(-1) as (error: null, data: null) => void)(null, null);
        });
        outcomes.push([await chain(stage, [port, port]), events]);
      }
      return outcomes;
    },
  },
  {
    name: 'sessionIdContext keeps apart servers with the same ticketKeys',
    run: async (modules, stage) => {
      const ticketKeys = randomBytes(48);
      const [, first] = await serve(modules, stage, { ticketKeys, sessionIdContext: 'one' });
      const [, second] = await serve(modules, stage, { ticketKeys, sessionIdContext: 'two' });
      const [, third] = await serve(modules, stage, { ticketKeys, sessionIdContext: 'one' });
      return [await chains(stage, [first, second]), await chains(stage, [first, third])];
    },
    expect: [
      [
        [false, false],
        [false, false],
      ],
      [
        [false, true],
        [false, true],
      ],
    ],
  },
  {
    name: 'a session of one version in the other',
    run: async (modules, stage) => {
      const [, port] = await serve(modules, stage);
      const outcomes = [];
      for (const [first, second] of [versions, versions.toReversed()]) {
        const { session } = await stage.visit(port, { minVersion: first, maxVersion: first });
        const { reused, protocol } = await stage.visit(port, {
          minVersion: second,
          maxVersion: second,
          session: session!,
        });
        outcomes.push([reused, protocol]);
      }
      return outcomes;
    },
  },
  {
    name: 'a session never skips the check of client certificates of another name',
    run: async ({ tls }, stage) => {
      const { a, b, ca, strangersCa, client } = stage.material;
      const server = tls.createServer({ ...a, ca, requestCert: true, rejectUnauthorized: false });
      server.addContext('b.example', { ...b, ca: strangersCa });
      tell(server, ({ authorized }) => authorized);
      const port = await stage.listen(server);
      const outcomes = [];
      for (const maxVersion of versions) {
        const options = { ...client, maxVersion };
        const { session, heard } = await stage.visit(port, { ...options, servername: 'a.example' });
        const crossed = await stage.visit(port, {
          ...options,
          servername: 'b.example',
          session: session!,
        });
        outcomes.push([heard, crossed.heard]);
      }
      return outcomes;
    },
    different: {
      reason:
        'Sessions are bound to the authorities of the context: one of another name is not resumed, the client certificate is checked again.',
      ours: [
        [true, false],
        [true, false],
      ],
    },
  },
  {
    name: 'a session from a server that asks nobody does not get past one that does',
    run: async ({ tls }, stage) => {
      const { ecdsa, ca } = stage.material;
      const ticketKeys = randomBytes(48);
      const open = tell(tls.createServer({ ...ecdsa, ticketKeys, sessionIdContext: 'same' }));
      const strict = tls.createServer({
        ...ecdsa,
        ca,
        ticketKeys,
        requestCert: true,
        sessionIdContext: 'same',
      });
      strict.on('tlsClientError', () => {});
      tell(strict, () => 'let in');
      const first = await stage.listen(open);
      const second = await stage.listen(strict);
      const outcomes = [];
      for (const maxVersion of versions) {
        const { session } = await stage.visit(first, { maxVersion });
        const { heard } = await stage.visit(second, { maxVersion, session: session! });
        outcomes.push(heard);
      }
      return outcomes;
    },
    different: {
      reason:
        'Sessions are bound to what is asked of clients: nobody gets in without the certificate that a server wants.',
      ours: [null, null],
    },
  },
  {
    name: 'a session after setSecureContext() with other authorities',
    run: async ({ tls }, stage) => {
      const { ecdsa, ca, strangersCa, client } = stage.material;
      const ticketKeys = randomBytes(48);
      const server = tls.createServer({
        ...ecdsa,
        ca,
        ticketKeys,
        requestCert: true,
        rejectUnauthorized: false,
      });
      tell(server, ({ authorized }) => authorized);
      const port = await stage.listen(server);
      const outcomes = [];
      for (const maxVersion of versions) {
        server.setSecureContext({ ...ecdsa, ca });
        const { session, heard } = await stage.visit(port, { ...client, maxVersion });
        server.setSecureContext({ ...ecdsa, ca: strangersCa });
        const again = await stage.visit(port, { ...client, maxVersion, session: session! });
        outcomes.push([heard, again.heard]);
      }
      return outcomes;
    },
    different: {
      reason:
        'Sessions are bound to the authorities: one from before is not resumed, the client certificate is checked again.',
      ours: [
        [true, false],
        [true, false],
      ],
    },
  },
  {
    name: 'the agent of https resumes',
    run: async ({ https }, stage) => {
      const server = https.createServer(stage.material.ecdsa, (request, response) => {
        response.end(String((request.socket as TLSSocket).isSessionReused()));
      });
      const port = await stage.listen(server);
      const outcomes = [];
      for (const maxVersion of versions) {
        const agent = new nodeHttps.Agent({ maxVersion });
        stage.finally(() => agent.destroy());
        const bodies = [];
        for (let i = 0; i < 3; i++) bodies.push((await stage.request(port, { agent })).body);
        outcomes.push(bodies);
      }
      return outcomes;
    },
    expect: [
      ['false', 'true', 'true'],
      ['false', 'true', 'true'],
    ],
  },
  {
    name: 'getSession() and getTLSTicket() at the server',
    run: async ({ tls }, stage) => {
      const outcomes = [];
      for (const maxVersion of versions) {
        const server = tls.createServer(stage.material.ecdsa);
        const { socket, client } = await stage.pair(server, { maxVersion });
        const session = socket.getSession();
        const [clients] = client.listenerCount('session') ? [] : [client.getSession()];
        outcomes.push([Buffer.isBuffer(session), socket.getTLSTicket(), Buffer.isBuffer(clients)]);
        socket.destroy();
        outcomes.push([socket.getSession(), socket.getTLSTicket()]);
      }
      return outcomes;
    },
    different: {
      reason: 'There is no session of OpenSSL to give: getSession() of a server gives undefined.',
      ours: [
        [false, undefined, true],
        [null, null],
        [false, undefined, true],
        [null, null],
      ],
    },
  },
  {
    name: 'a client gets as many tickets as from Node',
    run: async ({ tls }, stage) => {
      const outcomes = [];
      for (const maxVersion of versions) {
        const server = tls.createServer(stage.material.ecdsa);
        const port = await stage.listen(tell(server));
        const client = stage.connect(port, { maxVersion });
        let tickets = 0;
        client.on('session', () => tickets++).resume();
        await once(client, 'end');
        outcomes.push(tickets);
      }
      return outcomes;
    },
  },
  {
    name: 'sessionTimeout is what a ticket says it lives',
    run: async ({ tls }, stage) => {
      const server = tls.createServer({ ...stage.material.ecdsa, sessionTimeout: 77 });
      const { client } = await stage.pair(server, { maxVersion: 'TLSv1.2' });
      // ASN.1 of OpenSSL's session: [9] is the ticket's hint of its lifetime.
      const session = client.getSession()!;
      return session.includes(Buffer.from([0xa9, 0x03, 0x02, 0x01, 77]));
    },
  },
];
