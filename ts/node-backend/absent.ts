import { type CoreOptions, onlyOnCore } from '../core-options.js';
import { failure } from '../errors.js';
import { warnOnce } from '../fallback.js';

/**
 * Options that only the core can honour. Those without which a server would let in whom it is to
 * refuse, or answer where it is to pass on, are refused. Limits that are not kept are said, once.
 *
 * @throws ERR_OFFLOOP_UNSUPPORTED_OPTION
 */
export function tellWhatIsAbsent(options: CoreOptions): void {
  const { limits, offload } = options;
  const needed = onlyOnCore.find((name) => options[name] != null);
  if (needed !== undefined) {
    const reason = 'only the native core can do that, and there is none';
    throw failure('ERR_OFFLOOP_UNSUPPORTED_OPTION', `options.${needed}`, reason);
  }
  for (const [name, value] of Object.entries({ limits, offload })) {
    if (value == null || Object.keys(value).length === 0) continue;
    warnOnce(`options.${name} has no effect: only the native core honours it, and there is none`);
  }
}
