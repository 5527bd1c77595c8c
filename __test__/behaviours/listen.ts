/** listen() in its forms, address() and what refuses. */
import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import net, { type AddressInfo } from 'node:net';
import path from 'node:path';
import type { Server } from 'node:tls';

import type { Row } from './row.js';
import { attempt, problem, promised, type Stage, tell } from './stage.js';

interface Inside {
  readonly _handle: { readonly fd: number } | null;
}

/** Listens as `args` say; what a client hears there. */
function served(name: string, args: (stage: Stage) => unknown[], client: object = {}): Row {
  return {
    name,
    run: async ({ tls }, stage) => {
      const server = tell(tls.createServer(stage.material.ecdsa));
      const port = await stage.listen(server, ...args(stage));
      const { family, address } = server.address() as AddressInfo;
      const { heard } = await stage.visit(port, client);
      return [family, address, heard, server.listening];
    },
  };
}

/** What listen() with these arguments says, at once and by event. */
async function refused(server: Server, ...args: unknown[]): Promise<unknown> {
  const events: unknown[] = [];
  const over = promised();
  server.once('error', (error: NodeJS.ErrnoException & { address?: unknown }) => {
    const { code, syscall, address } = error;
    events.push({ event: 'error', code, syscall, address: typeof address });
    over.resolve();
  });
  server.once('listening', () => {
    events.push({ event: 'listening' });
    over.resolve();
  });
  const given = attempt(() => server.listen(...(args as [])) === server);
  if (given !== true) return given;
  await over.promise;
  server.close();
  return [events, server.listening];
}

export const listen: Row[] = [
  served('listen(port, host)', () => [0, '127.0.0.1']),
  served('listen(port, host, backlog, callback)', () => [0, '127.0.0.1', 10, () => {}]),
  served('listen(port, host, callback)', () => [0, '127.0.0.1', () => {}]),
  served('listen(port)', () => [0]),
  served('listen(port, callback)', () => [0, () => {}]),
  served('listen(port, undefined, undefined, callback)', () => [0, undefined, undefined, () => {}]),
  served('listen()', () => [undefined]),
  served('listen(callback)', () => [() => {}]),
  served('listen(null)', () => [null]),
  served('listen("0")', () => ['0', '127.0.0.1']),
  served('listen({ port, host })', () => [{ port: 0, host: '127.0.0.1' }]),
  served('listen({ port, host, backlog, exclusive })', () => [
    { port: 0, host: '127.0.0.1', backlog: 5, exclusive: true },
  ]),
  served('listen({ port }, callback)', () => [{ port: 0 }, () => {}]),
  served('listen({ host: localhost })', () => [{ port: 0, host: 'localhost' }], {
    host: 'localhost',
  }),
  served('listen({ host: "::1" })', () => [{ port: 0, host: '::1' }], { host: '::1' }),
  served('listen({ host: "::", ipv6Only })', () => [{ port: 0, host: '::', ipv6Only: true }], {
    host: '::1',
  }),
  {
    name: 'listen(path): a socket of the file system',
    run: async ({ tls }, stage) => {
      const where = path.join(stage.directory(), 'socket');
      const server = tell(tls.createServer(stage.material.ecdsa), (socket) => [
        socket.remoteAddress ?? null,
        { ...socket.address() },
      ]);
      await stage.listen(server, where);
      const seen: unknown[] = [server.address() === where, existsSync(where)];
      seen.push((await stage.visit(0, { path: where } as object)).heard);
      await new Promise((resolve) => server.close(resolve));
      seen.push(existsSync(where));
      return seen;
    },
  },
  {
    name: 'listen({ path, readableAll, writableAll })',
    run: async ({ tls }, stage) => {
      const where = path.join(stage.directory(), 'socket');
      const server = tell(tls.createServer(stage.material.ecdsa));
      await stage.listen(server, { path: where, readableAll: true, writableAll: true });
      const mode = (statSync(where).mode & 0o666).toString(8);
      return [mode, (await stage.visit(0, { path: where } as object)).heard];
    },
    expect: ['666', 'hello'],
  },
  {
    name: 'an https server on a path',
    run: async ({ https }, stage) => {
      const where = path.join(stage.directory(), 'socket');
      const server = https.createServer(stage.material.ecdsa, (_, response) =>
        response.end('here'),
      );
      await stage.listen(server, where);
      return (await stage.request(0, { socketPath: where })).body;
    },
    expect: 'here',
  },
  {
    name: 'listen({ fd }): a descriptor that the process inherited',
    run: async (modules, stage) => {
      const plain = net.createServer();
      const port = await stage.listen(plain);
      const { fd } = (plain as unknown as Inside)._handle!;
      const told = stage.program(
        modules,
        `const server = tls.createServer(input.identity);
        server.listen({ fd: 3 });
        await once(server, 'listening');
        const { address, family, port } = server.address();
        const client = connect(server);
        const [socket] = await once(server, 'secureConnection');
        served(socket);
        socket.end('hello');
        const [said] = await once(client, 'data');
        client.destroy();
        server.close();
        tell([address, family, port === input.port, String(said)]);`,
        { port },
        [fd],
      );
      // Nobody else accepts there any more.
      plain.close();
      return told;
    },
    expect: ['127.0.0.1', 'IPv4', true, 'hello'],
  },
  {
    name: 'listen(server): the handle of a net.Server',
    run: async ({ tls }, stage) => {
      const plain = net.createServer();
      const port = await stage.listen(plain);
      const server = tell(tls.createServer(stage.material.ecdsa));
      const own = await stage.listen(server, plain);
      return [own === port, (await stage.visit(port)).heard];
    },
    expect: [true, 'hello'],
  },
  {
    name: 'listen(handle)',
    run: async ({ tls }, stage) => {
      const plain = net.createServer();
      const port = await stage.listen(plain);
      const server = tell(tls.createServer(stage.material.ecdsa));
      const own = await stage.listen(server, (plain as unknown as Inside)._handle);
      return [own === port, (await stage.visit(port)).heard];
    },
    expect: [true, 'hello'],
  },
  {
    name: 'listen({ signal }): abort closes',
    run: async ({ tls }, stage) => {
      const controller = new AbortController();
      const server = tell(tls.createServer(stage.material.ecdsa));
      const { signal } = controller;
      const port = await stage.listen(server, { port: 0, host: '127.0.0.1', signal });
      const { heard } = await stage.visit(port);
      const over = once(server, 'close');
      controller.abort();
      await over;
      return [heard, server.listening, (await stage.visit(port)).code];
    },
    expect: ['hello', false, 'ECONNREFUSED'],
  },
  {
    name: 'listen({ signal }) with one that is aborted already',
    unserved: true,
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      const events: string[] = [];
      server.on('listening', () => events.push('listening'));
      const over = promised();
      server.on('close', () => {
        events.push('close');
        over.resolve();
      });
      server.listen({ port: 0, host: '127.0.0.1', signal: AbortSignal.abort() });
      await over.promise;
      return [events, server.listening];
    },
  },
  {
    name: 'listen() with what can not be',
    unserved: true,
    run: ({ tls }, stage) =>
      [
        [-1],
        [65_536],
        [1.5],
        [{}],
        [{ host: '127.0.0.1' }],
        [{ port: -1 }],
        [{ port: 'x' }],
        [{ port: 0, signal: 1 }],
        [{ fd: -1 }],
        [true],
        [Number.NaN],
      ].map((args) =>
        attempt(() => typeof tls.createServer(stage.material.ecdsa).listen(...(args as []))),
      ),
  },
  {
    name: 'listen() on a port that is taken',
    unserved: true,
    run: async ({ tls }, stage) => {
      const plain = net.createServer();
      const port = await stage.listen(plain);
      return refused(tls.createServer(stage.material.ecdsa), port, '127.0.0.1');
    },
  },
  {
    name: 'listen() on an address that is not here, or where nobody may',
    unserved: true,
    run: async ({ tls }, stage) => [
      await refused(tls.createServer(stage.material.ecdsa), 0, '192.0.2.1'),
      await refused(
        tls.createServer(stage.material.ecdsa),
        path.join(stage.directory(), 'no', 'socket'),
      ),
    ],
  },
  {
    name: 'listen() on a path that is taken',
    unserved: true,
    run: async ({ tls }, stage) => {
      const where = path.join(stage.directory(), 'socket');
      await stage.listen(net.createServer(), where);
      return refused(tls.createServer(stage.material.ecdsa), where);
    },
  },
  {
    name: 'listen() on a descriptor that is none of a socket',
    unserved: true,
    run: async ({ tls }, stage) => {
      const file = await open(path.join(stage.directory(), 'file'), 'w');
      stage.finally(() => file.close());
      return refused(tls.createServer(stage.material.ecdsa), { fd: file.fd });
    },
  },
  {
    name: 'listen() while it listens, and again behind a failure',
    run: async ({ tls }, stage) => {
      const plain = net.createServer();
      const taken = await stage.listen(plain);
      const server = tell(tls.createServer(stage.material.ecdsa));
      const failed = once(server, 'error') as Promise<[Error]>;
      server.listen(taken, '127.0.0.1');
      const [error] = await failed;
      const port = await stage.listen(server);
      return [
        problem(error).code,
        attempt(() => server.listen(0)),
        (await stage.visit(port)).heard,
      ];
    },
  },
  {
    name: 'listen() twice in one tick',
    unserved: true,
    run: async ({ tls }, stage) => {
      const server = stage.watch(tls.createServer(stage.material.ecdsa));
      const listening = once(server, 'listening');
      server.listen(0, '127.0.0.1');
      const second = attempt(() => server.listen(0, '127.0.0.1') === server);
      await listening;
      server.close();
      return second;
    },
  },
  {
    name: 'address() before, while and after it listens',
    unserved: true,
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      const seen: unknown[] = [server.address(), server.listening];
      await stage.listen(server);
      const { address, family, port } = server.address() as AddressInfo;
      seen.push([address, family, port > 0], server.listening, Object.keys(server.address()!));
      await new Promise((resolve) => server.close(resolve));
      seen.push(server.address(), server.listening);
      return seen;
    },
  },
  {
    name: 'ref() and unref() give the server back, at any time',
    unserved: true,
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      const ask = (): boolean[] => [server.unref() === server, server.ref() === server];
      const seen = [ask()];
      await stage.listen(server);
      seen.push(ask());
      await new Promise((resolve) => server.close(resolve));
      seen.push(ask());
      return seen;
    },
    expect: [
      [true, true],
      [true, true],
      [true, true],
    ],
  },
  {
    name: '_handle of a server that listens, and of one that does not',
    unserved: true,
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      const inside = server as unknown as Inside;
      const seen: unknown[] = [inside._handle];
      await stage.listen(server);
      seen.push(typeof inside._handle, typeof inside._handle?.fd);
      await new Promise((resolve) => server.close(resolve));
      seen.push(inside._handle);
      return seen;
    },
  },
  {
    name: 'close() in the listener of listening',
    unserved: true,
    run: async ({ tls }, stage) => {
      const server = stage.watch(tls.createServer(stage.material.ecdsa));
      const events: string[] = [];
      const over = promised();
      server.on('listening', () => {
        events.push('listening');
        server.close();
      });
      server.on('close', () => {
        events.push('close');
        over.resolve();
      });
      server.listen(0, '127.0.0.1');
      await over.promise;
      return events;
    },
    expect: ['listening', 'close'],
  },
  {
    name: 'close() behind listen(), in the same tick',
    unserved: true,
    run: async ({ tls }, stage) => {
      const server = stage.watch(tls.createServer(stage.material.ecdsa));
      const events: string[] = [];
      const over = promised();
      server.on('listening', () => events.push('listening'));
      server.on('close', () => {
        events.push('close');
        over.resolve();
      });
      server.listen(0, '127.0.0.1');
      server.close();
      await over.promise;
      await new Promise((resolve) => setImmediate(resolve));
      return events;
    },
  },
];
