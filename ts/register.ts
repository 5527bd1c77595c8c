/**
 * `node --require offloop/register app.js`, or `--import`: the TLS servers that a program and its
 * dependencies make through node:tls, node:https and node:http2 are offloop's. A server that needs
 * what the core can't do stays Node's own, with a warning. `OFFLOOP_DISABLE=1` turns it off.
 */
import https from 'node:https';
import http2 from 'node:http2';
import { syncBuiltinESMExports } from 'node:module';
import tls from 'node:tls';
import { replacements } from './modules.js';
import { tolerateOldVersions } from './node-context.js';

if (process.env.OFFLOOP_DISABLE !== '1') {
  tolerateOldVersions();
  const ours = replacements(true);
  Object.assign(tls, ours.tls);
  Object.assign(https, ours.https);
  Object.assign(http2, ours.http2);
  syncBuiltinESMExports();
}
