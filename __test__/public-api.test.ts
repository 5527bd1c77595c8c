/** The public API: what it is, and that each item of it has a text. */
import { readFileSync } from 'node:fs';
import path from 'node:path';

import { beforeAll, expect, it } from 'vitest';

import { publicApi } from '../scripts/api.mjs';
import { PACKAGE } from './support/faults/child.js';

let api: ReturnType<typeof publicApi>;
beforeAll(() => {
  api = publicApi();
}, 120_000);

it('is what etc/offloop.api.md says: `npm run api` writes a change of it, for the review', () => {
  const file = path.join(PACKAGE, 'etc/offloop.api.md');
  expect(api.report).toBe(readFileSync(file, 'utf8'));
});

it('has the text of each item', () => {
  expect(api.silent).toEqual([]);
});

it('is all that its types tell: nothing of the inside', () => {
  expect(api.types).toContain('export declare function acceptTls(');
  expect(api.types).toContain('handshakesPerPeer: Option<');
  expect(api.types).not.toMatch(/\bclass (?!TlsSocket|SocketBase|SecureContext|Proxy)/);
});
