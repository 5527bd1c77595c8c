/** Contexts of node:tls that the core serves with, and those that it can't. */
import { createRequire } from 'node:module';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import tls from 'node:tls';

import { acceptTls, createServer, type OffloopError, SecureContext } from 'offloop';
import { beforeAll, describe, expect, it } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { selfSigned } from './support/faults/self-signed.js';
import { attempt, type ClientOutcome } from './support/faults/tls-client.js';

const { createSecureContext, contextOfNode, contextOfServer } = createRequire(import.meta.url)(
  '../dist/node-context.js',
) as {
  createSecureContext: typeof tls.createSecureContext;
  contextOfNode(contextOrHandle: object): SecureContext | undefined;
  contextOfServer(server: tls.Server): SecureContext;
};

let authority: Authority;
let ecdsa: Issued;
let other: Issued;
let rsa: Issued;

beforeAll(async () => {
  authority = await Authority.create();
  [ecdsa, other, rsa] = await Promise.all([
    authority.issue(),
    authority.issue({ subject: 'CN=other' }),
    authority.issue({ key: 'rsa2048', subject: 'CN=rsa' }),
  ]);
});

/** How a client fares with `context`, which may be any that acceptTls takes. */
async function served(
  context: unknown,
  client: tls.ConnectionOptions = {},
): Promise<ClientOutcome> {
  const server = net.createServer((socket) => {
    acceptTls(socket, { context: context as SecureContext }).then(
      (secure) => secure.on('error', () => {}).pipe(secure),
      () => {},
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const outcome = await attempt((server.address() as AddressInfo).port, client);
  await new Promise((resolve) => server.close(resolve));
  return outcome;
}

const fine = { code: null, echoed: 'ping' };

function refusal(make: () => unknown): OffloopError {
  try {
    make();
  } catch (error) {
    return error as OffloopError;
  }
  throw new Error('expected an error');
}

describe('createSecureContext', () => {
  it("gives Node's own context, with Node's errors", () => {
    const context = createSecureContext(ecdsa);
    expect(context).toBeInstanceOf(tls.createSecureContext().constructor);
    expect(createSecureContext()).toBeInstanceOf(context.constructor);
    const options = { ...ecdsa, ciphers: 'nonsense' };
    expect(refusal(() => createSecureContext(options))).toEqual(
      refusal(() => tls.createSecureContext(options)),
    );
  });

  it('makes one that the core serves with, by itself or by its handle', async () => {
    const context = createSecureContext(ecdsa);
    const client = { ca: ecdsa.ca, rejectUnauthorized: true };
    expect(await served(context, client)).toMatchObject(fine);
    expect(await served(context.context, client)).toMatchObject(fine);
    expect(contextOfNode(context)).toBe(contextOfNode(context.context as object));
  });

  it('keeps a copy of what it was given', async () => {
    const key = Buffer.from(ecdsa.key);
    const options = { key: [{ pem: key }], cert: [ecdsa.cert] };
    const context = createSecureContext(options);
    key.fill(0);
    options.key.pop();
    expect(await served(context)).toMatchObject(fine);
  });
});

describe('what Node understands by options', () => {
  const cases: [string, () => object][] = [
    ['nothing but null', () => ({ ca: null, crl: null, ciphers: null, pfx: null })],
    ['empty strings', () => ({ ca: '', ciphers: '', secureOptions: 0 })],
    ['algorithms of no number', () => ({ certificateCompression: [] })],
    ['a number for a flag', () => ({ honorCipherOrder: 1, allowPartialTrustChain: 0 })],
    ['a lifetime of nothing', () => ({ sessionTimeout: 0 })],
    ['a lifetime of years', () => ({ sessionTimeout: 2 ** 31 - 1 })],
    ['an authority that is none', () => ({ ca: 'no authority' })],
    ['a key too many', () => ({ key: [ecdsa.key, rsa.key] })],
    ['a certificate too many', () => ({ cert: [rsa.cert, ecdsa.cert] })],
    ['the last certificate of one kind', () => ({ cert: [other.cert, ecdsa.cert] })],
    ['settings of a server', () => ({ requestCert: 'yes', ALPNProtocols: 5 })],
    ['what it does not know', () => ({ sNiCaLlBaCk: true })],
  ];

  it.each(cases)('%s', async (_, options) => {
    const context = createSecureContext({ ...ecdsa, ...options() });
    const client = { ca: ecdsa.ca, rejectUnauthorized: true };
    expect(await served(context, client)).toMatchObject(fine);
  });

  it.each([
    ['nothing', () => ({})],
    ['a certificate alone', () => ({ cert: ecdsa.cert })],
    ['a key alone', () => ({ key: ecdsa.key })],
    ['a key of another kind', () => ({ key: rsa.key, cert: ecdsa.cert })],
  ])('%s is no identity', async (_, options) => {
    const context = createSecureContext(options());
    expect(contextOfNode(context)).toBeInstanceOf(SecureContext);
    const socket = new net.Socket();
    const error = await acceptTls(socket, { context: context as never }).catch((each) => each);
    expect(error).toMatchObject({ code: 'ERR_MISSING_ARGS' });
  });
});

describe('what the core can not do', () => {
  const cases: [option: string, value: () => unknown][] = [
    ['minVersion', () => 'TLSv1'],
    ['maxVersion', () => 'TLSv1.1'],
    ['secureProtocol', () => 'TLSv1_method'],
    ['secureOptions', () => 2 ** 18],
    ['ciphers', () => 'AES128-SHA'],
    ['ecdhCurve', () => 'P-521'],
    ['sigalgs', () => 'RSA+SHA1'],
    ['dhparam', () => 'auto'],
  ];

  it.each(cases)('is refused with the name of the option: %s', (name, value) => {
    const context = createSecureContext({ ...ecdsa, [name]: value() });
    for (const given of [context, context.context as object]) {
      const error = refusal(() => contextOfNode(given));
      expect(error.code).toBe('ERR_OFFLOOP_UNSUPPORTED_OPTION');
      expect(error.message).toContain(`options.${name}`);
    }
  });

  it('is refused: a range of versions that is empty', () => {
    const context = createSecureContext({ minVersion: 'TLSv1.3', maxVersion: 'TLSv1.2' });
    const { code, message } = refusal(() => contextOfNode(context));
    expect(code).toBe('ERR_OFFLOOP_UNSUPPORTED_OPTION');
    expect(message).toContain('options.maxVersion');
  });

  it('is refused: an RSA key below 2048 bits', async () => {
    const { key, cert } = await selfSigned({ name: 'RSASSA-PKCS1-v1_5', modulusLength: 1024 });
    const context = createSecureContext({ key, cert, ciphers: 'DEFAULT@SECLEVEL=0' });
    const { code, message } = refusal(() => contextOfNode(context));
    expect(code).toBe('ERR_OFFLOOP_UNSUPPORTED_OPTION');
    expect(message).toMatch(/options\.key.*2048/);
  });

  it('is refused: a context that was made elsewhere', () => {
    const context = tls.createSecureContext(ecdsa);
    expect(contextOfNode(context)).toBeUndefined();
    for (const given of [context, context.context]) {
      const error = refusal(() => createServer({ context: given as never }));
      expect(error.code).toBe('ERR_OFFLOOP_UNSUPPORTED_OPTION');
      expect(error.message).toMatch(/options\.context.*offloop\/tls.*offloop\/register/);
    }
  });
});

describe("the context of Node's server", () => {
  it('is made of what its constructor left on it', async () => {
    const server = tls.createServer({ ...ecdsa, maxVersion: 'TLSv1.2', ca: '' });
    const outcome = await served(contextOfServer(server), { ca: ecdsa.ca });
    expect(outcome).toMatchObject({ ...fine, protocol: 'TLSv1.2' });
    expect(contextOfServer(server)).toBe(contextOfServer(server));
  });

  it('is another after setSecureContext', async () => {
    const server = tls.createServer(rsa);
    const before = contextOfServer(server);
    server.setSecureContext(ecdsa);
    expect(contextOfServer(server)).not.toBe(before);
    const outcome = await served(contextOfServer(server), { sigalgs: 'ecdsa_secp256r1_sha256' });
    expect(outcome).toMatchObject(fine);
  });

  it('may have no certificate', () => {
    expect(contextOfServer(tls.createServer())).toBeInstanceOf(SecureContext);
  });

  it('may be beyond the core', () => {
    const server = tls.createServer({ ...ecdsa, dhparam: 'auto' });
    expect(refusal(() => contextOfServer(server)).message).toContain('options.dhparam');
  });
});

function fresh(options: tls.SecureContextOptions = ecdsa): SecureContext {
  return contextOfNode(createSecureContext({ ...options }))!;
}

describe('contexts of the same options', () => {
  const policy = { alpnProtocols: [], requestCert: true, rejectUnauthorized: false };

  it('are one to the core, behind one server', () => {
    const server = fresh();
    const natives = [fresh(), fresh(), fresh(other)].map((context) =>
      SecureContext.native(context, policy, server),
    );
    expect(natives[0]).toBe(natives[1]);
    expect(natives[0]).not.toBe(natives[2]);
  });

  it('are as many as the servers', () => {
    const context = fresh();
    const [one, another] = [fresh(), fresh()].map((server) =>
      SecureContext.native(context, policy, server),
    );
    expect(one).not.toBe(another);
  });

  it('have ticket keys of their own, as in Node', () => {
    const [first, second] = [fresh(), fresh()];
    const keys = SecureContext.getTicketKeys(first);
    expect(SecureContext.getTicketKeys(second)).not.toEqual(keys);
    SecureContext.setTicketKeys(second, Buffer.alloc(48, 7));
    expect(SecureContext.getTicketKeys(first)).toEqual(keys);
  });

  it('share those that the options name', () => {
    const options = { ...ecdsa, ticketKeys: Buffer.alloc(48, 1) };
    const [first, second] = [fresh(options), fresh(options)];
    expect(SecureContext.getTicketKeys(first)).toEqual(options.ticketKeys);
    expect(SecureContext.getTicketKeys(second)).toEqual(options.ticketKeys);
  });

  it('are others with options that Node reads in another way', () => {
    const nodes = SecureContext.native(fresh(), policy, fresh());
    expect(SecureContext.native(new SecureContext(ecdsa), policy)).not.toBe(nodes);
  });
});
