import type { CoreOptions } from '../core-options.js';
import { failure } from '../errors.js';
import { warnOnce } from '../fallback.js';

/**
 * Options that only the core can honour. Who refuses clients by `clientHello` is refused itself: all
 * would get in. Limits that are not kept are said, once.
 *
 * @throws ERR_OFFLOOP_UNSUPPORTED_OPTION
 */
export function tellWhatIsAbsent({ clientHello, limits, offload }: CoreOptions): void {
  const reason = 'node:tls shows no ClientHello, and there is no native core';
  if (clientHello != null)
    throw failure('ERR_OFFLOOP_UNSUPPORTED_OPTION', 'options.clientHello', reason);
  for (const [name, value] of Object.entries({ limits, offload })) {
    if (value == null || Object.keys(value).length === 0) continue;
    warnOnce(`options.${name} has no effect: only the native core honours it, and there is none`);
  }
}
