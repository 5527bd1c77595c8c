/** Go's crypto/tls and net/http against a server of HTTP/2 and HTTP/1.1. */
import { execFileSync } from 'node:child_process';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect } from 'vitest';

import { commandIt, has, run } from '../support/faults/commands.js';
import { libraries } from '../support/modules.js';
import { Identities } from './identities.js';
import { web } from './web.js';

/** It compiles its standard library the first time. */
const BUILD_MS = 300_000;

let ids: Identities;
let program: string;
beforeAll(async () => {
  ids = await Identities.create();
  program = ids.file('client');
  if (!has('go')) return;
  execFileSync('go', ['build', '-o', program, 'client.go'], {
    cwd: path.join(import.meta.dirname, 'programs'),
    env: { ...process.env, GO111MODULE: 'off', CGO_ENABLED: '0' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}, BUILD_MS);
afterAll(() => ids[Symbol.dispose]());

describe.each(libraries)('Go and $name', (modules) => {
  commandIt('go', 'connects, resumes, shows its certificate, has streams at once', async () => {
    const asked = { requestCert: true, rejectUnauthorized: false, ca: ids.ca };
    const options = { http2: true, allowHTTP1: true, ...asked, ...ids.options('server') };
    await using server = await web(modules, options);
    const { code, stdout, stderr } = await run(program, [String(server.port), ids.file('')]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const echoes = Array.from({ length: 10 }, () => true);
    expect(JSON.parse(stdout)).toEqual({
      '1.2': [true, 'http/1.1'],
      '1.2 resumed': [false, true],
      '1.3': [true, 'http/1.1'],
      '1.3 resumed': [false, true],
      'HTTP/1.1': ['1.1', 'alice'],
      'HTTP/1.1 echoes': echoes,
      'HTTP/2.0': ['2.0', 'alice'],
      'HTTP/2.0 echoes': echoes,
    });
  });
});
