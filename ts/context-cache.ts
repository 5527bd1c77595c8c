import { createHash, type Hash } from 'node:crypto';
import tls from 'node:tls';
import { contextOptions } from './options.js';
import { SecureContext, type SecureContextOptions } from './secure-context.js';

const CACHED = 64;
const cache = new Map<string, SecureContext>();

/** The context of these options, from the last 64 that were asked for. */
export function cachedContext(options: object): SecureContext {
  const digest = digestOf(options, false);
  return keep(digest, cache.get(digest) ?? new SecureContext(options));
}

/**
 * A context of options that Node has taken, parsed once for all that have the same: programs make a
 * new one for each ClientHello. It has ticket keys of its own, as in Node: those of one server open
 * nothing at another, and setting them changes no other.
 */
export function separateContext(options: SecureContextOptions): SecureContext {
  const digest = digestOf(options, true);
  const known = cache.get(digest);
  if (known === undefined) return keep(digest, new SecureContext(options, true));
  return SecureContext.alike(keep(digest, known));
}

/** Puts it last: the oldest leaves first. */
function keep(digest: string, context: SecureContext): SecureContext {
  cache.delete(digest);
  cache.set(digest, context);
  if (cache.size > CACHED) cache.delete(cache.keys().next().value!);
  return context;
}

/** Keyed by digest, so that the cache keeps no key or passphrase. */
function digestOf(options: object, judged: boolean): string {
  const hash = createHash('sha256').update(`${judged};`);
  // What absent options mean, which a program may change.
  const { DEFAULT_MIN_VERSION, DEFAULT_MAX_VERSION, DEFAULT_ECDH_CURVE, DEFAULT_CIPHERS } = tls;
  feed(hash, [DEFAULT_MIN_VERSION, DEFAULT_MAX_VERSION, DEFAULT_ECDH_CURVE, DEFAULT_CIPHERS]);
  for (const name of Object.keys(contextOptions)) {
    const value = (options as Record<string, unknown>)[name];
    if (value == null) continue;
    hash.update(`${name}=`);
    feed(hash, value);
  }
  return hash.digest('base64');
}

function feed(hash: Hash, value: unknown): void {
  if (typeof value === 'string') {
    hash.update(`s${Buffer.byteLength(value)}:`).update(value);
  } else if (ArrayBuffer.isView(value)) {
    hash.update(`b${value.byteLength}:`).update(value as Uint8Array);
  } else if (Array.isArray(value)) {
    hash.update(`a${value.length}:`);
    for (const item of value) feed(hash, item);
  } else if (typeof value === 'object' && value !== null) {
    // As `key` and `pfx` are read: its own or inherited, by whatever getter.
    const { pem, buf, passphrase } = value as Record<string, unknown>;
    hash.update('o');
    for (const part of [pem, buf, passphrase]) feed(hash, part);
    hash.update(';');
  } else {
    hash.update(`${typeof value}:${String(value)};`);
  }
}
