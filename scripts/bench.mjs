// `npm run bench`: installs and builds what is missing, then runs the comparison.
import { buildOrExit } from './setup.mjs';

await buildOrExit();
await import('../benchmarks/run.mjs');
