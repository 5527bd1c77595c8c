/** The command line as users run it: the built `dist/cli.js`, a process of its own. */
import { execFile } from 'node:child_process';
import path from 'node:path';

import { expect } from 'vitest';

import type { Ended } from './faults/commands.js';
import { PACKAGE } from './faults/child.js';

export const CLI = path.join(PACKAGE, 'dist/cli.js');

export interface CliOptions {
  readonly cwd?: string;
  /** Beside the environment of the test; undefined takes one out. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Another copy of the package. */
  readonly root?: string;
  /** Runs as another user, if this one may do that. */
  readonly uid?: number;
}

/** Runs `offloop` to its end; killed after 20 s. */
export function offloop(args: readonly string[], options: CliOptions = {}): Promise<Ended> {
  const { env, root = PACKAGE, ...rest } = options;
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [path.join(root, 'dist/cli.js'), ...args],
      { ...rest, env: { ...process.env, ...env }, timeout: 20_000 },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : Number(error.code ?? -1);
        resolve({ code, stdout, stderr, output: stdout + stderr });
      },
    );
  });
}

/** It failed as a command should: one line that says what and what to do, no stack, no output. */
export function expectOneLine({ code, stdout, stderr }: Ended, exitCode: number, words: RegExp) {
  expect(stderr).toMatch(words);
  expect(stderr).toMatch(/^offloop[^\n]*: [^\n]+\n$/);
  expect({ code, stdout }).toEqual({ code: exitCode, stdout: '' });
}
