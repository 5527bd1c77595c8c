/** The table, by topic. */
import { alpn } from './alpn.js';
import { callbacksMisbehave } from './callbacks-misbehave.js';
import { clientCertificates } from './client-certificates.js';
import { contexts } from './contexts.js';
import { http1 } from './http1.js';
import { http2 } from './http2.js';
import { keylogTrace } from './keylog-trace.js';
import { limits } from './limits.js';
import { listen } from './listen.js';
import { ocsp } from './ocsp.js';
import { options } from './options.js';
import type { Row } from './row.js';
import { serverEvents } from './server-events.js';
import { sessions } from './sessions.js';
import { sni } from './sni.js';
import { socketEvents } from './socket-events.js';
import { socketMethods } from './socket-methods.js';
import { starttls } from './starttls.js';

export const table: Record<string, Row[]> = {
  contexts,
  sni,
  alpn,
  'client certificates': clientCertificates,
  sessions,
  ocsp,
  'callbacks that misbehave': callbacksMisbehave,
  'methods of sockets': socketMethods,
  'events of sockets': socketEvents,
  'events of servers': serverEvents,
  limits,
  listen,
  options,
  'HTTP/1': http1,
  'HTTP/2': http2,
  'keylog and trace': keylogTrace,
  starttls,
};
