/** curl against servers of HTTP/1 and HTTP/2. */
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';

import { afterAll, beforeAll, describe, expect } from 'vitest';

import { commandIt, type Ended, run } from '../support/faults/commands.js';
import { libraries } from '../support/modules.js';
import { Identities } from './identities.js';
import { web } from './web.js';

let ids: Identities;
beforeAll(async () => {
  ids = await Identities.create();
});
afterAll(() => ids[Symbol.dispose]());

const curl = (...args: string[]): Promise<Ended> =>
  run('curl', ['--silent', '--show-error', '--cacert', ids.file('ca.pem'), ...args]);

/** What curl says of each transfer, behind its body. */
const told = ['--write-out', '\n%{http_code} HTTP/%{http_version}, %{num_connects} new\n'];

describe.each(libraries)('curl and $name', (modules) => {
  commandIt('curl', 'speaks HTTP/1.1 over TLS 1.2 and 1.3, and keeps its connection', async () => {
    await using server = await web(modules, ids.options('server'));
    const url = `https://localhost:${server.port}`;
    const { code, stdout } = await curl(...told, `${url}/1`, `${url}/2`);
    expect(code).toBe(0);
    expect(stdout.match(/^\d.*new$/gm)).toEqual(['200 HTTP/1.1, 1 new', '200 HTTP/1.1, 0 new']);
    expect((await curl('--tls-max', '1.2', `${url}/3`)).code).toBe(0);
    expect(server.seen.map(({ path, version, protocol }) => [path, version, protocol])).toEqual([
      ['/1', '1.1', 'TLSv1.3'],
      ['/2', '1.1', 'TLSv1.3'],
      ['/3', '1.1', 'TLSv1.2'],
    ]);
    expect(server.connections()).toBe(2);
  });

  commandIt('curl', 'is refused below TLS 1.2', async () => {
    await using server = await web(modules, ids.options('server'));
    // Its own library must let it try.
    const { code } = await curl(
      '--tlsv1.0',
      '--tls-max',
      '1.1',
      '--ciphers',
      'DEFAULT@SECLEVEL=0',
      `https://localhost:${server.port}`,
    );
    expect(code).toBe(35);
    expect(server.failures).toEqual(['ERR_SSL_UNSUPPORTED_PROTOCOL']);
  });

  commandIt('curl', 'speaks HTTP/2, with many streams at once', async () => {
    await using server = await web(modules, { http2: true, ...ids.options('server') });
    const url = `https://localhost:${server.port}`;
    const { code, stdout } = await curl(...told, '--http2', url);
    expect(code).toBe(0);
    expect(stdout).toContain('200 HTTP/2, 1 new');
    expect(server.seen).toMatchObject([{ version: '2.0', protocol: 'TLSv1.3', alpn: 'h2' }]);

    const many = await curl('--http2', '--parallel', '--parallel-max', '30', `${url}/[1-60]`);
    expect(many.code).toBe(0);
    expect(new Set(server.seen.map(({ path }) => path)).size).toBe(61);
    expect((await curl('--http2', '--tls-max', '1.2', url)).code).toBe(0);
    expect(server.seen.at(-1)).toMatchObject({ version: '2.0', protocol: 'TLSv1.2' });
  });

  commandIt('curl', 'gets either of a server that speaks both', async () => {
    const options = { http2: true, allowHTTP1: true, ...ids.options('server') };
    await using server = await web(modules, options);
    const url = `https://localhost:${server.port}`;
    for (const flag of ['--http2', '--http1.1', '--no-alpn']) {
      expect((await curl(flag, url)).code).toBe(0);
    }
    expect(server.seen.map(({ version, alpn }) => [version, alpn])).toEqual([
      ['2.0', 'h2'],
      ['1.1', 'http/1.1'],
      ['1.1', false],
    ]);
  });

  for (const [version, http2] of [
    ['--http1.1', false],
    ['--http2', true],
  ] as const) {
    commandIt('curl', `uploads and downloads four megabytes with ${version}`, async () => {
      await using server = await web(modules, { http2, ...ids.options('server') });
      const [up, down] = [ids.file('up'), ids.file('down')];
      writeFileSync(up, randomBytes(4 * 1024 * 1024));
      // HTTP/1.1 asks first: `Expect: 100-continue`.
      const expectation = ['--header', 'Expect: 100-continue', '--expect100-timeout', '10'];
      const { code } = await curl(
        version,
        '--data-binary',
        `@${up}`,
        '--output',
        down,
        ...(http2 ? [] : expectation),
        `https://localhost:${server.port}/`,
      );
      expect(code).toBe(0);
      expect(readFileSync(down).equals(readFileSync(up))).toBe(true);
    });

    commandIt('curl', `shows its certificate with ${version}, and is refused without`, async () => {
      const asked = { requestCert: true, ca: ids.ca };
      await using server = await web(modules, { http2, ...asked, ...ids.options('server') });
      const url = `https://localhost:${server.port}/`;
      const as = (name: string): string[] => {
        const files = ['--cert', ids.file(`${name}.pem`), '--key', ids.file(`${name}.key`)];
        return [version, ...files, url];
      };
      expect((await curl(...as('client'))).stdout).toContain('"peer":"alice"');
      expect((await curl('--tls-max', '1.2', ...as('client'))).stdout).toContain('"peer":"alice"');
      // How it hears of it differs: Node's server checks when the handshake is done.
      expect((await curl(...as('stranger'))).code).not.toBe(0);
      expect((await curl(version, url)).code).not.toBe(0);
      expect(server.seen).toHaveLength(2);
      expect(server.failures).toHaveLength(2);
    });
  }
});
