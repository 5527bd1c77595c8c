import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import tls from 'node:tls';
import { failure, type OffloopError } from './errors.js';
import { list, pemText } from './pem.js';

/**
 * The certificates in PEM, in their order; at least one.
 *
 * @throws ERR_INVALID_ARG_TYPE, ERR_OSSL_PEM_NO_START_LINE, ERR_OSSL_PEM_BAD_END_LINE, and
 * OpenSSL's codes for what can't be read
 */
export function certificates(value: unknown, name: string): X509Certificate[] {
  return [...each(value, name)];
}

/** The authorities of the `ca` option. Throws as `certificates`. */
export function authorities(ca: unknown): X509Certificate[] {
  return list(ca).flatMap((item) => certificates(item, 'options.ca'));
}

/** The same, as OpenSSL reads it: up to what is no certificate. */
export function opensslAuthorities(ca: unknown): X509Certificate[] {
  const read: X509Certificate[] = [];
  for (const item of list(ca)) {
    try {
      for (const certificate of each(item, 'options.ca')) read.push(certificate);
    } catch {
      // Node says nothing either.
    }
  }
  return read;
}

/** The authorities of contexts that name none, DER: Node's; the same array while they are the same. */
export function defaultRoots(): readonly Buffer[] {
  return nodeRoots().ders;
}

/** The same, parsed, which takes tens of milliseconds: once, and only if asked for. */
export function defaultAuthorities(): readonly X509Certificate[] {
  const roots = nodeRoots();
  return (roots.parsed ??= roots.ders.map((der) => new X509Certificate(der)));
}

interface Roots {
  /** What they were read from. */
  pems: readonly string[];
  ders: readonly Buffer[];
  parsed?: readonly X509Certificate[];
}

let known: Roots | undefined;

function nodeRoots(): Roots {
  // From 22.15 on this knows --use-system-ca and NODE_EXTRA_CA_CERTS too. When a program sets
  // others, it gives another array.
  const pems = tls.getCACertificates?.('default') ?? tls.rootCertificates;
  if (known?.pems !== pems) {
    const extra = tls.getCACertificates === undefined ? extraAuthorities() : [];
    known = { pems, ders: [...pems, ...extra].map(derOf) };
  }
  return known;
}

/** NODE_EXTRA_CA_CERTS, which Node warns of by itself if it can't be read. */
function extraAuthorities(): string[] {
  const path = process.env.NODE_EXTRA_CA_CERTS;
  if (!path) return [];
  try {
    return readFileSync(path, 'utf8').match(certificateBlock) ?? [];
  } catch {
    return [];
  }
}

function derOf(pem: string): Buffer {
  return Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
}

function* each(value: unknown, name: string): Generator<X509Certificate> {
  const blocks = pemText(value, name).match(certificateBlock);
  if (blocks === null) throw failure('ERR_OSSL_PEM_NO_START_LINE', name);
  for (const [i, block] of blocks.entries()) {
    if (!block.endsWith('-----') || !block.includes('-----END '))
      throw failure('ERR_OSSL_PEM_BAD_END_LINE', name, i + 1);
    try {
      yield new X509Certificate(block);
    } catch (error) {
      throw unreadable(error as OffloopError, name, i + 1);
    }
  }
}

/** OpenSSL's code and reason, and which certificate it is about. */
function unreadable(error: OffloopError, name: string, position: number): OffloopError {
  const reason = error.message.split(':').at(-1)!;
  error.message = `${name}: certificate ${position} can't be read (${reason}): expected X.509 in PEM`;
  return error;
}

/** One certificate each; of a block without its end, what there is. */
const certificateBlock =
  /-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----(?:(?!-----BEGIN )[\s\S])*?(?:-----END \1-----|(?=-----BEGIN )|$)/g;
