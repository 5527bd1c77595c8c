/** What is wrong with a server's certificates, as its clients will see them. */
import type { KeyObject, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { chainOf, nameOf } from './chain.js';
import { type Finding, ok, problem, warning } from './finding.js';
import { keyFindings, strengthFindings } from './key.js';
import { trustFindings } from './trust.js';

export interface CertificateFiles {
  /** In the order of the file. */
  readonly certificates: readonly X509Certificate[];
  readonly key?: { readonly key: KeyObject; /** Of its file. */ readonly mode: number };
  /** That clients will ask for. */
  readonly names: readonly string[];
  /** That clients trust. */
  readonly roots: readonly X509Certificate[];
  /** Whether the user said so; else they are those of Node. */
  readonly areRootsGiven: boolean;
  /** Why the core can't serve them; absent if it can, or if that can't be asked. */
  readonly refusal?: (certificate: string, key: KeyObject) => string | undefined;
}

/** `now` in milliseconds. */
export function certificateFindings(files: CertificateFiles, now = Date.now()): Finding[] {
  const { chain, findings } = chainOf(files.certificates, files.key?.key);
  const [server] = chain;
  return [
    ...findings,
    ...chain.flatMap((certificate) => validity(certificate, now)),
    ...purpose(server!),
    ...names(server!, files.names),
    ...strengthFindings(chain),
    ...keyFindings(files, chain),
    ...trustFindings(chain, files),
  ];
}

const DAY = 86_400_000;

/** Who renews 30 days before the end, as is usual, has failed for two weeks by then. */
const SOON = 14 * DAY;

function validity(certificate: X509Certificate, now: number): Finding[] {
  const about = 'validity';
  const name = nameOf(certificate);
  const [from, until] = [certificate.validFrom, certificate.validTo];
  if (now < Date.parse(from)) {
    const advice = "Wait until then, or check this machine's clock.";
    return [problem(about, `${name} is not valid before ${from}`, advice)];
  }
  const left = Date.parse(until) - now;
  if (left < 0) return [problem(about, `${name} has expired, on ${until}`, 'Renew it.')];
  if (left < SOON) {
    const days = Math.floor(left / DAY);
    return [warning(about, `${name} ends in ${days} days, on ${until}`, 'Renew it now.')];
  }
  return [ok(about, `${name} is valid until ${until}`)];
}

/** RFC 5280, 4.2.1.12: TLS servers, or anything. */
const SERVER_USES = new Set(['1.3.6.1.5.5.7.3.1', '2.5.29.37.0']);

function purpose(server: X509Certificate): Finding[] {
  const found: Finding[] = [];
  // The extended key usage: undefined, whatever the types say, where there is none. Deno answers
  // with names of the key usage instead, which say nothing here.
  const uses = server.keyUsage as string[] | undefined;
  const isTold = uses?.every((use) => /^[\d.]+$/.test(use)) ?? false;
  if (isTold && !uses!.some((use) => SERVER_USES.has(use))) {
    const advice = 'Ask the CA for one with the extended key usage serverAuth.';
    found.push(problem('purpose', `${nameOf(server)} is not for TLS servers`, advice));
  }
  if (server.ca) {
    const text = `${nameOf(server)} is that of a CA, which some clients refuse of a server`;
    found.push(warning('purpose', text, 'Use one without CA:TRUE: offloop cert makes such.'));
  }
  return found;
}

function names(server: X509Certificate, wanted: readonly string[]): Finding[] {
  const about = 'names';
  const { subjectAltName } = server;
  if (subjectAltName === undefined) {
    const advice = 'Ask for a certificate with a subjectAltName: clients ignore the common name.';
    return [problem(about, `${nameOf(server)} names no host`, advice)];
  }
  if (wanted.length === 0) return [ok(about, subjectAltName)];
  return wanted.map((name) => {
    const matches =
      isIP(name) === 0
        ? server.checkHost(name, { subject: 'never' }) !== undefined
        : server.checkIP(name) !== undefined;
    if (matches) return ok(about, `${name} is among them`);
    const advice = `Ask for a certificate that names ${name} too.`;
    return problem(about, `${name} is not among ${subjectAltName}`, advice);
  });
}
