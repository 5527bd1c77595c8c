import tls from 'node:tls';
import { failure, received } from '../errors.js';
import { optionsObject, parseOptions } from '../option.js';
import { contextOptions } from '../options.js';
import type { SecureContextOptions, ServerPolicy } from '../secure-context.js';

// Before anybody puts another in its place.
const nodesCreateSecureContext = tls.createSecureContext;

interface Entry {
  /** What it was made of: a server of Node's takes no context, only these. */
  readonly options: tls.SecureContextOptions;
  readonly policy: ServerPolicy;
}

const entries = new WeakMap<object, Entry>();

/**
 * SecureContext where there is no core: one of Node's, with options checked as the core's are, so that
 * a program that starts here starts there too.
 */
// oxlint-disable-next-line typescript/no-extraneous-class -- for instanceof
export class NodeSecureContext {
  /** @throws as SecureContext, where Node's own codes are not others. */
  constructor(options?: SecureContextOptions) {
    const given = optionsObject(options) as SecureContextOptions;
    const { ALPNProtocols, requestCert, rejectUnauthorized } = parseOptions(contextOptions, given);
    const [key, cert] = [given.key, given.cert].map((value) => !isNothing(value));
    if (cert && !key) throw failure('ERR_MISSING_ARGS', 'options.key', 'a private key, PEM');
    if (key && !cert)
      throw failure('ERR_MISSING_ARGS', 'options.cert', 'the certificate of options.key, PEM');
    const kept = { ...given } as tls.SecureContextOptions;
    const context = nodesCreateSecureContext(kept);
    const { prototype } = new.target;
    // Node takes what is an instance of its class, which it exports nowhere.
    if (!(prototype instanceof (context.constructor as new () => object)))
      Object.setPrototypeOf(prototype as object, Object.getPrototypeOf(context) as object);
    Object.setPrototypeOf(context, prototype as object);
    const policy = { alpnProtocols: ALPNProtocols, requestCert, rejectUnauthorized };
    entries.set(context, { options: kept, policy });
    // oxlint-disable-next-line eslint/no-constructor-return -- what exists is Node's
    return context as NodeSecureContext;
  }
}

export function createNodeSecureContext(options?: SecureContextOptions): NodeSecureContext {
  return new NodeSecureContext(options);
}

/** What a context of offloop was made of, and asks of clients; undefined for those of node:tls. */
export function entryOf(context: unknown): Entry | undefined {
  return typeof context === 'object' && context !== null ? entries.get(context) : undefined;
}

/**
 * A context, whatever it is given as: of offloop, of node:tls, or options of one.
 *
 * @throws ERR_INVALID_ARG_TYPE, and as NodeSecureContext
 */
export function nodeContextOf(value: unknown, name: string): tls.SecureContext {
  if (typeof value !== 'object' || value === null) {
    const expected = 'an instance of SecureContext or its options';
    throw failure('ERR_INVALID_ARG_TYPE', name, expected, received(value));
  }
  if (entries.has(value) || 'context' in value) return value as tls.SecureContext;
  return new NodeSecureContext(value) as unknown as tls.SecureContext;
}

/** Has it a key with a certificate? Of those of node:tls nobody knows. */
export function hasIdentity(context: tls.SecureContext): boolean {
  const entry = entries.get(context);
  return entry === undefined || !isNothing(entry.options.key) || !isNothing(entry.options.pfx);
}

/** Protocols of ALPN as they are sent. */
export function wire(protocols: readonly Uint8Array[]): Buffer {
  return Buffer.concat(protocols.flatMap((each) => [Buffer.of(each.length), each]));
}

function isNothing(value: unknown): boolean {
  return value == null || value === '' || (Array.isArray(value) && value.length === 0);
}
