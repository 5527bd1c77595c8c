import { failure } from './errors.js';
import { list, pemText } from './pem.js';

const revocationBlock = /-----BEGIN X509 CRL-----([\s\S]*?)-----END X509 CRL-----/g;

/** The DER of revocation lists in PEM, which Node has found to be such. */
export function revocationLists(crl: unknown): Buffer[] {
  return list(crl).flatMap((item) => {
    const blocks = [...pemText(item, 'options.crl').matchAll(revocationBlock)];
    if (blocks.length === 0) {
      const reason = 'expected PEM ("-----BEGIN X509 CRL-----")';
      throw failure('ERR_OFFLOOP_UNSUPPORTED_OPTION', 'options.crl in this form', reason);
    }
    return blocks.map(([, base64]) => Buffer.from(base64, 'base64'));
  });
}
