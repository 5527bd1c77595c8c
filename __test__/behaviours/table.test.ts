/**
 * The table of behaviours: each row is one program, run with Node's modules and with offloop's in
 * their place. Both transcripts must be the same, and the second server really offloop's.
 */
import { TlsSocket } from 'offloop';
import { beforeAll, describe, expect, test } from 'vitest';

import { type Material, material } from './material.js';
import { nodes, ours } from './modules.js';
import { perform } from './perform.js';
import type { Row } from './row.js';
import { table } from './table.js';

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
