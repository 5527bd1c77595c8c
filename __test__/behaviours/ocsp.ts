/** requestOCSP and 'OCSPRequest'. */
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { SecureVersion, Server } from 'node:tls';

import { closed } from '../support/streams.js';
import type { Row } from './row.js';
import { failure, type Stage, tell } from './stage.js';

type Answer = (error: Error | null, response: Buffer | null) => void;

const versions: readonly SecureVersion[] = ['TLSv1.2', 'TLSv1.3'];

/** What a client that asks gets, by version. */
async function asked(stage: Stage, server: Server, options: object = {}): Promise<unknown> {
  const port = await stage.listen(tell(server));
  const got = [];
  for (const maxVersion of versions) {
    const client = stage.connect(port, { requestOCSP: true, maxVersion, ...options });
    const responses: (string | null)[] = [];
    client.on('OCSPResponse', (response) => responses.push(response && String(response)));
    await closed(client.resume());
    got.push(responses);
  }
  return got;
}

/** Of a certificate, or null. */
function subject(der: Buffer | null): unknown {
  return der && new X509Certificate(der).subject;
}

const answering =
  (response: Buffer | null) =>
  (_certificate: Buffer, _issuer: Buffer, answer: Answer): void =>
    answer(null, response);

export const ocsp: Row[] = [
  {
    name: 'the response reaches the client',
    run: ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      server.on('OCSPRequest', answering(Buffer.from('a response')));
      return asked(stage, server);
    },
    expect: [['a response'], ['a response']],
  },
  {
    name: 'a response of 10,000 bytes',
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      server.on('OCSPRequest', answering(Buffer.alloc(10_000, 'x')));
      const got = (await asked(stage, server)) as string[][];
      return got.map(([response]) => response.length);
    },
    expect: [10_000, 10_000],
  },
  {
    name: 'an answer that comes later',
    run: ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      server.on('OCSPRequest', (_certificate, _issuer, answer: Answer) => {
        setImmediate(answer, null, Buffer.from('later'));
      });
      return asked(stage, server);
    },
    expect: [['later'], ['later']],
  },
  {
    name: 'an answer without a response, and a server that nobody listens to',
    run: async ({ tls }, stage) => {
      const without = tls.createServer(stage.material.ecdsa);
      without.on('OCSPRequest', answering(null));
      const deaf = tls.createServer(stage.material.ecdsa);
      return [await asked(stage, without), await asked(stage, deaf)];
    },
  },
  {
    name: 'a client that does not ask is not asked for',
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      let requests = 0;
      server.on('OCSPRequest', (_certificate, _issuer, answer: Answer) => {
        requests++;
        answer(null, Buffer.from('unasked'));
      });
      const got = await asked(stage, server, { requestOCSP: false });
      return [requests, got];
    },
    expect: [0, [[], []]],
  },
  {
    name: 'its arguments: certificate and issuer, DER',
    run: async ({ tls }, stage) => {
      const { ecdsa, leaf, ca, intermediateCa } = stage.material;
      const seen: unknown[] = [];
      for (const options of [
        ecdsa,
        { ...ecdsa, ca },
        { key: ecdsa.key, cert: `${ecdsa.cert}\n${ca}` },
        { key: leaf.key, cert: `${leaf.cert}\n${intermediateCa}` },
        { ...leaf, ca: [ca, intermediateCa] },
      ]) {
        const server = tls.createServer(options);
        server.on('OCSPRequest', (certificate, issuer, answer: Answer) => {
          seen.push([Buffer.isBuffer(certificate), subject(certificate), subject(issuer)]);
          answer(null, null);
        });
        await asked(stage, server);
      }
      return seen;
    },
  },
  {
    name: 'the certificate of the name that is asked for',
    run: async ({ tls }, stage) => {
      const { a, b, ca } = stage.material;
      const server = tls.createServer(a);
      server.addContext('b.example', { ...b, ca });
      const seen: unknown[] = [];
      server.on('OCSPRequest', (certificate, issuer, answer: Answer) => {
        seen.push([new X509Certificate(certificate).subject, Buffer.isBuffer(issuer)]);
        answer(null, Buffer.from('for it'));
      });
      return [await asked(stage, server, { servername: 'b.example' }), seen];
    },
  },
  {
    name: 'with an asynchronous SNICallback: the name first, then the response',
    run: async ({ tls }, stage) => {
      const { a, b } = stage.material;
      const events: string[] = [];
      const server = tls.createServer({
        ...a,
        SNICallback: (name, answer) => {
          events.push(`SNI ${name}`);
          setImmediate(answer, null, tls.createSecureContext(b));
        },
      });
      server.on('OCSPRequest', (certificate, _issuer, answer: Answer) => {
        events.push(`OCSP ${new X509Certificate(certificate).subject}`);
        setImmediate(answer, null, Buffer.from('response'));
      });
      return [await asked(stage, server, { servername: 'b.example' }), events];
    },
  },
  {
    name: 'an answer with an error fails the handshake',
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      server.on('OCSPRequest', (_certificate, _issuer, answer: Answer) => {
        answer(Object.assign(new Error('no responder'), { code: 'ENORESPONDER' }), null);
      });
      const port = await stage.listen(server);
      const failed = failure(server);
      const { secure, code } = await stage.visit(port, { requestOCSP: true });
      return [await failed, secure, code];
    },
  },
  {
    name: 'two listeners, of which one answers',
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      let heard = 0;
      server.on('OCSPRequest', () => heard++);
      server.on('OCSPRequest', answering(Buffer.from('second')));
      return [await asked(stage, server), heard];
    },
    expect: [[['second'], ['second']], 2],
  },
  {
    name: 'no stapling in a resumed session',
    run: async ({ tls }, stage) => {
      const server = tell(tls.createServer(stage.material.ecdsa));
      let requests = 0;
      server.on('OCSPRequest', (_certificate, _issuer, answer: Answer) => {
        requests++;
        answer(null, Buffer.from('response'));
      });
      const port = await stage.listen(server);
      const outcomes = [];
      for (const maxVersion of versions) {
        const options = { requestOCSP: true, maxVersion };
        const { session } = await stage.visit(port, options);
        const { reused } = await stage.visit(port, { ...options, session: session! });
        outcomes.push([reused, requests]);
      }
      return outcomes;
    },
  },
  {
    name: 'of an https server',
    run: async ({ https }, stage) => {
      const server = https.createServer(stage.material.ecdsa, (_, response) => response.end('ok'));
      server.on('OCSPRequest', answering(Buffer.from('a response')));
      const port = await stage.listen(server);
      const client = stage.connect(port, { requestOCSP: true });
      const [[response]] = await Promise.all([
        once(client, 'OCSPResponse') as Promise<[Buffer]>,
        once(server, 'secureConnection'),
      ]);
      return String(response);
    },
    expect: 'a response',
  },
];
