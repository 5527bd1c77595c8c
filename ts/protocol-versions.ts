import tls from 'node:tls';
import { failure, received } from './errors.js';
import type { Option } from './option.js';
import type { SecureOptions } from './secure-options.js';

/** A version of TLS that the core speaks. */
export type ProtocolVersion = 'TLSv1.2' | 'TLSv1.3';

/** The versions between these, both included. */
export interface ProtocolVersions {
  minVersion: ProtocolVersion;
  maxVersion: ProtocolVersion;
}

/** The options that decide about versions, each absent or right by itself. */
export interface VersionOptions {
  minVersion: ProtocolVersion | undefined;
  maxVersion: ProtocolVersion | undefined;
  secureProtocol: ProtocolVersions | undefined;
  secureOptions: SecureOptions;
}

/**
 * The versions that a context speaks.
 *
 * @throws ERR_INVALID_ARG_VALUE, ERR_OFFLOOP_UNSUPPORTED_OPTION when there are none
 */
export function protocolVersions(options: VersionOptions): ProtocolVersions {
  const { secureProtocol, secureOptions } = options;
  const minVersion = secureProtocol?.minVersion ?? options.minVersion ?? lowest();
  const maxVersion = secureProtocol?.maxVersion ?? options.maxVersion ?? highest();
  if (minVersion > maxVersion) {
    const expected = `at least options.minVersion, '${minVersion}'`;
    throw failure('ERR_INVALID_ARG_VALUE', 'options.maxVersion', expected, `'${maxVersion}'`);
  }
  const spoken = (['TLSv1.2', 'TLSv1.3'] as const).filter(
    (version) =>
      version >= minVersion &&
      version <= maxVersion &&
      (version === 'TLSv1.2' ? secureOptions.tls12 : secureOptions.tls13),
  );
  if (spoken.length === 0) {
    const reason = 'it leaves no protocol version';
    throw failure('ERR_OFFLOOP_UNSUPPORTED_OPTION', 'options.secureOptions', reason);
  }
  return { minVersion: spoken[0], maxVersion: spoken.at(-1)! };
}

/** `minVersion` and `maxVersion`. */
export function versionOption(
  bound: 'minimum' | 'maximum',
): Option<ProtocolVersion, ProtocolVersion | undefined> {
  return {
    absent: () => undefined,
    parse(value, name) {
      if (value === 'TLSv1.2' || value === 'TLSv1.3') return value;
      if (value === 'TLSv1' || value === 'TLSv1.1') throw tooOld(`${name} ${value}`);
      const shown = typeof value === 'string' ? `"${value}"` : received(value);
      throw failure('ERR_TLS_INVALID_PROTOCOL_VERSION', shown, bound);
    },
  };
}

/** `secureProtocol`, which Node has found to name a method of OpenSSL's. */
export function methodVersions(value: unknown): ProtocolVersions {
  const name = 'options.secureProtocol';
  const method = String(value);
  const versions = methods.get(method.replace(/_server_method$/, '_method'));
  if (versions !== undefined) return versions;
  if (/^TLSv1(_1)?_/.test(method)) throw tooOld(`${name} "${method}"`);
  const reason = 'the core has no such method';
  throw failure('ERR_OFFLOOP_UNSUPPORTED_OPTION', `${name} "${method}"`, reason);
}

/** Their bounds as Node sets them, but for what is older than TLS 1.2. */
const methods: ReadonlyMap<string, ProtocolVersions> = new Map([
  ['TLS_method', { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' }],
  ['SSLv23_method', { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' }],
  ['TLSv1_2_method', { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' }],
]);

function lowest(): ProtocolVersion {
  return tls.DEFAULT_MIN_VERSION === 'TLSv1.3' ? 'TLSv1.3' : 'TLSv1.2';
}

function highest(): ProtocolVersion {
  const node = tls.DEFAULT_MAX_VERSION;
  if (node === 'TLSv1.2' || node === 'TLSv1.3') return node;
  throw tooOld(`tls.DEFAULT_MAX_VERSION ${node}`);
}

function tooOld(what: string): Error {
  return failure('ERR_OFFLOOP_UNSUPPORTED_OPTION', what, 'TLSv1.2 is the oldest');
}
