import { createHash, type Hash } from 'node:crypto';
import tls from 'node:tls';
import { contextOptions } from './options.js';
import { SecureContext, type SecureContextOptions } from './secure-context.js';

/** The context of these options: the same as long as somebody holds it, or asked for it lately. */
export function cachedContext(options: object): SecureContext {
  const digest = digestOf(options, false);
  const context = find(digest) ?? add(digest, new SecureContext(options));
  hold(digest, context, SESSIONS_MS);
  return context;
}

/**
 * A context of options that Node has taken, parsed once for all that have the same: programs make a
 * new one for each ClientHello. It has ticket keys of its own, as in Node: those of one server open
 * nothing at another, and setting them changes no other.
 */
export function separateContext(options: SecureContextOptions): SecureContext {
  const digest = digestOf(options, true);
  const known = find(digest);
  const context = known ?? add(digest, new SecureContext(options, true));
  hold(digest, context, BURST_MS);
  if (known === undefined) return context;
  const alike = SecureContext.alike(known);
  origins.set(alike, known);
  return alike;
}

/**
 * By digest. Weakly, so that a private key is gone with the last of those who use it, whatever was
 * parsed since.
 */
const cache = new Map<string, WeakRef<SecureContext>>();
const collected = new FinalizationRegistry<string>((digest) => {
  // It may have been made again.
  if (find(digest) === undefined) cache.delete(digest);
});

/** What a context shares its options with: found as long as one of them lives. */
const origins = new WeakMap<SecureContext, SecureContext>();

/** Those asked for lately, which nobody else may hold: the one not asked for longest comes first. */
const held = new Map<string, { context: SecureContext; timer: NodeJS.Timeout }>();
const HELD = 64;
/** Who gives options to each connection holds no context: by tickets of the last ones they resume. */
const SESSIONS_MS = 300_000;
/** Who makes a context of Node's holds it, or makes the next one for the next ClientHello. */
const BURST_MS = 1000;

function find(digest: string): SecureContext | undefined {
  return cache.get(digest)?.deref();
}

function add(digest: string, context: SecureContext): SecureContext {
  cache.set(digest, new WeakRef(context));
  collected.register(context, digest);
  return context;
}

function hold(digest: string, context: SecureContext, milliseconds: number): void {
  const timer =
    held.get(digest)?.timer.refresh() ??
    setTimeout(() => held.delete(digest), milliseconds).unref();
  held.delete(digest);
  held.set(digest, { context, timer });
  if (held.size <= HELD) return;
  const [oldest] = held.keys();
  clearTimeout(held.get(oldest)!.timer);
  held.delete(oldest);
}

/** A digest keeps no key and no passphrase. */
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
