// `npm run bench:proxy`: offloop proxy and others before the same backend, in alternating runs.
// oxlint-disable no-await-in-loop -- runs must not overlap
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { buildLoadProgram, Load, makeCertificates } from '../load-program.mjs';
import { describeMachine } from '../machine.mjs';
import { choices, number, optionsOrExit, path } from '../options.mjs';
import { compareInScratch } from '../scratch.mjs';
import { summary } from '../statistics.mjs';
import { axes } from './axes.mjs';
import { installed, start, targetNames, versions } from './targets.mjs';

const here = installed();
const options = optionsOrExit('npm run bench:proxy -- [options]', {
  axes: {
    type: choices(axes.map(({ name }) => name)),
    default: axes.map(({ name }) => name),
    help: 'what to compare',
  },
  targets: { type: choices(targetNames), default: here, help: 'the proxies, offloop first' },
  runs: { type: number(1, 99, { integer: true }), default: 5, help: 'runs of each' },
  seconds: { type: number(0.2, 600), default: 3, help: 'seconds measured in a run' },
  json: { type: path(), help: 'file for all figures of all runs' },
});

await compareInScratch(compareAll);

async function compareAll(scratch) {
  const missing = options.targets.filter((name) => !here.includes(name));
  if (missing.length > 0) {
    const how = "nginx with its stream module (Debian's libnginx-mod-stream) and haproxy";
    throw new Error(`not installed: ${missing.join(', ')}; what can be compared with is ${how}`);
  }
  const program = await buildLoadProgram();
  const machine = describeMachine(process.execPath);
  const { nginx = 'absent', haproxy = 'absent' } = versions();
  print(`offloop ${machine.offloop}, nginx ${nginx}, haproxy ${haproxy}, node ${machine.node}`);
  print(`${machine.cores} x ${machine.cpu}, ${machine.system}, ${machine.date}`);
  const report = { machine, versions: versions(), options, axes: [] };
  const backend = await startBackend(program);
  for (const axis of axes.filter(({ name }) => options.axes.includes(name))) {
    const folder = await makeCertificates(program, axis.key, scratch);
    const samples = await compare(axis, { program, backend: backend.port, folder, scratch });
    print(text(axis, samples));
    report.axes.push({ name: axis.name, title: axis.title, unit: axis.unit, samples });
    if (options.json) writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
  }
  backend.stop();
}

/** Runs the targets in turn, so that what the machine does meanwhile falls on all. */
async function compare(axis, { program, backend, folder, scratch }) {
  const samples = Object.fromEntries(options.targets.map((name) => [name, []]));
  const certificates = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
  for (let run = 1; run <= options.runs; run++) {
    for (const name of options.targets) {
      process.stderr.write(`${axis.name}: run ${run} of ${options.runs}, ${name}\n`);
      const port = await freePort();
      const proxy = await start(name, { folder: scratch, port, backend, certificates });
      try {
        const address = ['--port', String(port), '--cert', certificates.cert];
        samples[name].push(await axis.measure({ program, address, proxy }, options.seconds));
      } finally {
        await proxy.stop();
      }
    }
  }
  return samples;
}

function text({ name, title, unit, better }, samples) {
  const values = Object.entries(samples).map(([target, runs]) => [
    target,
    runs.map(({ value }) => value),
  ]);
  const [[, ours]] = values;
  const lines = values.map(([target, theirs]) => {
    const { median, min, max } = summary(theirs);
    const figures = `${whole(median)} (${whole(min)}..${whole(max)}) ${unit}`;
    const failed = samples[target].reduce((sum, run) => sum + run.failed, 0);
    const pairwise = summary(ours.map((value, run) => value / theirs[run]));
    const ratio =
      theirs === ours
        ? ''
        : `offloop is ${(summary(ours).median / median).toFixed(2)} of it, pairwise ${pairwise.median.toFixed(2)} (${pairwise.min.toFixed(2)}..${pairwise.max.toFixed(2)})`;
    const marked = failed > 0 ? ` ! ${failed} failed` : '';
    return `  ${target.padEnd(12)}${figures.padEnd(34)}${ratio}${marked}`.trimEnd();
  });
  return [`${name}: ${title}, ${better}`, ...lines].join('\n');
}

/** Answers HTTP and takes connections, at next to no cost. */
async function startBackend(program) {
  const load = new Load(program, ['answer']);
  const { value } = await load.lines().next();
  return { port: value.port, stop: () => load.stop() };
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

function whole(value) {
  return Math.round(value).toLocaleString('en-US');
}

function print(line) {
  process.stdout.write(`${line}\n`);
}
