/** The table of behaviours where there is no core: every row is as with Node's own modules. */
import http2 from 'node:http2';
import https from 'node:https';
import { createRequire } from 'node:module';
import tls from 'node:tls';

import { beforeAll, describe, expect, test, vi } from 'vitest';

import { type Material, material } from './material.js';
import { perform } from './perform.js';
import type { Modules, Row } from './row.js';
import { table } from './table.js';

// Before anything loads offloop; programs of their own inherit it.
vi.hoisted(() => {
  process.env.OFFLOOP_DISABLE = '1';
  // Rows look at stderr; another test looks for the warning.
  process.env.NODE_NO_WARNINGS = '1';
});

const load = createRequire(import.meta.url);
const nodes: Modules = {
  names: { tls: 'node:tls', https: 'node:https', http2: 'node:http2' },
  tls,
  https,
  http2,
};
const ours: Modules = {
  names: { tls: 'offloop/tls', https: 'offloop/https', http2: 'offloop/http2' },
  tls: load('offloop/tls'),
  https: load('offloop/https'),
  http2: load('offloop/http2'),
};

let certificates: Material;

beforeAll(async () => {
  certificates = await material();
  expect((load('offloop') as { backend: string }).backend).toBe('node');
});

for (const [topic, rows] of Object.entries(table)) {
  describe(topic, () => {
    for (const row of rows) test(row.name, () => compare(row), 30_000);
  });
}

async function compare(row: Row): Promise<void> {
  const node = await perform(row, nodes, certificates);
  const offloop = await perform(row, ours, certificates);
  expect(offloop.transcript).toStrictEqual(node.transcript);
  expect(offloop.served.length).toBe(node.served.length);
}
