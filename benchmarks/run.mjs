// `npm run bench`: offloop and what it is compared with, in alternating runs on this machine.
// oxlint-disable no-await-in-loop -- runs must not overlap
import { writeFileSync } from 'node:fs';
import { axes, failuresOf, sharesOf } from './axes.mjs';
import { buildLoadProgram, makeCertificates } from './load-program.mjs';
import { describeMachine } from './machine.mjs';
import { choice, choices, number, optionsOrExit, path } from './options.mjs';
import { axisText, heading } from './report.mjs';
import { compareInScratch } from './scratch.mjs';
import { comparison, summary } from './statistics.mjs';
import { targetNames } from './servers/targets.mjs';

const table = {
  axes: {
    type: choices(axes.map(({ name }) => name)),
    default: axes.filter(({ onDemand }) => !onDemand).map(({ name }) => name),
    help: 'what to compare',
  },
  runs: { type: number(1, 99, { integer: true }), default: 5, help: 'runs of each target' },
  seconds: { type: number(0.2, 600), default: 3, help: 'seconds measured in a run' },
  target: { type: choice(targetNames), default: 'offloop', help: 'the first target' },
  against: { type: choice(targetNames), default: 'node', help: 'the second target' },
  node: { type: path(), default: process.execPath, help: "the servers' Node binary" },
  json: { type: path(), help: 'file for all figures of all runs' },
};

const options = optionsOrExit('npm run bench -- [options]', table);
await compareInScratch(compareAll);

async function compareAll(scratch) {
  const report = {
    command: ['node', 'benchmarks/run.mjs', ...process.argv.slice(2)].join(' '),
    machine: describeMachine(options.node),
    options,
    axes: [],
  };
  const program = await buildLoadProgram();
  process.stdout.write(`${heading(report)}\n`);
  const certificates = {};
  for (const axis of axes.filter(({ name }) => options.axes.includes(name))) {
    certificates[axis.key] ??= await makeCertificates(program, axis.key, scratch);
    const result = await compare(axis, { program, certificates: certificates[axis.key] });
    process.stdout.write(`${axisText({ axis, ...result })}\n`);
    const { name, title, connections } = axis;
    report.axes.push({ name, title, connections, ...result });
    // After each axis: a run that is stopped keeps what it has.
    if (options.json) writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
  }
}

/** Runs the targets in turn, so that what the machine does meanwhile falls on both. */
async function compare(axis, common) {
  const targets = [options.target, options.against];
  const samples = Object.fromEntries(targets.map((target) => [target, []]));
  for (let run = 1; run <= options.runs; run++) {
    for (const target of targets) {
      process.stderr.write(`${axis.name}: run ${run} of ${options.runs}, ${target}\n`);
      const lane = { ...common, target, service: axis.service, node: options.node };
      samples[target].push(await axis.measure(lane, { seconds: options.seconds }));
    }
  }
  return { targets, ...evaluate(axis, targets, samples), samples };
}

function evaluate(axis, targets, samples) {
  const figures = axis.figures.map(({ name, unit, better, of }) => {
    const values = targets.map((target) => samples[target].map(of));
    return {
      name,
      unit,
      better,
      targets: Object.fromEntries(targets.map((target, i) => [target, summary(values[i])])),
      values: Object.fromEntries(targets.map((target, i) => [target, values[i]])),
      comparison: comparison(...values),
    };
  });
  const shares = Object.fromEntries(
    targets.map((target) => {
      const rows = samples[target].map(sharesOf).filter(Boolean);
      if (rows.length === 0) return [target, null];
      return [
        target,
        {
          client: summary(rows.map(({ client }) => client)),
          others: summary(rows.map(({ others }) => others)),
        },
      ];
    }),
  );
  const failures = targets.flatMap((target) =>
    samples[target]
      .map(failuresOf)
      .filter(Boolean)
      .map((failure) => `${target}: ${failure}`),
  );
  return { figures, shares, failures };
}
