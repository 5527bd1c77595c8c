/** 'keylog' and enableTrace: what looks into a connection. */
import { once } from 'node:events';
import type { TLSSocket } from 'node:tls';

import type { Row } from './row.js';
import { attempt, tell } from './stage.js';

export const keylogTrace: Row[] = [
  {
    name: 'keylog: NSS lines, with the socket, the same as those of the client',
    run: async ({ tls }, stage) => {
      const outcomes = [];
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
        const server = tell(tls.createServer(stage.material.ecdsa));
        const lines: string[] = [];
        const facts = new Set<string>();
        server.on('keylog', (line, socket) => {
          lines.push(String(line));
          facts.add(`${Buffer.isBuffer(line)} ${socket instanceof tls.TLSSocket} ${line.at(-1)}`);
        });
        const port = await stage.listen(server);
        const client = stage.connect(port, { maxVersion });
        const theirs: string[] = [];
        client.on('keylog', (line) => theirs.push(String(line)));
        await once(client.resume(), 'end');
        outcomes.push([
          lines.map((line) => line.split(' ')[0]).toSorted(),
          lines.toSorted().join('') === theirs.toSorted().join(''),
          [...facts],
        ]);
      }
      return outcomes;
    },
    expect: [
      [['CLIENT_RANDOM'], true, ['true true 10']],
      [
        [
          'CLIENT_HANDSHAKE_TRAFFIC_SECRET',
          'CLIENT_TRAFFIC_SECRET_0',
          'EXPORTER_SECRET',
          'SERVER_HANDSHAKE_TRAFFIC_SECRET',
          'SERVER_TRAFFIC_SECRET_0',
        ],
        true,
        ['true true 10'],
      ],
    ],
  },
  {
    name: 'keylog of a session that is resumed',
    run: async ({ tls }, stage) => {
      const server = tell(tls.createServer(stage.material.ecdsa));
      const lines: string[] = [];
      server.on('keylog', (line) => lines.push(String(line).split(' ')[0]));
      const port = await stage.listen(server);
      const { session } = await stage.visit(port);
      lines.length = 0;
      await stage.visit(port, { session: session! });
      return lines.toSorted();
    },
    expect: [
      'CLIENT_HANDSHAKE_TRAFFIC_SECRET',
      'CLIENT_TRAFFIC_SECRET_0',
      'EXPORTER_SECRET',
      'SERVER_HANDSHAKE_TRAFFIC_SECRET',
      'SERVER_TRAFFIC_SECRET_0',
    ],
  },
  {
    name: 'keylog comes before secureConnection',
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      const events: string[] = [];
      server.on('keylog', () => events.push('keylog'));
      server.on('secureConnection', (socket) => {
        events.push('secureConnection');
        socket.end('"hello"');
      });
      const port = await stage.listen(server);
      await stage.visit(port, { maxVersion: 'TLSv1.2' });
      return events;
    },
    expect: ['keylog', 'secureConnection'],
  },
  {
    name: 'keylog: its socket is the one of secureConnection',
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      const sockets = new Set<TLSSocket>();
      server.on('keylog', (_, socket) => sockets.add(socket));
      server.on('secureConnection', (socket) => {
        sockets.add(socket);
        socket.end('"hello"');
      });
      await stage.visit(await stage.listen(server));
      return sockets.size;
    },
    expect: 1,
  },
  {
    name: 'keylog: a listener that comes later sees later connections',
    run: async ({ tls }, stage) => {
      const server = tell(tls.createServer(stage.material.ecdsa));
      const port = await stage.listen(server);
      let lines = 0;
      const listener = (): unknown => lines++;
      await stage.visit(port);
      const counts = [lines];
      server.on('keylog', listener);
      await stage.visit(port);
      counts.push(lines);
      server.off('keylog', listener);
      await stage.visit(port);
      counts.push(lines);
      return counts;
    },
    expect: [0, 5, 5],
  },
  {
    name: 'keylog of a handshake that fails',
    run: async ({ tls }, stage) => {
      const { ecdsa, ca } = stage.material;
      const server = tls.createServer({ ...ecdsa, ca, requestCert: true });
      let lines = 0;
      server.on('keylog', () => lines++);
      const port = await stage.listen(server);
      const failed = once(server, 'tlsClientError');
      await stage.visit(port);
      await failed;
      return lines > 0;
    },
    expect: true,
  },
  {
    name: 'keylog of an https and an http2 server',
    run: async ({ https, http2 }, stage) => {
      const counts = [];
      for (const server of [
        https.createServer(stage.material.ecdsa),
        http2.createSecureServer(stage.material.ecdsa),
      ]) {
        let lines = 0;
        server.on('keylog', () => lines++);
        const port = await stage.listen(server);
        const accepted = once(server, 'secureConnection');
        stage.connect(port, { ALPNProtocols: ['h2', 'http/1.1'] });
        await accepted;
        counts.push(lines);
      }
      return counts;
    },
    expect: [5, 5],
  },
  {
    name: 'enableTrace: the records of a handshake, on stderr',
    run: async (modules, stage) => {
      const traced = [];
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3']) {
        const stderr = (await stage.program(
          modules,
          `const server = tls.createServer({ ...input.identity, enableTrace: true });
          server.listen(0, '127.0.0.1');
          await once(server, 'listening');
          const client = connect(server, { maxVersion: input.maxVersion });
          const [socket] = await once(server, 'secureConnection');
          served(socket);
          socket.end('hello');
          await once(client.resume(), 'end');
          server.close();
          tell('stderr');`,
          { maxVersion },
        )) as string;
        // Node loses some of what comes later.
        traced.push(['Received', 'ClientHello'].map((word) => stderr.includes(word)));
      }
      return traced;
    },
    expect: [
      [true, true],
      [true, true],
    ],
  },
  {
    name: 'enableTrace off, and by default: nothing on stderr',
    run: (modules, stage) =>
      stage.program(
        modules,
        `for (const options of [{}, { enableTrace: false }]) {
          const server = tls.createServer({ ...input.identity, ...options });
          server.listen(0, '127.0.0.1');
          await once(server, 'listening');
          const client = connect(server);
          const [socket] = await once(server, 'secureConnection');
          served(socket);
          socket.end('hello');
          await once(client.resume(), 'end');
          server.close();
        }
        tell('stderr');`,
      ),
    expect: '',
  },
  {
    name: 'enableTrace() of a socket, from then on',
    run: async (modules, stage) => {
      const stderr = (await stage.program(
        modules,
        `const server = tls.createServer(input.identity);
        server.listen(0, '127.0.0.1');
        await once(server, 'listening');
        const client = connect(server);
        const [socket] = await once(server, 'secureConnection');
        served(socket);
        socket.enableTrace();
        socket.end('hello');
        await once(client.resume(), 'end');
        server.close();
        tell('stderr');`,
      )) as string;
      return [stderr === '', stderr.includes('ClientHello')];
    },
    expect: [false, false],
  },
  {
    name: 'enableTrace with bad values: when the first connection comes',
    unserved: true,
    run: ({ tls }, stage) =>
      ['yes', 1, null].map((enableTrace) =>
        attempt(() => typeof tls.createServer({ ...stage.material.ecdsa, enableTrace } as never)),
      ),
    expect: ['object', 'object', 'object'],
  },
];
