/** Bad input is refused when a context is made: typed, naming what was expected and what came. */
import { constants, createPrivateKey, createPublicKey } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { inspect } from 'node:util';

import {
  acceptTls,
  type AcceptOptions,
  createSecureContext,
  createServer,
  type OffloopError,
  SecureContext,
  type SecureContextOptions,
  type ServerOptions,
  setDefaultContext,
} from 'offloop';
import { beforeAll, describe, expect, it } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { selfSigned } from './support/faults/self-signed.js';
import { startServer } from './support/faults/tls-server.js';
import { attempt } from './support/faults/tls-client.js';
import { outcome } from './support/outcome.js';

const PASSPHRASE = 'open-sesame-7531';
const WRONG_PASSPHRASE = 'wrong-sesame-2468';

let authority: Authority;
let ecdsa: Issued;
let other: Issued;
let rsa: Issued;
let encrypted: string;

beforeAll(async () => {
  authority = await Authority.create();
  [ecdsa, other, rsa] = await Promise.all([
    authority.issue(),
    authority.issue(),
    authority.issue({ key: 'rsa2048', names: ['rsa.test'] }),
  ]);
  encrypted = createPrivateKey(ecdsa.key).export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: PASSPHRASE,
  }) as string;
});

/** The error of making something, which must be one with a code. */
function refusal(make: () => unknown): OffloopError {
  try {
    make();
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
    expect((error as OffloopError).code).toMatch(/^E[A-Z0-9_]+$/);
    return error as OffloopError;
  }
  throw new Error('expected an error, got a context');
}

/** No part of a key or passphrase may stand in what is logged of an error. */
function expectNoSecretIn(error: unknown): void {
  const logged = inspect(error, { depth: 10, showHidden: true });
  expect(logged).not.toContain(PASSPHRASE);
  expect(logged).not.toContain(WRONG_PASSPHRASE);
  for (const pem of [ecdsa.key, rsa.key, encrypted]) {
    for (const line of pem.split('\n')) {
      if (line.length > 8 && !line.startsWith('-----')) expect(logged).not.toContain(line);
    }
  }
}

interface Refused {
  options: () => unknown;
  code: string;
  /** Patterns that the message must match. */
  says: RegExp[];
  /** Node's tls.createSecureContext gives the same code. */
  asNode?: boolean;
}

const armoured = (label: string, body: string): string =>
  `-----BEGIN ${label}-----\n${body}\n-----END ${label}-----\n`;

describe('key and certificate', () => {
  const cases: Record<string, Refused> = {
    'the key of another certificate': {
      options: () => ({ key: other.key, cert: ecdsa.cert }),
      code: 'ERR_OSSL_X509_KEY_VALUES_MISMATCH',
      says: [/expected one key in options\.key for each certificate/, /certificate 1 of 1/],
      asNode: true,
    },
    'a key of another kind than the certificate': {
      options: () => ({ key: rsa.key, cert: ecdsa.cert }),
      code: 'ERR_OSSL_X509_KEY_VALUES_MISMATCH',
      says: [/certificate 1 of 1 matches no key/],
    },
    'one key too few': {
      options: () => ({ key: [ecdsa.key], cert: [ecdsa.cert, rsa.cert] }),
      code: 'ERR_OSSL_X509_KEY_VALUES_MISMATCH',
      says: [/certificate 2 of 2 matches no key/],
    },
    'one key too many': {
      options: () => ({ key: [ecdsa.key, rsa.key], cert: [ecdsa.cert] }),
      code: 'ERR_OSSL_X509_KEY_VALUES_MISMATCH',
      says: [/1 of 2 keys match no certificate/],
    },
    'no key': {
      options: () => ({ cert: ecdsa.cert }),
      code: 'ERR_MISSING_ARGS',
      says: [/options\.key is missing/, /expected a private key/],
    },
    'an empty list of keys': {
      options: () => ({ key: [], cert: ecdsa.cert }),
      code: 'ERR_MISSING_ARGS',
      says: [/options\.key is missing/],
    },
    'no certificate': {
      options: () => ({ key: ecdsa.key }),
      code: 'ERR_MISSING_ARGS',
      says: [/options\.cert is missing/, /expected the certificate/],
    },
    'an empty list of certificates': {
      options: () => ({ key: ecdsa.key, cert: [] }),
      code: 'ERR_MISSING_ARGS',
      says: [/options\.cert is missing/],
    },
    'a key that is no PEM': {
      options: () => ({ key: 'hello', cert: ecdsa.cert }),
      code: 'ERR_OSSL_UNSUPPORTED',
      says: [/options\.key holds no private key/, /expected PEM/],
      asNode: true,
    },
    'a key in PEM that is no key': {
      options: () => ({ key: armoured('PRIVATE KEY', 'AAAA'), cert: ecdsa.cert }),
      code: 'ERR_OSSL_UNSUPPORTED',
      says: [/options\.key holds no private key/, /expected PEM/],
      asNode: true,
    },
    'a public key for the private one': {
      options: () => ({
        key: createPublicKey(ecdsa.key).export({ type: 'spki', format: 'pem' }),
        cert: ecdsa.cert,
      }),
      code: 'ERR_OSSL_UNSUPPORTED',
      says: [/options\.key holds no private key/],
      asNode: true,
    },
    'a certificate that is no PEM': {
      options: () => ({ key: ecdsa.key, cert: 'hello' }),
      code: 'ERR_OSSL_PEM_NO_START_LINE',
      says: [/options\.cert holds no certificate/, /expected PEM/],
      asNode: true,
    },
    'a certificate that is no base64': {
      options: () => ({ key: ecdsa.key, cert: armoured('CERTIFICATE', '!!!!') }),
      code: 'ERR_OSSL_PEM_BAD_BASE64_DECODE',
      says: [/options\.cert/, /expected/, /bad base64 decode/],
      asNode: true,
    },
    'a certificate that is no X.509': {
      options: () => ({ key: ecdsa.key, cert: armoured('CERTIFICATE', 'AAAA') }),
      code: 'ERR_OSSL_ASN1_WRONG_TAG',
      says: [/options\.cert/, /expected/, /wrong tag/],
      asNode: true,
    },
    'a certificate cut off': {
      options: () => ({ key: ecdsa.key, cert: ecdsa.cert.slice(0, 200) }),
      code: 'ERR_OSSL_PEM_BAD_END_LINE',
      says: [/options\.cert/, /expected .*END CERTIFICATE/],
      asNode: true,
    },
    'a chain whose last certificate is cut off': {
      options: () => ({ key: ecdsa.key, cert: ecdsa.cert + '\n' + authority.cert.slice(0, 200) }),
      code: 'ERR_OSSL_PEM_BAD_END_LINE',
      says: [/options\.cert/, /expected .*END CERTIFICATE/],
      asNode: true,
    },
    'a key of a wrong type': {
      options: () => ({ key: 5, cert: ecdsa.cert }),
      code: 'ERR_INVALID_ARG_TYPE',
      says: [/"options\.key" property must be of type string or/, /Received type number$/],
      asNode: true,
    },
    'a certificate of a wrong type': {
      options: () => ({ key: ecdsa.key, cert: true }),
      code: 'ERR_INVALID_ARG_TYPE',
      says: [/"options\.cert" property must be of type string or/, /Received type boolean/],
      asNode: true,
    },
    'an authority that is no PEM': {
      options: () => ({ ...ecdsa, ca: 'hello' }),
      code: 'ERR_OSSL_PEM_NO_START_LINE',
      says: [/options\.ca holds no certificate/, /expected PEM/],
    },
    'an authority that is no X.509': {
      options: () => ({ ...ecdsa, ca: armoured('CERTIFICATE', 'AAAA') }),
      code: 'ERR_OSSL_ASN1_WRONG_TAG',
      says: [/options\.ca/, /expected/],
    },
    'an encrypted key without passphrase': {
      options: () => ({ key: encrypted, cert: ecdsa.cert }),
      code: 'ERR_OSSL_BAD_DECRYPT',
      says: [/options\.key is encrypted/, /expected options\.passphrase, got none/],
      asNode: true,
    },
    'an encrypted key with the wrong passphrase': {
      options: () => ({ key: encrypted, cert: ecdsa.cert, passphrase: WRONG_PASSPHRASE }),
      code: 'ERR_OSSL_BAD_DECRYPT',
      says: [/options\.key is encrypted, and options\.passphrase does not open it/],
      asNode: true,
    },
    'an encrypted key with a wrong passphrase of its own': {
      options: () => ({
        key: [{ pem: encrypted, passphrase: WRONG_PASSPHRASE }],
        cert: ecdsa.cert,
        passphrase: PASSPHRASE,
      }),
      code: 'ERR_OSSL_BAD_DECRYPT',
      says: [/does not open it/],
      asNode: true,
    },
    'a passphrase of a wrong type': {
      options: () => ({ key: encrypted, cert: ecdsa.cert, passphrase: 7531 }),
      code: 'ERR_INVALID_ARG_TYPE',
      says: [/"options\.passphrase" property must be of type string/, /Received type number$/],
      asNode: true,
    },
  };

  it.each(Object.keys(cases))('refuses %s', (name) => {
    const { options, code, says, asNode } = cases[name];
    const error = refusal(() => createSecureContext(options() as SecureContextOptions));
    expect(error.code).toBe(code);
    for (const pattern of says) expect(error.message).toMatch(pattern);
    expectNoSecretIn(error);
    if (asNode) expect(nodesCode(options() as tls.SecureContextOptions)).toBe(code);
  });

  it.each(Object.keys(cases))('a server takes %s as node:tls does', (name) => {
    const options = cases[name].options() as tls.TlsOptions;
    expect(outcome(() => createServer(options))).toEqual(outcome(() => tls.createServer(options)));
  });

  it('accepts neither of them, but acceptTls could not serve anybody with it', async () => {
    const context = createSecureContext({ minVersion: 'TLSv1.3' });
    expect(context).toBeInstanceOf(SecureContext);
    for (const options of [{ context }, { minVersion: 'TLSv1.3' } as const]) {
      const error = await acceptError(options);
      expect(error.code).toBe('ERR_MISSING_ARGS');
      expect(error.message).toMatch(/options\.key is missing/);
    }
  });

  it('accepts an encrypted key with its passphrase, shared or its own', () => {
    const { cert } = ecdsa;
    const shared = createSecureContext({ key: encrypted, cert, passphrase: PASSPHRASE });
    expect(shared).toBeInstanceOf(SecureContext);
    const own = createSecureContext({ key: [{ pem: encrypted, passphrase: PASSPHRASE }], cert });
    expect(own).toBeInstanceOf(SecureContext);
  });

  it('refuses an RSA key below 2048 bits, which clients would refuse', async () => {
    const small = await selfSigned({ name: 'RSASSA-PKCS1-v1_5', modulusLength: 1024 });
    const error = refusal(() => createSecureContext(small));
    expect(error.code).toBe('ERR_SSL_EE_KEY_TOO_SMALL');
    expect(error.message).toMatch(/expected an RSA key of at least 2048 bits/);
  });

  it('is not misled by an earlier error of OpenSSL', () => {
    // Node leaves the reason of this in OpenSSL's queue, where the next call finds it.
    expect(() => tls.createSecureContext({ ...ecdsa, ecdhCurve: 'no-such-curve' })).toThrow(
      /ECDH curve/,
    );
    expect(createSecureContext(ecdsa)).toBeInstanceOf(SecureContext);
  });

  it('keeps no key and no passphrase where a log would show it', () => {
    const context = createSecureContext({
      key: encrypted,
      cert: ecdsa.cert,
      passphrase: PASSPHRASE,
    });
    expectNoSecretIn(context);
    expect(JSON.stringify(context)).toBe('{}');
  });
});

describe('values of options', () => {
  const cases: [name: string, value: unknown, code: string, says: RegExp[]][] = [
    ['minVersion', 'TLSv1.4', 'ERR_TLS_INVALID_PROTOCOL_VERSION', [/TLSv1\.4/, /minimum/]],
    ['maxVersion', 3, 'ERR_TLS_INVALID_PROTOCOL_VERSION', [/3/, /maximum/]],
    ['minVersion', 'TLSv1.1', 'ERR_OFFLOOP_UNSUPPORTED_OPTION', [/TLSv1\.1/, /TLSv1\.2/]],
    ['ecdhCurve', 'no-such-curve', 'ERR_CRYPTO_OPERATION_FAILED', [/no-such-curve/, /expected/]],
    ['ecdhCurve', 'P-521', 'ERR_OFFLOOP_UNSUPPORTED_OPTION', [/ecdhCurve "P-521"/]],
    ['ecdhCurve', 5, 'ERR_INVALID_ARG_TYPE', [/of type string/, /type number \(5\)/]],
    ['ALPNProtocols', 'h2', 'ERR_INVALID_ARG_TYPE', [/array of strings/, /'h2'/]],
    ['ALPNProtocols', [5], 'ERR_INVALID_ARG_TYPE', [/ALPNProtocols\[0\]/, /type number \(5\)/]],
    ['ALPNProtocols', [''], 'ERR_OUT_OF_RANGE', [/ALPNProtocols\[0\]/, /1 to 255 bytes/, / 0$/]],
    ['ALPNProtocols', ['x'.repeat(256)], 'ERR_OUT_OF_RANGE', [/1 to 255 bytes/, /256/]],
    ['ALPNProtocols', Buffer.from('\x09h2'), 'ERR_INVALID_ARG_VALUE', [/length/, /3 bytes/]],
    ['requestCert', 'yes', 'ERR_INVALID_ARG_TYPE', [/of type boolean/, /'yes'/]],
    ['rejectUnauthorized', 1, 'ERR_INVALID_ARG_TYPE', [/of type boolean/, /type number \(1\)/]],
    ['honorCipherOrder', {}, 'ERR_INVALID_ARG_TYPE', [/of type boolean/, /instance of Object/]],
    ['sessionTimeout', '300', 'ERR_INVALID_ARG_TYPE', [/of type number/, /'300'/]],
    ['sessionTimeout', 0, 'ERR_OUT_OF_RANGE', [/options\.sessionTimeout/, />= 1/, /Received 0/]],
    ['sessionTimeout', 2 ** 30, 'ERR_OUT_OF_RANGE', [/options\.sessionTimeout/, /<= 604800/]],
    ['sessionTimeout', 1.5, 'ERR_OUT_OF_RANGE', [/an integer/, /1\.5/]],
  ];

  it.each(cases)('refuses %s: %j', (name, value, code, says) => {
    const options = { key: ecdsa.key, cert: ecdsa.cert, [name]: value };
    const error = refusal(() => createSecureContext(options));
    expect(error.code).toBe(code);
    // Node's words for this one name no option.
    if (code !== 'ERR_TLS_INVALID_PROTOCOL_VERSION') expect(error.message).toContain(name);
    for (const pattern of says) expect(error.message).toMatch(pattern);
    expectNoSecretIn(error);
  });

  const judgedByNode: [name: string, value: unknown, code: string][] = [
    ['ciphers', 'no-such-cipher', 'ERR_SSL_NO_CIPHER_MATCH'],
    ['ciphers', 'TLS_NO_SUCH_CIPHER', 'ERR_SSL_NO_CIPHER_MATCH'],
    ['ciphers', 'HIGH:!HIGH', 'ERR_SSL_NO_CIPHER_MATCH'],
    ['ciphers', 'HIGH:@FOO', 'ERR_SSL_INVALID_COMMAND'],
    ['ciphers', ':', 'ERR_INVALID_ARG_VALUE'],
    ['ciphers', 5, 'ERR_INVALID_ARG_TYPE'],
    ['crl', 'no list', 'ERR_CRYPTO_OPERATION_FAILED'],
    ['crl', [5], 'ERR_INVALID_ARG_TYPE'],
    ['secureOptions', 'x', 'ERR_INVALID_ARG_TYPE'],
    ['secureOptions', 4.5, 'ERR_OUT_OF_RANGE'],
    ['secureProtocol', 'nonsense', 'ERR_TLS_INVALID_PROTOCOL_METHOD'],
    ['secureProtocol', 'SSLv3_method', 'ERR_TLS_INVALID_PROTOCOL_METHOD'],
    ['sessionIdContext', 5, 'ERR_INVALID_ARG_TYPE'],
    ['ticketKeys', Buffer.alloc(47), 'ERR_INVALID_ARG_VALUE'],
    ['ticketKeys', 'x'.repeat(48), 'ERR_INVALID_ARG_TYPE'],
  ];

  it.each(judgedByNode)('refuses %s: %j as node:tls does', (name, value, code) => {
    const options = { ...ecdsa, [name]: value };
    const { code: ours, message } = refusal(() => createSecureContext(options));
    expect(ours).toBe(code);
    expect(nodesCode(options)).toBe(code);
    expect(message).toBe(nodesError(options)!.message);
  });

  it('refuses a sessionIdContext that is too long, as node:tls does, which gives no code', () => {
    const error = refusal(() =>
      createSecureContext({ ...ecdsa, sessionIdContext: 'x'.repeat(33) }),
    );
    expect(error.message).toMatch(/session id context too long/);
  });

  it('refuses a secureProtocol beside a version, as node:tls does', () => {
    const versions = { secureProtocol: 'TLS_method', minVersion: 'TLSv1.2' } as const;
    const error = refusal(() => createSecureContext({ ...ecdsa, ...versions }));
    expect(error.code).toBe('ERR_TLS_PROTOCOL_VERSION_CONFLICT');
  });

  it('refuses signature algorithms that there are not', () => {
    for (const sigalgs of ['nonsense', '', 'RSA+nonsense']) {
      const error = refusal(() => createSecureContext({ ...ecdsa, sigalgs }));
      expect(error.code).toBe('ERR_INVALID_ARG_VALUE');
      expect(error.message).toMatch(/options\.sigalgs.*such as "ECDSA\+SHA256/);
    }
  });

  it('refuses a range of versions that is empty', () => {
    const versions = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.2' } as const;
    const error = refusal(() => createSecureContext({ ...ecdsa, ...versions }));
    expect(error.code).toBe('ERR_INVALID_ARG_VALUE');
    expect(error.message).toMatch(/at least options\.minVersion, 'TLSv1\.3'\. Received 'TLSv1\.2'/);
  });

  it('refuses groups that leave a version without one', () => {
    const error = refusal(() => createSecureContext({ ...ecdsa, ecdhCurve: 'X25519MLKEM768' }));
    expect(error.code).toBe('ERR_INVALID_ARG_VALUE');
    expect(error.message).toMatch(/TLSv1\.2/);
  });

  const connection: [name: string, value: unknown, code: string, says: RegExp[]][] = [
    ['handshakeTimeout', '1s', 'ERR_INVALID_ARG_TYPE', [/of type number/, /'1s'/]],
    ['handshakeTimeout', -1, 'ERR_OUT_OF_RANGE', [/>= 0/, /-1/]],
    ['handshakeTimeout', Number.NaN, 'ERR_OUT_OF_RANGE', [/an integer/, /NaN/]],
    ['limits', { clientHelloSize: 100 }, 'ERR_OUT_OF_RANGE', [/\.clientHelloSize.*>= 512/, /100/]],
    ['limits', { clientHelloSize: 10_000_000 }, 'ERR_OUT_OF_RANGE', [/<= 65536/, /10000000/]],
    [
      'limits',
      { handshakes: 1 },
      'ERR_INVALID_ARG_VALUE',
      [/one of .*helloTimeout/, /'handshakes'/],
    ],
    ['limits', 5, 'ERR_INVALID_ARG_TYPE', [/of type object/]],
    ['offload', 'sometimes', 'ERR_INVALID_ARG_VALUE', [/'auto', 'always', 'never'/, /'sometimes'/]],
    ['highWaterMark', 1.5, 'ERR_OUT_OF_RANGE', [/an integer/, /1\.5/]],
    ['allowHalfOpen', 'yes', 'ERR_INVALID_ARG_TYPE', [/of type boolean/, /'yes'/]],
    ['pauseOnConnect', 1, 'ERR_INVALID_ARG_TYPE', [/of type boolean/]],
  ];

  it.each(connection)('acceptTls refuses %s: %j', async (name, value, code, says) => {
    const error = await acceptError({ ...ecdsa, [name]: value });
    expect(error.code).toBe(code);
    expect(error.message).toContain(name);
    for (const pattern of says) expect(error.message).toMatch(pattern);
  });

  const ofTheCore: [name: string, value: unknown, code: string][] = [
    ['limits', { clientHelloSize: 100 }, 'ERR_OUT_OF_RANGE'],
    ['limits', { handshake: 1 }, 'ERR_INVALID_ARG_VALUE'],
    ['limits', { connectionRate: 0 }, 'ERR_OUT_OF_RANGE'],
    ['limits', { connectionRate: { burst: 10 } }, 'ERR_INVALID_ARG_TYPE'],
    ['limits', { connectionRate: { perSecond: 10, burst: 0 } }, 'ERR_OUT_OF_RANGE'],
    ['limits', { connectionRate: { perSecond: 10, bust: 1 } }, 'ERR_INVALID_ARG_VALUE'],
    ['limits', { connectionRate: { bust: 1 } }, 'ERR_INVALID_ARG_VALUE'],
    ['limits', { connectionRatePerPeer: { perSecond: 10, bust: 1 } }, 'ERR_INVALID_ARG_VALUE'],
    ['limits', { connectionRate: [10] }, 'ERR_INVALID_ARG_TYPE'],
    ['limits', { connectionRate: {} }, 'ERR_INVALID_ARG_TYPE'],
    ['limits', [], 'ERR_INVALID_ARG_TYPE'],
    ['limits', [{ handshakes: 1 }], 'ERR_INVALID_ARG_TYPE'],
    ['offload', 'sometimes', 'ERR_INVALID_ARG_VALUE'],
    ['fallback', 'yes', 'ERR_INVALID_ARG_TYPE'],
    ['maxConnections', 'many', 'ERR_INVALID_ARG_TYPE'],
    ['maxConnections', -1, 'ERR_OUT_OF_RANGE'],
  ];

  it.each(ofTheCore)("a server refuses %s, which is offloop's own: %j", (name, value, code) => {
    const error = refusal(() => createServer({ ...ecdsa, [name]: value }));
    expect(error.code).toBe(code);
    expect(error.message).toContain(name);
  });

  const ofNode: [name: string, value: unknown][] = [
    ...cases.filter(([, , code]) => code !== 'ERR_OFFLOOP_UNSUPPORTED_OPTION'),
    ...connection,
    ...judgedByNode,
    ['handshakeTimeout', 1.5],
    ['handshakeTimeout', 1e12],
    ['handshakeTimeout', null],
    ['highWaterMark', 'big'],
    ['highWaterMark', -1],
    ['noDelay', 'yes'],
    ['keepAlive', 1],
    ['keepAliveInitialDelay', -1],
    ['keepAliveInitialDelay', 'soon'],
    ['requestCert', 1],
    ['SNICallback', 5],
    ['ALPNCallback', 5],
    ['pskIdentityHint', 5],
    ['pskIdentityHint', 'x'],
    ['enableTrace', 'yes'],
    ['allowPartialTrustChain', true],
    ['certificateCompression', ['zlib']],
    ['clientCertEngine', 'x'],
    ['privateKeyEngine', 'x'],
    ['privateKeyIdentifier', 'x'],
    ['secureProtocol', 1],
    ['requestOCSP', true],
    ['secureContext', {}],
    ['keepAliveCount', 1],
    ['keepAliveInterval', 1],
    ['reusePort', true],
    ['typeOfService', 1],
  ].filter(([name]) => !ofTheCore.some(([own]) => own === name)) as [string, unknown][];

  it.each(ofNode)('a server takes %s as node:tls does: %j', (name, value) => {
    const options = { ...ecdsa, [name]: value };
    expect(outcome(() => createServer(options))).toEqual(outcome(() => tls.createServer(options)));
  });

  it('refuses options that are no object', () => {
    const error = refusal(() => createSecureContext(5 as never));
    expect(error.code).toBe('ERR_INVALID_ARG_TYPE');
    expect(error.message).toMatch(/"options" argument must be of type object.*number \(5\)/);
    expect(outcome(() => createServer(5 as never))).toEqual(
      outcome(() => tls.createServer(5 as never)),
    );
  });

  it('refuses a context that is none', async () => {
    const expected = { code: 'ERR_INVALID_ARG_TYPE' };
    expect(refusal(() => createServer({ context: 'x' as never }))).toMatchObject(expected);
    expect(refusal(() => setDefaultContext('x' as never))).toMatchObject(expected);
    expect(await acceptError({ context: 'x' as never })).toMatchObject(expected);
  });

  it('acceptTls without any context says how to give one', async () => {
    const error = await acceptError({});
    expect(error.code).toBe('ERR_MISSING_ARGS');
    expect(error.message).toMatch(/options\.key and options\.cert, or setDefaultContext/);
  });
});

const refused = (error: OffloopError, name: string): void => {
  expect(error.code).toBe('ERR_OFFLOOP_UNSUPPORTED_OPTION');
  expect(error.message).toContain(`options.${name}`);
};

describe('options of node:tls that are not honoured', () => {
  const ofContexts: Record<string, unknown> = {
    certificateCompression: ['zlib'],
    clientCertEngine: 'x',
    dhparam: 'auto',
    privateKeyEngine: 'x',
    privateKeyIdentifier: 'x',
  };
  /** Values of options that are honoured otherwise. */
  const ofTheCore: [name: string, value: unknown, says?: RegExp][] = [
    ['ciphers', 'AES128-SHA', /"AES128-SHA".*no suite of TLSv1\.2/],
    ['ciphers', 'TLS_AES_128_CCM_SHA256:HIGH', /no suite of TLSv1\.3/],
    ['ciphers', 'HIGH@SECLEVEL=3', /@SECLEVEL is 2 at most/],
    ['ciphers', 'nonsense:AES256-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256', /no AES256-SHA256$/],
    ['ciphers', 'DHE+AESGCM:HIGH:!aNULL', /no DHE\+AESGCM$/],
    [
      'ciphers',
      'TLS_AES_128_GCM_SHA256:TLS_AES_128_CCM_8_SHA256:HIGH',
      /no TLS_AES_128_CCM_8_SHA256$/,
    ],
    ['ciphers', 'ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA', /suits the key/],
    ['secureOptions', constants.SSL_OP_PRIORITIZE_CHACHA, /SSL_OP_PRIORITIZE_CHACHA/],
    ['secureOptions', constants.SSL_OP_NO_TLSv1_2 | constants.SSL_OP_NO_TLSv1_3, /no protocol/],
    ['secureProtocol', 'TLSv1_method', /"TLSv1_method".*TLSv1\.2 is the oldest/],
    ['secureProtocol', 'TLSv1_1_server_method', /TLSv1\.2 is the oldest/],
    ['secureProtocol', 'TLS_client_method', /no such method/],
    ['sigalgs', 'ECDSA+SHA256:RSA+SHA1', /"RSA\+SHA1".*no such scheme/],
    ['sigalgs', 'ed448', /"ed448"/],
  ];
  it.each([
    // Mozilla's, of 'intermediate' compatibility.
    'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305',
    'EECDH+AESGCM:EDH+AESGCM',
    'HIGH:!aNULL:!MD5',
    'nonsense:ECDHE-ECDSA-AES128-GCM-SHA256:AES128-SHA',
    // Node serves nobody with it either, but in TLS 1.3.
    'ECDHE-RSA-AES128-GCM-SHA256',
    'TLS_AES_128_GCM_SHA256:!TLS_AES_128_CCM_SHA256:HIGH',
  ])('but takes ciphers that prefer what the core has: %s', (ciphers) => {
    for (const make of [createSecureContext, createServer])
      expect(() => make({ ...ecdsa, ciphers })).not.toThrow();
  });

  const ofAcceptTls: Record<string, unknown> = {
    pskCallback: () => null,
    pskIdentityHint: 'x',
    requestOCSP: true,
  };
  const ofServers: [name: string, value: unknown][] = [
    ['dhparam', 'auto'],
    ['ecdhCurve', 'P-521'],
    ['maxVersion', 'TLSv1.1'],
    ['minVersion', 'TLSv1'],
    ['pskCallback', () => null],
  ];

  it.each(Object.keys(ofContexts))('a context refuses %s', (name) => {
    const options = { ...ecdsa, [name]: ofContexts[name] };
    refused(
      refusal(() => createSecureContext(options)),
      name,
    );
  });

  it.each(ofTheCore)('a context and a server refuse %s: %j', (name, value, says = /./) => {
    const options = { ...ecdsa, [name]: value };
    for (const make of [createSecureContext, createServer]) {
      const error = refusal(() => make(options as object));
      refused(error, name);
      expect(error.message).toMatch(says);
    }
    // It is the core's limit.
    expect(nodesCode({ [name]: value })).toBeUndefined();
  });

  it.each(Object.keys(ofAcceptTls))('acceptTls refuses %s', async (name) => {
    const options = { ...ecdsa, [name]: ofAcceptTls[name] };
    refused(await acceptError(options as AcceptOptions), name);
  });

  it.each(ofServers)('a server refuses %s: %j, which node:tls takes', (name, value) => {
    const options = { ...ecdsa, [name]: value };
    refused(
      refusal(() => createServer(options as ServerOptions)),
      name,
    );
    expect(outcome(() => tls.createServer(options as tls.TlsOptions))).toBe('takes it');
  });

  it('accepts their values that ask for nothing', () => {
    const neutral = {
      ciphers: tls.DEFAULT_CIPHERS,
      secureOptions: 0,
      enableTrace: false,
      requestOCSP: false,
      pfx: undefined,
      SNICallback: undefined,
    };
    createServer({ ...ecdsa, ...neutral } as ServerOptions);
  });
});

describe('where a refusal leaves things', () => {
  it('acceptTls destroys the socket that it was given', async () => {
    await acceptError({ key: 'hello', cert: ecdsa.cert });
  });

  it('a server keeps its context when a new one is refused, and goes on', async () => {
    await using server = await startServer('offloop server', ecdsa);
    const handle = createServer(ecdsa);
    expect(refusal(() => handle.setSecureContext({ ...ecdsa, key: other.key })).code).toBe(
      'ERR_OSSL_X509_KEY_VALUES_MISMATCH',
    );
    refused(
      refusal(() => handle.setSecureContext({ ...ecdsa, dhparam: 'auto' })),
      'dhparam',
    );
    expect(refusal(() => handle.addContext('a.test', { key: 'x', cert: ecdsa.cert })).code).toBe(
      'ERR_OSSL_UNSUPPORTED',
    );
    expect(refusal(() => handle.addContext('', ecdsa)).code).toBe('ERR_TLS_REQUIRED_SERVER_NAME');
    handle.listen(0, '127.0.0.1');
    await once(handle, 'listening');
    handle.on('secureConnection', (socket) => socket.pipe(socket));
    const { port } = handle.address() as net.AddressInfo;
    expect(await attempt(port, { ca: ecdsa.ca, rejectUnauthorized: true })).toMatchObject({
      code: null,
      echoed: 'ping',
    });
    await handle[Symbol.asyncDispose]();
    expect(await attempt(server.port)).toMatchObject({ code: null, echoed: 'ping' });
  });

  it('a context can not be changed', () => {
    const context = createSecureContext(ecdsa);
    expect(Object.isFrozen(context)).toBe(true);
  });
});

function nodesCode(options: tls.SecureContextOptions): unknown {
  return nodesError(options)?.code;
}

function nodesError(options: tls.SecureContextOptions): OffloopError | undefined {
  try {
    tls.createSecureContext(options);
    return undefined;
  } catch (error) {
    return error as OffloopError;
  }
}

/** What acceptTls rejects with; the socket must be destroyed and its peer must see it. */
async function acceptError(options: AcceptOptions): Promise<OffloopError> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  // Perhaps a reset: it is closed either way.
  client.on('error', () => {});
  client.resume();
  const gone = once(client, 'close');
  const [socket] = (await once(server, 'connection')) as [net.Socket];
  const error = await acceptTls(socket, options).then(
    () => {
      throw new Error('expected a rejection, got a socket');
    },
    (reason: OffloopError) => reason,
  );
  expect(socket.destroyed).toBe(true);
  await gone;
  await new Promise((resolve) => server.close(resolve));
  return error;
}
