/** cluster: each worker listens as Node's would. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { beforeAll, describe, expect, test } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';

const program = fileURLToPath(new URL('support/cluster-program.mjs', import.meta.url));

let options: Pick<Issued, 'key' | 'cert'>;

beforeAll(async () => {
  const { key, cert } = await (await Authority.create()).issue();
  options = { key, cert };
});

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

function run(settings: object): Promise<Ended> {
  const CLUSTER = JSON.stringify({ options, workers: 2, clients: 12, ...settings });
  const child = spawn(process.execPath, [program], {
    env: { ...process.env, CLUSTER },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 30_000,
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk) => (stdout += chunk));
  child.stderr.on('data', (chunk) => (stderr += chunk));
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })));
}

describe('two workers on one port', () => {
  test('by round robin: in turn, by the core, with each other’s tickets', async () => {
    const { code, stdout, stderr } = await run({ policy: 'SCHED_RR' });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toEqual({
      ports: 1,
      workers: 2,
      kinds: ['core'],
      afterwards: 'ECONNREFUSED',
      reused: true,
      codes: [0, 0],
    });
  });

  test('with a shared handle: whoever is first, by the core, with each other’s tickets', async () => {
    const { code, stdout, stderr } = await run({ policy: 'SCHED_NONE' });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({
      ports: 1,
      kinds: ['core'],
      afterwards: 'ECONNREFUSED',
      reused: true,
      codes: [0, 0],
    });
  });
});

test('exclusive: a port for each worker', async () => {
  const { code, stdout, stderr } = await run({ policy: 'SCHED_RR', exclusive: true, clients: 4 });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(JSON.parse(stdout)).toMatchObject({
    ports: 2,
    workers: 2,
    kinds: ['core'],
    codes: [0, 0],
  });
});
