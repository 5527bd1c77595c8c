// `npm run report`: docs/performance.md and its plots, from the figures of `npm run bench -- --json`.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { axes as known } from './axes.mjs';
import { distributionPlot, ratioPlot, scalePlot, stormPlot } from './plots.mjs';
import { compact } from './report.mjs';

const folder = new URL('../docs/performance/', import.meta.url);
const store = new URL('figures.json', folder);

/** What is measured: axes, each with its command and machine. */
export const stored = () => JSON.parse(readFileSync(store, 'utf8'));

/** The page, and the plots by name. */
export function report(axes) {
  const find = (name) => axes.find((axis) => axis.name === name);
  const scale = axes.filter(({ connections }) => connections !== undefined);
  const single = axes.filter(({ connections }) => connections === undefined);
  const plots = {
    'storm.svg': stormPlot(find('storm')),
    'ratios.svg': ratioPlot(single),
    'echo-latency.svg': distributionPlot(find('echo64'), all),
    'https-latency.svg': distributionPlot(find('http64'), all),
    'quiet-latency.svg': distributionPlot(find('echo1'), all),
    'storm-latency.svg': distributionPlot(find('storm'), ({ load }) => load.storm.distribution_us),
    'scale.svg': scalePlot(scale, 'By number of connections'),
  };
  return { page: page(single, scale), plots };
}

const all = ({ load }) => load.distribution_us;

function page(single, scale) {
  return `# Performance

<!-- Written by \`npm run report\` from performance/figures.json; a test compares it with them. -->

offloop and node:tls on the same machine, in alternating runs, each in a fresh server process, with the
client on the same machine too. [Benchmarks](../benchmarks/README.md) says what the client does and how
to read a result. **No figure is a promise:** your machine, certificate and program decide, so
[measure there](#measure-it-yourself).

## The storm

Busy connections send a message as soon as the last came back. Then new clients come too, each with a full
handshake. A thin line is one run, a thick one the median.

![What busy and new connections get while the storm lasts](performance/storm.svg)

![How long messages of busy connections take in the storm](performance/storm-latency.svg)

## Every figure

Medians, in brackets the lowest and the highest run. The ratio is that of the medians.

${table(single)}

![Ratios of neighbouring runs](performance/ratios.svg)

Below 1, offloop did worse: a single quiet connection pays for a switch of threads, and HTTP/2 is Node's own
work, with an adaptor more.

## How answers are distributed

What the slowest answers take decides how a service feels. One line is one run; to the right are the slow
ones.

![Echo on 64 connections](performance/echo-latency.svg)

![https on 64 connections](performance/https-latency.svg)

![Echo on one quiet connection](performance/quiet-latency.svg)

## By number of connections

Lines are medians, dots are runs. All connections of a column are open at once; first all are busy, then, in
another process, all are idle. The memory of 100 connections is less than what the process itself varies by.

![Messages, event-loop delay and memory by number of connections](performance/scale.svg)

${table(scale)}

## When and how

${methods([...single, ...scale])}

## Measure it yourself

\`\`\`sh
npm run bench -- --axes storm,echo64,http64,echo1 --json figures.json
npm run report -- figures.json
\`\`\`

The second command puts the axes of the file in the place of those of the same name, and writes this page.
`;
}

function table(axes) {
  const rows = axes.flatMap(({ title, targets: [ours, theirs], figures }) =>
    figures.map(({ name, unit, targets, comparison }) => [
      `${title}: ${name}`,
      cell(targets[ours], unit),
      cell(targets[theirs], unit),
      `${comparison.ratio.toFixed(2)}x`,
    ]),
  );
  const head = ['axis', 'offloop', 'node:tls', 'ratio'];
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

function cell({ median, min, max }, unit) {
  const space = unit.startsWith('/') || unit === '' ? '' : ' ';
  return `${compact(median)}${space}${unit} (${compact(min)}-${compact(max)})`;
}

/** One item for each run of the command, with what makes its figures doubtful. */
function methods(axes) {
  const commands = new Map();
  for (const axis of axes) {
    const { machine, command } = axis;
    const where = `${machine.date.slice(0, 10)}, ${machine.cores} cores of ${machine.cpu}, ${machine.system}, Node ${machine.node} with OpenSSL ${machine.openssl}`;
    const key = `${where}: \`${command}\``;
    commands.set(key, [...(commands.get(key) ?? []), ...doubts(axis)]);
  }
  return [...commands]
    .map(([text, notes]) => [`- ${text}`, ...notes.map((note) => `  - ${note}`)].join('\n'))
    .join('\n');
}

function doubts({ name, targets, shares, failures }) {
  return targets
    .filter((target) => shares[target])
    .flatMap((target) => {
      const { client, others } = shares[target];
      return [
        client.max > 0.9 &&
          `${name}: against ${target} the client took up to ${client.max.toFixed(2)} of a core, so the figure may be the client's`,
        others.max > 0.15 &&
          `${name}: beside ${target} other processes took up to ${others.max.toFixed(2)} cores`,
      ].filter(Boolean);
    })
    .concat(failures.map((failure) => `${name}: ${failure}`));
}

/** The axes of a file of `npm run bench -- --json`, each with its command and machine. */
function axesOf(path) {
  const { command, machine, axes } = JSON.parse(readFileSync(path, 'utf8'));
  // Paths of a machine are no part of a report.
  const said = command
    .replace(/ --json \S+/, '')
    .replace('node benchmarks/run.mjs', 'npm run bench --');
  return axes.map((axis) => Object.assign(axis, { command: said, machine }));
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const fresh = argv.slice(2).flatMap(axesOf);
  const kept = argv.length > 2 ? keep(fresh) : stored();
  mkdirSync(folder, { recursive: true });
  writeFileSync(store, `${JSON.stringify(kept)}\n`);
  const { page: text, plots } = report(kept);
  writeFileSync(new URL('../performance.md', folder), text);
  for (const [name, svg] of Object.entries(plots)) writeFileSync(new URL(name, folder), svg);
}

/** What was there, with fresh axes in the place of those of the same name; in the order of axes.mjs. */
function keep(fresh) {
  const names = new Set(fresh.map(({ name }) => name));
  let before = [];
  try {
    before = stored();
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
  const order = known.map(({ name }) => name);
  const place = ({ name, connections }) => connections ?? order.indexOf(name) - order.length;
  return [...before.filter(({ name }) => !names.has(name)), ...fresh].toSorted(
    (a, b) => place(a) - place(b),
  );
}
