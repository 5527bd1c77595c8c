import type { OffloopError } from './errors.js';
import { missing } from './native.js';

const said = new Set<string>();

/** Is this error one that falling back to Node's own can answer? */
export function canFallBack(error: unknown): error is OffloopError {
  return (error as OffloopError | null)?.code === 'ERR_OFFLOOP_UNSUPPORTED_OPTION';
}

/** Warns, once, that there is no core, and why. */
export function warnOfNodeBackend(): void {
  if (missing !== null) warnOfFallback('offloop', missing);
}

/** Warns, once for each reason, that something stays Node's own. */
export function warnOfFallback(what: string, { message }: Error): void {
  warnOnce(`${what} does TLS on the event loop: ${message}`);
}

/** Warns, once, of what is not as it was asked for. */
export function warnOnce(text: string): void {
  if (said.has(text)) return;
  said.add(text);
  process.emitWarning(text, { type: 'OffloopWarning', code: 'OFFLOOP_FALLBACK' });
}
