/** Keys, certificates and what else makes a context. */
import { constants, createPrivateKey, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { SecureContextOptions, TlsOptions } from 'node:tls';

import { pkcs12 } from '../support/pkcs12.js';
import type { Identity } from './material.js';
import type { Modules, Row } from './row.js';
import { attempt, failure, ignore, type Stage, tell, type Visit } from './stage.js';

/** The passphrase of what `encrypt` gives. */
const secret = 'open sesame';

function encrypt({ key }: Identity): string {
  const cipher = 'aes-256-cbc';
  for (;;) {
    const encrypted = createPrivateKey(key).export({
      format: 'pem',
      type: 'pkcs8',
      cipher,
      passphrase: secret,
    }) as string;
    // One in 256 decrypts to something with a wrong one, and fails with another code.
    const opened = attempt(() => createPrivateKey({ key: encrypted, passphrase: 'wrong' }));
    if ((opened as { code?: string }).code === 'ERR_OSSL_BAD_DECRYPT') return encrypted;
  }
}

/** What a client sees of a server with these options. */
async function visit(
  { tls }: Modules,
  stage: Stage,
  server: TlsOptions,
  ...clients: SecureContextOptions[]
): Promise<Visit[]> {
  const port = await stage.listen(tell(tls.createServer(server)).on('tlsClientError', ignore));
  const visits = [];
  for (const client of clients.length > 0 ? clients : [{}]) {
    visits.push(await stage.visit(port, client));
  }
  return visits;
}

async function presented(...args: Parameters<typeof visit>): Promise<unknown> {
  return (await visit(...args)).map(({ name, code, heard }) => [name, code, heard]);
}

/** A program that tells what becomes of each of these options. */
function refusals(
  options: (stage: Stage) => Record<string, SecureContextOptions>,
): Pick<Row, 'run' | 'unserved'> {
  return {
    unserved: true,
    run: ({ tls }, stage) =>
      Object.entries(options(stage)).map(([name, each]) => [
        name,
        attempt(() => typeof tls.createServer(each)),
        attempt(() => typeof tls.createSecureContext(each)),
      ]),
  };
}

export const contexts: Row[] = [
  {
    name: 'key and cert as strings',
    run: (modules, stage) => presented(modules, stage, stage.material.ecdsa),
    expect: [['localhost', null, 'hello']],
  },
  {
    name: 'key and cert as Buffers',
    run: (modules, stage) => {
      const { key, cert } = stage.material.rsa;
      return presented(modules, stage, { key: Buffer.from(key), cert: Buffer.from(cert) });
    },
    expect: [['rsa', null, 'hello']],
  },
  {
    name: 'key and cert as Uint8Arrays and DataViews',
    run: (modules, stage) => {
      const { key, cert } = stage.material.ecdsa;
      const bytes = new Uint8Array(Buffer.from(key));
      const { buffer, byteOffset, byteLength } = new Uint8Array(Buffer.from(cert));
      const view = new DataView(buffer, byteOffset, byteLength);
      return presented(modules, stage, { key: bytes as Buffer, cert: view as unknown as Buffer });
    },
    expect: [['localhost', null, 'hello']],
  },
  {
    name: 'key and cert as arrays of one',
    run: (modules, stage) => {
      const { key, cert } = stage.material.ecdsa;
      return presented(modules, stage, { key: [key], cert: [cert] });
    },
    expect: [['localhost', null, 'hello']],
  },
  {
    name: 'an encrypted key with its passphrase',
    run: (modules, stage) => {
      const { ecdsa } = stage.material;
      return presented(modules, stage, {
        key: encrypt(ecdsa),
        cert: ecdsa.cert,
        passphrase: secret,
      });
    },
    expect: [['localhost', null, 'hello']],
  },
  {
    name: 'keys as objects, each with a passphrase of its own or the common one',
    run: (modules, stage) => {
      const { ecdsa, rsa } = stage.material;
      return presented(modules, stage, {
        key: [{ pem: encrypt(ecdsa), passphrase: secret }, { pem: encrypt(rsa) }],
        cert: [ecdsa.cert, rsa.cert],
        passphrase: secret,
      });
    },
    expect: [['localhost', null, 'hello']],
  },
  {
    name: 'a passphrase for a key that is not encrypted',
    run: (modules, stage) =>
      presented(modules, stage, { ...stage.material.ecdsa, passphrase: 'not needed' }),
    expect: [['localhost', null, 'hello']],
  },
  {
    name: 'encrypted keys with a wrong passphrase or none',
    ...refusals(({ material: { ecdsa } }) => ({
      wrong: { key: encrypt(ecdsa), cert: ecdsa.cert, passphrase: 'wrong' },
      none: { key: encrypt(ecdsa), cert: ecdsa.cert },
      'wrong in the object': {
        key: [{ pem: encrypt(ecdsa), passphrase: 'wrong' }],
        cert: ecdsa.cert,
        passphrase: secret,
      },
    })),
  },
  {
    name: "a key that is not the certificate's",
    ...refusals(({ material: { ecdsa, p384, rsa } }) => ({
      'same kind': { key: p384.key, cert: ecdsa.cert },
      'other kind': { key: rsa.key, cert: ecdsa.cert },
    })),
  },
  {
    name: 'what is no PEM',
    ...refusals(({ material: { ecdsa } }) => ({
      cert: { key: ecdsa.key, cert: 'no certificate' },
      'empty cert': { key: ecdsa.key, cert: Buffer.alloc(0) },
      key: { key: 'no key', cert: ecdsa.cert },
      'key without cert': { key: ecdsa.key },
      'cert without key': { cert: ecdsa.cert },
      ca: { ...ecdsa, ca: 'no authority' },
      crl: { ...ecdsa, crl: 'no list' },
    })),
  },
  {
    name: 'material of wrong types',
    ...refusals(({ material: { ecdsa } }) => {
      const bad = (options: object): SecureContextOptions => ({ ...ecdsa, ...options });
      return {
        'key: 1': bad({ key: 1 }),
        'key: true': bad({ key: true }),
        'key: {}': bad({ key: {} }),
        'key: [1]': bad({ key: [1] }),
        'key: [{ pem: 1 }]': bad({ key: [{ pem: 1 }] }),
        'key: ArrayBuffer': bad({ key: new ArrayBuffer(1) }),
        'cert: 1': bad({ cert: 1 }),
        'cert: [{}]': bad({ cert: [{}] }),
        'cert: true': bad({ cert: true }),
        'ca: 1': bad({ ca: 1 }),
        'ca: [true]': bad({ ca: [true] }),
        'crl: 1': bad({ crl: 1 }),
        'crl: [1]': bad({ crl: [1] }),
        'passphrase: 1': bad({ passphrase: 1 }),
        'pfx: 1': bad({ pfx: 1 }),
        'key: false': bad({ key: false }),
        'cert: null': bad({ cert: null, key: null }),
        'ca: ""': bad({ ca: '' }),
      };
    }),
  },
  {
    name: 'settings of wrong types',
    ...refusals(({ material: { ecdsa } }) => {
      const bad = (options: object): SecureContextOptions => ({ ...ecdsa, ...options });
      return {
        'ciphers: 1': bad({ ciphers: 1 }),
        'sigalgs: 1': bad({ sigalgs: 1 }),
        'ecdhCurve: 1': bad({ ecdhCurve: 1 }),
        'ecdhCurve: null': bad({ ecdhCurve: null }),
        'minVersion: 1': bad({ minVersion: 1 }),
        'maxVersion: true': bad({ maxVersion: true }),
        'sessionIdContext: 1': bad({ sessionIdContext: 1 }),
        'sessionTimeout: "1"': bad({ sessionTimeout: '1' }),
        'sessionTimeout: -1': bad({ sessionTimeout: -1 }),
        'sessionTimeout: 1.5': bad({ sessionTimeout: 1.5 }),
        'ticketKeys: "48"': bad({ ticketKeys: 'x'.repeat(48) }),
        'ticketKeys: 47 bytes': bad({ ticketKeys: Buffer.alloc(47) }),
        'ticketKeys: 49 bytes': bad({ ticketKeys: Buffer.alloc(49) }),
        'clientCertEngine: 1': bad({ clientCertEngine: 1 }),
        'privateKeyIdentifier: "x"': bad({ privateKeyIdentifier: 'x' }),
        'secureProtocol: 1': bad({ secureProtocol: 1 }),
        'dhparam: 1': bad({ dhparam: 1 }),
      };
    }),
  },
  {
    name: 'versions, ciphers, curves and algorithms that there are not',
    ...refusals(({ material: { ecdsa } }) => {
      const bad = (options: object): SecureContextOptions => ({ ...ecdsa, ...options });
      return {
        'minVersion: TLSv9': bad({ minVersion: 'TLSv9' }),
        'maxVersion: ""': bad({ maxVersion: '' }),
        'maxVersion: tlsv1.2': bad({ maxVersion: 'tlsv1.2' }),
        'secureProtocol: nonsense': bad({ secureProtocol: 'nonsense' }),
        'secureProtocol: SSLv2_method': bad({ secureProtocol: 'SSLv2_method' }),
        'secureProtocol: SSLv3_method': bad({ secureProtocol: 'SSLv3_method' }),
        'secureProtocol with minVersion': bad({
          secureProtocol: 'TLS_method',
          minVersion: 'TLSv1.2',
        }),
        'ciphers: nonsense': bad({ ciphers: 'nonsense' }),
        'ciphers: TLS_NONSENSE': bad({ ciphers: 'TLS_NONSENSE' }),
        'ciphers that leave none': bad({ ciphers: 'HIGH:!HIGH' }),
        'ecdhCurve: nonsense': bad({ ecdhCurve: 'nonsense' }),
        'sigalgs: nonsense': bad({ sigalgs: 'nonsense' }),
        'sigalgs: ""': bad({ sigalgs: '' }),
      };
    }),
  },
  {
    name: 'several key types: TLS 1.2 chooses by the suites of the client',
    run: async (modules, stage) => {
      const { ecdsa, rsa } = stage.material;
      const visits = await visit(
        modules,
        stage,
        { key: [rsa.key, ecdsa.key], cert: [rsa.cert, ecdsa.cert] },
        { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' },
        { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' },
      );
      return visits.map(({ name, cipher }) => [name, cipher]);
    },
    expect: [
      ['rsa', 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256'],
      ['localhost', 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256'],
    ],
  },
  {
    name: 'several key types: TLS 1.3 chooses by the algorithms of the client',
    run: async (modules, stage) => {
      const { ecdsa, rsa } = stage.material;
      return presented(
        modules,
        stage,
        { key: [ecdsa.key, rsa.key], cert: [ecdsa.cert, rsa.cert] },
        { minVersion: 'TLSv1.3', sigalgs: 'rsa_pss_rsae_sha256' },
        { minVersion: 'TLSv1.3', sigalgs: 'ecdsa_secp256r1_sha256' },
      );
    },
    expect: [
      ['rsa', null, 'hello'],
      ['localhost', null, 'hello'],
    ],
  },
  {
    name: 'several key types: a client that takes any',
    run: async (modules, stage) => {
      const { ecdsa, rsa, ed25519 } = stage.material;
      const keys = [rsa, ed25519, ecdsa];
      return presented(
        modules,
        stage,
        { key: keys.map(({ key }) => key), cert: keys.map(({ cert }) => cert) },
        { minVersion: 'TLSv1.3' },
        { maxVersion: 'TLSv1.2' },
      );
    },
  },
  {
    name: 'an Ed25519 and a P-384 key',
    run: async (modules, stage) => [
      await presented(modules, stage, stage.material.ed25519),
      await presented(modules, stage, stage.material.p384),
    ],
    expect: [[['ed25519', null, 'hello']], [['p384', null, 'hello']]],
  },
  {
    name: 'an RSA key whose client signs with nothing that it can',
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.rsa);
      const port = await stage.listen(server);
      const failed = failure(server);
      const { code } = await stage.visit(port, { sigalgs: 'ecdsa_secp256r1_sha256' });
      return { code, failed: await failed };
    },
  },
  {
    name: 'a chain in cert, leaf first',
    run: async (modules, stage) => {
      const { leaf, intermediateCa, ca } = stage.material;
      const cert = `${leaf.cert}\n${intermediateCa}`;
      return presented(modules, stage, { key: leaf.key, cert }, {
        ca,
        rejectUnauthorized: true,
        servername: 'localhost',
      } as object);
    },
    expect: [['leaf', null, 'hello']],
  },
  {
    name: 'a chain whose intermediate certificate only ca has is sent too',
    run: async (modules, stage) => {
      const { leaf, intermediateCa, ca } = stage.material;
      return presented(modules, stage, { ...leaf, ca: intermediateCa }, {
        ca,
        rejectUnauthorized: true,
        servername: 'localhost',
      } as object);
    },
    expect: [['leaf', null, 'hello']],
  },
  {
    name: 'a server without any certificate',
    run: async ({ tls }, stage) => {
      const server = tls.createServer();
      const port = await stage.listen(server);
      const failed = failure(server);
      const { code } = await stage.visit(port);
      return { code, failed: await failed };
    },
  },
  {
    name: 'pfx with its passphrase',
    run: (modules, stage) =>
      presented(modules, stage, { pfx: pkcs12(stage.material.rsa, secret), passphrase: secret }),
    expect: [['rsa', null, 'hello']],
  },
  {
    name: 'what is sent of a chain of which cert has a part, and ca all',
    run: async ({ tls }, stage) => {
      const { leaf, ecdsa, ca, intermediateCa, strangersCa } = stage.material;
      const sent = [];
      for (const identity of [
        { ...ecdsa, ca },
        { ...ecdsa, ca: strangersCa },
        { ...leaf, ca: [ca, intermediateCa] },
        { ...leaf, cert: `${leaf.cert}\n${intermediateCa}`, ca },
      ]) {
        const { client } = await stage.pair(tls.createServer(identity));
        const names = [];
        let certificate = client.getPeerCertificate(true);
        for (;;) {
          names.push(certificate.subject.CN);
          const issuer = certificate.issuerCertificate;
          if (issuer === undefined || issuer === certificate) break;
          certificate = issuer;
        }
        sent.push(names);
      }
      return sent;
    },
  },
  {
    name: 'pfx with a chain: the rest is sent too',
    run: (modules, stage) => {
      const { leaf, intermediateCa, ca } = stage.material;
      return presented(
        modules,
        stage,
        { pfx: pkcs12(leaf, secret, [intermediateCa]), passphrase: secret },
        { ca, rejectUnauthorized: true, servername: 'localhost' } as object,
      );
    },
    expect: [['leaf', null, 'hello']],
  },
  {
    name: 'pfx as an array, each with a passphrase of its own or the common one',
    run: (modules, stage) => {
      const { ecdsa, rsa } = stage.material;
      return presented(
        modules,
        stage,
        {
          pfx: [{ buf: pkcs12(rsa, 'own'), passphrase: 'own' }, pkcs12(ecdsa, secret)],
          passphrase: secret,
        } as TlsOptions,
        { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' },
        { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' },
      );
    },
    expect: [
      ['rsa', null, 'hello'],
      ['localhost', null, 'hello'],
    ],
  },
  {
    name: 'pfx that does not open',
    ...refusals(({ material: { rsa } }) => ({
      'wrong passphrase': { pfx: pkcs12(rsa, secret), passphrase: 'wrong' },
      'no passphrase': { pfx: pkcs12(rsa, secret) },
      'no pfx': { pfx: 'sure, no pfx' },
      'a piece of it': { pfx: pkcs12(rsa, secret).subarray(0, 100), passphrase: secret },
    })),
  },
  {
    name: 'pfx beside the authorities for client certificates',
    run: async ({ tls }, stage) => {
      const { rsa, ca, client } = stage.material;
      const server = tls.createServer({
        pfx: pkcs12(rsa, secret),
        passphrase: secret,
        ca,
        requestCert: true,
      });
      tell(server, (socket) => [socket.authorized, socket.getPeerCertificate().subject.CN]);
      const { heard, name } = await stage.visit(await stage.listen(server), client);
      return { heard, name };
    },
    expect: { heard: [true, 'client'], name: 'rsa' },
  },
  {
    name: 'createSecureContext() without options, and of odd ones',
    unserved: true,
    run: ({ tls }) =>
      [undefined, {}, null, 'options', 1].map((options) =>
        attempt(() => {
          const context = tls.createSecureContext(options as SecureContextOptions);
          return [
            typeof context.context,
            context instanceof (tls as never as Exported).SecureContext,
          ];
        }),
      ),
  },
  {
    name: 'setSecureContext(): later connections get the new certificate',
    run: async ({ tls }, stage) => {
      const { a, b } = stage.material;
      const server = tell(tls.createServer(a));
      const port = await stage.listen(server);
      const before = await stage.visit(port);
      const given = server.setSecureContext(b);
      const after = await stage.visit(port);
      return [before.name, given, after.name];
    },
    expect: ['a.example', undefined, 'b.example'],
  },
  {
    name: 'setSecureContext() before listen()',
    run: async ({ tls }, stage) => {
      const { a, b } = stage.material;
      const server = tell(tls.createServer(a));
      server.setSecureContext(b);
      return (await stage.visit(await stage.listen(server))).name;
    },
    expect: 'b.example',
  },
  {
    name: 'setSecureContext() that throws leaves the server as it was',
    run: async ({ tls }, stage) => {
      const { a, b, p384 } = stage.material;
      const server = tell(tls.createServer(a));
      const port = await stage.listen(server);
      const thrown = [
        { key: p384.key, cert: b.cert },
        { ...b, ciphers: 'nonsense' },
        { ...b, minVersion: 'TLSv9' },
        null,
        'options',
        undefined,
      ].map((options) => attempt(() => server.setSecureContext(options as never)));
      return { thrown, name: (await stage.visit(port)).name };
    },
  },
  {
    name: 'setSecureContext() leaves established connections alone',
    run: async ({ tls }, stage) => {
      const { a, b } = stage.material;
      const server = tls.createServer(a);
      const { socket, client, port } = await stage.pair(server);
      server.setSecureContext(b);
      socket.write('still here');
      const [said] = await once(client, 'data');
      const certificate = socket.getCertificate() as { subject: { CN: string } };
      server.once('secureConnection', (next) => next.end());
      return [String(said), certificate.subject.CN, (await stage.visit(port)).name];
    },
    expect: ['still here', 'a.example', 'b.example'],
  },
  {
    name: 'setSecureContext() is atomic: each connection gets one context whole',
    run: async ({ tls }, stage) => {
      const { a, b, ca, client, strangersClient, strangersCa } = stage.material;
      const server = tls.createServer({ ...a, ca, requestCert: true });
      tell(server, (socket) => socket.authorized);
      const port = await stage.listen(server);
      const visits = [];
      for (let i = 0; i < 12; i++) {
        visits.push(
          stage.visit(port, i % 2 === 0 ? client : strangersClient).then(
            // Either context refuses one of them; none takes both or presents the other's name.
            ({ name, heard }) =>
              heard === null || (name === 'a.example') === (i % 2 === 0) ? 'whole' : 'torn',
          ),
        );
        if (i % 3 === 2) server.setSecureContext(i % 2 ? { ...b, ca: strangersCa } : { ...a, ca });
      }
      return new Set(await Promise.all(visits));
    },
    expect: new Set(['whole']),
  },
  {
    name: 'setSecureContext() with other versions',
    run: async ({ tls }, stage) => {
      const { a } = stage.material;
      const server = tell(tls.createServer(a));
      const port = await stage.listen(server);
      const protocols = [(await stage.visit(port)).protocol];
      server.setSecureContext({ ...a, maxVersion: 'TLSv1.2' });
      protocols.push((await stage.visit(port)).protocol);
      server.setSecureContext(a);
      protocols.push((await stage.visit(port)).protocol);
      return protocols;
    },
    expect: ['TLSv1.3', 'TLSv1.2', 'TLSv1.3'],
  },
  {
    name: 'minVersion refuses older clients',
    run: async ({ tls }, stage) => {
      const server = tls.createServer({ ...stage.material.ecdsa, minVersion: 'TLSv1.3' });
      const port = await stage.listen(tell(server));
      const failed = failure(server);
      const { code } = await stage.visit(port, { maxVersion: 'TLSv1.2' });
      return [code, await failed, (await stage.visit(port)).protocol];
    },
  },
  {
    name: 'maxVersion refuses clients that want newer',
    run: async ({ tls }, stage) => {
      const server = tls.createServer({ ...stage.material.ecdsa, maxVersion: 'TLSv1.2' });
      const port = await stage.listen(tell(server));
      const failed = failure(server);
      const { code } = await stage.visit(port, { minVersion: 'TLSv1.3' });
      return [code, await failed, (await stage.visit(port)).protocol];
    },
  },
  {
    name: 'TLS 1.1 is refused by default',
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      const port = await stage.listen(server);
      const failed = failure(server);
      const { code } = await stage.visit(port, {
        minVersion: 'TLSv1.1',
        maxVersion: 'TLSv1.1',
        ciphers: 'DEFAULT@SECLEVEL=0',
      });
      return [code, await failed];
    },
  },
  {
    name: 'secureProtocol and secureOptions choose versions',
    run: async (modules, stage) => {
      const { ecdsa } = stage.material;
      const protocols = [];
      for (const options of [
        { secureProtocol: 'TLSv1_2_method' },
        { secureProtocol: 'TLS_method' },
        { secureOptions: constants.SSL_OP_NO_TLSv1_3 },
        { secureOptions: constants.SSL_OP_NO_TLSv1_2 },
      ]) {
        const [first] = await visit(modules, stage, { ...ecdsa, ...options });
        protocols.push(first.protocol);
      }
      return protocols;
    },
    expect: ['TLSv1.2', 'TLSv1.3', 'TLSv1.2', 'TLSv1.3'],
  },
  {
    name: "ciphers: what OpenSSL's strings select",
    run: async (modules, stage) => {
      const { rsa } = stage.material;
      const selected = [];
      for (const ciphers of [
        'HIGH:!aNULL',
        'ECDHE-RSA-CHACHA20-POLY1305',
        'ECDHE+AESGCM:!AES128',
        'AESGCM:-AES256',
        'TLS_AES_128_GCM_SHA256',
        'TLS_AES_128_GCM_SHA256:ECDHE-RSA-AES256-GCM-SHA384',
        'TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384:ECDHE-RSA-AES128-GCM-SHA256',
        'ECDHE-RSA-AES128-GCM-SHA256:nonsense',
        'EECDH+CHACHA20',
      ]) {
        const visits = await visit(
          modules,
          stage,
          { ...rsa, ciphers },
          {},
          { maxVersion: 'TLSv1.2' },
        );
        selected.push([ciphers, ...visits.map(({ cipher, code }) => cipher ?? code)]);
      }
      return selected;
    },
  },
  {
    name: 'ciphers: none in common',
    run: async ({ tls }, stage) => {
      const server = tls.createServer({
        ...stage.material.rsa,
        ciphers: 'ECDHE-RSA-AES256-GCM-SHA384',
        maxVersion: 'TLSv1.2',
      });
      const port = await stage.listen(server);
      const failed = failure(server);
      const { code } = await stage.visit(port, { ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' });
      return [code, await failed];
    },
  },
  {
    name: 'honorCipherOrder: whose order counts',
    run: async (modules, stage) => {
      const chosen = [];
      for (const honorCipherOrder of [undefined, true, false]) {
        const [first] = await visit(
          modules,
          stage,
          {
            ...stage.material.rsa,
            ciphers: 'ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384',
            ...(honorCipherOrder !== undefined && { honorCipherOrder }),
          },
          {
            maxVersion: 'TLSv1.2',
            ciphers: 'ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256',
          },
        );
        chosen.push(first.cipher);
      }
      return chosen;
    },
    expect: [
      'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256',
      'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256',
      'TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384',
    ],
  },
  {
    name: 'honorCipherOrder in TLS 1.3',
    run: async (modules, stage) => {
      const chosen = [];
      for (const honorCipherOrder of [true, false]) {
        const [first] = await visit(
          modules,
          stage,
          {
            ...stage.material.rsa,
            ciphers: 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384',
            honorCipherOrder,
          },
          { ciphers: 'TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256' },
        );
        chosen.push(first.cipher);
      }
      return chosen;
    },
    expect: ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384'],
  },
  {
    name: 'ecdhCurve: what the server agrees to',
    run: async ({ tls }, stage) => {
      const agreed = [];
      for (const [ecdhCurve, clients] of [
        ['P-256', 'X25519:P-256'],
        ['prime256v1', 'P-256'],
        ['X25519', 'P-256:X25519'],
        ['P-384:P-256', 'P-256:P-384'],
        ['auto', 'P-384'],
      ]) {
        const server = tls.createServer({ ...stage.material.ecdsa, ecdhCurve });
        const { client } = await stage.pair(server, { ecdhCurve: clients });
        agreed.push([ecdhCurve, clients, { ...client.getEphemeralKeyInfo() }]);
      }
      return agreed;
    },
  },
  {
    name: 'ecdhCurve: none in common',
    run: async ({ tls }, stage) => {
      const outcomes = [];
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
        const server = tls.createServer({ ...stage.material.ecdsa, ecdhCurve: 'P-384' });
        const port = await stage.listen(server);
        const failed = failure(server);
        const { code } = await stage.visit(port, { ecdhCurve: 'X25519', maxVersion });
        outcomes.push([code, await failed]);
      }
      return outcomes;
    },
  },
  {
    name: 'sigalgs: what the server signs with',
    run: async (modules, stage) => {
      const { rsa } = stage.material;
      const outcomes = [];
      for (const sigalgs of [
        'rsa_pss_rsae_sha384',
        'RSA-PSS+SHA256',
        'RSA+SHA256:RSA-PSS+SHA512',
      ]) {
        const visits = await visit(
          modules,
          stage,
          { ...rsa, sigalgs },
          { sigalgs: 'rsa_pss_rsae_sha256' },
          { sigalgs: 'rsa_pss_rsae_sha384' },
          { sigalgs: 'rsa_pkcs1_sha256', maxVersion: 'TLSv1.2' },
        );
        outcomes.push([sigalgs, visits.map(({ secure, code }) => code ?? secure)]);
      }
      return outcomes;
    },
  },
  {
    name: 'dhparam: what it takes',
    ...refusals(({ material: { rsa } }) => ({
      auto: { ...rsa, dhparam: 'auto' },
      nonsense: { ...rsa, dhparam: 'nonsense' },
    })),
    different: {
      reason: 'The core has no finite-field Diffie-Hellman: a server with dhparam is refused.',
      ours: [
        [
          'auto',
          {
            name: 'Error',
            code: 'ERR_OFFLOOP_UNSUPPORTED_OPTION',
            message:
              'options.dhparam is not supported: the core has no finite-field Diffie-Hellman',
          },
          'object',
        ],
        [
          'nonsense',
          {
            name: 'Error',
            code: 'ERR_OFFLOOP_UNSUPPORTED_OPTION',
            message:
              'options.dhparam is not supported: the core has no finite-field Diffie-Hellman',
          },
          'object',
        ],
      ],
    },
  },
  {
    name: 'engines',
    ...refusals(({ material: { rsa } }) => ({
      'privateKeyEngine without identifier': { ...rsa, privateKeyEngine: 'none' },
      'identifier and key': { ...rsa, privateKeyEngine: 'none', privateKeyIdentifier: 'x' },
    })),
  },
  {
    name: 'one secureContext serves two servers',
    run: async ({ tls }, stage) => {
      const context = tls.createSecureContext(stage.material.a);
      const names = [];
      for (let i = 0; i < 2; i++) {
        const server = tls.createServer({ SNICallback: (_, answer) => answer(null, context) });
        const port = await stage.listen(tell(server));
        names.push((await stage.visit(port, { servername: 'any.example' })).name);
      }
      return names;
    },
    expect: ['a.example', 'a.example'],
  },
  {
    name: 'what the server remembers of its options',
    unserved: true,
    run: ({ tls }, stage) => {
      const keys = randomBytes(48);
      const server = tls.createServer({
        ...stage.material.a,
        ca: stage.material.ca,
        requestCert: true,
        rejectUnauthorized: false,
        ciphers: 'HIGH',
        minVersion: 'TLSv1.2',
        sessionTimeout: 7,
        ticketKeys: keys,
        ALPNProtocols: ['one'],
        honorCipherOrder: false,
      }) as unknown as Record<string, unknown>;
      const fresh = tls.createServer() as unknown as Record<string, unknown>;
      return [
        server.key === stage.material.a.key,
        server.cert === stage.material.a.cert,
        server.ca === stage.material.ca,
        server.requestCert,
        server.rejectUnauthorized,
        server.ciphers,
        server.minVersion,
        server.sessionTimeout,
        server.ticketKeys === keys,
        server.ALPNProtocols,
        server.honorCipherOrder,
        typeof server.sessionIdContext,
        typeof server._sharedCreds,
        [fresh.requestCert, fresh.rejectUnauthorized, fresh.honorCipherOrder, fresh.ALPNProtocols],
      ];
    },
  },
];

interface Exported {
  SecureContext: new () => object;
}
