/** What options of a context come to in handshakes: node:tls is the measure. */
import { execFileSync } from 'node:child_process';
import { constants, X509Certificate } from 'node:crypto';
import tls from 'node:tls';

import {
  createSecureContext,
  SecureContext,
  type SecureContextOptions,
  type ServerOptions,
} from 'offloop';
import { beforeAll, describe, expect, it } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { commandIt } from './support/faults/commands.js';
import { attempt } from './support/faults/tls-client.js';
import { type Kind, startServer } from './support/faults/tls-server.js';

let ecdsa: Issued;
let rsa: Issued;

beforeAll(async () => {
  const authority = await Authority.create();
  [ecdsa, rsa] = await Promise.all([authority.issue(), authority.issue({ key: 'rsa2048' })]);
});

type Options = ServerOptions & tls.TlsOptions;

/** What clients see of a server with these options. */
async function outcomes(
  kind: Kind,
  options: Options,
  clients: readonly tls.ConnectionOptions[],
): Promise<unknown[]> {
  await using server = await startServer(kind, options);
  const seen = [];
  for (const client of clients) {
    const { code, protocol } = await attempt(server.port, client);
    seen.push(code ?? protocol);
  }
  return seen;
}

const BOTH: tls.ConnectionOptions[] = [{ maxVersion: 'TLSv1.2' }, { minVersion: 'TLSv1.3' }];
const TOO_OLD = 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION';
const FAILURE = 'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE';

describe.each(['acceptTls', 'node:tls'] as const)('%s', (kind) => {
  it.each([
    ['secureProtocol', 'TLSv1_2_method', ['TLSv1.2', TOO_OLD]],
    ['secureProtocol', 'TLSv1_2_server_method', ['TLSv1.2', TOO_OLD]],
    ['secureProtocol', 'SSLv23_method', ['TLSv1.2', TOO_OLD]],
    ['secureProtocol', 'TLS_method', ['TLSv1.2', 'TLSv1.3']],
    ['secureProtocol', 'TLS_server_method', ['TLSv1.2', 'TLSv1.3']],
    ['secureOptions', constants.SSL_OP_NO_TLSv1_2, [TOO_OLD, 'TLSv1.3']],
    ['secureOptions', constants.SSL_OP_NO_TLSv1_3, ['TLSv1.2', TOO_OLD]],
    ['secureOptions', constants.SSL_OP_ALL | constants.SSL_OP_NO_TLSv1, ['TLSv1.2', 'TLSv1.3']],
    ['ciphers', 'TLS_AES_128_GCM_SHA256', [TOO_OLD, 'TLSv1.3']],
    ['ciphers', 'ECDHE-ECDSA-AES128-GCM-SHA256', ['TLSv1.2', 'TLSv1.3']],
  ])('%s: %s decides about versions', async (name, value, expected) => {
    const { key, cert } = ecdsa;
    expect(await outcomes(kind, { key, cert, [name]: value } as Options, BOTH)).toEqual(expected);
  });

  it.each([
    ['CHACHA20:AESGCM', 'ECDHE-RSA-CHACHA20-POLY1305', 'TLS_AES_256_GCM_SHA384'],
    ['ECDHE-RSA-AES128-GCM-SHA256:HIGH', 'ECDHE-RSA-AES128-GCM-SHA256', 'TLS_AES_256_GCM_SHA384'],
    ['AESGCM:+AES256', 'ECDHE-RSA-AES128-GCM-SHA256', 'TLS_AES_256_GCM_SHA384'],
    [
      'TLS_CHACHA20_POLY1305_SHA256:AESGCM',
      'ECDHE-RSA-AES256-GCM-SHA384',
      'TLS_CHACHA20_POLY1305_SHA256',
    ],
  ])('ciphers: %s selects in its order', async (ciphers, ...expected) => {
    const { key, cert } = rsa;
    await using server = await startServer(kind, { key, cert, ciphers });
    const chosen = [];
    for (const client of BOTH) {
      const opened = server.nextSocket().then((socket) => socket.getCipher().name);
      expect(await attempt(server.port, client)).toMatchObject({ code: null });
      chosen.push(await opened);
    }
    expect(chosen).toEqual(expected);
  });

  it('sigalgs decide what is signed with', async () => {
    const { key, cert } = rsa;
    const options = { key, cert, sigalgs: 'RSA-PSS+SHA256:ECDSA+SHA256:rsa_pkcs1_sha384' };
    const clients = [
      { sigalgs: 'rsa_pss_rsae_sha256' },
      { sigalgs: 'rsa_pss_rsae_sha384' },
      { sigalgs: 'ecdsa_secp256r1_sha256' },
      { sigalgs: 'RSA+SHA384', maxVersion: 'TLSv1.2' },
      { sigalgs: 'RSA+SHA512', maxVersion: 'TLSv1.2' },
    ] as const;
    const expected = ['TLSv1.3', FAILURE, FAILURE, 'TLSv1.2', FAILURE];
    expect(await outcomes(kind, options, clients)).toEqual(expected);
  });

  it.each([
    [0, true],
    [constants.SSL_OP_NO_TICKET, false],
  ])('secureOptions: %s: are there tickets in TLS 1.2? %s', async (secureOptions, expected) => {
    const { key, cert } = ecdsa;
    await using server = await startServer(kind, { key, cert, secureOptions });
    const { session } = await attempt(server.port, BOTH[0]);
    const again = await attempt(server.port, { ...BOTH[0], session });
    expect(again).toMatchObject({ code: null, reused: expected });
  });
});

/** What OpenSSL's command makes of an identity. */
function pkcs12({ key, cert }: Issued, passphrase: string, more = ''): Buffer {
  const args = ['pkcs12', '-export', '-passout', `pass:${passphrase}`];
  return execFileSync('openssl', args, { input: `${key}\n${cert}\n${more}` });
}

describe('pfx', () => {
  commandIt('openssl', 'in all forms', async () => {
    const ours = pkcs12(rsa, 'one', rsa.ca);
    const forms: Options[] = [
      { pfx: ours, passphrase: 'one' },
      { pfx: [ours], passphrase: 'one' },
      { pfx: [{ buf: ours, passphrase: 'one' }], passphrase: 'another' },
      { pfx: [{ buf: ours }, { buf: pkcs12(ecdsa, 'two'), passphrase: 'two' }], passphrase: 'one' },
    ];
    for (const options of forms) {
      const client = { ca: rsa.ca, rejectUnauthorized: true };
      expect(await outcomes('acceptTls', options, [client])).toEqual(['TLSv1.3']);
    }
  });

  commandIt('openssl', 'brings authorities along', () => {
    const context = createSecureContext({
      pfx: pkcs12(rsa, 'one', ecdsa.ca),
      passphrase: 'one',
      ca: [],
    });
    const [authority] = SecureContext.authorities(context);
    expect(authority.raw).toEqual(new X509Certificate(ecdsa.ca).raw);
  });

  commandIt('openssl', 'is refused in the words of node:tls', () => {
    const wrong = { pfx: pkcs12(rsa, 'one'), passphrase: 'two' };
    for (const options of [wrong, { pfx: 'none' }, { pfx: wrong.pfx.subarray(0, 100) }]) {
      expect(() => tls.createSecureContext(options)).toThrow();
      expect(() => createSecureContext(options)).toThrow(
        expect.objectContaining({ code: 'ERR_CRYPTO_OPERATION_FAILED' }),
      );
    }
  });
});

const trusted = ({ ca }: SecureContextOptions): unknown[] =>
  SecureContext.authorities(createSecureContext({ ca })).map(({ raw }) => raw);

describe('what others ask of a context', () => {
  it('is whether it can serve', () => {
    expect(SecureContext.hasIdentity(createSecureContext(ecdsa))).toBe(true);
    expect(SecureContext.hasIdentity(createSecureContext({}))).toBe(false);
  });

  it('is whom it trusts', () => {
    // Beside Node's own: whoever runs this may have more.
    delete process.env.NODE_EXTRA_CA_CERTS;
    expect(trusted({ ca: [ecdsa.ca] })).toEqual([new X509Certificate(ecdsa.ca).raw]);
    expect(trusted({ ca: [] })).toEqual([]);
    expect(trusted({})).toHaveLength(tls.rootCertificates.length);
  });

  it('is what seals its tickets', () => {
    const ticketKeys = Buffer.alloc(48, 7);
    const context = createSecureContext({ ...ecdsa, ticketKeys });
    expect(SecureContext.getTicketKeys(context)).toEqual(ticketKeys);
    const others = Buffer.alloc(48, 8);
    SecureContext.setTicketKeys(context, others);
    expect(SecureContext.getTicketKeys(context)).toEqual(others);
    expect(SecureContext.getTicketKeys(createSecureContext(ecdsa))).toHaveLength(48);
  });
});
