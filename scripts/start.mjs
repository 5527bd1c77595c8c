// `npm start`: checks the tools, installs, builds, then shows the same reconnect storm against
// node:tls and against offloop. Runs before anything is installed, so it needs Node alone.
checkNode();
// Later than the check: older versions of Node can't read these files.
const { checkTools, install, npm } = await import('./setup.mjs');
const { optionsOrExit } = await import('../benchmarks/options.mjs');
const { demonstrate, stormOptions } = await import('../benchmarks/demo/storm.mjs');
const { buildLoadProgram } = await import('../benchmarks/load-program.mjs');

const options = optionsOrExit('npm start -- [options]', stormOptions);
const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    // Twice is impatience.
    if (interruption.signal.aborted) process.exit(130);
    interruption.abort(new Error('stopped'));
  });
}
process.stdout.on('error', (error) => process.exit(error.code === 'EPIPE' ? 0 : 1));

try {
  checkTools();
  await step('installing what is missing', () => install(interruption.signal));
  if (options.targets.includes('offloop')) {
    const work = () => npm(['run', '--silent', 'build'], interruption.signal);
    await step('building offloop (some minutes the first time)', work);
  }
  const program = await step('building the load client', () =>
    buildLoadProgram(interruption.signal),
  );
  await demonstrate(options, program, interruption.signal);
} catch (error) {
  if (interruption.signal.aborted) process.exit(130);
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}

async function step(name, work) {
  interruption.signal.throwIfAborted();
  process.stdout.write(`${name} ...\n`);
  const start = performance.now();
  const result = await work();
  interruption.signal.throwIfAborted();
  process.stdout.write(`${name}: done in ${((performance.now() - start) / 1000).toFixed(1)} s\n`);
  return result;
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  process.stderr.write(`Node 20.19 or newer is needed, this is ${process.versions.node}\n`);
  process.exit(1);
}
