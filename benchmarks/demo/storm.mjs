// The demonstration: the same reconnect storm against each target, one after the other.
// oxlint-disable no-await-in-loop -- the lanes must not overlap
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../lane.mjs';
import { makeCertificates } from '../load-program.mjs';
import { choice, choices, number } from '../options.mjs';
import { targetNames } from '../servers/targets.mjs';
import { LiveView } from './live-view.mjs';
import { comparisonTable } from './table.mjs';

export const stormOptions = {
  seconds: { type: number(1, 60), default: 10, help: 'seconds of storm in each lane' },
  calm: { type: number(1, 60), default: 3, help: 'seconds before it, for comparison' },
  clients: {
    type: number(1, 10_000, { integer: true }),
    default: 200,
    help: 'established connections, each always with a message on its way',
  },
  rate: {
    type: number(0, 5000, { integer: true }),
    default: 160,
    help: 'new connections a second in the storm',
  },
  key: {
    type: choice(['rsa2048', 'rsa3072', 'rsa4096', 'p256', 'p384', 'ed25519']),
    default: 'rsa2048',
    help: "kind of the server's key",
  },
  targets: { type: choices(targetNames), default: ['node', 'offloop'], help: 'the lanes' },
};

/**
 * Runs the storm in each lane, shows it live and prints the table.
 * @param {object} options values of `stormOptions`
 * @param {string} program path of offloop-load
 * @param {AbortSignal} signal ends it early; the promise then rejects with its reason
 */
export async function demonstrate(options, program, signal) {
  const scratch = mkdtempSync(join(tmpdir(), 'offloop-demo-'));
  process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
  const certificates = await makeCertificates(program, options.key, scratch);
  const view = new LiveView(process.stdout, options);
  const results = [];
  try {
    for (const target of options.targets) {
      const lane = { target, service: 'echo', certificates, program };
      view.begin(target);
      const result = await run(lane, stormArguments(options), {
        onTick: (line, spent) => view.tick(line, spent),
        signal,
      });
      results.push({ target, ...result });
    }
  } finally {
    view.end();
  }
  process.stdout.write(`\n${comparisonTable(results, options)}`);
}

function stormArguments({ seconds, calm, clients, rate }) {
  const values = { seconds, 'calm-seconds': calm, clients, rate, size: 64 };
  return ['storm', ...Object.entries(values).flatMap(([name, value]) => [`--${name}`, `${value}`])];
}
