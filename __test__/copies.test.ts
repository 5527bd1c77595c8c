/** Two copies of offloop in one process: neither takes for its own what is the other's. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { Authority } from './support/certificates.js';
import { PACKAGE } from './support/faults/child.js';
import { run } from './support/program.js';

const copy = mkdtempSync(path.join(tmpdir(), 'offloop-copy-'));
let identity: { key: string; cert: string };

beforeAll(async () => {
  for (const part of ['dist', 'native', 'package.json'])
    cpSync(path.join(PACKAGE, part), path.join(copy, part), { recursive: true });
  const { key, cert } = await (await Authority.create()).issue();
  identity = { key, cert };
});
afterAll(() => rmSync(copy, { recursive: true }));

/** Runs a program with `theirs`, of the copy, and with 'offloop'; gives what it passed to `tell`. */
async function told(source: string): Promise<unknown> {
  const program = `
    import { createRequire } from 'node:module';
    import { once } from 'node:events';
    import tls from 'node:tls';
    const require = createRequire(input.root + '/program.js');
    const theirs = (name) => require(input.copy + '/dist/' + name + '.js');
    const tell = (value) => process.stdout.write(JSON.stringify(value));
    const refusal = (act) => { try { act(); return null; } catch ({ code, message }) { return [code, message]; } };
    const asked = async (server) => {
      await once(server.listen(0, '127.0.0.1'), 'listening');
      const client = tls.connect({ port: server.address().port, host: '127.0.0.1', rejectUnauthorized: false, servername: 'other.test' });
      client.on('error', () => {});
      let said = '';
      client.on('data', (chunk) => (said += chunk));
      await new Promise((resolve) => client.once('close', resolve));
      server.close();
      return said;
    };
    ${source}`;
  const { stdout, stderr } = await run(program, { copy, root: PACKAGE, identity });
  expect(stderr).toBe('');
  return JSON.parse(stdout);
}

const another = expect.stringContaining(
  'another copy of offloop in this process made it',
) as string;

test("a context of the other's making is refused, and the error says whose it is", async () => {
  const refusals = await told(`
    const { createServer } = require('offloop');
    const contexts = {
      offloops: theirs('index').createSecureContext(input.identity),
      nodes: theirs('tls').createSecureContext(input.identity),
    };
    const told = {};
    for (const [name, context] of Object.entries(contexts)) {
      const server = createServer(input.identity);
      told[name] = [
        refusal(() => createServer({ context })),
        refusal(() => createServer({ context, fallback: true })),
        refusal(() => server.addContext('other.test', context)),
      ];
    }
    tell(told);`);
  const refused = ['ERR_OFFLOOP_UNSUPPORTED_OPTION', another];
  expect(refusals).toEqual({
    offloops: [refused, refused, refused],
    nodes: [refused, refused, refused],
  });
});

test("one of the other's making fails the handshake that SNICallback gives it to", async () => {
  const failed = await told(`
    const context = theirs('index').createSecureContext(input.identity);
    const server = require('offloop').createServer({ ...input.identity, SNICallback: (_, answer) => answer(null, context) });
    const failed = once(server, 'tlsClientError');
    await asked(server);
    const [{ code, message }] = await failed;
    tell([code, message]);`);
  expect(failed).toEqual(['ERR_OFFLOOP_UNSUPPORTED_OPTION', another]);
});

test('a server on the core of the one is not attached by the other', async () => {
  const seen = await told(`
    theirs('register');
    const { adopt } = require('offloop');
    const ours = require('offloop/tls').createServer(input.identity, (socket) => {
      socket.end(socket instanceof theirs('index').TlsSocket ? 'theirs' : 'ours');
    });
    const [code] = refusal(() => adopt(ours));
    tell([code, await asked(ours)]);`);
  expect(seen).toEqual(['ERR_INVALID_ARG_VALUE', 'theirs']);
});

test("a server of Node's is adopted by the one when the other is registered", async () => {
  const seen = await told(`
    const say = (socket) => socket.end(socket instanceof require('offloop').TlsSocket ? 'ours' : 'other');
    const server = tls.createServer(input.identity, say);
    theirs('register');
    require('offloop').adopt(server);
    tell(await asked(server));`);
  expect(seen).toBe('ours');
});
