import type tls from 'node:tls';
import { type AlertName, alerts } from './alerts.js';
import { contextOf } from './context-of.js';
import { failure, received } from './errors.js';
import type { NativeHello } from './native.js';
import type { SecureContext } from './secure-context.js';
import type { TlsSocket } from './tls-socket.js';

/** The facts of a ClientHello: IANA's numbers in the client's order, GREASE included. */
export type ClientHello = NativeHello;

/** How a ClientHello is answered: not at all, with this alert, or with another context. */
export type ClientHelloDecision =
  | { reject: AlertName }
  | { context: SecureContext | tls.SecureContext };

/** Decides about a client before any cryptography is done for it; nothing means: go on as usual. */
export type ClientHelloCallback = (
  this: TlsSocket,
  hello: ClientHello,
  socket: TlsSocket,
) => Answer | PromiseLike<Answer>;

// oxlint-disable-next-line typescript/no-invalid-void-type -- a callback that returns nothing
type Answer = ClientHelloDecision | void | null;

/** What the program decided. */
export interface Verdict {
  /** The number of an alert. */
  reject?: number;
  context?: SecureContext;
}

/** @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, and as a context does */
export function verdictOf(decision: unknown): Verdict {
  if (decision == null) return {};
  if (typeof decision !== 'object') {
    const expected = 'nothing, { reject } or { context }';
    throw failure('ERR_INVALID_ARG_TYPE', NAME, expected, received(decision));
  }
  const { reject, context } = decision as { reject?: unknown; context?: unknown };
  if (reject !== undefined) return { reject: alertNumber(reject) };
  if (context !== undefined) return { context: contextOf(context, `${NAME}.context`) };
  const expected = 'nothing, { reject } or { context }';
  throw failure('ERR_INVALID_ARG_VALUE', NAME, expected, 'an object without either');
}

const NAME = 'answer of clientHello';

function alertNumber(name: unknown): number {
  if (typeof name === 'string' && Object.hasOwn(alerts, name)) return alerts[name as AlertName];
  const expected = `one of ${Object.keys(alerts).join(', ')}`;
  throw failure('ERR_INVALID_ARG_VALUE', `${NAME}.reject`, expected, received(name));
}
