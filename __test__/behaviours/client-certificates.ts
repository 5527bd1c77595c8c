/** requestCert, rejectUnauthorized, ca, crl, and what a socket says of its peer. */
import { once } from 'node:events';
import type { SecureVersion, TlsOptions, TLSSocket } from 'node:tls';

import type { Identity, Material } from './material.js';
import type { Modules, Row } from './row.js';
import { problem, type Stage, tell } from './stage.js';

const versions: readonly SecureVersion[] = ['TLSv1.2', 'TLSv1.3'];

/** How the server sees each of these clients, by version; nobody is turned away. */
async function seen(
  { tls }: Modules,
  stage: Stage,
  options: TlsOptions,
  clients: readonly (Identity | undefined)[],
): Promise<unknown> {
  const server = tls.createServer({
    ...stage.material.ecdsa,
    requestCert: true,
    rejectUnauthorized: false,
    ...options,
  });
  tell(server, ({ authorized, authorizationError }) => [authorized, authorizationError]);
  const port = await stage.listen(server);
  const outcomes = [];
  for (const maxVersion of versions) {
    for (const client of clients) {
      outcomes.push((await stage.visit(port, { maxVersion, ...client })).heard);
    }
  }
  return outcomes;
}

/** How the server turns away this client, by version: what it emits, and of whom. */
async function refused(
  { tls }: Modules,
  stage: Stage,
  client: Identity | undefined,
  options: TlsOptions = {},
): Promise<unknown> {
  const server = tls.createServer({
    ...stage.material.ecdsa,
    ca: stage.material.ca,
    requestCert: true,
    ...options,
  });
  const events: unknown[] = [];
  server.on('secureConnection', () => events.push('secureConnection'));
  const port = await stage.listen(server);
  for (const maxVersion of versions) {
    const failed = once(server, 'tlsClientError') as Promise<[Error, TLSSocket]>;
    const { code } = await stage.visit(port, { maxVersion, ...client });
    const [error, socket] = await failed;
    const { authorized, authorizationError } = socket;
    events.push([maxVersion, problem(error), authorized, authorizationError]);
    // Whether a client of TLS 1.2 sees an alert or an end is a race in Node.
    // OpenSSL 3.5 has another name for these alerts.
    if (maxVersion === 'TLSv1.3') events.push(code?.replace('SSL/TLS', 'SSLV3') ?? null);
  }
  return events;
}

/** Certificates link to themselves: what is linked is told by name, as deep as the chain is. */
function plain(certificate: object | null): unknown {
  if (certificate === null) return null;
  const { issuerCertificate, ...facts } = certificate as { issuerCertificate?: object };
  const issuer =
    issuerCertificate === undefined
      ? 'none'
      : issuerCertificate === certificate
        ? 'itself'
        : plain(issuerCertificate);
  return { ...facts, issuerCertificate: issuer };
}

function detailed(
  name: string,
  options: (material: Material) => TlsOptions,
  client: (material: Material) => Identity | undefined,
): Row {
  return {
    name,
    run: async ({ tls }, stage) => {
      const { material } = stage;
      const server = tls.createServer({
        ...material.ecdsa,
        requestCert: true,
        rejectUnauthorized: false,
        ...options(material),
      });
      const { socket } = await stage.pair(server, client(material) ?? {});
      const objects = [
        plain(socket.getPeerCertificate(true)),
        plain(socket.getPeerCertificate(false)),
        plain(socket.getPeerCertificate()),
      ];
      // Once, and at last: before Node 26, asking takes the chain with it.
      const certificate = socket.getPeerX509Certificate();
      return [
        ...objects,
        certificate?.subject,
        certificate?.issuerCertificate?.subject,
        certificate?.issuerCertificate?.issuerCertificate?.subject,
      ];
    },
  };
}

/** `alert`: what a client of TLS 1.3 is told. */
function turnedAway(
  who: string,
  of: (material: Material) => [Identity, TlsOptions],
  { code, alert }: { code: string; alert: string },
): Row {
  const error = { name: 'Error', code: 'ECONNRESET', message: 'socket hang up' };
  return {
    name: `rejectUnauthorized: ${who}`,
    run: (modules, stage) => refused(modules, stage, ...of(stage.material)),
    different: {
      reason:
        'A client whose certificate is not accepted is told so by an alert; Node completes its handshake and hangs up.',
      ours: [['TLSv1.2', error, false, code], ['TLSv1.3', error, false, code], alert],
    },
  };
}

export const clientCertificates: Row[] = [
  {
    name: 'nobody is asked by default',
    run: (modules, stage) =>
      seen(modules, stage, { requestCert: false, ca: stage.material.ca }, [
        undefined,
        stage.material.client,
      ]),
    expect: Array.from({ length: 4 }, () => [false, null]),
  },
  {
    name: 'requestCert must be true itself',
    run: (modules, stage) =>
      seen(modules, stage, { requestCert: 1 as never, ca: stage.material.ca }, [
        stage.material.client,
      ]),
    expect: Array.from({ length: 2 }, () => [false, null]),
  },
  {
    name: 'who is authorized, and why not',
    run: (modules, stage) => {
      const { material } = stage;
      return seen(modules, stage, { ca: material.ca }, [
        undefined,
        material.client,
        material.strangersClient,
        material.expiredClient,
        material.earlyClient,
        // Meant for servers only.
        material.ecdsa,
      ]);
    },
  },
  {
    name: 'authorities in all forms',
    run: async (modules, stage) => {
      const { ca, strangersCa, client, strangersClient } = stage.material;
      const outcomes = [];
      for (const authorities of [
        Buffer.from(ca),
        [ca],
        [ca, strangersCa],
        [Buffer.from(strangersCa), ca],
        `${ca}\n${strangersCa}`,
        `a comment\n${strangersCa}\nanother\n${ca}\n`,
        [],
        undefined,
      ]) {
        outcomes.push(
          await seen(modules, stage, { ca: authorities as string }, [client, strangersClient]),
        );
      }
      return outcomes;
    },
  },
  {
    name: 'a chain: with and without what is between',
    run: (modules, stage) => {
      const { ca, intermediateCa, intermediateClient } = stage.material;
      const { key, cert } = intermediateClient;
      return seen(modules, stage, { ca }, [
        intermediateClient,
        { key, cert: `${cert}\n${intermediateCa}` },
        { key, cert: `${cert}\n${intermediateCa}\n${ca}` },
      ]);
    },
  },
  {
    name: 'an intermediate authority that the server trusts, without its root',
    run: (modules, stage) => {
      const { intermediateCa, intermediateClient, ca } = stage.material;
      const { key, cert } = intermediateClient;
      return seen(modules, stage, { ca: intermediateCa }, [
        intermediateClient,
        { key, cert: `${cert}\n${intermediateCa}\n${ca}` },
      ]);
    },
  },
  {
    name: 'an intermediate authority beside its root',
    run: (modules, stage) => {
      const { ca, intermediateCa, intermediateClient } = stage.material;
      return seen(modules, stage, { ca: [ca, intermediateCa] }, [intermediateClient]);
    },
    expect: Array.from({ length: 2 }, () => [true, null]),
  },
  {
    name: 'crl: who is revoked',
    run: (modules, stage) => {
      const { ca, crl, client, revokedClient } = stage.material;
      return seen(modules, stage, { ca, crl }, [client, revokedClient, undefined]);
    },
  },
  {
    name: 'crl in all forms',
    run: async (modules, stage) => {
      const { ca, crl, strangersCrl, client, revokedClient } = stage.material;
      const outcomes = [];
      for (const lists of [
        Buffer.from(crl),
        [crl],
        [strangersCrl, Buffer.from(crl)],
        `${crl}\n${strangersCrl}`,
        [],
      ]) {
        outcomes.push(
          await seen(modules, stage, { ca, crl: lists as string }, [client, revokedClient]),
        );
      }
      return outcomes;
    },
  },
  {
    name: 'crl of another authority',
    run: (modules, stage) => {
      const { ca, strangersCrl, client } = stage.material;
      return seen(modules, stage, { ca, crl: strangersCrl }, [client]);
    },
  },
  {
    name: 'crl that has expired',
    run: (modules, stage) => {
      const { ca, expiredCrl, client, revokedClient } = stage.material;
      return seen(modules, stage, { ca, crl: expiredCrl }, [client, revokedClient]);
    },
  },
  {
    name: 'rejectUnauthorized: nothing shown',
    run: (modules, stage) => refused(modules, stage, undefined),
  },
  turnedAway('a stranger', ({ strangersClient }) => [strangersClient, {}], {
    code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    alert: 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA',
  }),
  turnedAway('expired', ({ expiredClient }) => [expiredClient, {}], {
    code: 'CERT_HAS_EXPIRED',
    alert: 'ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED',
  }),
  turnedAway('revoked', ({ revokedClient, crl }) => [revokedClient, { crl }], {
    code: 'CERT_REVOKED',
    alert: 'ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED',
  }),
  {
    name: 'rejectUnauthorized: whoever is fine is let in',
    run: (modules, stage) =>
      seen(modules, stage, { ca: stage.material.ca, rejectUnauthorized: true }, [
        stage.material.client,
      ]),
    expect: Array.from({ length: 2 }, () => [true, null]),
  },
  {
    name: 'rejectUnauthorized without requestCert asks nobody',
    run: (modules, stage) =>
      seen(
        modules,
        stage,
        { ca: stage.material.ca, requestCert: false, rejectUnauthorized: true },
        [undefined, stage.material.strangersClient],
      ),
    expect: Array.from({ length: 4 }, () => [false, null]),
  },
  {
    name: 'an https request knows its client',
    run: async ({ https }, stage) => {
      const { ecdsa, ca, client } = stage.material;
      const server = https.createServer(
        { ...ecdsa, ca, requestCert: true, rejectUnauthorized: false },
        ({ socket }, response) => {
          const peer = socket as TLSSocket;
          const { subject } = peer.getPeerCertificate();
          response.end(JSON.stringify([peer.authorized, subject?.CN ?? null]));
        },
      );
      const port = await stage.listen(server);
      const answers = [];
      for (const identity of [client, undefined]) {
        answers.push(JSON.parse((await stage.request(port, { ...identity })).body));
      }
      return answers;
    },
    expect: [
      [true, 'client'],
      [false, null],
    ],
  },
  {
    name: 'an https server emits tlsClientError for who is turned away',
    run: async ({ https }, stage) => {
      const { ecdsa, ca } = stage.material;
      const server = https.createServer({ ...ecdsa, ca, requestCert: true });
      const events: unknown[] = [];
      const failed = new Promise<void>((resolve) => {
        server.on('tlsClientError', (error: NodeJS.ErrnoException) => {
          events.push('tlsClientError', error.code);
          resolve();
        });
      });
      server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
        events.push('clientError', error.code, typeof socket);
      });
      const port = await stage.listen(server);
      const { code } = await stage.visit(port);
      await failed;
      return [events, code];
    },
  },
  detailed(
    'getPeerCertificate() of one who was not asked',
    () => ({ requestCert: false }),
    ({ client }) => client,
  ),
  detailed(
    'getPeerCertificate() of one who shows nothing',
    ({ ca }) => ({ ca }),
    () => undefined,
  ),
  detailed(
    'getPeerCertificate() of one whose issuer the server has',
    ({ ca }) => ({ ca }),
    ({ client }) => client,
  ),
  detailed(
    'getPeerCertificate() of a stranger',
    ({ ca }) => ({ ca }),
    ({ strangersClient }) => strangersClient,
  ),
  detailed(
    'getPeerCertificate() of one who shows a chain',
    ({ ca }) => ({ ca }),
    ({ intermediateClient: { key, cert }, intermediateCa, ca }) => ({
      key,
      cert: `${cert}\n${intermediateCa}\n${ca}`,
    }),
  ),
  detailed(
    'getPeerCertificate() of one whose chain the server completes',
    ({ ca, intermediateCa }) => ({ ca: [ca, intermediateCa] }),
    ({ intermediateClient }) => intermediateClient,
  ),
  detailed(
    'getPeerCertificate() of one with an RSA certificate',
    ({ ca }) => ({ ca }),
    ({ rsa }) => rsa,
  ),
  {
    name: 'the authorities that a client is told of',
    run: async ({ tls }, stage) => {
      const { ecdsa, ca, strangersCa, client } = stage.material;
      const told = [];
      for (const authorities of [[ca, strangersCa], undefined]) {
        const server = tell(
          tls.createServer({
            ...ecdsa,
            ...(authorities && { ca: authorities }),
            requestCert: true,
            rejectUnauthorized: false,
          }),
          (socket) => socket.getPeerCertificate().subject?.CN ?? null,
        );
        told.push((await stage.visit(await stage.listen(server), client)).heard);
      }
      return told;
    },
    expect: ['client', 'client'],
  },
];
