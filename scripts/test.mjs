// `npm test`: checks the tools, installs, builds, then runs every test: Rust, types, vitest
// against the built package. What is given behind `--` goes to vitest.
import { checkTools, install, npm, root, run } from './setup.mjs';

const vitest = process.argv.slice(2);
const steps = [
  ['installing what is missing', () => install()],
  // Other versions of Node, Bun and Deno: the tests run what is built under each.
  ['installing the runtimes', () => install(undefined, '__test__/clients/runtimes')],
  ['building offloop', () => npm(['run', '--silent', 'build'])],
  ['cargo test', () => run('cargo', ['test', '--workspace', '--all-targets', '--locked'])],
  ['cargo test --doc', () => run('cargo', ['test', '--workspace', '--doc', '--locked'])],
  ['types', () => npm(['run', '--silent', 'types'])],
  ['vitest', () => run(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', ...vitest])],
];

try {
  process.chdir(root);
  checkTools();
  for (const [name, work] of steps) {
    const start = performance.now();
    process.stdout.write(`== ${name}\n`);
    await work();
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    process.stdout.write(`== ${name}: done in ${seconds} s\n`);
  }
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}
