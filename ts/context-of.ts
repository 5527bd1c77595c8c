import { cachedContext } from './context-cache.js';
import { knownToCopies } from './copies.js';
import { failure, received } from './errors.js';
import { contextOfNode, isNodeContext } from './node-context.js';
import { SecureContext, type ServerPolicy } from './secure-context.js';

/**
 * A context, whatever it is given as: the core's, one of Node's, or options, of which the same
 * values are parsed once.
 *
 * @throws ERR_INVALID_ARG_TYPE; ERR_OFFLOOP_UNSUPPORTED_OPTION for a context of Node's that offloop
 * has not seen being made, or that another copy of offloop made; and as SecureContext
 */
export function contextOf(value: unknown, name: string): SecureContext {
  if (value instanceof SecureContext) return value;
  if (typeof value !== 'object' || value === null) {
    const expected = 'an instance of SecureContext or its options';
    throw failure('ERR_INVALID_ARG_TYPE', name, expected, received(value));
  }
  return madeContext(value, name) ?? cachedContext(value);
}

/** Is it a context that somebody made: of offloop, whichever copy, or of Node, or its handle? */
export function isContext(value: unknown): value is object {
  return knownToCopies.has(value as object) || isNodeContext(value);
}

/**
 * The core's context for one that somebody made, or for its handle; undefined for what is none.
 *
 * @throws ERR_OFFLOOP_UNSUPPORTED_OPTION for one whose key this copy of offloop has not
 */
export function madeContext(value: object, name: string): SecureContext | undefined {
  if (value instanceof SecureContext) return value;
  const seen = contextOfNode(value);
  if (seen !== undefined || !isContext(value)) return seen;
  const reason = knownToCopies.has(value)
    ? 'another copy of offloop in this process made it, and keeps its key'
    : 'node:tls shows nobody the key of such a context; make it with createSecureContext of offloop or of offloop/tls, or of node:tls when offloop/register is loaded before';
  throw failure('ERR_OFFLOOP_UNSUPPORTED_OPTION', name, reason);
}

/**
 * What is asked of clients is the server's policy, whichever context it serves with. One that was
 * made to ask for more is an error: nobody is to get in without the certificate that it demands.
 *
 * @throws ERR_INVALID_ARG_VALUE
 */
export function refuseStricter(
  context: SecureContext,
  policy: Omit<ServerPolicy, 'alpnProtocols'>,
  name: string,
): void {
  refuseStricterPolicy(SecureContext.policy(context), policy, name);
}

/** The same, of what a context asks. */
export function refuseStricterPolicy(
  { requestCert, rejectUnauthorized }: Omit<ServerPolicy, 'alpnProtocols'>,
  policy: Omit<ServerPolicy, 'alpnProtocols'>,
  name: string,
): void {
  if (!requestCert) return;
  const [demand, kept] = rejectUnauthorized
    ? ['rejectUnauthorized', policy.requestCert && policy.rejectUnauthorized]
    : ['requestCert', policy.requestCert];
  if (kept) return;
  const expected = 'a context that asks no more of clients than its server';
  throw failure('ERR_INVALID_ARG_VALUE', name, expected, `one with ${demand}`);
}
