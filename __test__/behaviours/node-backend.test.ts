/** The table of behaviours where there is no core: every row is as with Node's own modules. */
import { backend } from 'offloop';
import { beforeAll, describe, expect, test, vi } from 'vitest';

import { type Material, material } from './material.js';
import { nodes, ours } from './modules.js';
import { perform } from './perform.js';
import type { Row } from './row.js';
import { table } from './table.js';

// Before anything loads offloop; programs of their own inherit it.
vi.hoisted(() => {
  process.env.OFFLOOP_DISABLE = '1';
  // Rows look at stderr; another test looks for the warning.
  process.env.NODE_NO_WARNINGS = '1';
});

let certificates: Material;

beforeAll(async () => {
  certificates = await material();
  expect(backend).toBe('node');
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
