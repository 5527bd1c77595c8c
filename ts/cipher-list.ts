import type { ProtocolVersion } from './protocol-versions.js';

/** What a cipher list in OpenSSL's words comes to, among the suites that the core speaks. */
export interface CipherSelection {
  /** OpenSSL's names, best first, those of TLS 1.3 before the others. */
  suites: string[];
  /** The list names suites of TLS 1.2 and below; else these versions are not spoken. */
  namesTls12: boolean;
  /** The security level that it asks for, if it does. */
  securityLevel: number | undefined;
  /** Its Suite B profile (RFC 6460), if it asks for one. */
  suiteB: SuiteB | undefined;
  /**
   * What may name suites that the core has not: all names of TLS 1.3, and of TLS 1.2 the rules before
   * the first that selects one of the core's, which are preferred to it.
   */
  missed: Record<ProtocolVersion, string[]>;
  /** The cipher list without the suites of the core. */
  others: string;
}

/** What a Suite B profile restricts beside the suites. */
export interface SuiteB {
  suites: readonly string[];
  groups: string[];
  signatureSchemes: string[];
}

/**
 * Reads the `ciphers` option: names between colons that begin with `TLS_` are suites of TLS 1.3, in
 * their order; the others are a cipher list as ciphers(1) of OpenSSL describes it. What no suite of
 * the core matches has no effect, faults included: OpenSSL is the judge of those.
 */
export function cipherSelection(text: string): CipherSelection {
  const items = text.split(':').filter((item) => item !== '');
  const tls13 = items.filter((item) => /^!?TLS_/.test(item));
  const rules = items.filter((item) => !tls13.includes(item)).join(':');
  const { chosen, missed, securityLevel, suiteB } = applied(rules);
  const ofName = (name: string): Suite[] => suites.filter((suite) => suite.standardName === name);
  const named = tls13.flatMap(ofName);
  // Unnamed, their defaults stay.
  const first = tls13.length > 0 ? named : suites.filter(isTls13);
  return {
    suites: [...new Set([...first, ...chosen])].map(({ name }) => name),
    namesTls12: rules !== '',
    securityLevel,
    suiteB,
    missed: {
      'TLSv1.2': missed,
      'TLSv1.3': tls13.filter((name) => !name.startsWith('!') && ofName(name).length === 0),
    },
    others: [rules, ...chosen.map(({ name }) => `!${name}`)].join(':'),
  };
}

/** The version of a suite, by OpenSSL's name. */
export function suiteVersion(name: string): ProtocolVersion {
  return name.startsWith('TLS_') ? 'TLSv1.3' : 'TLSv1.2';
}

interface Suite {
  name: string;
  standardName: string;
  bits: number;
  /** The names of groups that it belongs to. */
  kinds: ReadonlySet<string>;
}

const isTls13 = ({ name }: Suite): boolean => suiteVersion(name) === 'TLSv1.3';

const SEPARATOR = /[:;, ]/;
const ITEM = /([-+!]?)([\w.=-]+(?:\+[\w.=-]+)*)|@(STRENGTH|SECLEVEL=(\d))/g;

function applied(rules: string): {
  chosen: Suite[];
  missed: string[];
  securityLevel: number | undefined;
  suiteB: SuiteB | undefined;
} {
  for (const [prefix, suiteB] of profiles) {
    // Nothing that follows counts.
    if (!rules.startsWith(prefix)) continue;
    const chosen = suiteB.suites.map((name) => suites.find((suite) => suite.name === name)!);
    return { chosen, missed: [], securityLevel: undefined, suiteB };
  }
  const list = new RuleList(suites.filter((suite) => !isTls13(suite)));
  let rest = rules;
  const missed: string[] = [];
  let securityLevel: number | undefined;
  if (rules.startsWith('DEFAULT')) {
    list.add(() => true);
    rest = rules.slice('DEFAULT'.length);
  }
  for (const part of rest.split(SEPARATOR)) {
    for (const [, operator, names, command, level] of part.matchAll(ITEM)) {
      if (level !== undefined) securityLevel = Number(level);
      else if (command !== undefined) list.sortByStrength();
      else list.apply(operator, matching(names));
      if (operator === '' && names && list.chosen.length === 0) missed.push(names);
    }
  }
  return { chosen: list.chosen, missed, securityLevel, suiteB: undefined };
}

type Match = (suite: Suite) => boolean;

/** Suites that are of every kind: `ECDHE+AESGCM`. */
function matching(names: string): Match {
  const kinds = names.split('+');
  return ({ name, kinds: own }) => kinds.every((kind) => kind === name || own.has(kind));
}

/** OpenSSL's rules move suites between a list of candidates and the list of the chosen. */
class RuleList {
  chosen: Suite[] = [];

  constructor(private candidates: Suite[]) {}

  apply(operator: string, match: Match): void {
    if (operator === '!') this.forget(match);
    else if (operator === '-') this.remove(match);
    else if (operator === '+') this.moveToEnd(match);
    else this.add(match);
  }

  add(match: Match): void {
    this.chosen.push(...this.candidates.filter(match));
    this.candidates = this.candidates.filter((suite) => !match(suite));
  }

  sortByStrength(): void {
    this.chosen.sort((a, b) => b.bits - a.bits);
  }

  private forget(match: Match): void {
    this.candidates = this.candidates.filter((suite) => !match(suite));
    this.chosen = this.chosen.filter((suite) => !match(suite));
  }

  private remove(match: Match): void {
    this.candidates.unshift(...this.chosen.filter(match));
    this.chosen = this.chosen.filter((suite) => !match(suite));
  }

  private moveToEnd(match: Match): void {
    const moved = this.chosen.filter(match);
    this.chosen = [...this.chosen.filter((suite) => !match(suite)), ...moved];
  }
}

/** The core's suites, those of TLS 1.2 in the order in which `ALL` gives them. */
const suites: readonly Suite[] = [
  modern('TLS_AES_256_GCM_SHA384', 256),
  modern('TLS_CHACHA20_POLY1305_SHA256', 256),
  modern('TLS_AES_128_GCM_SHA256', 128),
  ecdhe('ECDSA', 'AES256-GCM-SHA384', 'AES_256_GCM_SHA384', 256, 'AESGCM AES AES256 FIPS'),
  ecdhe('RSA', 'AES256-GCM-SHA384', 'AES_256_GCM_SHA384', 256, 'AESGCM AES AES256 FIPS'),
  ecdhe('ECDSA', 'CHACHA20-POLY1305', 'CHACHA20_POLY1305_SHA256', 256, 'CHACHA20'),
  ecdhe('RSA', 'CHACHA20-POLY1305', 'CHACHA20_POLY1305_SHA256', 256, 'CHACHA20'),
  ecdhe('ECDSA', 'AES128-GCM-SHA256', 'AES_128_GCM_SHA256', 128, 'AESGCM AES AES128 FIPS'),
  ecdhe('RSA', 'AES128-GCM-SHA256', 'AES_128_GCM_SHA256', 128, 'AESGCM AES AES128 FIPS'),
];

function modern(name: string, bits: number): Suite {
  return { name, standardName: name, bits, kinds: new Set() };
}

function ecdhe(
  auth: 'RSA' | 'ECDSA',
  cipher: string,
  standardCipher: string,
  bits: number,
  cipherKinds: string,
): Suite {
  const kinds = `ALL HIGH TLSv1.2 ECDH ECDHE EECDH kECDHE kEECDH a${auth} ${cipherKinds}`;
  return {
    name: `ECDHE-${auth}-${cipher}`,
    standardName: `TLS_ECDHE_${auth}_WITH_${standardCipher}`,
    bits,
    // `RSA` stands for key exchange and authentication, which no suite of the core has.
    kinds: new Set([...kinds.split(' '), ...(auth === 'ECDSA' ? ['ECDSA'] : [])]),
  };
}

const STRONG = 'ECDHE-ECDSA-AES256-GCM-SHA384';
const LEAN = 'ECDHE-ECDSA-AES128-GCM-SHA256';
const P256 = { group: 'P-256', scheme: 'ecdsa_secp256r1_sha256' };
const P384 = { group: 'P-384', scheme: 'ecdsa_secp384r1_sha384' };

/** By what a list begins with; longer names first. */
const profiles: readonly [prefix: string, SuiteB][] = [
  ['SUITEB128ONLY', profile([LEAN], [P256])],
  ['SUITEB128C2', profile([STRONG], [P256, P384])],
  ['SUITEB128', profile([LEAN, STRONG], [P256, P384])],
  ['SUITEB192', profile([STRONG], [P384])],
];

function profile(names: string[], curves: { group: string; scheme: string }[]): SuiteB {
  return {
    suites: names,
    groups: curves.map(({ group }) => group),
    signatureSchemes: curves.map(({ scheme }) => scheme),
  };
}
