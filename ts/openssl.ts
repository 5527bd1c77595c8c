import { createSecureContext, type SecureContextOptions } from 'node:tls';
import type { OffloopError } from './errors.js';

/** Options whose right values only OpenSSL knows all of. */
const judged = [
  'ciphers',
  'crl',
  'secureOptions',
  'secureProtocol',
  'sessionIdContext',
  'ticketKeys',
] as const;

/** Throws what node:tls throws for these options: what it takes is right. */
export function judge(options: SecureContextOptions): void {
  const given = judged.filter((name) => options[name] != null);
  if (given.length === 0) return;
  const { minVersion, maxVersion } = options;
  try {
    createSecureContext({
      ...Object.fromEntries(given.map((name) => [name, options[name]])),
      ...(minVersion != null && { minVersion }),
      ...(maxVersion != null && { maxVersion }),
      // None; absent, Node would read its own.
      ca: [],
    });
  } catch (error) {
    // Node gives none to some.
    (error as OffloopError).code ??= 'ERR_CRYPTO_OPERATION_FAILED';
    throw error;
  }
}

/** Does this cipher list select anything of what OpenSSL has? */
export function selectsCiphers(ciphers: string): boolean {
  try {
    createSecureContext({ ca: [], ciphers });
    return true;
  } catch {
    return false;
  }
}
