// What the terminal shows while the storm runs: redrawn in place on a terminal, a line a second
// elsewhere.

const bars = '▁▂▃▄▅▆▇█';
const titles = { node: 'node:tls', offloop: 'offloop', plain: 'plain TCP' };

export const titleOf = (target) => titles[target];

export class LiveView {
  #out;
  #options;
  #lanes = [];
  #drawn = 0;

  constructor(out, options) {
    this.#out = out;
    this.#options = options;
  }

  begin(target) {
    this.#lanes.push({ title: titleOf(target), ticks: [] });
    if (this.#out.isTTY) this.#redraw();
  }

  /** One line of the client, and what the server spent in this phase so far. */
  tick(line, spent) {
    const lane = this.#lanes.at(-1);
    lane.ticks.push({ ...line, delay: spent.delayP99, cpu: spent.cpuShare });
    if (this.#out.isTTY) this.#redraw();
    else this.#out.write(`${plainLine(lane)}\n`);
  }

  end() {
    if (this.#out.isTTY && this.#drawn > 0) this.#redraw();
  }

  #redraw() {
    const width = this.#out.columns || 80;
    const most = Math.max(
      1,
      ...this.#lanes.flatMap(({ ticks }) => ticks.map((tick) => tick.messages_per_second)),
    );
    const { clients, rate, key } = this.#options;
    const lines = [
      `${clients} busy connections; in the storm ${rate} new ${key} connections a second`,
      ...this.#lanes.flatMap((lane) => laneLines(lane, most, this.#total())),
    ];
    // Wrapped lines would put the next redraw in the wrong place.
    const text = lines.map((line) => `\x1b[2K${[...line].slice(0, width - 1).join('')}\n`).join('');
    const up = this.#drawn > 0 ? `\x1b[${this.#drawn}A` : '';
    this.#out.write(up + text);
    this.#drawn = lines.length;
  }

  #total() {
    return Math.ceil(this.#options.calm) + Math.ceil(this.#options.seconds);
  }
}

function laneLines({ title, ticks }, most, total) {
  const last = ticks.at(-1);
  if (!last) return ['', `${title.padEnd(10)} starting`, '', '', ''];
  const chart = ticks.map(({ messages_per_second: rate }) => {
    return bars[Math.min(bars.length - 1, Math.floor((rate / most) * bars.length))];
  });
  const waiting = last.arrived - last.served - last.timed_out - last.refused;
  return [
    '',
    `${title.padEnd(10)} ${last.phase.padEnd(6)} second ${ticks.length} of ${total}`,
    `  established  ${count(last.messages_per_second).padStart(8)} messages/s   p99 ${ms(last.p99_us)}   ${chart.join('')}`,
    `  new          ${count(last.served).padStart(8)} served of ${count(last.arrived)}, ${count(waiting)} waiting, ${count(last.timed_out + last.refused)} timed out or refused`,
    `  server       event-loop delay p99 ${last.delay.toFixed(0)} ms, CPU ${last.cpu.toFixed(2)} cores`,
  ];
}

function plainLine({ title, ticks }) {
  const last = ticks.at(-1);
  return [
    `${title.padEnd(9)} ${last.phase.padEnd(5)} ${String(ticks.length).padStart(2)} s`,
    `${count(last.messages_per_second).padStart(8)} messages/s`,
    `p99 ${ms(last.p99_us)}`,
    `new: ${last.served} served of ${last.arrived}, ${last.timed_out + last.refused} timed out or refused`,
    `event-loop delay p99 ${last.delay.toFixed(0)} ms`,
  ].join('   ');
}

const count = (value) => Math.round(value).toLocaleString('en-US');
const ms = (microseconds) =>
  `${microseconds === null ? 'none' : (microseconds / 1000).toFixed(1)} ms`.padStart(9);
