/** `offloop cert`: what it makes serves, and clients that trust its CA trust it. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import https from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls from 'node:tls';

import { createServer } from 'offloop/https';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { expectOneLine, offloop } from './support/cli.js';
import { Authority } from './support/certificates.js';
import { listen, type Listening } from './support/disposables.js';
import { commandIt, run } from './support/faults/commands.js';
import { odd } from './support/odd-certificates.js';

let folder: string;
const file = (name: string): string => path.join(folder, name);
const text = (name: string): string => readFileSync(file(name), 'utf8');
const certificate = (name: string): X509Certificate => new X509Certificate(text(name));

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'offloop-cert-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const openssl = (...args: string[]) => run('openssl', args);
const make = (...args: string[]) => offloop(['cert', '--out', folder, ...args]);

const FILES = ['ca-key.pem', 'ca.pem', 'cert.pem', 'key.pem'];

/** A server of offloop with the files as they are. */
function serve(): Promise<Listening<https.Server>> {
  const server = createServer({ key: text('key.pem'), cert: text('cert.pem') }, (_, response) =>
    response.end('served'),
  );
  return listen(server);
}

describe('the files', () => {
  it('are four, in the current folder by default, the keys for their owner alone', async () => {
    const home = file('home');
    const here = file('here');
    mkdirSync(home);
    mkdirSync(here);
    const { code, stderr } = await offloop(['cert'], { cwd: here, env: { HOME: home } });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(readdirSync(here).toSorted()).toEqual(FILES);
    const modes = FILES.map((name) => statSync(path.join(here, name)).mode & 0o777);
    expect(modes).toEqual([0o600, 0o644, 0o644, 0o600]);
    // Stores of a user are below it.
    expect(readdirSync(home)).toEqual([]);
  });

  it('go into a folder that is made for them, with the names that were asked for', async () => {
    const out = file('deep/er');
    const names = ['App.test', '*.app.test', '10.0.0.5', '2001:db8::1', 'bücher.test', 'app.test'];
    const { code } = await offloop(['cert', ...names, '-o', out, '--days', '30']);
    expect(code).toBe(0);
    const leaf = new X509Certificate(readFileSync(path.join(out, 'cert.pem')));
    expect(leaf.subjectAltName).toBe(
      'DNS:app.test, DNS:*.app.test, IP Address:10.0.0.5, IP Address:2001:DB8:0:0:0:0:0:1, DNS:xn--bcher-kva.test',
    );
    const days = (Date.parse(leaf.validTo) - Date.now()) / 86_400_000;
    expect(days).toBeGreaterThan(29.9);
    expect(days).toBeLessThan(30.1);
    expect(Date.parse(leaf.validFrom)).toBeLessThan(Date.now() - 60_000);
    expect(leaf.ca).toBe(false);
    expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
  });

  it.each([
    [[], { type: 'ec', namedCurve: 'prime256v1' }],
    [['--key-type', 'p256'], { type: 'ec', namedCurve: 'prime256v1' }],
    [['--key-type', 'rsa'], { type: 'rsa', modulusLength: 2048 }],
  ])('have with %j keys of the type %o', async (args, wanted) => {
    expect((await make(...args)).code).toBe(0);
    for (const name of ['cert.pem', 'ca.pem']) {
      const { asymmetricKeyType: type, asymmetricKeyDetails: details } =
        certificate(name).publicKey;
      expect({ type, ...details }).toMatchObject(wanted);
    }
    expect(certificate('cert.pem').checkPrivateKey(createPrivateKey(text('key.pem')))).toBe(true);
    expect(certificate('ca.pem').checkPrivateKey(createPrivateKey(text('ca-key.pem')))).toBe(true);
  });

  commandIt('openssl', 'pass its strict checks of a chain', async () => {
    for (const type of ['p256', 'rsa']) {
      expect((await make('a.test', '10.0.0.5', '--key-type', type, '--force')).code).toBe(0);
      const verify = (...args: string[]) =>
        run('openssl', [
          'verify',
          '-x509_strict',
          '-purpose',
          'sslserver',
          '-CAfile',
          file('ca.pem'),
          ...args,
          file('cert.pem'),
        ]);
      expect((await verify('-verify_hostname', 'a.test')).output).toContain(': OK');
      expect((await verify('-verify_ip', '10.0.0.5')).output).toContain(': OK');
      expect((await verify('-verify_hostname', 'b.test')).code).not.toBe(0);
    }
  });

  it('are told of in JSON', async () => {
    const told = JSON.parse((await make('a.test', '--json')).stdout) as Record<string, unknown>;
    const leaf = certificate('cert.pem');
    expect(told).toEqual({
      cert: file('cert.pem'),
      key: file('key.pem'),
      ca: file('ca.pem'),
      caKey: file('ca-key.pem'),
      names: ['a.test'],
      validTo: new Date(leaf.validTo).toISOString(),
      fingerprint256: leaf.fingerprint256,
      isNewCa: true,
      caFingerprint256: certificate('ca.pem').fingerprint256,
    });
  });

  it('are told of, with commands that quote what a shell would read otherwise', async () => {
    const out = file("it's here");
    const { stdout } = await offloop(['cert', '--out', out]);
    const quoted = `'${path.join(out, 'ca.pem').replace("'", String.raw`'\''`)}'`;
    expect(stdout).toContain(`curl --cacert ${quoted}`);
    expect(stdout).toContain(`NODE_EXTRA_CA_CERTS=${quoted}`);
    const { output } = await run('sh', ['-c', `ls ${quoted}`]);
    expect(output).toBe(`${path.join(out, 'ca.pem')}\n`);
    for (const where of ['Debian', 'Fedora', 'macOS', 'Windows', 'Firefox', 'Chromium'])
      expect(stdout).toContain(where);
  });
});

describe('a server with the files', () => {
  it('is trusted by a client that is given the CA, for its names alone', async () => {
    await make('localhost', '127.0.0.1');
    await using server = await serve();
    const get = (options: https.RequestOptions) =>
      new Promise<string>((resolve) => {
        const target = { port: server.port, host: '127.0.0.1', agent: false, ...options };
        https
          .get(target, (response) => response.setEncoding('utf8').on('data', resolve))
          .on('error', (error: NodeJS.ErrnoException) => resolve(error.code!));
      });
    const ca = text('ca.pem');
    expect(await get({ ca })).toBe('served');
    expect(await get({ ca, servername: 'localhost' })).toBe('served');
    expect(await get({ ca, servername: 'other.test' })).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
    expect(await get({})).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
  });

  it('is trusted by Node with NODE_EXTRA_CA_CERTS, and not without', async () => {
    await make();
    await using server = await serve();
    const program = `fetch('https://localhost:${server.port}').then((r) => r.text(), (e) => e.cause.code).then(console.log)`;
    const node = (...env: string[]) =>
      run('env', [...env, process.execPath, '--dns-result-order=ipv4first', '-e', program]);
    expect((await node(`NODE_EXTRA_CA_CERTS=${file('ca.pem')}`)).output).toBe('served\n');
    expect((await node()).output).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE\n');
  });

  commandIt('curl', 'is trusted by curl with --cacert, and not without', async () => {
    for (const type of ['p256', 'rsa']) {
      await make('app.test', '*.app.test', '--key-type', type, '--force');
      await using server = await serve();
      const curl = (host: string, ...args: string[]) =>
        run('curl', [
          '--silent',
          '--resolve',
          `${host}:${server.port}:127.0.0.1`,
          ...args,
          `https://${host}:${server.port}`,
        ]);
      const trusting = ['--cacert', file('ca.pem')];
      expect((await curl('app.test', ...trusting)).output).toBe('served');
      expect((await curl('www.app.test', ...trusting)).output).toBe('served');
      expect((await curl('other.test', ...trusting)).code).toBe(60);
      expect((await curl('app.test')).code).toBe(60);
    }
  });

  it('shows nothing wrong to the doctor that the output names', async () => {
    const { stdout } = await make('app.test');
    const [, words] = /^To check them: offloop (doctor .*)$/m.exec(stdout)!;
    const { stdout: json } = await offloop([...words!.split(' '), '--name', 'app.test', '--json']);
    const { findings } = JSON.parse(json) as { findings: { level: string; about: string }[] };
    const certificates = findings.slice(findings.findIndex(({ about }) => about === 'chain order'));
    expect(certificates.length).toBeGreaterThan(5);
    expect(certificates.filter(({ level }) => level !== 'ok')).toEqual([]);
  });
});

describe('in a folder that has files already', () => {
  it('nothing is replaced, but with --force, and the CA never', async () => {
    await make();
    const before = FILES.map(text);
    expectOneLine(await make(), 1, /cert\.pem is there already: use --force .*--out/);
    expect(FILES.map(text)).toEqual(before);
    rmSync(file('cert.pem'));
    expectOneLine(await make(), 1, /key\.pem is there already: use --force/);

    chmodSync(file('key.pem'), 0o644);
    const { stdout } = await make('--force', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ isNewCa: false });
    expect(FILES.slice(0, 2).map(text)).toEqual(before.slice(0, 2));
    expect(text('key.pem')).not.toBe(before[3]);
    expect(statSync(file('key.pem')).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder).toSorted()).toEqual(FILES);
  });

  it('a link is replaced, not followed', async () => {
    const target = file('precious');
    writeFileSync(target, 'precious');
    symlinkSync(target, file('key.pem'));
    expect((await make('--force')).code).toBe(0);
    expect(readFileSync(target, 'utf8')).toBe('precious');
    expect(text('key.pem')).toContain('PRIVATE KEY');
  });

  it('the CA issues again, keys of the other type too', async () => {
    await make();
    const ca = text('ca.pem');
    await make('--key-type', 'rsa', '--force');
    expect(text('ca.pem')).toBe(ca);
    await using server = await serve();
    const client = tls.connect({ port: server.port, ca, servername: 'localhost' });
    await new Promise((resolve, reject) =>
      client.once('secureConnect', resolve).once('error', reject),
    );
    expect(client.getPeerCertificate().bits).toBe(2048);
    client.destroy();
  });

  commandIt('openssl', 'a CA of another tool serves too', async () => {
    const request = ['req', '-x509', '-nodes', '-days', '100', '-keyout', file('ca-key.pem')];
    const subject = ['-subj', '/C=DE/O=Others/OU=Tests/CN=Their CA', '-out', file('ca.pem')];
    expect((await openssl(...request, '-newkey', 'rsa:2048', ...subject)).code).toBe(0);
    // The old form, which OpenSSL no longer writes by itself.
    await openssl('rsa', '-traditional', '-in', file('ca-key.pem'), '-out', file('ca-key.pem'));
    expect(text('ca-key.pem')).toContain('BEGIN RSA PRIVATE KEY');
    expect((await make('--days', '50')).code).toBe(0);
    const { output } = await openssl('verify', '-CAfile', file('ca.pem'), file('cert.pem'));
    expect(output).toContain(': OK');
    expectOneLine(await make('--force'), 1, /ca\.pem ends on .*: use --days 9\d or fewer/);
  });

  it.each([
    [
      'half of one',
      'ca.pem',
      'ca-key.pem',
      /ca\.pem is there without .*ca-key\.pem: bring it back/,
    ],
    [
      'its other half',
      'ca-key.pem',
      'ca.pem',
      /ca-key\.pem is there without .*ca\.pem: bring it back/,
    ],
  ])('a CA that is %s is an error', async (_, kept, lost, words) => {
    await make();
    rmSync(file(lost));
    expectOneLine(await make('--force'), 1, words);
    expect(existsSync(file(kept)) && !existsSync(file(lost))).toBe(true);
  });

  const bad: [string, () => Promise<{ cert: string; key: string }>, RegExp][] = [
    [
      'garbage',
      async () => ({ cert: 'garbage', key: 'garbage' }),
      /can't be read as a CA .*: remove both/,
    ],
    ['no CA', async () => (await Authority.create()).issue(), /ca\.pem is no certificate of a CA/],
    [
      'of another key',
      async () => ({ cert: (await odd({ ca: true })).cert, key: (await odd({ ca: true })).key }),
      /ca-key\.pem is not the key of .*ca\.pem/,
    ],
    [
      'expired',
      () => odd({ ca: true, notAfter: new Date(Date.now() - 1000) }),
      /ca\.pem ended on .*: remove both/,
    ],
  ];
  it.each(bad)('a CA that is %s is an error, and nothing is written', async (_, ca, words) => {
    const { cert, key } = await ca();
    writeFileSync(file('ca.pem'), cert);
    writeFileSync(file('ca-key.pem'), key);
    expectOneLine(await make(), 1, words);
    expect(readdirSync(folder).toSorted()).toEqual(['ca-key.pem', 'ca.pem']);
  });
});

describe('bad input is one line:', () => {
  it.each([
    [['https://a.test'], /'https:\/\/a\.test' is no name of a server: expected a host name/],
    [['a.test:443'], /is no name of a server/],
    [['a b'], /is no name of a server/],
    [['a..test'], /is no name of a server/],
    [['-.test'], /Unknown option '-\.'; offloop cert --help/],
    [['1.2.3'], /is no name of a server/],
    [['[::1]'], /is no name of a server/],
    [['fe80::1%eth0'], /is no name of a server/],
    [['a.*.test'], /is no name of a server/],
    [[''], /is no name of a server/],
    [['--key-type', 'dsa'], /--key-type must be p256 or rsa, got 'dsa'/],
    [['--days', '0'], /--days must be a number from 1 to 3650, got '0'/],
    [['--days', '1e2'], /--days must be a number from 1 to 3650, got '1e2'/],
    [['--days', '3651'], /--days must be a number/],
  ])('%j', async (args, words) => {
    expectOneLine(await make(...args), 2, words);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('a folder that is a file', async () => {
    writeFileSync(file('file'), '');
    const ended = await offloop(['cert', '--out', file('file')]);
    expectOneLine(ended, 1, /can't write to .*file \(.*\): choose another folder with --out/);
  });

  it('a folder that must not be written to', async () => {
    chmodSync(folder, 0o555);
    // Root may write everywhere: as nobody.
    const uid = process.getuid!() === 0 ? { uid: 65_534 } : {};
    const ended = await offloop(['cert', '--out', folder], uid);
    expectOneLine(ended, 1, /can't write to .* \(permission denied\): choose another folder/);
    chmodSync(folder, 0o755);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('a CA that must not be read', async () => {
    await make();
    chmodSync(folder, 0o777);
    const uid = process.getuid!() === 0 ? { uid: 65_534 } : {};
    if (process.getuid!() !== 0) chmodSync(file('ca-key.pem'), 0);
    const ended = await offloop(['cert', '--out', folder, '--force'], uid);
    expectOneLine(ended, 1, /can't read .*ca-key\.pem \(permission denied\): make it readable/);
  });
});
