import { createHash } from 'node:crypto';
import tls from 'node:tls';
import { failure, received } from './errors.js';
import { authorities, defaultAuthorities, type Identity, identities } from './identity.js';
import { NativeContext } from './native.js';
import { type Inputs, optionsObject, parseOptions } from './option.js';
import { contextOptions, type ProtocolVersion } from './options.js';

/** Options of `createSecureContext`: Node's, and each that can't be honoured throws. */
export type SecureContextOptions = Inputs<typeof contextOptions>;

/** What a server decides for all of its contexts. */
export interface ServerPolicy {
  alpnProtocols: Uint8Array[];
  requestCert: boolean;
  rejectUnauthorized: boolean;
}

/**
 * Keys, certificates and protocol settings, parsed and immutable: what exists is usable.
 *
 * Made by `createSecureContext`; used by `acceptTls`, `createServer({ context })` and
 * `server.addContext`. Servers apply their own `ALPNProtocols`, `requestCert` and
 * `rejectUnauthorized` to it; `acceptTls` takes those of the context.
 */
export class SecureContext {
  readonly #identities: readonly Identity[];
  readonly #roots: Uint8Array[];
  readonly #policy: ServerPolicy;
  readonly #settings: Settings;
  readonly #variants = new Map<string, NativeContext>();

  /**
   * @throws ERR_MISSING_ARGS, ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE,
   * ERR_TLS_INVALID_PROTOCOL_VERSION, ERR_OSSL_PEM_NO_START_LINE, ERR_OSSL_UNSUPPORTED,
   * ERR_OSSL_BAD_DECRYPT, ERR_OSSL_X509_KEY_VALUES_MISMATCH, ERR_OFFLOOP_UNSUPPORTED_OPTION
   */
  constructor(options?: SecureContextOptions) {
    const values = parseOptions(contextOptions, optionsObject(options));
    const { minVersion, maxVersion, honorCipherOrder, sessionTimeout, ecdhCurve } = values;
    if (minVersion > maxVersion) {
      const expected = `at least options.minVersion, '${minVersion}'`;
      throw failure('ERR_INVALID_ARG_VALUE', 'options.maxVersion', expected, `'${maxVersion}'`);
    }
    const issuers = authorities(values.ca);
    this.#identities = identities(values.key, values.cert, values.passphrase, issuers);
    this.#roots = issuers.map((issuer) => issuer.raw);
    this.#settings = {
      minVersion,
      maxVersion,
      honorCipherOrder,
      sessionTimeout,
      groups: ecdhCurve,
    };
    this.#policy = {
      alpnProtocols: values.ALPNProtocols,
      requestCert: values.requestCert,
      rejectUnauthorized: values.rejectUnauthorized,
    };
    // Now rather than at the first connection: what the core refuses is an error here.
    this.#native(this.#policy);
    Object.freeze(this);
  }

  /** @internal The core's side, with the policy of a server or with the context's own. */
  static native(context: SecureContext, policy?: ServerPolicy): NativeContext {
    return context.#native(policy ?? context.#policy);
  }

  /** @internal */
  static policy(context: SecureContext): ServerPolicy {
    return context.#policy;
  }

  #native(policy: ServerPolicy): NativeContext {
    const name = policyName(policy);
    const known = this.#variants.get(name);
    if (known !== undefined) return known;
    const { groups, ...settings } = this.#settings;
    const secrets = this.#identities.map(({ key }) => key.export({ type: 'pkcs8', format: 'der' }));
    try {
      const native = new NativeContext({
        ...settings,
        ...(groups === undefined ? undefined : { groups }),
        ...(policy.requestCert ? { clientAuth: this.#clientAuth(policy) } : undefined),
        identities: this.#identities.map(({ chain }, i) => ({
          chain: chain.map((certificate) => certificate.raw),
          key: secrets[i],
        })),
        alpnProtocols: policy.alpnProtocols,
        tickets: true,
      });
      this.#variants.set(name, native);
      return native;
    } finally {
      for (const secret of secrets) secret.fill(0);
    }
  }

  #clientAuth(policy: ServerPolicy): { roots: Uint8Array[]; rejectUnauthorized: boolean } {
    const roots = this.#roots.length > 0 ? this.#roots : defaultAuthorities();
    return { roots, rejectUnauthorized: policy.rejectUnauthorized };
  }
}

interface Settings {
  minVersion: ProtocolVersion;
  maxVersion: ProtocolVersion;
  honorCipherOrder: boolean;
  sessionTimeout: number;
  groups: string[] | undefined;
}

/** Parses keys, certificates and settings once, for many connections. Throws as SecureContext. */
export function createSecureContext(options?: SecureContextOptions): SecureContext {
  return new SecureContext(options);
}

/** A context, or the options of one: the same values are parsed once. */
export function contextOf(value: unknown, name: string): SecureContext {
  if (value instanceof SecureContext) return value;
  if (typeof value !== 'object' || value === null) {
    const expected = 'an instance of SecureContext or its options';
    throw failure('ERR_INVALID_ARG_TYPE', name, expected, received(value));
  }
  return cachedContext(value);
}

const CACHED = 64;
const cache = new Map<string, SecureContext>();

/** The context of these options, from the last 64 that were asked for. */
export function cachedContext(options: object): SecureContext {
  const digest = digestOf(options);
  const known = cache.get(digest);
  const context = known ?? new SecureContext(options);
  // Put last: the oldest leaves first.
  cache.delete(digest);
  cache.set(digest, context);
  if (cache.size > CACHED) cache.delete(cache.keys().next().value!);
  return context;
}

/** Keyed by digest, so that the cache keeps no key or passphrase. */
function digestOf(options: object): string {
  const hash = createHash('sha256');
  // What absent options mean, which a program may change.
  feed(hash, [tls.DEFAULT_MIN_VERSION, tls.DEFAULT_MAX_VERSION, tls.DEFAULT_ECDH_CURVE]);
  for (const name of Object.keys(contextOptions)) {
    const value = (options as Record<string, unknown>)[name];
    if (value == null) continue;
    hash.update(`${name}=`);
    feed(hash, value);
  }
  return hash.digest('base64');
}

function feed(hash: ReturnType<typeof createHash>, value: unknown): void {
  if (typeof value === 'string') {
    hash.update(`s${Buffer.byteLength(value)}:`).update(value);
  } else if (ArrayBuffer.isView(value)) {
    hash.update(`b${value.byteLength}:`).update(value as Uint8Array);
  } else if (Array.isArray(value)) {
    hash.update(`a${value.length}:`);
    for (const item of value) feed(hash, item);
  } else if (typeof value === 'object' && value !== null) {
    // As `Pem` reads them: its own or inherited, by whatever getter.
    const { pem, passphrase } = value as { pem?: unknown; passphrase?: unknown };
    hash.update('o');
    feed(hash, pem);
    feed(hash, passphrase);
    hash.update(';');
  } else {
    hash.update(`${typeof value}:${String(value)};`);
  }
}

function policyName(policy: ServerPolicy): string {
  const names = policy.alpnProtocols.map((protocol) => Buffer.from(protocol).toString('hex'));
  return `${policy.requestCert}|${policy.requestCert && policy.rejectUnauthorized}|${names.join()}`;
}
