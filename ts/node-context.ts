import tls from 'node:tls';
import { separateContext } from './context-cache.js';
import { knownToCopies } from './copies.js';
import { failure, type OffloopError } from './errors.js';
import { backend } from './native.js';
import { WEEK } from './options.js';
import { bytesOf } from './pem.js';
import { SecureContext, type SecureContextOptions } from './secure-context.js';

// Before anybody, offloop/register included, puts another in its place.
const nodesCreateSecureContext = tls.createSecureContext;

/**
 * Node's `tls.createSecureContext`, with its errors and its object, whose options are remembered, so
 * that the core can serve with it too.
 */
export function createSecureContext(options?: tls.SecureContextOptions): tls.SecureContext {
  const context = nodesCreateSecureContext(options);
  // Copies of keys are for the core.
  if (backend === 'native') remember(context, options ?? {});
  return context;
}

/**
 * The core's counterpart of a context of Node's, or of its handle; undefined if offloop has not seen
 * it being made. Made when it is first asked for.
 *
 * @throws ERR_OFFLOOP_UNSUPPORTED_OPTION with the name of what only Node can do
 */
export function contextOfNode(contextOrHandle: object): SecureContext | undefined {
  return entries.get(contextOrHandle)?.context();
}

/**
 * The core's counterpart of the context that a tls.Server of Node's has for all names, from what
 * its constructor or `setSecureContext` left on it.
 *
 * @throws ERR_OFFLOOP_UNSUPPORTED_OPTION with the name of what only Node can do
 */
export function contextOfServer(server: tls.Server): SecureContext {
  const { _sharedCreds: shared } = server as unknown as { _sharedCreds: tls.SecureContext };
  // Unless the server was made with the function above.
  if (!entries.has(shared)) remember(shared, server);
  return contextOfNode(shared)!;
}

/** Is it a context of Node's, or the handle of one? */
export function isNodeContext(value: unknown): boolean {
  return value instanceof nodes().context || value instanceof nodes().handle;
}

type Class = new () => object;

let classes: { context: Class; handle: Class } | undefined;

/** Node exports the one for no documentation and the other not at all. */
function nodes(): { context: Class; handle: Class } {
  if (classes === undefined) {
    const sample = nodesCreateSecureContext({ ca: [] });
    const classOf = (value: object): Class => value.constructor as Class;
    classes = { context: classOf(sample), handle: classOf(sample.context as object) };
  }
  return classes;
}

/** Options that decide about a context, as Node's own list. */
const names = [
  'allowPartialTrustChain',
  'ca',
  'cert',
  'certificateCompression',
  'ciphers',
  'clientCertEngine',
  'crl',
  'dhparam',
  'ecdhCurve',
  'honorCipherOrder',
  'key',
  'maxVersion',
  'minVersion',
  'passphrase',
  'pfx',
  'privateKeyEngine',
  'privateKeyIdentifier',
  'secureOptions',
  'secureProtocol',
  'sessionIdContext',
  'sessionTimeout',
  'sigalgs',
  'ticketKeys',
] as const satisfies (keyof SecureContextOptions)[];

type NodeOptions = Partial<Record<(typeof names)[number], unknown>>;

/** By context and by handle, so that either lets go of it. */
const entries = new WeakMap<object, Entry>();

function remember(context: tls.SecureContext, options: object): void {
  const entry = new Entry(options);
  entries.set(context, entry);
  entries.set(context.context as object, entry);
  knownToCopies.add(context).add(context.context as object);
}

/** Options of a context, until the core's is made of them. */
class Entry {
  #options: NodeOptions | undefined;
  #made: SecureContext | OffloopError | undefined;

  constructor(options: NodeOptions) {
    // A copy: programs change theirs, and wipe keys.
    this.#options = Object.fromEntries(names.map((name) => [name, copied(options[name])]));
  }

  context(): SecureContext {
    this.#made ??= this.#make();
    if (this.#options !== undefined) for (const name of secrets) wipe(this.#options[name]);
    this.#options = undefined;
    if (this.#made instanceof SecureContext) return this.#made;
    throw this.#made;
  }

  #make(): SecureContext | OffloopError {
    try {
      return separateContext(asNodeReads(this.#options!));
    } catch (error) {
      return unsupported(error as OffloopError);
    }
  }
}

/** Copies of these are not kept longer than they are needed. */
const secrets = ['key', 'passphrase', 'pfx', 'ticketKeys'] as const;

function wipe(value: unknown): void {
  if (Buffer.isBuffer(value)) value.fill(0);
  else if (Array.isArray(value)) for (const item of value) wipe(item);
  else if (typeof value === 'object' && value !== null) wipe(Object.values(value));
}

function copied(value: unknown): unknown {
  if (ArrayBuffer.isView(value)) return Buffer.from(bytesOf(value));
  if (Array.isArray(value)) return value.map(copied);
  if (typeof value !== 'object' || value === null) return value;
  const { pem, buf, passphrase } = value as Record<string, unknown>;
  return { pem: copied(pem), buf: copied(buf), passphrase: copied(passphrase) };
}

/** OpenSSL's lifetime of sessions. */
const SESSION_TIMEOUT = 7200;

let tolerant = false;

/**
 * From now on `minVersion: 'TLSv1'` is read as what Node makes of it: without `@SECLEVEL=0` among its
 * ciphers, OpenSSL speaks nothing older than TLS 1.2. For programs that can't be asked to change.
 */
export function tolerateOldVersions(): void {
  tolerant = true;
}

const old = new Set<unknown>(['TLSv1', 'TLSv1.1']);

/** The lowest version that Node speaks with these options, where that is one of the core's. */
function lowestOf({ minVersion, ciphers }: NodeOptions, secureProtocol?: string): unknown {
  const level0 = String(ciphers || tls.DEFAULT_CIPHERS).includes('@SECLEVEL=0');
  if (!level0) return tolerant && old.has(minVersion) ? 'TLSv1.2' : minVersion;
  const lowest = secureProtocol ? 'TLSv1' : minVersion || tls.DEFAULT_MIN_VERSION;
  if (!old.has(lowest) || secureProtocol?.startsWith('TLSv1_2_')) return minVersion;
  const reason = 'it makes Node speak versions older than TLS 1.2';
  throw failure('ERR_OFFLOOP_UNSUPPORTED_OPTION', 'options.ciphers with @SECLEVEL=0', reason);
}

/** Node has taken these options; this is what it understands by them. */
function asNodeReads(options: NodeOptions): SecureContextOptions {
  const { certificateCompression, passphrase, sessionTimeout } = options;
  const secureProtocol =
    typeof options.secureProtocol === 'string' ? options.secureProtocol || undefined : undefined;
  return {
    ...options,
    allowPartialTrustChain: Boolean(options.allowPartialTrustChain),
    ca: options.ca || undefined,
    cert: options.cert || undefined,
    certificateCompression: isEmpty(certificateCompression) ? undefined : certificateCompression,
    ciphers: options.ciphers || undefined,
    honorCipherOrder: Boolean(options.honorCipherOrder),
    key: options.key || undefined,
    minVersion: lowestOf(options, secureProtocol),
    passphrase: ArrayBuffer.isView(passphrase) ? String(passphrase) : passphrase,
    // Of no meaning to Node without the other.
    privateKeyEngine: options.privateKeyIdentifier == null ? undefined : options.privateKeyEngine,
    secureOptions: integer(options.secureOptions) || undefined,
    secureProtocol,
    // Above a week TLS 1.3 cuts it; OpenSSL's 0 ends with the second.
    sessionTimeout: Math.min(Math.max(Number(sessionTimeout ?? SESSION_TIMEOUT), 1), WEEK),
  } as SecureContextOptions;
}

/** Node ors a bit to these options, which makes integers of whatever they are. */
function integer(value: unknown): number {
  return Number.isInteger(value) ? (value as number) : Number(value) | 0;
}

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

/** What the core says of options that Node has taken. */
function unsupported(error: OffloopError): OffloopError {
  if (error.code === 'ERR_OFFLOOP_UNSUPPORTED_OPTION') return error;
  const named = /options\.\w+/.exec(error.message)?.[0] ?? blamed.get(error.code);
  const what = named === undefined ? 'a context of node:tls' : `${named} as it is`;
  const refused = failure('ERR_OFFLOOP_UNSUPPORTED_OPTION', what, error.message);
  refused.cause = error;
  return refused;
}

/** Options that the core's codes are about. */
const blamed = new Map([
  ['ERR_SSL_EE_KEY_TOO_SMALL', 'options.key'],
  ['ERR_OSSL_UNSUPPORTED', 'options.key'],
  ['ERR_SSL_NO_CIPHER_MATCH', 'options.ciphers'],
]);
