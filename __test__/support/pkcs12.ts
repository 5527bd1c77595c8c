/** A key with its certificates as one PKCS #12 file, protected as OpenSSL 3 does by default. */
import {
  createCipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  pbkdf2Sync,
  randomBytes,
  X509Certificate,
} from 'node:crypto';

import type { Issued } from './certificates.js';

const ITERATIONS = 2048;

/** The certificates of `extra` (PEM) come behind the identity's own. */
export function pkcs12(
  { key, cert }: Pick<Issued, 'key' | 'cert'>,
  passphrase: string,
  extra: readonly string[] = [],
): Buffer {
  const shrouded = createPrivateKey(key).export({
    format: 'der',
    type: 'pkcs8',
    cipher: 'aes-256-cbc',
    passphrase,
  });
  const keyBags = sequence(safeBag('1.2.840.113549.1.12.10.1.2', shrouded));
  const certificateBags = sequence(
    ...[cert, ...extra].map((pem) =>
      safeBag(
        '1.2.840.113549.1.12.10.1.3',
        sequence(oid('1.2.840.113549.1.9.22.1'), explicit(0, octets(new X509Certificate(pem).raw))),
      ),
    ),
  );
  const safe = sequence(
    sequence(oid(ENCRYPTED), explicit(0, encrypted(certificateBags, passphrase))),
    sequence(oid(DATA), explicit(0, octets(keyBags))),
  );
  return sequence(
    integer(3),
    sequence(oid(DATA), explicit(0, octets(safe))),
    authentication(safe, passphrase),
  );
}

const DATA = '1.2.840.113549.1.7.1';
const ENCRYPTED = '1.2.840.113549.1.7.6';
const NULL = Buffer.from([5, 0]);

function safeBag(type: string, value: Buffer): Buffer {
  return sequence(oid(type), explicit(0, value));
}

/** EncryptedData under PBES2: PBKDF2 with SHA-256, AES-256-CBC. */
function encrypted(content: Buffer, passphrase: string): Buffer {
  const salt = randomBytes(16);
  const iv = randomBytes(16);
  const key = pbkdf2Sync(passphrase, salt, ITERATIONS, 32, 'sha256');
  const cipher = createCipheriv('aes-256-cbc', key, iv);
  const derivation = sequence(
    octets(salt),
    integer(ITERATIONS),
    sequence(oid('1.2.840.113549.2.9'), NULL),
  );
  const algorithm = sequence(
    oid('1.2.840.113549.1.5.13'),
    sequence(
      sequence(oid('1.2.840.113549.1.5.12'), derivation),
      sequence(oid('2.16.840.1.101.3.4.1.42'), octets(iv)),
    ),
  );
  const ciphertext = Buffer.concat([cipher.update(content), cipher.final()]);
  return sequence(integer(0), sequence(oid(DATA), algorithm, tagged(0x80, ciphertext)));
}

/** MacData with SHA-256, its key derived as RFC 7292, appendix B.2 says. */
function authentication(content: Buffer, passphrase: string): Buffer {
  const salt = randomBytes(16);
  const password = Buffer.from(`${passphrase}\0`, 'utf16le').swap16();
  const block = Buffer.concat([Buffer.alloc(64, 3), repeated(salt), repeated(password)]);
  let key: Buffer = block;
  for (let i = 0; i < ITERATIONS; i++) key = createHash('sha256').update(key).digest();
  const mac = createHmac('sha256', key).update(content).digest();
  const algorithm = sequence(oid('2.16.840.1.101.3.4.2.1'), NULL);
  return sequence(sequence(algorithm, octets(mac)), octets(salt), integer(ITERATIONS));
}

/** Filled up to whole blocks of 64 bytes with itself. */
function repeated(bytes: Buffer): Buffer {
  return Buffer.alloc(Math.ceil(bytes.length / 64) * 64, bytes);
}

function sequence(...parts: Buffer[]): Buffer {
  return tagged(0x30, Buffer.concat(parts));
}

function explicit(number: number, content: Buffer): Buffer {
  return tagged(0xa0 + number, content);
}

function octets(content: Uint8Array): Buffer {
  return tagged(4, content);
}

function integer(value: number): Buffer {
  const hex = value.toString(16);
  const bytes = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
  // A leading one would be a sign.
  return tagged(2, bytes[0] >= 0x80 ? Buffer.concat([Buffer.alloc(1), bytes]) : bytes);
}

function oid(dotted: string): Buffer {
  const [first, second, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const part of rest) {
    const groups = [part & 0x7f];
    for (let high = part >> 7; high > 0; high >>= 7) groups.unshift((high & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return tagged(6, Buffer.from(bytes));
}

function tagged(tag: number, content: Uint8Array): Buffer {
  const size = content.length;
  const length =
    size < 0x80 ? [size] : size < 0x100 ? [0x81, size] : [0x82, size >> 8, size & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}
