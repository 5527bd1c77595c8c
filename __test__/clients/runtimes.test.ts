/** The built package under other runtimes than the tests' own, whose binaries npm carries. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect } from 'vitest';

import { PACKAGE } from '../support/faults/child.js';
import { commandIt, run } from '../support/faults/commands.js';
import { BUN, DENO, OTHER_NODES } from '../support/runtimes.js';
import { Identities } from './identities.js';

/** What each part of the smoke test says, and its handshakes. */
const PARTS = {
  acceptTls: { says: { accepted: ['TLSv1.3'], echo: 'hello' }, handshakes: 1 },
  createServer: { says: { peers: ['alice', true], echo: 'hello' }, handshakes: 1 },
  resumption: { says: [false, true], handshakes: 2 },
  https: { says: [true, true], handshakes: 1 },
  http2: { says: [true, true, true], handshakes: 1 },
};

type Part = keyof typeof PARTS;

interface Runtime {
  readonly name: string;
  /** The binary, and what stands before a program. */
  readonly command: readonly [string, ...string[]];
  readonly parts: readonly Part[];
  /** Its servers stay its own, with a warning: `acceptTls` alone is the core's. */
  readonly fallsBack?: true;
}

const ALL: readonly Part[] = ['acceptTls', 'createServer', 'resumption', 'https', 'http2'];

const RUNTIMES: readonly Runtime[] = [
  { name: "the tests' own", command: [process.execPath], parts: ALL },
  ...OTHER_NODES.map(({ name, binary }): Runtime => ({ name, command: [binary], parts: ALL })),
  { name: 'Bun', command: [BUN], parts: ALL, fallsBack: true },
  {
    name: 'Deno',
    command: [DENO, 'run', '--quiet', '--allow-all'],
    // Its clients don't resume sessions.
    parts: ALL.filter((part) => part !== 'resumption'),
    fallsBack: true,
  },
];

let ids: Identities;
/** A project that has the package in its node_modules. */
let project: string;

beforeAll(async () => {
  ids = await Identities.create();
  project = mkdtempSync(path.join(tmpdir(), 'offloop-runtimes-'));
  mkdirSync(path.join(project, 'node_modules'));
  symlinkSync(PACKAGE, path.join(project, 'node_modules/offloop'));
  writeFileSync(path.join(project, 'package.json'), '{"dependencies":{"offloop":"*"}}');
  copyFileSync(
    path.join(import.meta.dirname, 'programs/smoke.mjs'),
    path.join(project, 'smoke.mjs'),
  );
});
afterAll(() => {
  ids[Symbol.dispose]();
  rmSync(project, { recursive: true });
});

describe.each(RUNTIMES)('under $name', ({ command: [binary, ...before], parts, fallsBack }) => {
  commandIt(binary, 'the built package serves', async () => {
    const args = [...before, path.join(project, 'smoke.mjs'), ...parts];
    const input = { ca: ids.ca, server: ids.options('server'), client: ids.options('client') };
    const { code, stdout, stderr } = await run(binary, args, JSON.stringify(input));
    const warned = expect.stringMatching(/OFFLOOP_FALLBACK|OffloopWarning/) as string;
    expect({ code, stderr }).toEqual({ code: 0, stderr: fallsBack ? warned : '' });
    const handshakes: readonly Part[] = fallsBack ? ['acceptTls'] : parts;
    const lines = stdout.trim().split('\n');
    expect(lines.map((line) => JSON.parse(line) as object)).toEqual([
      ...parts.map((part) => ({ [part]: PARTS[part].says })),
      { handshakes: handshakes.reduce((sum, part) => sum + PARTS[part].handshakes, 0) },
    ]);
  });
});
