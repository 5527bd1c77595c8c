import type { KeyObject, X509Certificate } from 'node:crypto';
import tls from 'node:tls';
import {
  authorities,
  defaultAuthorities,
  defaultRoots,
  opensslAuthorities,
} from './certificates.js';
import { cipherSelection, type SuiteB, suiteVersion } from './cipher-list.js';
import { knownToCopies } from './copies.js';
import { failure } from './errors.js';
import { type Identity, identities, opensslIdentities } from './identity.js';
import { NativeContext, NativeTicketKeys } from './native.js';
import { judge, selectsCiphers } from './openssl.js';
import { type Inputs, optionsObject, parseOptions, type Values } from './option.js';
import { contextOptions } from './options.js';
import { bytesOf } from './pem.js';
import { openPfx } from './pkcs12.js';
import { methodVersions, type ProtocolVersions, protocolVersions } from './protocol-versions.js';
import { revocationLists } from './revocation-lists.js';
import { secureOptions } from './secure-options.js';

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
 * `rejectUnauthorized` to it, and refuse one that asks more of clients than they do; `acceptTls`
 * takes those of the context.
 */
export class SecureContext {
  readonly #parsed: Parsed;
  readonly #ticketKeys: NativeTicketKeys;
  /** Node's authorities, as they were when clients were first asked for certificates. */
  #defaultRoots: readonly Buffer[] | undefined;

  /**
   * `judged`: Node has taken these options, and what it takes silently is taken too; `like`: what
   * has the same options, parsed. For internal use.
   *
   * @throws ERR_MISSING_ARGS, ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE,
   * ERR_TLS_INVALID_PROTOCOL_VERSION, ERR_TLS_INVALID_PROTOCOL_METHOD,
   * ERR_TLS_PROTOCOL_VERSION_CONFLICT, ERR_OSSL_PEM_NO_START_LINE, ERR_OSSL_UNSUPPORTED,
   * ERR_OSSL_BAD_DECRYPT, ERR_OSSL_X509_KEY_VALUES_MISMATCH, ERR_SSL_EE_KEY_TOO_SMALL,
   * ERR_SSL_NO_CIPHER_MATCH, ERR_SSL_INVALID_COMMAND, ERR_CRYPTO_OPERATION_FAILED,
   * ERR_OFFLOOP_UNSUPPORTED_OPTION
   */
  constructor(options?: SecureContextOptions, judged = false, like?: SecureContext) {
    this.#parsed = like === undefined ? parse(options, judged) : like.#parsed;
    this.#ticketKeys = new NativeTicketKeys(this.#parsed.ticketKeys);
    // Now rather than at the first connection: what the core refuses is an error here.
    if (like === undefined) this.#native(this.#parsed.policy, this);
    Object.freeze(this);
    knownToCopies.add(this);
  }

  /** @internal One of the same options, with ticket keys of its own. */
  static alike(context: SecureContext): SecureContext {
    return new SecureContext(undefined, true, context);
  }

  /**
   * @internal The core's side, with the policy of a server or with the context's own.
   *
   * A context for one name brings its certificates and authorities; all else it takes from
   * `server`, the context for all names, as in Node. Without a certificate it brings nothing.
   */
  static native(
    context: SecureContext,
    policy: ServerPolicy = context.#parsed.policy,
    server: SecureContext = context,
  ): NativeContext {
    return (SecureContext.hasIdentity(context) ? context : server).#native(policy, server);
  }

  /** @internal */
  static policy(context: SecureContext): ServerPolicy {
    return context.#parsed.policy;
  }

  /** @internal Has it a key with a certificate? Without, every handshake fails. */
  static hasIdentity(context: SecureContext): boolean {
    return context.#parsed.certificates.identities.length > 0;
  }

  /** @internal Whom it trusts as issuers of client certificates. */
  static authorities(context: SecureContext): readonly X509Certificate[] {
    const { authorities: own, withDefaults } = context.#parsed.certificates;
    return withDefaults ? [...defaultAuthorities(), ...own] : own;
  }

  /** @internal Who issued this certificate of one of its identities, if that one is trusted. */
  static issuerOf(context: SecureContext, certificate: Buffer): X509Certificate | undefined {
    const leaves = context.#parsed.certificates.identities.map(({ chain: [leaf] }) => leaf);
    const leaf = leaves.find(({ raw }) => raw.equals(certificate));
    return leaf && SecureContext.authorities(context).find((issuer) => leaf.checkIssued(issuer));
  }

  /** @internal The 48 bytes that seal new tickets. */
  static getTicketKeys(context: SecureContext): Buffer {
    return context.#ticketKeys.get();
  }

  /** @internal Seals new tickets with these 48 bytes. */
  static setTicketKeys(context: SecureContext, keys: Uint8Array): void {
    context.#ticketKeys.set(keys);
  }

  #native(policy: ServerPolicy, server: SecureContext): NativeContext {
    const { variants, certificates } = this.#parsed;
    let ofServer = variants.get(server);
    if (ofServer === undefined) variants.set(server, (ofServer = []));
    const name = policyName(policy);
    const defaults =
      policy.requestCert && certificates.withDefaults
        ? (this.#defaultRoots ??= defaultRoots())
        : none;
    const known = ofServer.find((each) => each.name === name && each.defaults === defaults);
    if (known !== undefined) return known.context;
    const context = this.#make(policy, defaults, server);
    ofServer.push({ name, defaults, context });
    return context;
  }

  #make(policy: ServerPolicy, defaults: readonly Buffer[], server: SecureContext): NativeContext {
    const { identities: own, authorities: trusted, partialChain, crls } = this.#parsed.certificates;
    const { groups, signatureSchemes, ...settings } = server.#parsed.session;
    const { requestCert, rejectUnauthorized, alpnProtocols } = policy;
    const secrets = own.map(({ key }) => key.export({ type: 'pkcs8', format: 'der' }));
    try {
      return new NativeContext({
        ...settings,
        ...(groups && { groups }),
        ...(signatureSchemes && { signatureSchemes }),
        ...(requestCert && {
          clientAuth: {
            roots: [...defaults, ...trusted.map(({ raw }) => raw)],
            partialChain,
            rejectUnauthorized,
          },
        }),
        crls,
        identities: own.map(({ chain }, i) => ({
          chain: chain.map((certificate) => certificate.raw),
          key: secrets[i],
        })),
        // Node takes an empty name too, which no client can offer.
        alpnProtocols: alpnProtocols.filter(({ length }) => length > 0),
        ticketKeys: server.#ticketKeys,
      });
    } finally {
      for (const secret of secrets) secret.fill(0);
    }
  }
}

/** Parses keys, certificates and settings once, for many connections. Throws as SecureContext. */
export function createSecureContext(options?: SecureContextOptions): SecureContext {
  return new SecureContext(options);
}

/** What options come to: all contexts of the same options share it. */
interface Parsed {
  certificates: Certificates;
  session: Session;
  policy: ServerPolicy;
  ticketKeys: Uint8Array | undefined;
  /** The core's, by the context that gives the session's settings and ticket keys. */
  variants: WeakMap<SecureContext, Variant[]>;
}

interface Variant {
  /** Of the policy. */
  name: string;
  /** Those of Node's authorities that are trusted. */
  defaults: readonly Buffer[];
  context: NativeContext;
}

const none: readonly Buffer[] = [];

function parse(options: SecureContextOptions | undefined, judged: boolean): Parsed {
  const given = optionsObject(options);
  const values = parseOptions(contextOptions, given);
  if (!judged) judge(given);
  const certificates = certificatesOf(values, judged);
  const { ticketKeys, ALPNProtocols: alpnProtocols, requestCert, rejectUnauthorized } = values;
  return {
    certificates,
    session: sessionOf(values, certificates.identities),
    policy: { alpnProtocols, requestCert, rejectUnauthorized },
    // A copy: programs change theirs.
    ticketKeys:
      ticketKeys == null ? undefined : Uint8Array.from(bytesOf(ticketKeys as ArrayBufferView)),
    variants: new WeakMap(),
  };
}

/** What a context for one name brings along. */
interface Certificates {
  identities: readonly Identity[];
  authorities: readonly X509Certificate[];
  /** Node's authorities are trusted too. */
  withDefaults: boolean;
  /** So are those of `authorities` that are no roots. */
  partialChain: boolean;
  crls: Uint8Array[];
}

/** What the context of a whole server decides. */
interface Session extends ProtocolVersions {
  cipherSuites: string[];
  groups: string[] | undefined;
  signatureSchemes: string[] | undefined;
  honorCipherOrder: boolean;
  sessionIdContext: Uint8Array;
  sessionTimeout: number;
  tickets: boolean;
}

type ContextValues = Values<typeof contextOptions>;

function certificatesOf(values: ContextValues, judged: boolean): Certificates {
  const { key, cert, passphrase, ca } = values;
  const opened = values.pfx == null ? [] : openPfx(values.pfx, passphrase);
  const trusted = [
    ...(ca ? (judged ? opensslAuthorities : authorities)(ca) : []),
    ...opened.flatMap((each) => each.authorities),
  ];
  const material = { key, cert, passphrase, opened: opened.map(({ identity }) => identity) };
  return {
    identities: (judged ? opensslIdentities : identities)(material, trusted),
    authorities: trusted,
    withDefaults: !ca,
    partialChain: values.allowPartialTrustChain,
    crls: values.crl == null ? [] : revocationLists(values.crl),
  };
}

function sessionOf(values: ContextValues, own: readonly Identity[]): Session {
  const asked = secureOptions(Number(values.secureOptions ?? 0), 'options.secureOptions');
  const { secureProtocol } = values;
  const spoken = protocolVersions({
    minVersion: values.minVersion,
    maxVersion: values.maxVersion,
    secureProtocol: secureProtocol ? methodVersions(secureProtocol) : undefined,
    secureOptions: asked,
  });
  const { suiteB, ...ciphers } = ciphersOf(values, spoken, own);
  return {
    ...ciphers,
    groups: suiteB?.groups ?? values.ecdhCurve,
    signatureSchemes: values.sigalgs ?? suiteB?.signatureSchemes,
    honorCipherOrder: values.honorCipherOrder || asked.honorCipherOrder,
    sessionIdContext: Buffer.from((values.sessionIdContext as string | null | undefined) ?? ''),
    sessionTimeout: values.sessionTimeout,
    tickets: asked.tickets,
  };
}

const MAX_SECURITY_LEVEL = 2;

/**
 * The suites, and for which of the versions there are some. What Node would speak must not just
 * vanish, nor what is preferred.
 */
function ciphersOf(
  values: ContextValues,
  versions: ProtocolVersions,
  own: readonly Identity[],
): ProtocolVersions & { cipherSuites: string[]; suiteB: SuiteB | undefined } {
  const given = values.ciphers as string | null | undefined;
  const text = given || tls.DEFAULT_CIPHERS;
  const refused = (reason: string): Error => {
    const shown = `${given ? 'options.ciphers' : 'tls.DEFAULT_CIPHERS'} "${text}"`;
    return failure('ERR_OFFLOOP_UNSUPPORTED_OPTION', shown, reason);
  };
  const { suites, suiteB, namesTls12, securityLevel, missed, others } = cipherSelection(text);
  if ((securityLevel ?? 0) > MAX_SECURITY_LEVEL)
    throw refused(`@SECLEVEL is ${MAX_SECURITY_LEVEL} at most`);
  const { maxVersion } = versions;
  // As in Node, names of TLS 1.3 alone mean that nothing older is spoken.
  const minVersion = namesTls12 ? versions.minVersion : maxVersion;
  for (const version of new Set([minVersion, maxVersion])) {
    if (!suites.some((suite) => suiteVersion(suite) === version))
      throw refused(`it selects no suite of ${version} that the core has`);
    // What somebody asked for above all; a default is nobody's wish.
    const preferred = given ? missed[version].find(selectsCiphers) : undefined;
    if (preferred !== undefined) throw refused(`the core has no ${preferred}`);
  }
  const serves = ({ key }: Identity): boolean =>
    suites.some((suite) => suite.includes(isRsa(key) ? '-RSA-' : '-ECDSA-'));
  if (minVersion === 'TLSv1.2' && own.length > 0 && !own.some(serves) && selectsCiphers(others))
    throw refused('of what suits the key, the core has nothing');
  return { minVersion, maxVersion, cipherSuites: suites, suiteB };
}

function isRsa({ asymmetricKeyType: type }: KeyObject): boolean {
  return type === 'rsa' || type === 'rsa-pss';
}

function policyName(policy: ServerPolicy): string {
  const names = policy.alpnProtocols.map((protocol) => Buffer.from(protocol).toString('hex'));
  return `${policy.requestCert}|${policy.requestCert && policy.rejectUnauthorized}|${names.join()}`;
}
