// Where a comparison keeps its files while it runs.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Runs `compare` with a folder that is gone with the process; what it throws ends that, in a line. */
export async function compareInScratch(compare) {
  const scratch = mkdtempSync(join(tmpdir(), 'offloop-bench-'));
  process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130));
  try {
    await compare(scratch);
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
}
