// `npm run bench:proxy`: installs and builds what is missing, then runs the comparison of proxies.
import { checkTools, install, npm } from './setup.mjs';

try {
  checkTools();
  await install();
  await npm(['run', '--silent', 'build']);
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}
await import('../benchmarks/proxies/run.mjs');
