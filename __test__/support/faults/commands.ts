/** Programs of the machine that a test needs. */
import { execFile, spawnSync } from 'node:child_process';

import { it } from 'vitest';

/** A test that needs `command`: without it skipped, and said so; in CI it fails. */
export function commandIt(command: string, name: string, test: () => unknown): void {
  const here = has(command);
  if (!here && !process.env.CI) {
    console.warn(`SKIPPED, since this machine has no ${command}: ${name}`);
    it.skip(`${name} (no ${command})`, () => {});
    return;
  }
  it(name, async () => {
    if (!here) throw new Error(`${command} is missing, and CI is set: install it`);
    await test();
  });
}

const found = new Map<string, boolean>();

export function has(command: string): boolean {
  let known = found.get(command);
  if (known === undefined) {
    known = spawnSync('sh', ['-c', `command -v "$1"`, 'sh', command]).status === 0;
    found.set(command, known);
  }
  return known;
}

export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
  /** Both, for what a program says on either. */
  output: string;
}

/** Runs a program to its end, its stdin being `input`; killed after 20 s. */
export function run(command: string, args: readonly string[], input = ''): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile(
      command,
      args,
      { timeout: 20_000, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : Number(error.code ?? -1);
        resolve({ code, stdout, stderr, output: stdout + stderr });
      },
    );
    child.stdin!.on('error', () => {});
    child.stdin!.end(input);
  });
}
