/** Whether clients can follow the chain to a root that they trust. */
import type { X509Certificate } from 'node:crypto';
import type { CertificateFiles } from './certificate.js';
import { certifies, isSelfSigned, issuerOf, nameOf } from './chain.js';
import { type Finding, ok, problem, warning } from './finding.js';

const about = 'trust';

export function trustFindings(
  chain: readonly X509Certificate[],
  { roots, areRootsGiven }: Pick<CertificateFiles, 'roots' | 'areRootsGiven'>,
): Finding[] {
  const last = chain.at(-1)!;
  const root = roots.find((each) => each.raw.equals(last.raw) || certifies(each, last));
  if (root !== undefined) return [ok(about, `the chain leads to ${nameOf(root)}`)];

  // Who names the roots says all that is trusted; Node's are a guess of it.
  const whose = areRootsGiven ? 'the roots in --ca' : 'the roots that Node trusts';
  const bad = areRootsGiven ? problem : warning;
  if (isSelfSigned(last)) {
    const text =
      chain.length === 1
        ? `${nameOf(last)} is self-signed, and not among ${whose}`
        : `the root ${nameOf(last)} is not among ${whose}`;
    return [bad(about, text, 'Give it to every client, or use a certificate of a CA they know.')];
  }
  const text = `${issuerOf(last)}, which issued ${nameOf(last)}, is neither in the file nor among ${whose}`;
  const url = issuerUrl(last);
  if (url !== undefined) {
    const advice = `An intermediate certificate is missing: append it, in PEM, to the file. The CA has it at ${url}.`;
    return [problem(about, text, advice)];
  }
  const advice = areRootsGiven
    ? 'Append the missing intermediate certificate to the file.'
    : 'Append the intermediate certificate if there is one; with a CA of your own name its root: --ca.';
  return [bad(about, text, advice)];
}

/** Where the CA offers its certificate (RFC 5280, 4.2.2.1): public CAs say it. */
function issuerUrl({ infoAccess }: X509Certificate): string | undefined {
  return infoAccess?.match(/^CA Issuers - URI:(.+)$/m)?.[1];
}
