/** `openssl s_client` against servers of HTTPS and HTTP/2, and of SMTP with STARTTLS. */
import path from 'node:path';

import { afterAll, beforeAll, describe, expect } from 'vitest';

import { Child } from '../support/faults/child.js';
import { commandIt, type Ended, run } from '../support/faults/commands.js';
import { libraries } from '../support/modules.js';
import { Identities } from './identities.js';
import { web } from './web.js';

let ids: Identities;
beforeAll(async () => {
  ids = await Identities.create();
});
afterAll(() => ids[Symbol.dispose]());

const GET = 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';

/** One connection that says `input` and reads until the server ends. */
function sClient(port: number, args: readonly string[], input = GET): Promise<Ended> {
  const all = ['s_client', '-connect', `127.0.0.1:${port}`, '-CAfile', ids.file('ca.pem')];
  const name = args.includes('-servername') ? [] : ['-servername', 'localhost'];
  return run('openssl', [...all, '-ign_eof', ...name, ...args], input);
}

describe.each(libraries)('openssl s_client and $name', (modules) => {
  for (const [flag, protocol] of [
    ['-tls1_2', 'TLSv1.2'],
    ['-tls1_3', 'TLSv1.3'],
  ] as const) {
    commandIt('openssl', `resumes its session of ${protocol}`, async () => {
      await using server = await web(modules, ids.options('server'));
      const session = ids.file(`session-${modules.name}-${protocol}`);
      const first = await sClient(server.port, [flag, '-sess_out', session]);
      expect(first.output).toMatch(new RegExp(`^New, ${protocol}`, 'm'));
      expect(first.output).toContain('Verify return code: 0 (ok)');
      const again = await sClient(server.port, [flag, '-sess_in', session]);
      expect(again.output).toMatch(new RegExp(`^Reused, ${protocol}`, 'm'));
      expect(again.output).toContain('HTTP/1.1 200 OK');
      expect(server.seen.map(({ protocol: spoken, reused }) => [spoken, reused])).toEqual([
        [protocol, false],
        [protocol, true],
      ]);
    });
  }

  commandIt('openssl', 'reconnects with its session', async () => {
    await using server = await web(modules, ids.options('server'));
    const { output } = await sClient(server.port, ['-tls1_2', '-reconnect']);
    expect(output.match(/^Reused, TLSv1\.2/gm)).toHaveLength(5);
    // It asks on the last connection.
    expect(server.seen).toMatchObject([{ reused: true }]);
  });

  commandIt('openssl', 'reconnects in full without a ticket', async () => {
    await using server = await web(modules, ids.options('server'));
    const { output } = await sClient(server.port, ['-tls1_2', '-reconnect', '-no_ticket']);
    const sessions = output.match(/^(New|Reused), TLSv1\.2/gm);
    // Nobody stores sessions: 'newSession' has no listener.
    expect(sessions).toEqual(Array.from({ length: 6 }, () => 'New, TLSv1.2'));
  });

  commandIt('openssl', 'agrees on a protocol by ALPN, or gets the alert', async () => {
    await using server = await web(modules, { http2: true, ...ids.options('server') });
    // Nothing but the end of input is said: the server waits for its preface.
    const agreed = await sClient(server.port, ['-alpn', 'http/1.1,h2'], 'no preface');
    expect(agreed.output).toContain('ALPN protocol: h2');
    const alone = await sClient(server.port, ['-alpn', 'other'], '');
    expect(alone.output).toMatch(/alert no application protocol/);
    expect(server.failures).toHaveLength(1);
  });

  commandIt('openssl', 'gets the certificate of the name that it asks for', async () => {
    await using server = await web(modules, ids.options('server'));
    server.server.addContext('other.test', ids.options('other'));
    server.server.addContext('*.wild.test', ids.options('wild'));
    for (const [name, subject] of [
      ['localhost', 'localhost'],
      ['other.test', 'other.test'],
      ['a.wild.test', 'wild.test'],
      ['unknown.test', 'localhost'],
    ]) {
      const { output } = await sClient(server.port, ['-servername', name]);
      expect(output).toMatch(new RegExp(`^subject=CN ?= ?${subject}$`, 'm'));
      expect(output).toContain('HTTP/1.1 200 OK');
    }
  });

  commandIt('openssl', 'shows its certificate when asked', async () => {
    const asked = { requestCert: true, ca: ids.ca };
    await using server = await web(modules, { ...asked, ...ids.options('server') });
    const own = ['-cert', ids.file('client.pem'), '-key', ids.file('client.key')];
    for (const flag of ['-tls1_2', '-tls1_3']) {
      const { output } = await sClient(server.port, [flag, ...own]);
      expect(output).toContain('Acceptable client certificate CA names\nCN = Test authority');
      expect(output).toContain('"peer":"alice"');
    }
  });

  commandIt('openssl', 'gets a stapled answer where the server has one', async () => {
    await using server = await web(modules, ids.options('server'));
    server.server.on('OCSPRequest', (_certificate, _issuer, callback) => {
      callback(null, Buffer.from('30030a0106', 'hex'));
    });
    // An answer that says `unauthorized`, the shortest there is.
    const { output } = await sClient(server.port, ['-status']);
    expect(output).toContain('OCSP Response Status: unauthorized (0x6)');
    expect(output).toContain('HTTP/1.1 200 OK');
  });
});

describe('openssl s_client -starttls smtp', () => {
  for (const [library, flags] of [
    ['node', []],
    ['offloop', ['--require', 'offloop/register']],
  ] as const) {
    commandIt('openssl', `upgrades a connection of smtp-server, on ${library}`, async () => {
      const script = path.join(import.meta.dirname, 'programs/smtp.mjs');
      const server = new Child(script, { nodeFlags: flags });
      server.tell(JSON.stringify(ids.options('server')));
      const { port } = await server.message<{ port: number }>();
      const { output } = await sClient(port, ['-starttls', 'smtp', '-crlf'], 'NOOP\nQUIT\n');
      expect(output).toContain('Verify return code: 0 (ok)');
      expect(output).toMatch(/^New, TLSv1\.3/m);
      expect(output).toContain('250 OK');
      expect(output).toContain('221 Bye');
      expect(await server.message()).toEqual({
        protocol: 'TLSv1.3',
        secure: true,
        servername: 'localhost',
        offloop: library === 'offloop',
      });
      expect(await server.result).toMatchObject({ code: 0, stderr: '' });
    });
  }
});
