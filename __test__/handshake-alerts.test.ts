/**
 * Malformed ClientHellos, each with the alert that its RFC names. Where the RFCs leave it open,
 * the alert is rustls' own, and the row says how node:tls differs.
 */
import { beforeAll, describe, expect, it } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { clientHello } from './support/faults/client-hello.js';
import * as extension from './support/faults/extensions.js';
import { Hello, number, vector } from './support/faults/hello.js';
import { RawClient } from './support/faults/raw-client.js';
import { attempt } from './support/faults/tls-client.js';
import { startServer } from './support/faults/tls-server.js';

const DECODE_ERROR = 50;
const ILLEGAL_PARAMETER = 47;
const PROTOCOL_VERSION = 70;
const HANDSHAKE_FAILURE = 40;
const MISSING_EXTENSION = 109;
const INAPPROPRIATE_FALLBACK = 86;
/** The handshake goes on. */
const NONE = null;

interface Case {
  version?: 'TLSv1.2' | 'TLSv1.3';
  change: (hello: Hello) => void;
  alert: number | null;
  source?: string;
}

const X25519 = 29;
const P256 = 23;
const keyShares = (...shares: [group: number, key: Uint8Array][]): Buffer =>
  vector(
    Buffer.concat(shares.map(([group, key]) => Buffer.concat([number(group, 2), vector(key, 2)]))),
    2,
  );
const names = (...all: [type: number, name: string][]): Buffer =>
  vector(
    Buffer.concat(
      all.map(([type, name]) => Buffer.concat([number(type, 1), vector(Buffer.from(name), 2)])),
    ),
    2,
  );
const ticket = Buffer.concat([vector(Buffer.alloc(40, 1), 2), number(0, 4)]);
const binder = vector(Buffer.alloc(32, 2), 1);
const psk = vector(ticket, 2);

const cases: Record<string, Case> = {
  'a byte behind the extensions': {
    change: (hello) => (hello.rest = Buffer.of(0)),
    alert: DECODE_ERROR,
    source: 'RFC 8446, 4.2',
  },
  'a session id of 33 bytes': {
    change: (hello) => (hello.sessionId = Buffer.alloc(33)),
    alert: DECODE_ERROR,
    source: 'RFC 8446, 4.1.2',
  },
  'half a cipher suite': {
    change: (hello) => (hello.suites = Buffer.concat([hello.suites, Buffer.of(0)])),
    alert: DECODE_ERROR,
  },
  'no cipher suites': {
    change: (hello) => (hello.suites = Buffer.alloc(0)),
    alert: DECODE_ERROR,
    source: 'node:tls: illegal_parameter; RFC 8446, 4.1.2 has two bytes at least',
  },
  'unknown cipher suites': {
    change: (hello) => (hello.suites = Buffer.of(0x5a, 0x5a)),
    alert: HANDSHAKE_FAILURE,
    source: 'RFC 8446, 4.1.1',
  },
  'a compression method in TLS 1.3': {
    change: (hello) => (hello.compression = Buffer.of(1, 0)),
    alert: ILLEGAL_PARAMETER,
    source: 'RFC 8446, 4.1.2',
  },
  'no null compression in TLS 1.2': {
    version: 'TLSv1.2',
    change: (hello) => (hello.compression = Buffer.of(1)),
    alert: ILLEGAL_PARAMETER,
    source: 'node:tls: decode_error; RFC 5246, 7.4.1.2 names none',
  },
  'an extension twice': {
    change: (hello) => hello.extensions!.unshift({ ...hello.extension(extension.ALPN)! }),
    alert: ILLEGAL_PARAMETER,
    source: 'RFC 8446, 4.2',
  },
  'an extension twice in TLS 1.2': {
    version: 'TLSv1.2',
    change: (hello) => hello.extensions!.unshift({ ...hello.extension(extension.ALPN)! }),
    alert: ILLEGAL_PARAMETER,
  },
  'no supported_groups': {
    change: (hello) => hello.set(extension.SUPPORTED_GROUPS, null),
    alert: MISSING_EXTENSION,
    source: 'RFC 8446, 9.2',
  },
  'no key_share': {
    change: (hello) => hello.set(extension.KEY_SHARE, null),
    alert: MISSING_EXTENSION,
    source: 'RFC 8446, 9.2',
  },
  'no signature_algorithms': {
    change: (hello) => hello.set(extension.SIGNATURE_ALGORITHMS, null),
    alert: MISSING_EXTENSION,
    source: 'RFC 8446, 4.2.3',
  },
  'no extensions at all': {
    version: 'TLSv1.2',
    change: (hello) => (hello.extensions = null),
    alert: HANDSHAKE_FAILURE,
  },
  'an empty list of groups': {
    change: (hello) => hello.set(extension.SUPPORTED_GROUPS, vector(Buffer.alloc(0), 2)),
    alert: DECODE_ERROR,
  },
  'groups whose length claims more': {
    change: (hello) => hello.set(extension.SUPPORTED_GROUPS, vector(Buffer.of(0, X25519), 2, 4)),
    alert: DECODE_ERROR,
  },
  'unknown groups only': {
    change: (hello) =>
      hello
        .set(extension.SUPPORTED_GROUPS, vector(number(0x5a5a, 2), 2))
        .set(extension.KEY_SHARE, keyShares([0x5a5a, Buffer.alloc(32)])),
    alert: HANDSHAKE_FAILURE,
    source: 'RFC 8446, 4.1.1',
  },
  'unknown signature algorithms only': {
    change: (hello) => hello.set(extension.SIGNATURE_ALGORITHMS, vector(number(0x5a5a, 2), 2)),
    alert: HANDSHAKE_FAILURE,
    source: 'RFC 8446, 4.1.1',
  },
  'a key share that is too short': {
    change: (hello) => hello.set(extension.KEY_SHARE, keyShares([X25519, Buffer.alloc(31, 9)])),
    alert: ILLEGAL_PARAMETER,
    source: 'RFC 8446, 4.2.8.2',
  },
  'a key share that gives the secret zero': {
    change: (hello) => hello.set(extension.KEY_SHARE, keyShares([X25519, Buffer.alloc(32)])),
    alert: ILLEGAL_PARAMETER,
    source: 'RFC 8446, 7.4.2',
  },
  'a key share that is no point of its curve': {
    change: (hello) =>
      hello
        .set(extension.SUPPORTED_GROUPS, vector(number(P256, 2), 2))
        .set(
          extension.KEY_SHARE,
          keyShares([P256, Buffer.concat([Buffer.of(4), Buffer.alloc(64, 1)])]),
        ),
    alert: ILLEGAL_PARAMETER,
    source: 'RFC 8446, 4.2.8.2',
  },
  'two key shares of one group': {
    change: (hello) =>
      hello.set(
        extension.KEY_SHARE,
        keyShares([X25519, Buffer.alloc(32, 9)], [X25519, Buffer.alloc(32, 8)]),
      ),
    alert: ILLEGAL_PARAMETER,
    source: 'RFC 8446, 4.2.8 (node:tls takes the first)',
  },
  'a byte behind the key shares': {
    change: (hello) =>
      hello.set(
        extension.KEY_SHARE,
        Buffer.concat([hello.extension(extension.KEY_SHARE)!.body, Buffer.of(0)]),
      ),
    alert: DECODE_ERROR,
  },
  'a key share of a group that is not offered': {
    change: (hello) => hello.set(extension.SUPPORTED_GROUPS, vector(number(P256, 2), 2)),
    alert: ILLEGAL_PARAMETER,
    source: 'RFC 8446, 4.2.8',
  },
  'no supported versions in their list': {
    change: (hello) => hello.set(extension.SUPPORTED_VERSIONS, vector(Buffer.alloc(0), 1)),
    alert: DECODE_ERROR,
    source: 'RFC 8446, 4.2.1 (node:tls: protocol_version)',
  },
  'TLS 1.1 and no more': {
    change: (hello) => hello.set(extension.SUPPORTED_VERSIONS, vector(Buffer.of(3, 2), 1)),
    alert: PROTOCOL_VERSION,
    source: 'RFC 8446, 4.2.1',
  },
  'a version field of TLS 1.1': {
    version: 'TLSv1.2',
    change: (hello) => (hello.version = 0x0302),
    alert: PROTOCOL_VERSION,
    source: 'RFC 5246, appendix E.1',
  },
  'a version field of SSL 3.0 beside TLS 1.3': {
    change: (hello) => (hello.version = 0x0300),
    alert: PROTOCOL_VERSION,
    source: 'RFC 8446, appendix D.5 (node:tls: handshake_failure)',
  },
  'a version field of the future': {
    version: 'TLSv1.2',
    change: (hello) => (hello.version = 0x0305),
    alert: NONE,
    source: 'RFC 5246, appendix E.1',
  },
  'a pre-shared key that is not the last extension': {
    change: (hello) =>
      hello.extensions!.unshift({
        type: extension.PRE_SHARED_KEY,
        body: Buffer.concat([psk, vector(binder, 2)]),
      }),
    alert: ILLEGAL_PARAMETER,
    source: 'RFC 8446, 4.2.11',
  },
  'a pre-shared key without its modes': {
    change: (hello) =>
      hello
        .set(extension.PSK_MODES, null)
        .set(extension.PRE_SHARED_KEY, Buffer.concat([psk, vector(binder, 2)])),
    alert: MISSING_EXTENSION,
    source: 'RFC 8446, 4.2.9',
  },
  'more identities than binders': {
    change: (hello) =>
      hello.set(
        extension.PRE_SHARED_KEY,
        Buffer.concat([vector(Buffer.concat([ticket, ticket]), 2), vector(binder, 2)]),
      ),
    alert: ILLEGAL_PARAMETER,
    source: 'RFC 8446, 4.2.11',
  },
  'a binder of 31 bytes': {
    change: (hello) =>
      hello.set(
        extension.PRE_SHARED_KEY,
        Buffer.concat([psk, vector(vector(Buffer.alloc(31, 2), 1), 2)]),
      ),
    alert: DECODE_ERROR,
    source: 'RFC 8446, 4.2.11',
  },
  'a ticket that is garbage': {
    change: (hello) => hello.set(extension.PRE_SHARED_KEY, Buffer.concat([psk, vector(binder, 2)])),
    alert: NONE,
    source: 'RFC 8446, 4.2.11: a full handshake',
  },
  'an unknown server name': {
    change: (hello) => hello.set(extension.SERVER_NAME, names([0, 'unknown.test'])),
    alert: NONE,
    source: 'as Node: the default certificate answers; RFC 6066, 3 allows it',
  },
  'two server names of one type': {
    change: (hello) => hello.set(extension.SERVER_NAME, names([0, 'a.test'], [0, 'b.test'])),
    alert: ILLEGAL_PARAMETER,
    source: 'RFC 6066, 3 forbids it (node:tls: decode_error)',
  },
  'an empty list of server names': {
    change: (hello) => hello.set(extension.SERVER_NAME, vector(Buffer.alloc(0), 2)),
    alert: DECODE_ERROR,
    source: 'RFC 6066, 3',
  },
  'an empty ALPN protocol': {
    change: (hello) => hello.set(extension.ALPN, vector(Buffer.of(0), 2)),
    alert: DECODE_ERROR,
    source: 'RFC 7301, 3.1',
  },
  'point formats without the uncompressed one': {
    version: 'TLSv1.2',
    change: (hello) => hello.set(extension.EC_POINT_FORMATS, vector(Buffer.of(1), 1)),
    alert: ILLEGAL_PARAMETER,
    source: 'RFC 8422, 5.1.2',
  },
  'a renegotiation without a connection': {
    version: 'TLSv1.2',
    change: (hello) => hello.set(extension.RENEGOTIATION_INFO, vector(Buffer.alloc(12), 1)),
    alert: HANDSHAKE_FAILURE,
    source: 'RFC 5746, 3.6',
  },
  'a fallback to TLS 1.2': {
    version: 'TLSv1.2',
    change: (hello) => (hello.suites = Buffer.concat([hello.suites, Buffer.of(0x56, 0)])),
    alert: INAPPROPRIATE_FALLBACK,
    source: 'RFC 7507, 3',
  },
};

let identity: Issued;
const hellos = new Map<string, Hello>();

beforeAll(async () => {
  identity = await (await Authority.create()).issue();
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const flight = await clientHello({
      minVersion: version,
      maxVersion: version,
      ecdhCurve: 'X25519:P-256',
      ALPNProtocols: ['http/1.1'],
    });
    hellos.set(version, Hello.parse(flight));
  }
});

describe('a ClientHello', () => {
  it.each(Object.keys(cases))('with %s', async (name) => {
    const { version = 'TLSv1.3', change, alert } = cases[name];
    const { key, cert } = identity;
    await using server = await startServer('offloop server', { key, cert });
    using client = await RawClient.connect(server.port);
    const hello = hellos.get(version)!.copy();
    change(hello);
    await client.send(hello.bytes());
    if (alert === NONE) {
      await client.receive(100);
      client.reset();
    }
    await client.closed();
    expect(client.alert()).toBe(alert);
    const failure = await server.nextFailure();
    expect(failure.alert ?? null).toBe(alert);
    expect(await attempt(server.port)).toMatchObject({ code: null, echoed: 'ping' });
  });
});

it('that is put together again is the same', () => {
  for (const hello of hellos.values()) {
    const bytes = hello.bytes();
    expect(Hello.parse(bytes).bytes()).toEqual(bytes);
  }
});
