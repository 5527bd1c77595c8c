/** Runs a row of the table. */
import type { Material } from './material.js';
import type { Modules, Row } from './row.js';
import { Stage } from './stage.js';

export async function perform(
  row: Row,
  modules: Modules,
  certificates: Material,
): Promise<{ transcript: unknown; served: unknown[] }> {
  await using stage = new Stage(certificates);
  const transcript = snapshot(await row.run(modules, stage));
  return { transcript, served: [...stage.served] };
}

/** What is noted while the row's connections are closed is none of its transcript. */
function snapshot(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(snapshot);
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return value;
  if (value instanceof Set) return new Set(value);
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, snapshot(item)]));
}
