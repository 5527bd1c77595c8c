/** Ten times the handshakes that can be done, by a client that is no Node program, so that it has the time. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { buildLoadProgram, Load } from '../../benchmarks/load-program.mjs';
import { Authority } from '../support/certificates.js';
import { sameFootprint, Served } from '../support/faults/served.js';
import { say } from '../support/scale.js';

const MIB = 1024 * 1024;

/** What offloop-load says at the end of `overload`. */
interface Overload {
  calm: { messages_per_second: number };
  capacity_per_second: number;
  overload: { messages_per_second: number; failed: number; p99_us: number };
  newcomers: { served: number; served_per_second: number; refused: number };
  recovery_ms: number | null;
}

test('RSA-4096 by the thousand: who is busy goes on, others are served as far as it goes, each shed is counted', async () => {
  const program = await buildLoadProgram();
  const { key, cert } = await (await Authority.create()).issue({ key: 'rsa4096' });
  const folder = mkdtempSync(join(tmpdir(), 'offloop-overload-'));
  try {
    const pem = join(folder, 'cert.pem');
    writeFileSync(pem, cert);
    await using served = await Served.start({ options: { key, cert } });
    const attack = async (seconds: number): Promise<Overload> => {
      const args = ['overload', `--port=${served.port}`, `--cert=${pem}`, '--sources=8'];
      return new Load(program, [...args, '--calm-seconds=2', `--seconds=${seconds}`]).finished();
    };
    // What is allocated once.
    await attack(3);
    const before = await served.footprint();
    const sheds = await shedsOf(served);
    let peak = 0;
    const sampling = setInterval(() => (peak = Math.max(peak, served.rss())), 20);
    const end = await attack(20);
    clearInterval(sampling);

    const { calm, overload, newcomers } = end;
    const kept = overload.messages_per_second / calm.messages_per_second;
    const goodput = newcomers.served_per_second / end.capacity_per_second;
    say(
      `overload: ${percent(goodput)} of ${end.capacity_per_second}/s served, busy ones keep ` +
        `${percent(kept)}, p99 ${(overload.p99_us / 1000).toFixed(0)} ms, recovery ` +
        `${end.recovery_ms} ms, at most ${((peak - before.rss) / MIB).toFixed(0)} MiB more`,
    );
    expect(overload.failed).toBe(0);
    // How much it is the benchmark tells: on a busy machine these are bounds of what is broken.
    expect(kept).toBeGreaterThan(0.2);
    expect(goodput).toBeGreaterThan(0.2);
    expect(end.recovery_ms).toBeLessThan(2000);
    expect(newcomers.refused).toBeGreaterThan(newcomers.served);
    expect((await shedsOf(served)) - sheds).toBeGreaterThanOrEqual(newcomers.refused);
    // As many as may be in their handshakes.
    expect(peak - before.rss).toBeLessThan(16_384 * 16 * 1024);
    await served.serves();
    await sameFootprint(served, before, 32 * MIB);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

async function shedsOf(served: Served): Promise<number> {
  const { sheds } = await served.stats();
  return Object.values(sheds).reduce((sum, count) => sum + count, 0);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}
