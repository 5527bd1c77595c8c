// The side-by-side table at the end of the demonstration.
import { sharesOf } from '../axes.mjs';
import { titleOf } from './live-view.mjs';

const rows = [
  ['New connections'],
  ['  arrived', ({ load }) => count(load.newcomers.arrived)],
  ['  served', ({ load }) => count(load.newcomers.served)],
  ['  timed out after 5 s', ({ load }) => count(load.newcomers.timed_out)],
  ['  refused', ({ load }) => count(load.newcomers.refused)],
  ['  served a second, in the storm', ({ load }) => load.newcomers.served_per_second.toFixed(1)],
  ['  handshake and echo, p50', ({ load }) => ms(load.newcomers.p50_us)],
  ['  handshake and echo, p99', ({ load }) => ms(load.newcomers.p99_us)],
  ['Established connections'],
  ['  messages a second, before', ({ load }) => count(load.calm.messages_per_second)],
  ['  messages a second, in the storm', ({ load }) => count(load.storm.messages_per_second)],
  ['  kept', ({ load }) => percent(load.storm, load.calm)],
  ['  p50 before', ({ load }) => ms(load.calm.p50_us)],
  ['  p50 in the storm', ({ load }) => ms(load.storm.p50_us)],
  ['  p99 before', ({ load }) => ms(load.calm.p99_us)],
  ['  p99 in the storm', ({ load }) => ms(load.storm.p99_us)],
  ['Server, in the storm'],
  ['  event-loop delay, p99', ({ server }) => `${server.storm.delayP99.toFixed(1)} ms`],
  ['  event loop in use', ({ server }) => `${(100 * server.storm.utilization).toFixed(0)} %`],
  ['  CPU of the main thread', ({ server }) => cores(server.storm.mainThreadShare)],
  ['  CPU of the process', ({ server }) => cores(server.storm.cpuShare)],
  ['Load client'],
  ['  CPU in the storm', ({ load }) => cores(load.storm.client_cpu)],
];

/** The results of all lanes as text. */
export function comparisonTable(results, { clients, rate, key, seconds }) {
  const cells = rows.map(([label, of]) => [label].concat(of ? results.map(of) : []));
  cells.unshift(['', ...results.map(({ target }) => titleOf(target))]);
  const left = Math.max(...cells.map(([label]) => label.length));
  const width = 2 + Math.max(...cells.flatMap(([, ...values]) => values.map((v) => v.length)));
  const lines = cells.map(([label, ...values]) => {
    return (label.padEnd(left) + values.map((value) => value.padStart(width)).join('')).trimEnd();
  });
  const title = `${clients} busy connections, ${rate} new ${key} connections a second for ${seconds} s`;
  return `${[title, '', ...lines, ...remarks(results)].join('\n')}\n`;
}

// What makes figures doubtful.
function remarks(results) {
  return results.flatMap(({ target, load, server }) => {
    const { others } = sharesOf({ load, server });
    const { failed, first_error: first } = load.newcomers;
    const established = load.calm.failed + load.storm.failed;
    return [
      established > 0 &&
        `! ${titleOf(target)} lost ${established} established connections: ${load.storm.first_error ?? load.calm.first_error}`,
      failed > 0 && `! ${titleOf(target)} refused ${failed} new connections: ${first}`,
      load.client_saturated &&
        `! the client was near its limit against ${titleOf(target)}: its figures may be too low`,
      others > 0.15 &&
        `! beside ${titleOf(target)} other processes took ${others.toFixed(2)} cores: close them for fair figures`,
    ].filter(Boolean);
  });
}

const percent = (storm, calm) =>
  `${((100 * storm.messages_per_second) / calm.messages_per_second).toFixed(0)} %`;
const count = (value) => Math.round(value).toLocaleString('en-US');
const ms = (us) => (us === null ? 'none' : `${(us / 1000).toFixed(1)} ms`);
const cores = (share) => (share === null ? 'unknown' : `${share.toFixed(2)} cores`);
