/** What a server is asked, and tells, during a handshake. */
import { constants, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type tls from 'node:tls';

import { createServer, type ServerOptions } from 'offloop';
import { createSecureContext as createNodeContext } from 'offloop/tls';
import { beforeAll, describe, expect, test } from 'vitest';

import { type Issued, issued } from './support/certificates.js';
import { connect, listen } from './support/disposables.js';
import { run } from './support/program.js';
import { commonName } from './support/servers.js';
import { closed, readAll, until } from './support/streams.js';

let identity: Issued;
let named: Issued;

beforeAll(async () => {
  [identity, named] = await issued({}, { subject: 'CN=first' });
});

describe('what is asked during a handshake', () => {
  test('SNICallback chooses the context', async () => {
    const server = createServer({
      ...identity,
      SNICallback: (name, callback) =>
        callback(null, name === 'first.test' ? createNodeContext(named) : undefined),
    });
    await using listening = await listen(server);
    expect(await commonName(listening.port, 'first.test')).toBe('first');
    expect(await commonName(listening.port, 'other.test')).toBe('localhost');
    expect(await commonName(listening.port)).toBe('localhost');
  });

  test('names that SNICallback has not answered hold up no others', async () => {
    const pending: (() => void)[] = [];
    const SNICallback: ServerOptions['SNICallback'] = (name, callback) => {
      const answer = (): void => callback(null, createNodeContext(named));
      if (name === 'slow.test') pending.push(answer);
      else answer();
    };
    const server = createServer({ ...identity, SNICallback }, (socket) => socket.pipe(socket));
    await using listening = await listen(server);
    // More than there are threads.
    const slow = Array.from({ length: 40 }, () =>
      connect(listening.port, { servername: 'slow.test' }),
    );
    let opened = 0;
    for (const client of slow) client.once('secureConnect', () => opened++);
    await until(() => pending.length === slow.length, 'the questions');
    const others = Array.from({ length: 40 }, (_, i) =>
      connect(listening.port, { servername: `${i}.test` }),
    );
    expect(await Promise.all(others.map(echo))).toEqual(others.map(() => 'hello'));
    expect(opened).toBe(0);
    for (const answer of pending) answer();
    expect(await Promise.all(slow.map(echo))).toEqual(slow.map(() => 'hello'));
  });

  test('ALPNCallback chooses the protocol', async () => {
    const server = createServer({ ...identity, ALPNCallback: ({ protocols }) => protocols.at(-1) });
    await using listening = await listen(server);
    const client = connect(listening.port, { ALPNProtocols: ['one', 'two'] });
    await once(client, 'secureConnect');
    expect(client.alpnProtocol).toBe('two');
    client.destroy();
  });

  test("'newSession' and 'resumeSession' keep sessions of TLS 1.2", async () => {
    const secureOptions = constants.SSL_OP_NO_TICKET;
    const server = createServer({ ...identity, maxVersion: 'TLSv1.2', secureOptions }, (socket) =>
      socket.end(),
    );
    const stored = new Map<string, Buffer>();
    server.on('newSession', (id: Buffer, session: Buffer, callback: () => void) => {
      stored.set(id.toString('hex'), session);
      callback();
    });
    server.on('resumeSession', (id: Buffer, callback: (error: null, session?: Buffer) => void) => {
      callback(null, stored.get(id.toString('hex')));
    });
    await using listening = await listen(server);
    const first = connect(listening.port);
    await once(first, 'secureConnect');
    const session = first.getSession()!;
    const reused = first.isSessionReused();
    await closed(first.resume());
    const again = connect(listening.port, { session });
    await once(again, 'secureConnect');
    expect([stored.size, reused, again.isSessionReused()]).toEqual([1, false, true]);
    await closed(again.resume());
  });

  test("'OCSPRequest' staples", async () => {
    const server = createServer(identity);
    server.on('OCSPRequest', (certificate: Buffer, _issuer: unknown, callback: Staple) => {
      expect(certificate).toEqual(new X509Certificate(identity.cert).raw);
      callback(null, Buffer.from('a response'));
    });
    await using listening = await listen(server);
    const client = connect(listening.port, { requestOCSP: true });
    const [response] = (await once(client, 'OCSPResponse')) as [Buffer];
    expect(String(response)).toBe('a response');
    client.destroy();
  });

  test("'keylog' tells both ends' secrets", async () => {
    const server = createServer(identity);
    const lines: string[] = [];
    server.on('keylog', (line: Buffer) => lines.push(String(line)));
    await using listening = await listen(server);
    const client = connect(listening.port);
    const theirs: string[] = [];
    client.on('keylog', (line: Buffer) => theirs.push(String(line)));
    await Promise.all([once(client, 'secureConnect'), once(server, 'secureConnection')]);
    expect(lines.toSorted()).toEqual(theirs.toSorted());
    client.destroy();
  });

  test('enableTrace traces to standard error', async () => {
    const { stderr } = await run(
      `import { once } from 'node:events';
      import tls from 'node:tls';
      import { createServer } from 'offloop';
      const server = createServer({ ...input, enableTrace: true }, (socket) => { socket.end(); server.close(); });
      await once(server.listen(0), 'listening');
      tls.connect({ port: server.address().port, rejectUnauthorized: false }).resume();`,
      identity,
    );
    expect(stderr).toMatch(/Received Record[\s\S]*ClientHello[\s\S]*Sent Record[\s\S]*ServerHello/);
  });
});

type Staple = (error: null, response: Buffer) => void;

function echo(client: tls.TLSSocket): Promise<string> {
  client.end('hello');
  return readAll(client).then(String);
}
