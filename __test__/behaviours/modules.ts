/** What the rows are run with. Loaded by `require`, as programs do that offloop is registered for. */
import http2 from 'node:http2';
import https from 'node:https';
import { createRequire } from 'node:module';
import tls from 'node:tls';

import type { Modules } from './row.js';

const load = createRequire(import.meta.url);

export const nodes: Modules = {
  names: { tls: 'node:tls', https: 'node:https', http2: 'node:http2' },
  tls,
  https,
  http2,
};

export const ours: Modules = {
  names: { tls: 'offloop/tls', https: 'offloop/https', http2: 'offloop/http2' },
  tls: load('offloop/tls'),
  https: load('offloop/https'),
  http2: load('offloop/http2'),
};
