import { constants } from 'node:crypto';
import { failure } from './errors.js';

/** What bits of `secureOptions` (SSL_OP_* of OpenSSL) ask of the core. */
export interface SecureOptions {
  tickets: boolean;
  tls12: boolean;
  tls13: boolean;
  honorCipherOrder: boolean;
}

/**
 * Reads the `secureOptions` option.
 *
 * @throws ERR_OFFLOOP_UNSUPPORTED_OPTION for bits that ask for what the core can't do
 */
export function secureOptions(value: number, name: string): SecureOptions {
  // `a | b` is negative when bit 31 is set; what lies above it then is no bit of anybody's.
  const bits = BigInt.asUintN(value < 0 ? 32 : 64, BigInt(value));
  const left = bits & ~known;
  if (left !== 0n) {
    const shown = `${name} 0x${left.toString(16)}${named(left)}`;
    throw failure('ERR_OFFLOOP_UNSUPPORTED_OPTION', shown, 'the core can not do what it asks for');
  }
  const has = (option: string): boolean => (bits & bit(option)) !== 0n;
  return {
    tickets: !has('NO_TICKET'),
    tls12: !has('NO_TLSv1_2'),
    tls13: !has('NO_TLSv1_3'),
    honorCipherOrder: has('CIPHER_SERVER_PREFERENCE'),
  };
}

/** 0 for what this Node, or its OpenSSL, does not have. */
function bit(option: string): bigint {
  return BigInt(
    (constants as unknown as Record<string, number | undefined>)[`SSL_OP_${option}`] ?? 0,
  );
}

function named(bits: bigint): string {
  const names = Object.entries(constants).filter(
    ([name, value]) => name.startsWith('SSL_OP_') && value !== 0 && (BigInt(value) & ~bits) === 0n,
  );
  return names.length > 0 ? ` (${names.map(([name]) => name).join(', ')})` : '';
}

const honoured = ['NO_TICKET', 'NO_TLSv1_2', 'NO_TLSv1_3', 'CIPHER_SERVER_PREFERENCE'];

/**
 * True of the core anyhow: it has nothing older than TLS 1.2, no compression, no CBC, no
 * renegotiation, and uses keys of Diffie-Hellman once.
 */
const always = [
  'NO_SSLv2',
  'NO_SSLv3',
  'NO_TLSv1',
  'NO_TLSv1_1',
  'NO_COMPRESSION',
  'NO_ENCRYPT_THEN_MAC',
  'NO_RENEGOTIATION',
  'NO_SESSION_RESUMPTION_ON_RENEGOTIATION',
  'SINGLE_DH_USE',
  'SINGLE_ECDH_USE',
];

/** Of clients, of DTLS, of static RSA or CBC, or a permission that need not be used. */
const idle = [
  'ALL',
  'ALLOW_NO_DHE_KEX',
  'CISCO_ANYCONNECT',
  'COOKIE_EXCHANGE',
  'CRYPTOPRO_TLSEXT_BUG',
  'DONT_INSERT_EMPTY_FRAGMENTS',
  'LEGACY_SERVER_CONNECT',
  'NO_QUERY_MTU',
  'TLS_ROLLBACK_BUG',
];

const known = [...honoured, ...always, ...idle].reduce((all, option) => all | bit(option), 0n);
