// The plots of docs/performance.md, as SVG.
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';

const titles = { offloop: 'offloop', node: 'node:tls', plain: 'plain TCP' };
const colors = { offloop: '#0b7a75', node: '#c2410c', plain: '#64748b' };
const WIDTH = 720;

/** The storm by seconds: what the busy connections and the new ones get. */
export function stormPlot({ title, targets, samples }) {
  const ticks = targets.flatMap((target) =>
    samples[target].flatMap((sample, run) =>
      sample.ticks.map((tick, index) => ({ ...tick, target, run, second: index + 1 })),
    ),
  );
  const calm = Math.max(...ticks.filter(({ phase }) => phase === 'calm').map((t) => t.second));
  const seconds = Math.max(...ticks.map(({ second }) => second));
  const panel = (y, label) =>
    chart({
      title: label,
      x: {
        label: 'seconds, the storm begins at the broken line',
        domain: [1, seconds],
        ticks: seconds,
      },
      marks: [
        Plot.ruleX([calm + 0.5], { stroke: '#94a3b8', strokeDasharray: '4' }),
        Plot.line(ticks, { x: 'second', y, z: (t) => `${t.target} ${t.run}`, ...thin }),
        Plot.line(ticks, Plot.groupX({ y: 'median' }, { x: 'second', y, ...thick })),
      ],
    });
  return stacked({ title, targets }, [
    panel('messages_per_second', 'messages a second on the busy connections'),
    panel((tick) => tick.p99_us / 1000, 'their p99, in ms'),
    panel('served', 'new connections served so far'),
  ]);
}

/** Within which time which share of the answers came: every run, by the distance from the median. */
export function distributionPlot({ title, targets, samples }, of) {
  const points = targets.flatMap((target) =>
    samples[target].flatMap((sample, run) =>
      of(sample)
        .filter(([share]) => share < 1)
        .map(([share, us]) => ({ target, run, beyond: 1 / (1 - share), ms: us / 1000 })),
    ),
  );
  return stacked({ title, targets }, [
    chart({
      title: 'ms within which so many of the answers came',
      x: {
        type: 'log',
        label: null,
        ticks: [1, 2, 10, 100, 1000, 10_000],
        tickFormat: (beyond) => `${100 - 100 / beyond} %`,
      },
      y: { type: 'log', tickFormat: '~f', ticks: 5 },
      zero: false,
      marks: [
        Plot.line(points, { x: 'beyond', y: 'ms', z: (p) => `${p.target} ${p.run}`, ...thin }),
      ],
    }),
  ]);
}

/** Figures by number of connections: the median of the runs, and each run as a dot. */
export function scalePlot(axes, title) {
  const panels = axes[0].figures.map(({ name, unit }, index) => {
    const runs = axes.flatMap(({ connections, targets, figures }) =>
      targets.flatMap((target) =>
        figures[index].values[target].map((value) => ({ connections, target, value })),
      ),
    );
    return chart({
      title: `${name}, ${unit}`,
      x: {
        type: 'log',
        label: 'connections',
        ticks: axes.map(({ connections }) => connections),
        tickFormat: ',d',
      },
      marks: [
        Plot.line(runs, Plot.groupX({ y: 'median' }, { x: 'connections', y: 'value', ...thick })),
        Plot.dot(runs, { x: 'connections', y: 'value', fill: 'target', r: 2.5 }),
      ],
    });
  });
  return stacked({ title, targets: axes[0].targets }, panels);
}

/** Every pair of neighbouring runs as a dot: how much better the first target did than the second. */
export function ratioPlot(axes) {
  const dots = axes.flatMap(({ name: axis, targets: [ours, theirs], figures }) =>
    figures.map(({ name, better, values }) => ({
      row: `${axis}: ${name}`,
      ratios: values[ours].map((value, run) =>
        better.startsWith('higher') ? value / values[theirs][run] : values[theirs][run] / value,
      ),
    })),
  );
  const flat = dots.flatMap(({ row, ratios }) => ratios.map((ratio) => ({ row, ratio })));
  const least = 0.9 * Math.min(...flat.map(({ ratio }) => ratio));
  const most = 1.1 * Math.max(...flat.map(({ ratio }) => ratio));
  return stacked({ title: 'How many times better offloop did than node:tls, run by run' }, [
    chart({
      height: 40 + 22 * dots.length,
      marginLeft: 270,
      x: {
        type: 'log',
        label: null,
        domain: [least, most],
        ticks: [0.5, 1, 2, 5, 10, 20].filter((tick) => tick > least && tick < most),
        tickFormat: (x) => `${x}x`,
      },
      y: { label: null, domain: dots.map(({ row }) => row) },
      zero: false,
      marks: [
        Plot.ruleX([1], { stroke: '#94a3b8' }),
        Plot.dot(flat, { x: 'ratio', y: 'row', fill: colors.offloop, fillOpacity: 0.6, r: 4 }),
      ],
    }),
  ]);
}

const thin = { stroke: 'target', strokeOpacity: 0.4 };
const thick = { stroke: 'target', strokeWidth: 2 };

function chart({ title, marks, zero = true, y = {}, ...options }) {
  const { document } = parseHTML('<html></html>');
  const svg = Plot.plot({
    document,
    width: WIDTH,
    height: 190,
    marginLeft: 60,
    marginRight: 24,
    marginTop: 30,
    color: { domain: Object.keys(colors), range: Object.values(colors) },
    ...options,
    y: { grid: true, label: null, zero, ...y },
    marks,
  });
  return { title, svg, height: Number(svg.getAttribute('height')) };
}

/** One picture of several charts below each other. */
function stacked({ title, targets = [] }, charts) {
  const parts = targets.map(
    (target, i) =>
      `<text x="${WIDTH - 12 - 70 * (targets.length - 1 - i)}" y="22" text-anchor="end" font-weight="600" fill="${colors[target]}">${titles[target]}</text>`,
  );
  let top = 34;
  for (const { title: name, svg, height } of charts) {
    svg.setAttribute('y', String(top));
    svg.querySelector('style')?.remove();
    parts.push(svg.outerHTML);
    if (name !== undefined) {
      parts.push(`<text x="8" y="${top + 14}" fill="#334155">${escaped(name)}</text>`);
    }
    top += height + 12;
  }
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${top}" width="${WIDTH}" height="${top}" font-family="system-ui, sans-serif" font-size="11">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="100%" height="100%" fill="white"/>`,
    `<text x="8" y="22" font-size="14" font-weight="600">${escaped(title)}</text>`,
    ...parts,
    '</svg>',
  ].join('\n')}\n`;
}

const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
