/** adopt(): a server of Node's moves onto the core in place, and back. */
import { once } from 'node:events';
import http2 from 'node:http2';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';

import {
  adopt,
  createSecureContext,
  createServer,
  type Adopted,
  type OffloopError,
  type SecureContext,
  type ServerOptions,
  TlsSocket,
} from 'offloop';
import { beforeAll, describe, expect, test } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { connect, listen } from './support/disposables.js';
import { run } from './support/program.js';
import { readAll, until } from './support/streams.js';

let identity: Issued;
let other: Issued;

beforeAll(async () => {
  const authority = await Authority.create();
  identity = await authority.issue();
  other = await authority.issue({ subject: 'CN=other' });
});

/** A server that is on the core can't be adopted. */
function isAttached(server: tls.Server): boolean {
  try {
    adopt(server).release();
    return false;
  } catch (error) {
    return (error as OffloopError).code === 'ERR_INVALID_ARG_VALUE';
  }
}

/** Says to each client who serves it. */
function saying(options: tls.TlsOptions = identity): tls.Server {
  return tls.createServer(options, (socket) => {
    socket.on('error', () => {});
    socket.end(socket instanceof TlsSocket ? 'core' : 'node');
  });
}

async function asked(port: number, options: tls.ConnectionOptions = {}): Promise<string> {
  return String(await readAll(connect(port, options)));
}

const unsupported = expect.objectContaining({ code: 'ERR_OFFLOOP_UNSUPPORTED_OPTION' }) as Error;
const own = (): SecureContext => createSecureContext({ key: other.key, cert: other.cert });

/** The common name that a client of `name` sees. */
async function shown(port: number, name: string): Promise<string> {
  const client = connect(port, { servername: name });
  await once(client, 'secureConnect');
  const { CN } = client.getPeerCertificate().subject;
  client.destroy();
  return String(CN);
}

test('a server that is adopted does not fall back', () => {
  const options = { fallback: true } as object;
  expect(() => adopt(saying(), options)).toThrow(
    expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }),
  );
});

test('a method that the program puts over one of ours stays after release()', () => {
  const server = saying();
  const adopted = adopt(server);
  const theirs = server.setTicketKeys.bind(server);
  server.setTicketKeys = theirs;
  adopted.release();
  expect(server.setTicketKeys).toBe(theirs);
});

describe('a tls.Server', () => {
  test('before it listens', async () => {
    const server = saying();
    adopt(server);
    await using listening = await listen(server);
    expect(await asked(listening.port)).toBe('core');
  });

  test('while it listens, on the same port, with a connection open', async () => {
    const greeted: tls.TLSSocket[] = [];
    const server = tls.createServer(identity, (socket) => {
      greeted.push(socket);
      socket.on('error', () => {}).write(socket instanceof TlsSocket ? 'core' : 'node');
    });
    await using listening = await listen(server);
    const first = connect(listening.port);
    expect(String(...(await once(first, 'data')))).toBe('node');
    adopt(server);
    expect((server.address() as AddressInfo).port).toBe(listening.port);
    const second = connect(listening.port);
    expect(String(...(await once(second, 'data')))).toBe('core');
    // The first goes on.
    greeted[0].write('still there');
    expect(String(...(await once(first, 'data')))).toBe('still there');
    const counted = await new Promise((resolve) =>
      server.getConnections((_, count) => resolve(count)),
    );
    expect(counted).toBe(2);
    first.destroy();
    second.destroy();
  });

  test('goes back, again and again, without losing a client that waits', async () => {
    const server = saying();
    await using listening = await listen(server);
    for (const _round of [1, 2, 3]) {
      const adopted = adopt(server);
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      expect(await asked(listening.port)).toBe('core');
      adopted.release();
      adopted.release();
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      expect(await asked(listening.port)).toBe('node');
    }
    expect(Object.keys(server)).not.toContain('_listen2');
  });

  test('closes as before: the port is free, a late client is refused', async () => {
    const server = saying();
    const { port } = await listen(server);
    adopt(server);
    await new Promise((resolve) => server.close(resolve));
    expect([server.listening, server.address()]).toEqual([false, null]);
    const late = net.connect(port, '127.0.0.1');
    const [error] = (await once(late, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ECONNREFUSED');
  });

  test('on a Unix socket keeps its path', async () => {
    const path = join(tmpdir(), `offloop-adopt-${process.pid}.sock`);
    const server = saying();
    server.listen(path);
    await once(server, 'listening');
    adopt(server);
    const client = tls.connect({ path, rejectUnauthorized: false });
    expect(String(await readAll(client))).toBe('core');
    await new Promise((resolve) => server.close(resolve));
  });

  test('keeps listeners that stand before Node’s own', async () => {
    const server = saying();
    let seen = 0;
    server.prependListener('connection', () => seen++);
    const adopted = adopt(server);
    await using listening = await listen(server);
    expect([await asked(listening.port), seen]).toEqual(['core', 1]);
    adopted.release();
    expect([await asked(listening.port), seen]).toEqual(['node', 2]);
  });

  test('takes its client-certificate policy and ALPN along', async () => {
    const server = saying({ ...identity, requestCert: true, ALPNProtocols: ['one'] });
    adopt(server);
    await using listening = await listen(server);
    const refused = once(server, 'tlsClientError');
    const client = connect(listening.port, { ALPNProtocols: ['one'] });
    client.on('error', () => {});
    const [error] = (await refused) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE');
    expect(client.alpnProtocol).toBe('one');
  });

  test('of contexts added before, refuses those whose key nobody knows', async () => {
    const server = saying();
    server.addContext('other.test', other);
    expect(() => adopt(server)).toThrow(
      expect.objectContaining({ code: 'ERR_OFFLOOP_UNSUPPORTED_OPTION' }),
    );
    // As it was.
    await using listening = await listen(server);
    expect(await asked(listening.port)).toBe('node');
  });

  test('takes contexts added afterwards', async () => {
    const server = saying();
    adopt(server);
    server.addContext('other.test', other);
    await using listening = await listen(server);
    expect(await shown(listening.port, 'OTHER.test')).toBe('other');
  });

  describe('with a context of offloop, with which Node can’t serve', () => {
    test.for<[given: string, says: string, give: (server: tls.Server) => Adopted]>([
      ['as an option', 'options.context', (server) => adopt(server, { context: own() })],
      [
        'for a name',
        'the context of other.test',
        (server) => {
          const adopted = adopt(server);
          server.addContext('other.test', own() as never);
          return adopted;
        },
      ],
    ])('%s, is not released', async ([, says, give]) => {
      const server = saying();
      const adopted = give(server);
      await using listening = await listen(server);
      for (const leave of [() => adopted.release(), () => adopted[Symbol.dispose]()]) {
        expect(leave).toThrow(unsupported);
        expect(leave).toThrow(says);
      }
      expect(await asked(listening.port)).toBe('core');
      expect(await shown(listening.port, 'other.test')).toBe('other');
    });

    test('does not fall back while it runs', async () => {
      const server = createServer({ ...identity, fallback: true }, (socket) => socket.end('x'));
      server.addContext('other.test', own());
      const beyond = { ...identity, dhparam: 'auto' } as tls.SecureContextOptions;
      expect(() => server.addContext('more.test', beyond)).toThrow(unsupported);
      await using listening = await listen(server);
      expect(await shown(listening.port, 'other.test')).toBe('other');
      expect(isAttached(server)).toBe(true);
    });

    test('does not fall back when it is made', () => {
      const beyond = { pskCallback: () => null } as ServerOptions;
      expect(() => createServer({ context: own(), fallback: true, ...beyond })).toThrow(
        unsupported,
      );
      expect(createServer({ ...identity, fallback: true, ...beyond }).listening).toBe(false);
    });

    test('and no name leaves nothing behind', async () => {
      const server = saying();
      const adopted = adopt(server);
      for (const none of ['', undefined, 5])
        expect(() => server.addContext(none as never, own() as never)).toThrow();
      adopted.release();
      await using listening = await listen(server);
      expect(await asked(listening.port)).toBe('node');
    });
  });

  test('is refused twice, and so is what is no TLS server', () => {
    const server = saying();
    const adopted = adopt(server);
    expect(() => adopt(server)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }));
    adopted.release();
    adopt(server);
    expect(() => adopt(createServer(identity))).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }),
    );
    for (const none of [net.createServer(), {}, null, undefined])
      expect(() => adopt(none as never)).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
      );
  });

  test('that needs what the core has not is refused, and stays as it is', () => {
    const server = saying({ ...identity, pskCallback: () => null } as ServerOptions);
    const before = server.listeners('connection');
    expect(() => adopt(server)).toThrow(
      expect.objectContaining({ code: 'ERR_OFFLOOP_UNSUPPORTED_OPTION' }),
    );
    expect(server.listeners('connection')).toEqual(before);
  });
});

/** A server for two that keeps its connections open. */
function forTwo(): tls.Server {
  const server = tls.createServer(identity, (socket) => {
    socket.on('error', () => {}).write(socket instanceof TlsSocket ? 'core' : 'node');
  });
  server.maxConnections = 2;
  return server;
}

/** A client, and who serves it. */
async function served(port: number): Promise<[string, tls.TLSSocket]> {
  const client = connect(port);
  client.on('error', () => {});
  return [String(...(await once(client, 'data'))), client];
}

/** Is a further client dropped, with the event? */
async function dropped(server: tls.Server, port: number): Promise<boolean> {
  let event = false;
  server.once('drop', () => (event = true));
  const client = connect(port).on('error', () => {});
  const answered = await new Promise((resolve) => {
    client.once('data', () => resolve(true)).once('close', () => resolve(false));
  });
  client.destroy();
  if (!answered) await until(() => event);
  return !answered;
}

/** As getConnections() tells it. */
const counted = (server: tls.Server): number =>
  (server as unknown as { _connections: number })._connections;

describe('maxConnections', () => {
  test('counts those of Node on the core', async () => {
    const server = forTwo();
    await using listening = await listen(server);
    const { port } = listening;
    const [first, ofNode] = await served(port);
    adopt(server);
    const [second] = await served(port);
    expect([first, second, await dropped(server, port)]).toEqual(['node', 'core', true]);
    ofNode.destroy();
    await until(() => counted(server) === 1);
    expect([(await served(port))[0], await dropped(server, port)]).toEqual(['core', true]);
  });

  test('counts those of the core in Node, and each that goes', async () => {
    const server = forTwo();
    delete (server as Partial<tls.Server>).maxConnections;
    const adopted = adopt(server);
    server.maxConnections = 2;
    await using listening = await listen(server);
    const { port } = listening;
    const [[, leaving]] = [await served(port), await served(port)];
    adopted.release();
    expect([counted(server), await dropped(server, port)]).toEqual([2, true]);
    leaving.destroy();
    await until(() => counted(server) === 1);
    expect([(await served(port))[0], await dropped(server, port)]).toEqual(['node', true]);
  });

  test('counts those of an earlier time on the core', async () => {
    const server = forTwo();
    const adopted = adopt(server);
    await using listening = await listen(server);
    const { port } = listening;
    const [, leaving] = await served(port);
    await served(port);
    adopted.release();
    adopt(server);
    expect([counted(server), await dropped(server, port)]).toEqual([2, true]);
    leaving.destroy();
    await until(() => counted(server) === 1);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect([(await served(port))[0], await dropped(server, port)]).toEqual(['core', true]);
  });
});

test('the core accepts again when nobody listens to raw connections any more', async () => {
  const server = saying();
  adopt(server);
  await using listening = await listen(server);
  const { port } = listening;
  /** Node makes a socket of each connection that it accepts, which is below the TLS socket. */
  const acceptedByNode = async (): Promise<boolean> => {
    const [, [socket]] = (await Promise.all([asked(port), once(server, 'secureConnection')])) as [
      string,
      [{ _parent?: net.Socket }],
    ];
    return socket._parent instanceof net.Socket;
  };
  const seen: unknown[] = [await acceptedByNode()];
  const listener = (): void => void seen.push('raw');
  server.on('connection', listener);
  seen.push(await acceptedByNode());
  server.off('connection', listener);
  await new Promise(setImmediate);
  seen.push(await acceptedByNode());
  server.once('connection', listener);
  seen.push(await acceptedByNode(), await acceptedByNode());
  expect(seen).toEqual([false, 'raw', true, false, 'raw', true, false]);
  expect((server.address() as AddressInfo).port).toBe(port);
});

describe("'close'", () => {
  test.for(['before', 'after'])('comes once, when released %s it closes', async (when) => {
    const server = saying();
    const seen: net.Socket[] = [];
    server.on('connection', (socket) => seen.push(socket));
    let open!: tls.TLSSocket;
    server.removeAllListeners('secureConnection').on('secureConnection', (socket) => {
      open = socket.on('error', () => {}).resume();
    });
    const adopted = adopt(server);
    const { port } = await listen(server);
    const client = connect(port).on('error', () => {});
    await Promise.all([once(client, 'secureConnect'), once(server, 'secureConnection')]);
    let closes = 0;
    server.on('close', () => closes++);
    if (when === 'before') adopted.release();
    server.close();
    if (when === 'after') adopted.release();
    client.destroy();
    await until(() => closes > 0 && open.destroyed && seen[0].destroyed);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(closes).toBe(1);
    const rest = Object.getOwnPropertyDescriptor(server, '_connections');
    expect(rest).toMatchObject({ value: 0, writable: true });
  });

  test('does not come of a server that never listened', async () => {
    const server = saying();
    server.on('close', () => expect.unreachable());
    adopt(server).release();
    await new Promise((resolve) => setImmediate(resolve));
  });
});

test('a server that keeps no process alive does not on the core either', async () => {
  const { stdout, stderr, code } = await run(
    `import tls from 'node:tls';
    import { adopt } from 'offloop';
    const server = tls.createServer(input).listen(0, () => {
      server.unref();
      adopt(server);
      console.log('adopted');
    });`,
    { key: identity.key, cert: identity.cert },
  );
  expect([stdout, stderr, code]).toEqual(['adopted\n', '', 0]);
});

describe('servers of HTTP', () => {
  test('an https.Server that listens', async () => {
    const server = https.createServer(identity, ({ socket }, response) => {
      response.end(socket instanceof TlsSocket ? 'core' : 'node');
    });
    await using listening = await listen(server);
    const adopted = adopt(server);
    expect(await got(listening.port)).toBe('core');
    adopted.release();
    expect(await got(listening.port)).toBe('node');
  });

  test('an http2 secure server that listens', async () => {
    const server = http2.createSecureServer(identity, (request, response) => {
      const { session } = request.stream;
      response.end(
        `${session?.encrypted} ${session?.alpnProtocol} ${request.socket.constructor.name}`,
      );
    });
    await using listening = await listen(server);
    using _adopted = adopt(server);
    const client = http2.connect(`https://localhost:${listening.port}`, {
      rejectUnauthorized: false,
    });
    const answer = await readAll(client.request());
    client.close();
    await once(client, 'close');
    expect(String(answer)).toMatch(/^true h2 /);
  });
});

function got(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = https.get(
      { port, host: '127.0.0.1', rejectUnauthorized: false, agent: false },
      (response) => void readAll(response as never).then((body) => resolve(String(body)), reject),
    );
    request.on('error', reject);
  });
}
