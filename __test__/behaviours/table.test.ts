/**
 * The table of behaviours: each row is one program, run with Node's modules and with offloop's in
 * their place. Both transcripts must be the same, and the second server really offloop's.
 */
import http2 from 'node:http2';
import https from 'node:https';
import { createRequire } from 'node:module';
import tls from 'node:tls';

import { TlsSocket } from 'offloop';
import { beforeAll, describe, expect, test } from 'vitest';

import { type Material, material } from './material.js';
import { perform } from './perform.js';
import type { Modules, Row } from './row.js';
import { table } from './table.js';

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
});

/** A row takes less than two seconds; one that is stuck must not hold up the others. */
const deadline = 30_000;

for (const [topic, rows] of Object.entries(table)) {
  describe(topic, () => {
    for (const row of rows) test(row.name, () => compare(row), deadline);
  });
}

async function compare(row: Row): Promise<void> {
  const node = await perform(row, nodes, certificates);
  expect(node.transcript).toBeDefined();
  if (row.expect !== undefined) expect(node.transcript).toStrictEqual(row.expect);
  expect(node.served.filter(isOurs)).toHaveLength(0);

  const offloop = await perform(row, ours, certificates);
  const expected = row.different === undefined ? node.transcript : row.different.ours;
  expect(offloop.transcript).toStrictEqual(expected);
  expect(offloop.served.filter((end) => !isOurs(end))).toHaveLength(0);
  const unserved = row.different?.unserved ?? row.unserved ?? false;
  expect(offloop.served.length === 0).toBe(unserved);
}

function isOurs(end: unknown): boolean {
  return end instanceof TlsSocket || end === 'offloop';
}
