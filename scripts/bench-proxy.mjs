// `npm run bench:proxy`: installs and builds what is missing, then runs the comparison of proxies.
import { buildOrExit } from './setup.mjs';

await buildOrExit();
await import('../benchmarks/proxies/run.mjs');
